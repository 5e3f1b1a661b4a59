// Package kube is a client of the few kinds that a recycle reads and changes: Nodes, Pods, Events, Leases, and what keeps a pod
// from going: PodDisruptionBudgets and volumes. Its methods
// have the signatures of client-go's clientset, which is not used: it registers every kind of every API group when the
// program starts, and links them all, which doubles the program. Requests, retries, TLS and watches are client-go's.
package kube

import (
	"context"
	"encoding/json"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
)

const protobuf = "application/vnd.kubernetes.protobuf"

// Client makes the calls to one API server.
type Client struct {
	core, coordination, policy, storage rest.Interface
	parameters                          runtime.ParameterCodec
}

// New returns a client that asks for protobuf, which all of these kinds have, unless the configuration says otherwise. The limit of calls a second is for all of
// them together.
func New(config *rest.Config) (*Client, error) {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.Node{}, &corev1.NodeList{}, &corev1.Pod{}, &corev1.PodList{}, &corev1.Event{}, &corev1.EventList{}, &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolumeClaimList{})
	scheme.AddKnownTypes(coordinationv1.SchemeGroupVersion, &coordinationv1.Lease{}, &coordinationv1.LeaseList{})
	scheme.AddKnownTypes(policyv1.SchemeGroupVersion, &policyv1.Eviction{}, &policyv1.PodDisruptionBudget{}, &policyv1.PodDisruptionBudgetList{})
	scheme.AddKnownTypes(storagev1.SchemeGroupVersion, &storagev1.VolumeAttachment{}, &storagev1.VolumeAttachmentList{})
	for _, group := range []schema.GroupVersion{corev1.SchemeGroupVersion, coordinationv1.SchemeGroupVersion, policyv1.SchemeGroupVersion, storagev1.SchemeGroupVersion} {
		metav1.AddToGroupVersion(scheme, group)
	}

	config = rest.CopyConfig(config)
	if config.ContentType == "" {
		config.ContentType, config.AcceptContentTypes = protobuf, protobuf+",application/json"
	}
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	if config.RateLimiter == nil && config.QPS > 0 {
		config.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(config.QPS, config.Burst)
	}
	http, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	c := &Client{parameters: runtime.NewParameterCodec(scheme)}
	config.APIPath, config.GroupVersion = "/api", &corev1.SchemeGroupVersion
	if c.core, err = rest.RESTClientForConfigAndClient(config, http); err != nil {
		return nil, err
	}
	config.APIPath = "/apis"
	for group, client := range map[schema.GroupVersion]*rest.Interface{
		coordinationv1.SchemeGroupVersion: &c.coordination, policyv1.SchemeGroupVersion: &c.policy, storagev1.SchemeGroupVersion: &c.storage,
	} {
		config.GroupVersion = &group
		if *client, err = rest.RESTClientForConfigAndClient(config, http); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Nodes are all of the cluster.
func (c *Client) Nodes() Resource[*corev1.Node, *corev1.NodeList] {
	return Resource[*corev1.Node, *corev1.NodeList]{c.core, c.parameters, "nodes", "", newOf[corev1.Node], newOf[corev1.NodeList]}
}

// Events are those of a namespace.
func (c *Client) Events(namespace string) Resource[*corev1.Event, *corev1.EventList] {
	return Resource[*corev1.Event, *corev1.EventList]{c.core, c.parameters, "events", namespace, newOf[corev1.Event], newOf[corev1.EventList]}
}

// Leases are those of a namespace.
func (c *Client) Leases(namespace string) Resource[*coordinationv1.Lease, *coordinationv1.LeaseList] {
	return Resource[*coordinationv1.Lease, *coordinationv1.LeaseList]{c.coordination, c.parameters, "leases", namespace, newOf[coordinationv1.Lease], newOf[coordinationv1.LeaseList]}
}

// Budgets are the PodDisruptionBudgets of a namespace.
func (c *Client) Budgets(namespace string) Resource[*policyv1.PodDisruptionBudget, *policyv1.PodDisruptionBudgetList] {
	return Resource[*policyv1.PodDisruptionBudget, *policyv1.PodDisruptionBudgetList]{c.policy, c.parameters, "poddisruptionbudgets", namespace, newOf[policyv1.PodDisruptionBudget], newOf[policyv1.PodDisruptionBudgetList]}
}

// VolumeAttachments are those of all Nodes.
func (c *Client) VolumeAttachments() Resource[*storagev1.VolumeAttachment, *storagev1.VolumeAttachmentList] {
	return Resource[*storagev1.VolumeAttachment, *storagev1.VolumeAttachmentList]{c.storage, c.parameters, "volumeattachments", "", newOf[storagev1.VolumeAttachment], newOf[storagev1.VolumeAttachmentList]}
}

// PersistentVolumeClaims are those of a namespace.
func (c *Client) PersistentVolumeClaims(namespace string) Resource[*corev1.PersistentVolumeClaim, *corev1.PersistentVolumeClaimList] {
	return Resource[*corev1.PersistentVolumeClaim, *corev1.PersistentVolumeClaimList]{c.core, c.parameters, "persistentvolumeclaims", namespace, newOf[corev1.PersistentVolumeClaim], newOf[corev1.PersistentVolumeClaimList]}
}

// Pods are those of a namespace, or with metav1.NamespaceAll of all.
func (c *Client) Pods(namespace string) Pods {
	return Pods{Resource[*corev1.Pod, *corev1.PodList]{c.core, c.parameters, "pods", namespace, newOf[corev1.Pod], newOf[corev1.PodList]}}
}

// Pods are a Resource that can be evicted as well.
type Pods struct {
	Resource[*corev1.Pod, *corev1.PodList]
}

// EvictV1 asks for the eviction of a pod, once: client-go would sleep through the Retry-After of a budget ten times.
func (p Pods) EvictV1(ctx context.Context, eviction *policyv1.Eviction) error {
	return p.on(p.client.Post()).Name(eviction.Name).SubResource("eviction").MaxRetries(0).Body(eviction).Do(ctx).Error()
}

// ServerVersion is that of the API server.
func (c *Client) ServerVersion(ctx context.Context) (*version.Info, error) {
	body, err := c.core.Get().AbsPath("/version").Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	var info version.Info
	if err := json.Unmarshal(body, &info); err != nil {
		return nil, fmt.Errorf("reading %q: %w", body, err)
	}
	return &info, nil
}
