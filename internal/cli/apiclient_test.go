package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	apitypes "k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	policyclient "k8s.io/client-go/kubernetes/typed/policy/v1"
	storageclient "k8s.io/client-go/kubernetes/typed/storage/v1"
)

// kubeClient is a process's client of an apiServer. The embedded interfaces stand for the calls that no step makes.
type kubeClient struct {
	kubernetes.Interface
	server *apiServer
	door   door
}

// door is what stands between a process and the servers it calls: latency, faults, its own death. do is the call.
type door interface {
	kube(ctx context.Context, verb, resource, name string, do func() error) error
	aws(ctx context.Context, service, action string, form url.Values, do func(context.Context) error) error
}

// open is a door with nothing in the way.
type open struct{}

func (open) kube(_ context.Context, _, _, _ string, do func() error) error { return do() }

func (open) aws(ctx context.Context, _, _ string, _ url.Values, do func(context.Context) error) error {
	return do(ctx)
}

func (k *kubeClient) CoreV1() coreclient.CoreV1Interface { return coreAPI{k: k} }

func (k *kubeClient) CoordinationV1() coordinationclient.CoordinationV1Interface {
	return coordinationAPI{k: k}
}

func (k *kubeClient) PolicyV1() policyclient.PolicyV1Interface { return policyAPI{k: k} }

func (k *kubeClient) StorageV1() storageclient.StorageV1Interface { return storageAPI{k: k} }

// policyAPI has no PodDisruptionBudgets to show: the apiServer has names of pods that it lets nobody evict.
type policyAPI struct {
	policyclient.PolicyV1Interface
	policyclient.PodDisruptionBudgetInterface
	k *kubeClient
}

func (p policyAPI) PodDisruptionBudgets(string) policyclient.PodDisruptionBudgetInterface { return p }

func (p policyAPI) List(ctx context.Context, _ metav1.ListOptions) (*policyv1.PodDisruptionBudgetList, error) {
	return &policyv1.PodDisruptionBudgetList{}, p.k.door.kube(ctx, "list", "poddisruptionbudgets", "", func() error { return nil })
}

// storageAPI has no volumes.
type storageAPI struct {
	storageclient.StorageV1Interface
	storageclient.VolumeAttachmentInterface
	k *kubeClient
}

func (s storageAPI) VolumeAttachments() storageclient.VolumeAttachmentInterface { return s }

func (s storageAPI) List(ctx context.Context, _ metav1.ListOptions) (*storagev1.VolumeAttachmentList, error) {
	return &storagev1.VolumeAttachmentList{}, s.k.door.kube(ctx, "list", "volumeattachments", "", func() error { return nil })
}

func (s storageAPI) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	return watch.NewEmptyWatch(), nil
}

type coreAPI struct {
	coreclient.CoreV1Interface
	k *kubeClient
}

func (c coreAPI) Nodes() coreclient.NodeInterface            { return nodeAPI{k: c.k} }
func (c coreAPI) Pods(ns string) coreclient.PodInterface     { return podAPI{k: c.k, ns: ns} }
func (c coreAPI) Events(ns string) coreclient.EventInterface { return eventAPI{k: c.k} }

type coordinationAPI struct {
	coordinationclient.CoordinationV1Interface
	k *kubeClient
}

func (c coordinationAPI) Leases(ns string) coordinationclient.LeaseInterface {
	return leaseAPI{k: c.k, ns: ns}
}

