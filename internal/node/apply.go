package node

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/client-go/util/retry"
)

// onConflict is retry.DefaultBackoff without its jitter: two who write one Node do not meet again and again.
var onConflict = wait.Backoff{Steps: 4, Duration: 10 * time.Millisecond, Factor: 5}

// Apply changes a Node by marks and returns it as the API server has it afterwards. Nothing is sent when the marks change
// nothing. The patch carries UID and resourceVersion: it never lands on a Node of the same name that came later, and when
// somebody else changed the Node in between, it is read and marked anew.
// The verb patch suffices for it; an update would need update as well.
func (c *Client) Apply(ctx context.Context, n *corev1.Node, marks ...Mark) (*corev1.Node, error) {
	current := n
	err := retry.RetryOnConflict(onConflict, func() error {
		patch, changes := diff(current, marks)
		if !changes {
			return nil
		}
		body, err := json.Marshal(patch)
		if err != nil {
			return err
		}
		patched, err := c.Nodes.Patch(ctx, n.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: "eks-recycle"})
		if apierrors.IsConflict(err) {
			fresh, getErr := c.Nodes.Get(ctx, n.Name, metav1.GetOptions{})
			if getErr != nil {
				return getErr
			}
			if fresh.UID != n.UID {
				return fmt.Errorf("a new Node has taken the name meanwhile")
			}
			current = fresh
			return err
		}
		if err == nil {
			current = patched
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("marking node %q: %w", n.Name, err)
	}
	return current, nil
}

// Changes reports whether the marks would change the Node.
func Changes(n *corev1.Node, marks ...Mark) bool {
	_, changes := diff(n, marks)
	return changes
}

// patch is a merge patch of what marks may change of a Node. The rest, which can have 20 KiB, need not be compared. With UID
// and resourceVersion it is refused if the Node is another one, or has changed.
type patch struct {
	Metadata struct {
		UID             types.UID          `json:"uid"`
		ResourceVersion string             `json:"resourceVersion"`
		Labels          map[string]*string `json:"labels,omitempty"`
		Annotations     map[string]*string `json:"annotations,omitempty"`
	} `json:"metadata"`
	Spec struct {
		Taints        *[]corev1.Taint `json:"taints,omitempty"`
		Unschedulable *bool           `json:"unschedulable,omitempty"`
	} `json:"spec,omitzero"`
}

// diff is the patch that the marks ask for, and whether it changes anything.
func diff(n *corev1.Node, marks []Mark) (p patch, changes bool) {
	after := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: maps.Clone(n.Labels), Annotations: maps.Clone(n.Annotations)}}
	after.Spec = corev1.NodeSpec{ProviderID: n.Spec.ProviderID, Taints: slices.Clone(n.Spec.Taints), Unschedulable: n.Spec.Unschedulable}
	for _, mark := range marks {
		mark(after)
	}
	p.Metadata.UID, p.Metadata.ResourceVersion = n.UID, n.ResourceVersion
	p.Metadata.Labels, p.Metadata.Annotations = changed(n.Labels, after.Labels), changed(n.Annotations, after.Annotations)
	if !equality.Semantic.DeepEqual(n.Spec.Taints, after.Spec.Taints) {
		p.Spec.Taints = &after.Spec.Taints
	}
	if n.Spec.Unschedulable != after.Spec.Unschedulable {
		p.Spec.Unschedulable = &after.Spec.Unschedulable
	}
	return p, len(p.Metadata.Labels)+len(p.Metadata.Annotations) > 0 || p.Spec.Taints != nil || p.Spec.Unschedulable != nil
}

// changed holds the new values, and nil for what goes.
func changed(was, is map[string]string) map[string]*string {
	out := map[string]*string{}
	for key, value := range is {
		if old, there := was[key]; !there || old != value {
			out[key] = &value
		}
	}
	for key := range was {
		if _, stays := is[key]; !stays {
			out[key] = nil
		}
	}
	return out
}

// AwaitUsable watches for a Node of a name until it can take another one's place, and reports whether it can before ctx ends. It
// need not be there yet. A watch that breaks off is begun anew.
func (c *Client) AwaitUsable(ctx context.Context, name string, instead *corev1.Node) bool {
	for ctx.Err() == nil {
		// Without a version a watch begins with the Node as it is.
		watching, err := c.Nodes.Watch(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()})
		if err == nil {
			_, err = watchtools.UntilWithoutRetry(ctx, watching, func(event watch.Event) (bool, error) {
				now, ok := event.Object.(*corev1.Node)
				return ok && event.Type != watch.Deleted && Usable(now, instead) == "", nil
			})
		}
		if err == nil {
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchAgain):
		}
	}
	return false
}

// watchAgain is the pause before a watch that broke off is begun anew.
const watchAgain = 5 * time.Second

// Event records on the Node what happened to it, for kubectl describe node. It is best effort: a recycle does not fail
// for want of an Event.
func (c *Client) Event(ctx context.Context, n *corev1.Node, reason, message string) {
	c.event(ctx, n, corev1.EventTypeNormal, reason, message)
}

// WarningEvent records an Event of type Warning, about something that needs a person.
func (c *Client) WarningEvent(ctx context.Context, n *corev1.Node, reason, message string) {
	c.event(ctx, n, corev1.EventTypeWarning, reason, message)
}

// maxMessage is how long the message of an Event may be (https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/core/validation/events.go).
const maxMessage = 1024

func (c *Client) event(ctx context.Context, n *corev1.Node, kind, reason, message string) {
	message = strings.ToValidUTF8(message[:min(len(message), maxMessage)], "")
	if c.Told != nil {
		c.Told(ctx, n.Name, kind, reason, message)
	}
	of := corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: types.UID(n.Name)} // kubectl and the kubelet use the name as UID here
	c.record(ctx, of, kind, reason, message)
}

// PodWarning records an Event of type Warning on a pod that holds up a recycle, for kubectl describe pod.
func (c *Client) PodWarning(ctx context.Context, p *corev1.Pod, reason, message string) {
	of := corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: p.UID, ResourceVersion: p.ResourceVersion}
	c.record(ctx, of, corev1.EventTypeWarning, reason, strings.ToValidUTF8(message[:min(len(message), maxMessage)], ""))
}

func (c *Client) record(ctx context.Context, of corev1.ObjectReference, kind, reason, message string) {
	namespace, now := cmp.Or(of.Namespace, metav1.NamespaceDefault), metav1.Now()
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: of.Name + ".", Namespace: namespace},
		InvolvedObject: of,
		Reason:         reason, Message: message, Type: kind,
		Source:         corev1.EventSource{Component: "eks-recycle"},
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}
	if _, err := c.Events(namespace).Create(ctx, event, metav1.CreateOptions{}); err != nil {
		c.Log.WarnContext(ctx, "recording event", "kind", of.Kind, "name", of.Name, "reason", reason, "err", err)
	}
}
