package drain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// query is what the API server filters by.
type query struct {
	namespaces []string // none = all
	labels     string
	fields     fields.Selector
}

// everywhere are the namespaces to ask.
func (q query) everywhere() []string {
	if len(q.namespaces) == 0 {
		return []string{metav1.NamespaceAll}
	}
	return q.namespaces
}

// view is a live picture of the pods that a query finds: one consistent list, then one watch (for each namespace named).
// client-go's reflector survives closed watches and 410 Gone by listing anew.
type view struct {
	stores  []cache.Store
	synced  []cache.DoneChecker
	changed chan struct{}
	listed  atomic.Bool
	refused chan error // what trying again does not mend
	trouble *trouble
}

// watch starts a view that lives as long as ctx. It returns when the first list is there.
func (c *Client) watch(ctx context.Context, q query) (*view, error) {
	v := &view{changed: make(chan struct{}, 1), refused: make(chan error, 1), trouble: &trouble{log: c.Log}}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { v.poke() },
		UpdateFunc: func(any, any) { v.poke() },
		DeleteFunc: func(any) { v.poke() },
	}
	quiet := logr.NewContext(ctx, logr.Discard()) // client-go would write its troubles in its own form; v.trouble logs them
	for _, namespace := range q.everywhere() {
		informer := cache.NewSharedIndexInformerWithOptions(v.listWatch(c.Pods(namespace), q), &corev1.Pod{}, cache.SharedIndexInformerOptions{
			ResyncPeriod: time.Hour, // looks at its own store again; costs the API server nothing
		})
		_, err := informer.AddEventHandler(handler)
		err = errors.Join(err, informer.SetTransform(slim), informer.SetWatchErrorHandlerWithContext(func(context.Context, *cache.Reflector, error) {}))
		if err != nil {
			return nil, fmt.Errorf("watching pods: %w", err)
		}
		v.stores, v.synced = append(v.stores, informer.GetStore()), append(v.synced, informer.HasSyncedChecker())
		go informer.RunWithContext(quiet)
	}
	for _, synced := range v.synced {
		select {
		case err := <-v.refused:
			return nil, err
		case <-ctx.Done():
			return nil, poll.NotDone(ctx, "listing pods"+v.trouble.suffix())
		case <-synced.Done():
		}
	}
	return v, nil
}

// listThenWatch keeps the reflector from asking for the list through a watch, which an API server may not offer: then it would
// be asked twice, and a list of our own is read in pages and as of now.
type listThenWatch struct{ *cache.ListWatch }

func (listThenWatch) IsWatchListSemanticsUnSupported() bool { return true }

func (v *view) listWatch(pods API, q query) cache.ListerWatcher {
	return listThenWatch{&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			// The reflector would accept a list from the API server's cache, which may be older than the cordon.
			opts.ResourceVersion, opts.ResourceVersionMatch = "", ""
			opts.LabelSelector, opts.FieldSelector = q.labels, q.fields.String()
			found, err := list(ctx, pods, opts)
			return found, v.note(ctx, "listing pods", err)
		},
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			opts.LabelSelector, opts.FieldSelector = q.labels, q.fields.String()
			watching, err := pods.Watch(ctx, opts)
			return watching, v.note(ctx, "watching pods", err)
		},
	}}
}

// note keeps the reflector's last error, tells apart what it may go on trying, and returns the error.
func (v *view) note(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	v.trouble.note(ctx, doing, err)
	if v.listed.Load() && apierrors.IsForbidden(err) {
		return err // it was allowed a moment ago: an API server that starts answers so until it knows its roles
	}
	if err == nil {
		v.listed.Store(true)
	}
	if apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) || apierrors.IsInvalid(err) {
		poll.Offer(v.refused, fmt.Errorf("%s: %w", doing, err))
	}
	return err
}

// trouble is the last thing that went wrong, logged when it changes.
type trouble struct {
	log *slog.Logger
	mu  sync.Mutex
	err error
}

func (t *trouble) note(ctx context.Context, doing string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil && !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) && (t.err == nil || t.err.Error() != err.Error()) {
		t.log.WarnContext(ctx, "retrying", "after", doing, "err", err)
	}
	t.err = err
}

func (t *trouble) suffix() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		return ""
	}
	return ": " + t.err.Error()
}

// podsAPage bounds what is in memory at once: a pod can have the 1.5 MiB that etcd takes, encoded and decoded.
const podsAPage = 10

// list reads pods page by page, all of them as of one moment, and keeps of each what is needed.
func list(ctx context.Context, pods API, o metav1.ListOptions) (*corev1.PodList, error) {
	all := &corev1.PodList{}
	o.Limit = podsAPage
	for {
		page, err := pods.List(ctx, o)
		switch {
		case apierrors.IsResourceExpired(err) && o.Continue != "": // that moment is forgotten
			all.Items, o.Continue = nil, ""
			continue
		case err != nil:
			return nil, err
		}
		for i := range page.Items {
			all.Items = append(all.Items, *slimmed(&page.Items[i]))
		}
		all.ResourceVersion = page.ResourceVersion
		if page.Continue == "" {
			return all, nil
		}
		o.Continue, o.ResourceVersion, o.ResourceVersionMatch = page.Continue, "", ""
	}
}

// slim is slimmed for what an informer stores.
func slim(object any) (any, error) {
	if p, ok := object.(*corev1.Pod); ok {
		return slimmed(p), nil
	}
	return object, nil
}

// slimmed keeps of a pod what is needed, so that memory does not grow with what people put into their pods.
func slimmed(p *corev1.Pod) *corev1.Pod {
	kept := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: p.Name, Namespace: p.Namespace, UID: p.UID, ResourceVersion: p.ResourceVersion, Labels: p.Labels,
			CreationTimestamp: p.CreationTimestamp, DeletionTimestamp: p.DeletionTimestamp, OwnerReferences: p.OwnerReferences,
		},
		Spec: corev1.PodSpec{
			NodeName: p.Spec.NodeName, RestartPolicy: p.Spec.RestartPolicy, TerminationGracePeriodSeconds: p.Spec.TerminationGracePeriodSeconds,
			Tolerations: p.Spec.Tolerations,
		},
		Status: corev1.PodStatus{Phase: p.Status.Phase, Reason: p.Status.Reason},
	}
	for _, name := range []string{corev1.MirrorPodAnnotationKey, doNotDisrupt, safeToEvict} {
		if value, set := p.Annotations[name]; set {
			metav1.SetMetaDataAnnotation(&kept.ObjectMeta, name, value)
		}
	}
	for _, v := range p.Spec.Volumes {
		if v.PersistentVolumeClaim != nil || v.Ephemeral != nil {
			kept.Spec.Volumes = append(kept.Spec.Volumes, claimOf(v))
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			kept.Status.Conditions = []corev1.PodCondition{{Type: c.Type, Status: c.Status}}
		}
	}
	if why := waitingFor(p); why != "" && why != p.Status.Reason {
		kept.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: why}}}}
	}
	return kept
}

func (v *view) poke() { poll.Offer(v.changed, struct{}{}) }

// pods returns those that pass the filter, oldest first.
func (v *view) pods(filter func(*corev1.Pod) bool) []*corev1.Pod {
	var found []*corev1.Pod
	for _, store := range v.stores {
		for _, object := range store.List() {
			if p, ok := object.(*corev1.Pod); ok && filter(p) {
				found = append(found, p)
			}
		}
	}
	slices.SortFunc(found, oldestFirst)
	return found
}
