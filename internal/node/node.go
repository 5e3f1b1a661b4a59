// Package node is the recycle's view of one worker Node: finding it by its instance, marking it, waiting until it is
// Ready, deleting it. What a mark changes is decided by pure functions on a Node; the API server gets it as a patch
// that is refused if the Node changed meanwhile. It knows nothing of AWS beyond the form of a providerID.
package node

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/util/retry"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// API is what is asked of the API server about Nodes.
type API interface {
	Get(context.Context, string, metav1.GetOptions) (*corev1.Node, error)
	List(context.Context, metav1.ListOptions) (*corev1.NodeList, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
	Patch(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (*corev1.Node, error)
	Delete(context.Context, string, metav1.DeleteOptions) error
}

// EventAPI records Events.
type EventAPI interface {
	Create(context.Context, *corev1.Event, metav1.CreateOptions) (*corev1.Event, error)
}

// Client reads and changes the Nodes of one cluster. Events are those of the namespace default, where a Node's are.
type Client struct {
	Nodes   API
	Events  EventAPI
	Version func(context.Context) (*version.Info, error) // of the API server
	Log     *slog.Logger
}

// InstanceID returns the EC2 instance id in a providerID of the form aws:///<zone>/<instance-id>, or "". Other forms
// that end in the id are taken too: only the last segment counts.
func InstanceID(providerID string) string {
	if !strings.HasPrefix(providerID, "aws://") {
		return ""
	}
	id := providerID[strings.LastIndex(providerID, "/")+1:]
	if !strings.HasPrefix(id, "i-") {
		return ""
	}
	return id
}

// NamesOf lists the names that an instance's Node can have, most likely first: IP-based or instance-based, with the
// domain of its VPC or bare (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/hostname-types.html).
func NamesOf(id, privateDNSName, region string) []string {
	names := []string{id}
	if privateDNSName != "" && privateDNSName != id {
		names = append([]string{privateDNSName}, names...)
	}
	domain := region + ".compute.internal"
	if region == "us-east-1" {
		domain = "ec2.internal"
	}
	if resource := id + "." + domain; !slices.Contains(names, resource) && region != "" {
		names = append(names, resource)
	}
	return names
}

// Get reads a Node by name.
func (c *Client) Get(ctx context.Context, name string) (*corev1.Node, error) {
	n, err := c.Nodes.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, hint.Errorf("kubectl get nodes lists the names; is this the right cluster (--cluster, --context)?", "node %q does not exist in this cluster: %w", name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading node %q: %w", name, err)
	}
	return n, nil
}

// nodesAPage keeps a search of a big cluster within some megabytes: a Node lists its images and can have 20 KiB.
const nodesAPage = 100

// Find returns the Node of an instance, or nil if the cluster has none. It tries the given names first; only if none of
// them is the instance's Node it reads all Nodes, page by page: no selector reaches a providerID.
func (c *Client) Find(ctx context.Context, id string, names []string) (*corev1.Node, error) {
	n, err := c.findByName(ctx, id, names)
	if n != nil || err != nil {
		return n, err
	}
	var found *corev1.Node
	pages := pager.New(pager.SimplePageFunc(func(opts metav1.ListOptions) (runtime.Object, error) {
		return c.Nodes.List(ctx, opts)
	}))
	pages.PageSize, pages.PageBufferSize = nodesAPage, 1 // Nodes are big, and the step's memory is small
	err = pages.EachListItem(ctx, metav1.ListOptions{}, func(item runtime.Object) error {
		if n, ok := item.(*corev1.Node); ok && InstanceID(n.Spec.ProviderID) == id {
			found = n
			return errFound
		}
		return nil
	})
	if err != nil && found == nil {
		return nil, fmt.Errorf("listing nodes to find the one of instance %q: %w", id, err)
	}
	return found, nil
}

type foundError struct{}

func (foundError) Error() string { return "found" }

var errFound error = foundError{}

func (c *Client) findByName(ctx context.Context, id string, names []string) (*corev1.Node, error) {
	for _, name := range names {
		if name == "" {
			continue
		}
		n, err := c.Nodes.Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return nil, fmt.Errorf("reading node %q: %w", name, err)
		case InstanceID(n.Spec.ProviderID) == id:
			return n, nil
		}
	}
	return nil, nil //nolint:nilnil // no Node is an answer, not an error
}

// Marked lists the Nodes that a recycle has marked as leaving, and those that it has marked as a replacement.
func (c *Client) Marked(ctx context.Context) (leaving, replacements []corev1.Node, err error) {
	for label, nodes := range map[string]*[]corev1.Node{LabelLeaving: &leaving, LabelReplaces: &replacements} {
		list, err := c.Nodes.List(ctx, metav1.ListOptions{LabelSelector: label})
		if err != nil {
			return nil, nil, fmt.Errorf("listing the nodes with label %s: %w", label, err)
		}
		*nodes = list.Items
	}
	return leaving, replacements, nil
}

// ReplacementsOf lists the Nodes that carry the mark of having taken an instance's place.
func (c *Client) ReplacementsOf(ctx context.Context, id string) ([]corev1.Node, error) {
	nodes, err := c.Nodes.List(ctx, metav1.ListOptions{LabelSelector: labels.Set{LabelReplaces: id}.String()})
	if err != nil {
		return nil, fmt.Errorf("listing the nodes that replace instance %q: %w", id, err)
	}
	return nodes.Items, nil
}

// FindNamed is Find without the fallback to reading all Nodes.
func (c *Client) FindNamed(ctx context.Context, id string, names []string) (*corev1.Node, error) {
	return c.findByName(ctx, id, names)
}

// Delete deletes the Node of an instance that is shut down: also when its kubelet had registered anew meanwhile, but not
// another instance's Node that came to have the name. A Node that is gone is no error.
func (c *Client) Delete(ctx context.Context, n *corev1.Node) error {
	uid := n.UID
	err := retry.RetryOnConflict(onConflict, func() error {
		err := c.Nodes.Delete(ctx, n.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
		if !apierrors.IsConflict(err) {
			return err
		}
		now, getErr := c.Nodes.Get(ctx, n.Name, metav1.GetOptions{})
		switch {
		case getErr != nil:
			return getErr
		case InstanceID(now.Spec.ProviderID) != InstanceID(n.Spec.ProviderID):
			return nil
		}
		uid = now.UID
		return err
	})
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("deleting node %q: %w", n.Name, err)
}

// KarpenterPool returns the Karpenter NodePool that a Node belongs to, or "".
func KarpenterPool(n *corev1.Node) string {
	for _, label := range []string{"karpenter.sh/nodepool", "karpenter.sh/provisioner-name"} {
		if pool := n.Labels[label]; pool != "" {
			return pool
		}
	}
	return ""
}

// Ready reports whether the kubelet of the Node says it is Ready.
func Ready(n *corev1.Node) bool {
	for _, condition := range n.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