// through makes a call that answers with an object.
func through[T object](ctx context.Context, k *kubeClient, verb, resource, name string, do func() (object, error)) (out T, err error) {
	err = k.door.kube(ctx, verb, resource, name, func() error {
		o, err := do()
		if err == nil {
			out = o.(T) //nolint:forcetypeassert // each resource holds one type
		}
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return out, nil
}

func (k *kubeClient) list(ctx context.Context, resource, ns string, o metav1.ListOptions) (found []object, version string, err error) {
	passes, err := selection(o)
	if err != nil {
		return nil, "", err
	}
	err = k.door.kube(ctx, "list", resource, "", func() error {
		found, version = k.server.list(resource, ns, passes)
		return nil
	})
	return found, version, err
}

func (k *kubeClient) watch(ctx context.Context, resource, ns string, o metav1.ListOptions) (watching watch.Interface, err error) {
	passes, err := selection(o)
	if err != nil {
		return nil, err
	}
	err = k.door.kube(ctx, "watch", resource, "", func() error {
		w, err := k.server.watch(resource, ns, o.ResourceVersion, passes)
		if err != nil {
			return err
		}
		watching = w
		context.AfterFunc(ctx, w.Stop) // a connection goes with its context
		return nil
	})
	if err != nil && watching != nil {
		watching.Stop()
	}
	return watching, err
}

func (k *kubeClient) remove(ctx context.Context, resource, ns, name string, p *metav1.Preconditions) error {
	return k.door.kube(ctx, "delete", resource, name, func() error { return k.server.remove(resource, ns, name, p) })
}

func selection(o metav1.ListOptions) (func(object) bool, error) {
	byLabel, err := labels.Parse(o.LabelSelector)
	if err != nil {
		return nil, err
	}
	byField, err := fields.ParseSelector(o.FieldSelector)
	if err != nil {
		return nil, err
	}
	return func(o object) bool { return selected(o, byLabel, byField) }, nil
}

type nodeAPI struct {
	coreclient.NodeInterface
	k *kubeClient
}

func (a nodeAPI) Get(ctx context.Context, name string, _ metav1.GetOptions) (*corev1.Node, error) {
	return through[*corev1.Node](ctx, a.k, "get", "nodes", name, func() (object, error) { return a.k.server.get("nodes", "", name) })
}

func (a nodeAPI) Create(ctx context.Context, n *corev1.Node, _ metav1.CreateOptions) (*corev1.Node, error) {
	return through[*corev1.Node](ctx, a.k, "create", "nodes", n.Name, func() (object, error) { return a.k.server.create("nodes", n) })
}

func (a nodeAPI) Update(ctx context.Context, n *corev1.Node, _ metav1.UpdateOptions) (*corev1.Node, error) {
	return through[*corev1.Node](ctx, a.k, "update", "nodes", n.Name, func() (object, error) { return a.k.server.replace("nodes", n) })
}

func (a nodeAPI) UpdateStatus(ctx context.Context, n *corev1.Node, o metav1.UpdateOptions) (*corev1.Node, error) {
	return a.Update(ctx, n, o)
}

func (a nodeAPI) Delete(ctx context.Context, name string, o metav1.DeleteOptions) error {
	return a.k.remove(ctx, "nodes", "", name, o.Preconditions)
}

func (a nodeAPI) List(ctx context.Context, o metav1.ListOptions) (*corev1.NodeList, error) {
	found, version, err := a.k.list(ctx, "nodes", "", o)
	list := &corev1.NodeList{ListMeta: metav1.ListMeta{ResourceVersion: version}}
	for _, o := range found {
		list.Items = append(list.Items, *o.(*corev1.Node))
	}
	return list, err
}

func (a nodeAPI) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	return a.k.watch(ctx, "nodes", "", o)
}

func (a nodeAPI) Patch(ctx context.Context, name string, kind apitypes.PatchType, data []byte, _ metav1.PatchOptions, _ ...string) (*corev1.Node, error) {
	return through[*corev1.Node](ctx, a.k, "patch", "nodes", name, func() (object, error) {
		patch, err := readNodePatch(kind, data)
		if err != nil {
			return nil, err
		}
		return a.k.server.change("nodes", "", name, func(o object) error { return patch.apply(o.(*corev1.Node)) })
	})
}

// nodePatch is what a merge patch of a step may hold. Decoding it into a struct is much cheaper than a merge of documents;
// a field that is not here is an error, so that none goes unnoticed.
type nodePatch struct {
	Metadata struct {
		UID             apitypes.UID    `json:"uid"`
		ResourceVersion string          `json:"resourceVersion"`
		Annotations     json.RawMessage `json:"annotations"`
		Labels          json.RawMessage `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		Unschedulable json.RawMessage `json:"unschedulable"`
		Taints        json.RawMessage `json:"taints"`
	} `json:"spec"`
}

func readNodePatch(kind apitypes.PatchType, data []byte) (*nodePatch, error) {
	if kind != apitypes.MergePatchType {
		return nil, fmt.Errorf("patch of type %q", kind)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var p nodePatch
	err := decoder.Decode(&p)
	return &p, err
}

func (p *nodePatch) apply(n *corev1.Node) error {
	if p.Metadata.UID != n.UID || p.Metadata.ResourceVersion != n.ResourceVersion {
		return conflict("nodes", n.Name)
	}
	var err error
	if n.Annotations, err = mergeMap(n.Annotations, p.Metadata.Annotations); err != nil {
		return err
	}
	if n.Labels, err = mergeMap(n.Labels, p.Metadata.Labels); err != nil {
		return err
	}
	if p.Spec.Unschedulable != nil {
		n.Spec.Unschedulable = string(p.Spec.Unschedulable) == "true"
	}
	if p.Spec.Taints != nil {
		n.Spec.Taints = nil
		return json.Unmarshal(p.Spec.Taints, &n.Spec.Taints)
	}
	return nil
}

func mergeMap(into map[string]string, patch json.RawMessage) (map[string]string, error) {
	if patch == nil {
		return into, nil
	}
	var values map[string]*string
	if err := json.Unmarshal(patch, &values); err != nil || values == nil {
		return nil, err
	}
	if into == nil {
		into = map[string]string{}
	}
	for key, value := range values {
		if value == nil {
			delete(into, key)
			continue
		}
		into[key] = *value
	}
	return into, nil
}

type podAPI struct {
	coreclient.PodInterface
	k  *kubeClient
	ns string
}

func (a podAPI) List(ctx context.Context, o metav1.ListOptions) (*corev1.PodList, error) {
	found, version, err := a.k.list(ctx, "pods", a.ns, o)
	list := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: version}}
	for _, o := range found {
		list.Items = append(list.Items, *o.(*corev1.Pod))
	}
	return list, err
}

func (a podAPI) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	return a.k.watch(ctx, "pods", a.ns, o)
}

func (a podAPI) EvictV1(ctx context.Context, e *policyv1.Eviction) error {
	return a.k.door.kube(ctx, "evict", "pods", e.Name, func() error { return a.k.server.evict(e) })
}

type eventAPI struct {
	coreclient.EventInterface
	k *kubeClient
}

func (a eventAPI) Create(ctx context.Context, e *corev1.Event, _ metav1.CreateOptions) (*corev1.Event, error) {
	return e, a.k.door.kube(ctx, "create", "events", e.Reason, func() error { return nil })
}

type leaseAPI struct {
	coordinationclient.LeaseInterface
	k  *kubeClient
	ns string
}

func (a leaseAPI) Get(ctx context.Context, name string, _ metav1.GetOptions) (*coordinationv1.Lease, error) {
	return through[*coordinationv1.Lease](ctx, a.k, "get", "leases", name, func() (object, error) { return a.k.server.get("leases", a.ns, name) })
}

func (a leaseAPI) Create(ctx context.Context, l *coordinationv1.Lease, _ metav1.CreateOptions) (*coordinationv1.Lease, error) {
	l = l.DeepCopy()
	l.Namespace = a.ns
	return through[*coordinationv1.Lease](ctx, a.k, "create", "leases", l.Name, func() (object, error) { return a.k.server.create("leases", l) })
}

func (a leaseAPI) Update(ctx context.Context, l *coordinationv1.Lease, _ metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	return through[*coordinationv1.Lease](ctx, a.k, "update", "leases", l.Name, func() (object, error) { return a.k.server.replace("leases", l) })
}

func (a leaseAPI) Delete(ctx context.Context, name string, o metav1.DeleteOptions) error {
	return a.k.remove(ctx, "leases", a.ns, name, o.Preconditions)
}

func (a leaseAPI) List(ctx context.Context, o metav1.ListOptions) (*coordinationv1.LeaseList, error) {
	found, version, err := a.k.list(ctx, "leases", a.ns, o)
	list := &coordinationv1.LeaseList{ListMeta: metav1.ListMeta{ResourceVersion: version}}
	for _, o := range found {
		list.Items = append(list.Items, *o.(*coordinationv1.Lease))
	}
	return list, err
}
