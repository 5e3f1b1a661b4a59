package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// kube is the cluster as its administrator sees it.
type kube struct {
	client  kubernetes.Interface
	dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
}

func connect(kubeconfig string) (kube, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return kube{}, fmt.Errorf("reading kubeconfig %q: %w", kubeconfig, err)
	}
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return kube{}, fmt.Errorf("connecting to the cluster: %w", err)
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return kube{}, fmt.Errorf("connecting to the cluster: %w", err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	return kube{client: client, dynamic: dyn, mapper: mapper}, nil
}

// apply makes the objects so, in an order in which each finds what it needs. The manager's name keeps apart what
// different sets of objects say of one object.
func (k kube) apply(ctx context.Context, manager string, objects []*unstructured.Unstructured) error {
	objects = slices.Clone(objects)
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	for _, o := range objects {
		if err := k.applyOne(ctx, manager, o); err != nil {
			return fmt.Errorf("applying %s %q: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}

func rank(o *unstructured.Unstructured) int {
	first := []string{"Namespace", "CustomResourceDefinition", "PriorityClass", "ServiceAccount", "ConfigMap"}
	if i := slices.Index(first, o.GetKind()); i >= 0 {
		return i
	}
	return len(first)
}

func (k kube) applyOne(ctx context.Context, manager string, o *unstructured.Unstructured) error {
	kind := o.GroupVersionKind()
	// A kind whose definition was applied a moment ago is not served at once.
	var mapping *meta.RESTMapping
	err := quickly().Until(ctx, func(context.Context) (bool, string, error) {
		var err error
		mapping, err = k.mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if meta.IsNoMatchError(err) {
			k.mapper.Reset()
			return false, err.Error(), nil
		}
		return err == nil, "", err
	})
	if err != nil {
		return err
	}
	var client dynamic.ResourceInterface = k.dynamic.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		client = k.dynamic.Resource(mapping.Resource).Namespace(o.GetNamespace())
	}
	content, err := json.Marshal(o)
	if err != nil {
		return err
	}
	force := true
	_, err = client.Patch(ctx, o.GetName(), types.ApplyPatchType, content,
		metav1.PatchOptions{FieldManager: manager, Force: &force})
	return err
}

// awaitNode waits until a node is Ready.
func (k kube) awaitNode(ctx context.Context, name string) error {
	err := quickly().Until(ctx, func(ctx context.Context) (bool, string, error) {
		node, err := k.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, "it is not registered", nil
		}
		if err != nil {
			return false, err.Error(), nil
		}
		ready, why := nodeReady(node)
		return ready, why, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for node %q: %w", name, err)
	}
	return nil
}

func nodeReady(node *corev1.Node) (bool, string) {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue, c.Message
		}
	}
	return false, "it has not reported yet"
}

// awaitDeployment waits until a deployment's pods are available.
func (k kube) awaitDeployment(ctx context.Context, namespace, name string) error {
	err := quickly().Until(ctx, func(ctx context.Context) (bool, string, error) {
		d, err := k.client.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err.Error(), nil
		}
		if d.Status.AvailableReplicas > 0 {
			return true, "", nil
		}
		return false, k.whyPodsWait(ctx, namespace), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for deployment %q: %w", name, err)
	}
	return nil
}

// whyPodsWait puts what keeps a namespace's pods from running in one line.
func (k kube) whyPodsWait(ctx context.Context, namespace string) string {
	pods, err := k.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, p := range pods.Items {
		reason := string(p.Status.Phase)
		for _, c := range p.Status.ContainerStatuses {
			if c.State.Waiting != nil {
				reason = strings.TrimSpace(c.State.Waiting.Reason + " " + c.State.Waiting.Message)
			}
		}
		out = append(out, "pod "+p.Name+": "+reason)
	}
	if out == nil {
		return "it has no pods yet"
	}
	return strings.Join(out, "; ")
}
