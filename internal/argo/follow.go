package argo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/eks-recycle/eks-recycle/internal/poll"
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

// Follow starts a picture that lives as long as ctx, and returns when it is complete. Of the children it holds their
// metadata, some hundred bytes each, however long it lives: client-go's reflector lists once and then watches.
func (w Workflows) Follow(ctx context.Context, namespace, fleet string) (*Following, error) {
	f := &Following{Changed: make(chan struct{}, 1)}
	refused := make(chan error, 1)
	client := w.Metadata.Resource(workflows).Namespace(namespace)
	poke := func() { poll.Offer(f.Changed, struct{}{}) }
	listWatch := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = ofFleet(fleet)
			return client.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = ofFleet(fleet)
			return client.Watch(ctx, o)
		},
	}
	informer := cache.NewSharedIndexInformerWithOptions(cache.ToListWatcherWithWatchListSemantics(listWatch, w.Metadata), &metav1.PartialObjectMetadata{},
		cache.SharedIndexInformerOptions{ResyncPeriod: time.Hour}) // looks at its own store again; costs the API server nothing
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { poke() }, UpdateFunc: func(any, any) { poke() }, DeleteFunc: func(any) { poke() },
	})
	err = errors.Join(err,
		informer.SetTransform(func(o any) (any, error) {
			if o, ok := o.(*metav1.PartialObjectMetadata); ok {
				o.ManagedFields, o.OwnerReferences = nil, nil
			}
			return o, nil
		}),
		informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) { // it tries again by itself
			if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsNotFound(err) {
				poll.Offer(refused, fmt.Errorf("following the workflows of the fleet: %w", err))
			}
		}))
	if err != nil {
		return nil, fmt.Errorf("following the workflows of the fleet: %w", err)
	}
	f.store = informer.GetStore()
	go informer.RunWithContext(logr.NewContext(ctx, logr.Discard()))
	select {
	case err := <-refused:
		return nil, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-informer.HasSyncedChecker().Done():
		return f, nil
	}
}
