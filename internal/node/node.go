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
	Events  func(namespace string) EventAPI
	Version func(context.Context) (*version.Info, error) // of the API server
	AnyName bool                                         // nodes have names of their own: the setting of an installation
	Log     *slog.Logger
	// Told gets what is recorded of a Node, too; nil is nobody.
	Told func(ctx context.Context, node, kind, reason, message string)
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

// each reads the Nodes that a label selector matches, page by page; an empty one matches all.
func (c *Client) each(ctx context.Context, selector string, do func(*corev1.Node)) error {
	pages := pager.New(pager.SimplePageFunc(func(opts metav1.ListOptions) (runtime.Object, error) {
		return c.Nodes.List(ctx, opts)
	}))
	pages.PageSize, pages.PageBufferSize = nodesAPage, 1
	return pages.EachListItem(ctx, metav1.ListOptions{LabelSelector: selector}, func(item runtime.Object) error {
		if n, ok := item.(*corev1.Node); ok {
			do(n)
		}
		return nil
	})
}

// Find returns the Node of an instance, or nil if the cluster has none. It is one of the given names, which EC2 gives the
// instance: a kubelet can claim any providerID for its Node, but not another Node's name. With AnyName the name does not matter,
// and all Nodes are read, page by page: no selector reaches a providerID. Several Nodes of one instance are an error then.
func (c *Client) Find(ctx context.Context, id string, names []string) (*corev1.Node, error) {
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
	if !c.AnyName {
		return nil, nil //nolint:nilnil // no Node is an answer, not an error
	}
	var found []*corev1.Node
	err := c.each(ctx, "", func(n *corev1.Node) {
		if InstanceID(n.Spec.ProviderID) == id {
			found = append(found, n)
		}
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("listing nodes to find the one of instance %q: %w", id, err)
	case len(found) == 0:
		return nil, nil //nolint:nilnil // as above
	case len(found) > 1:
		return nil, hint.Errorf("delete those that are not its Node", "nodes %q and %q both say that they are instance %q", found[0].Name, found[1].Name, id)
	}
	return found[0], nil
}

// IsCalled reports whether the name is one that EC2 gives the instance, or names do not matter. Without it, what a Node says of its
// instance is what its kubelet says.
func (c *Client) IsCalled(name string, names []string) bool {
	return c.AnyName || slices.Contains(names, name)
}

// Verify refuses a Node whose name is none that EC2 gives its instance, unless AnyName is set.
func (c *Client) Verify(n *corev1.Node, names []string) error {
	if c.IsCalled(n.Name, names) {
		return nil
	}
	return hint.Errorf("if nodes of this cluster have names of their own, set EKS_RECYCLE_NODE_NAMES=any for the installation; otherwise find out who made this Node",
		"node %q says that it is instance %q, which EC2 calls %q", n.Name, InstanceID(n.Spec.ProviderID), names[0])
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

// Usable says why a Node cannot take the place of another one yet, or "": it is not Ready, or cordoned, or has a taint that keeps
// pods off and that the other one does not have, such as those of network and storage drivers that start.
func Usable(n, instead *corev1.Node) (why string) {
	if !Ready(n) {
		return "is not Ready"
	}
	if n.Spec.Unschedulable {
		return "is cordoned"
	}
	for _, t := range n.Spec.Taints {
		if t.Effect == corev1.TaintEffectPreferNoSchedule || t.Key == TaintLeaving {
			continue
		}
		if instead == nil || !slices.ContainsFunc(instead.Spec.Taints, func(o corev1.Taint) bool { return o.MatchTaint(&t) }) {
			return "has taint " + t.ToString()
		}
	}
	return ""
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
