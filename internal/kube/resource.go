package kube

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// Resource is one kind, in one namespace or in all. client-go's own generic client, gentype, has its fake in the same
// package, which links OpenAPI, JSON patches and structured merges.
type Resource[T object, L runtime.Object] struct {
	client            rest.Interface
	parameters        runtime.ParameterCodec
	plural, namespace string
	one               func() T
	many              func() L
}

type object interface {
	runtime.Object
	metav1.Object
}

func newOf[T any]() *T { return new(T) }

func (r Resource[T, L]) on(request *rest.Request) *rest.Request {
	return request.NamespaceIfScoped(r.namespace, r.namespace != metav1.NamespaceAll).Resource(r.plural)
}

// selected also ends the request on this side when its time is over, should the server not.
func (r Resource[T, L]) selected(o metav1.ListOptions) *rest.Request {
	var timeout time.Duration
	if o.TimeoutSeconds != nil {
		timeout = time.Duration(*o.TimeoutSeconds) * time.Second
	}
	return r.on(r.client.Get()).VersionedParams(&o, r.parameters).Timeout(timeout)
}

// Get reads one by its name.
func (r Resource[T, L]) Get(ctx context.Context, name string, o metav1.GetOptions) (T, error) {
	out := r.one()
	err := r.on(r.client.Get()).Name(name).VersionedParams(&o, r.parameters).Do(ctx).Into(out)
	return out, err
}

// List reads those that selectors match, or a page of them.
func (r Resource[T, L]) List(ctx context.Context, o metav1.ListOptions) (L, error) {
	out := r.many()
	err := r.selected(o).Do(ctx).Into(out)
	return out, err
}

// Watch follows those that selectors match.
func (r Resource[T, L]) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.Watch = true
	return r.selected(o).Watch(ctx)
}

// Create creates one.
func (r Resource[T, L]) Create(ctx context.Context, object T, o metav1.CreateOptions) (T, error) {
	out := r.one()
	err := r.on(r.client.Post()).VersionedParams(&o, r.parameters).Body(object).Do(ctx).Into(out)
	return out, err
}

// Update replaces one.
func (r Resource[T, L]) Update(ctx context.Context, object T, o metav1.UpdateOptions) (T, error) {
	out := r.one()
	err := r.on(r.client.Put()).Name(object.GetName()).VersionedParams(&o, r.parameters).Body(object).Do(ctx).Into(out)
	return out, err
}

// Patch changes one.
func (r Resource[T, L]) Patch(ctx context.Context, name string, kind types.PatchType, patch []byte, o metav1.PatchOptions, subresources ...string) (T, error) {
	out := r.one()
	err := r.on(r.client.Patch(kind)).Name(name).SubResource(subresources...).VersionedParams(&o, r.parameters).Body(patch).Do(ctx).Into(out)
	return out, err
}

// Delete deletes one.
func (r Resource[T, L]) Delete(ctx context.Context, name string, o metav1.DeleteOptions) error {
	return r.on(r.client.Delete()).Name(name).Body(&o).Do(ctx).Error()
}
