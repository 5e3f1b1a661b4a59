package drain

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// query is what the API server filters by.
type query struct {
	namespaces []string // none = all
	labels     string
	fields     fields.Selector
}

// view is a live picture of the pods that a query finds: one consistent list, then one watch (for each namespace named).
// client-go's reflector survives closed watches and 410 Gone by listing anew.
type view struct {
	stores  []cache.Store
	synced  []cache.InformerSynced
	changed chan struct{}
}

// watchPods starts a view that lives as long as ctx. It returns when the first list is there.
func watchPods(ctx context.Context, kube kubernetes.Interface, q query) (*view, error) {
	v := &view{changed: make(chan struct{}, 1)}
	namespaces := q.namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { v.poke() },
		UpdateFunc: func(any, any) { v.poke() },
		DeleteFunc: func(any) { v.poke() },
	}
	for _, namespace := range namespaces {
		store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
			ListerWatcher: listWatch(ctx, kube, namespace, q),
			ObjectType:    &corev1.Pod{},
			Handler:       handler,
			Transform:     slim,
			ResyncPeriod:  time.Hour, // looks at its own store again; costs the API server nothing
		})
		v.stores, v.synced = append(v.stores, store), append(v.synced, controller.HasSynced)
		go controller.RunWithContext(ctx)
	}
	if !cache.WaitForCacheSync(ctx.Done(), v.synced...) {
		return nil, fmt.Errorf("listing pods: %w", context.Cause(ctx))
	}
	return v, nil
}

func listWatch(ctx context.Context, kube kubernetes.Interface, namespace string, q query) *cache.ListWatch {
	pods := kube.CoreV1().Pods(namespace)
	return &cache.ListWatch{
		ListFunc: func(opts metav1.ListOptions) (runtime.Object, error) {
			// The reflector would accept a list from the API server's cache, which may be older than the cordon.
			opts.ResourceVersion, opts.ResourceVersionMatch = "", ""
			opts.LabelSelector, opts.FieldSelector = q.labels, q.fields.String()
			return pods.List(ctx, opts)
		},
		WatchFunc: func(opts metav1.ListOptions) (watch.Interface, error) {
			opts.LabelSelector, opts.FieldSelector = q.labels, q.fields.String()
			return pods.Watch(ctx, opts)
		},
	}
}

// slim keeps of a pod what is looked at, so that memory does not grow with what people put into their pods.
func slim(object any) (any, error) {
	p, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	kept := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: p.Name, Namespace: p.Namespace, UID: p.UID, ResourceVersion: p.ResourceVersion, Labels: p.Labels,
			CreationTimestamp: p.CreationTimestamp, DeletionTimestamp: p.DeletionTimestamp, OwnerReferences: p.OwnerReferences,
		},
		Spec:   corev1.PodSpec{NodeName: p.Spec.NodeName, RestartPolicy: p.Spec.RestartPolicy},
		Status: corev1.PodStatus{Phase: p.Status.Phase},
	}
	if hash, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		kept.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: hash}
	}
	return kept, nil
}

func (v *view) poke() {
	select {
	case v.changed <- struct{}{}:
	default:
	}
}

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
