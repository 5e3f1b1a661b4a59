package argo

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// Following is a live picture of a fleet's children. A value is in Changed after each change.
type Following struct {
	Changed chan struct{}
	store   cache.Store
}

// Children are those of the fleet as last seen.
func (f *Following) Children() []Child {
	all := f.store.List()
	children := make([]Child, 0, len(all))
	for _, o := range all {
		if o, ok := o.(metav1.Object); ok {
			children = append(children, childOf(o))
		}
	}
	return children
}

// listing is a ListWatch that lists also where client-go would begin with a watch that sends what there is: API servers
// without such watches refuse them, which reads here as a refusal for good.
type listing struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported is what client-go asks, from v0.35 on.
func (listing) IsWatchListSemanticsUnSupported() bool { return true }

// syncPoll is how often a picture that starts is asked whether it is complete; client-go has no signal for it.
const syncPoll = 10 * time.Millisecond

// Follow starts a picture that lives as long as ctx, and returns when it is complete. Of the children it holds their
// metadata, some hundred bytes each, however long it lives: client-go's reflector lists once and then watches.
func (w Workflows) Follow(ctx context.Context, namespace, fleet string) (*Following, error) {
	f := &Following{Changed: make(chan struct{}, 1)}
	refused := make(chan error, 1)
	client := w.Metadata.Resource(workflows).Namespace(namespace)
	poke := func() {
		select {
		case f.Changed <- struct{}{}:
		default:
		}
	}
	note := func(err error) error {
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsNotFound(err) {
			select {
			case refused <- fmt.Errorf("following the workflows of the fleet: %w", err):
			default:
			}
		}
		return err
	}
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: listing{&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				o.LabelSelector = OfFleet(fleet)
				list, err := client.List(ctx, o)
				return list, note(err)
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				o.LabelSelector = OfFleet(fleet)
				watching, err := client.Watch(ctx, o)
				return watching, note(err)
			},
		}},
		ObjectType:   &metav1.PartialObjectMetadata{},
		ResyncPeriod: time.Hour, // looks at its own store again; costs the API server nothing
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { poke() }, UpdateFunc: func(any, any) { poke() }, DeleteFunc: func(any) { poke() },
		},
		Transform: func(o any) (any, error) {
			if o, ok := o.(*metav1.PartialObjectMetadata); ok {
				o.ManagedFields, o.OwnerReferences = nil, nil
			}
			return o, nil
		},
	})
	f.store = store
	go controller.RunWithContext(logr.NewContext(ctx, logr.Discard()))
	for !controller.HasSynced() {
		select {
		case err := <-refused:
			return nil, err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(syncPoll):
		}
	}
	return f, nil
}
