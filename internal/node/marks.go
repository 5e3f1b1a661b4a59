package node

import (
	"encoding/json"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// What a recycle writes on Nodes, for others to read: the scheduler, autoscalers, load balancers and people. How far a recycle
// is, its record says; no mark on a Node makes a step do anything to an instance or a group.
const (
	// TaintLeaving is put on with effect PreferNoSchedule first, and NoSchedule once the replacement serves.
	TaintLeaving = "eks-recycle.io/leaving"
	// LabelLeaving is on the Node of an instance that is recycled, and names it: kubectl get nodes -l eks-recycle.io/leaving.
	LabelLeaving = "eks-recycle.io/leaving"
	// LabelReplaces is on the Node of a replacement, and names the instance whose place it took.
	LabelReplaces = "eks-recycle.io/replaces"
	// AnnotationWorkflow names who recycles the Node.
	AnnotationWorkflow = "eks-recycle.io/workflow"
	// AnnotationInterruption is when AWS gave notice that it takes the instance, RFC 3339, or "unknown".
	AnnotationInterruption = "eks-recycle.io/interruption"
	// AnnotationBefore keeps what the marks replaced, so that it can be put back.
	AnnotationBefore = "eks-recycle.io/before"
)

// What others read on a Node.
const (
	// scaleDownDisabled keeps cluster-autoscaler from removing the Node, which looks idle to it
	// (https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md).
	scaleDownDisabled = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
	// excludeFromBalancers takes the Node out of service load balancers; a cordon alone does not.
	excludeFromBalancers = corev1.LabelNodeExcludeBalancers
)

// before is the content of AnnotationBefore. A nil pointer means that the key was absent.
type before struct {
	Unschedulable        bool    `json:"unschedulable,omitempty"`
	ScaleDownDisabled    *string `json:"scaleDownDisabled,omitempty"`
	ExcludeFromBalancers *string `json:"excludeFromBalancers,omitempty"`
}

// Mark is a change to a Node. It must be idempotent and touch nothing but its argument.
type Mark func(*corev1.Node)

// Leaving keeps new pods off a Node where there is a choice, and cluster-autoscaler from removing it.
func Leaving(workflow string) Mark {
	return func(n *corev1.Node) {
		remember(n)
		n.Annotations[AnnotationWorkflow], n.Labels[LabelLeaving] = workflow, InstanceID(n.Spec.ProviderID)
		n.Annotations[scaleDownDisabled] = "true"
		if !hasTaint(n, corev1.TaintEffectNoSchedule) {
			addTaint(n, corev1.TaintEffectPreferNoSchedule)
		}
	}
}

// Cordoned cordons a Node and taints it so that no pod is scheduled there any more.
func Cordoned(workflow string) Mark {
	return func(n *corev1.Node) {
		remember(n)
		n.Annotations[AnnotationWorkflow], n.Labels[LabelLeaving] = workflow, InstanceID(n.Spec.ProviderID)
		n.Spec.Unschedulable = true
		removeTaint(n)
		addTaint(n, corev1.TaintEffectNoSchedule)
	}
}

// Interrupted cordons a Node whose instance AWS takes, whatever is done about it.
func Interrupted(workflow string, at time.Time) Mark {
	return func(n *corev1.Node) {
		Cordoned(workflow)(n)
		text := "unknown"
		if !at.IsZero() {
			text = at.UTC().Format(time.RFC3339)
		}
		setOnce(n.Annotations, AnnotationInterruption, text)
	}
}

// IsInterrupted reports whether Interrupted holds.
func IsInterrupted(n *corev1.Node) bool { return n.Annotations[AnnotationInterruption] != "" }

// InterruptedAt is when AWS gave notice, or the zero time if it gave none or that is not known.
func InterruptedAt(n *corev1.Node) time.Time {
	at, _ := time.Parse(time.RFC3339, n.Annotations[AnnotationInterruption])
	return at
}

// IsCordoned reports whether Cordoned holds.
func IsCordoned(n *corev1.Node) bool {
	return n.Spec.Unschedulable && hasTaint(n, corev1.TaintEffectNoSchedule)
}

// IsLeaving reports whether a recycle has tainted the Node, softly or hard.
func IsLeaving(n *corev1.Node) bool {
	return hasTaint(n, corev1.TaintEffectPreferNoSchedule) || hasTaint(n, corev1.TaintEffectNoSchedule)
}

// OutOfBalancers takes the Node out of service load balancers.
func OutOfBalancers(n *corev1.Node) {
	remember(n)
	setOnce(n.Labels, excludeFromBalancers, "true")
}

// Replaces marks the Node of a replacement: protected from cluster-autoscaler until the recycle is over.
func Replaces(id string) Mark {
	return func(n *corev1.Node) {
		remember(n)
		n.Labels[LabelReplaces] = id
		n.Annotations[scaleDownDisabled] = "true"
	}
}

// Released undoes Replaces(id) once the recycle is over. A Node that is itself leaving by now keeps its protection.
func Released(id string) Mark {
	return func(n *corev1.Node) {
		if n.Labels[LabelReplaces] != id {
			return
		}
		if !IsLeaving(n) {
			Restored(n)
		}
		delete(n.Labels, LabelReplaces)
	}
}

// Restored takes every mark away and puts back what was there before the first.
func Restored(n *corev1.Node) {
	ensure(n)
	if raw, ok := n.Annotations[AnnotationBefore]; ok {
		var was before
		if json.Unmarshal([]byte(raw), &was) != nil {
			was = before{} // someone edited it: what was there is lost, but the cordon and the marks are ours and have to go
		}
		if IsCordoned(n) {
			n.Spec.Unschedulable = was.Unschedulable
		}
		putBack(n.Annotations, scaleDownDisabled, was.ScaleDownDisabled)
		putBack(n.Labels, excludeFromBalancers, was.ExcludeFromBalancers)
	}
	removeTaint(n)
	for _, key := range []string{AnnotationBefore, AnnotationWorkflow, AnnotationInterruption} {
		delete(n.Annotations, key)
	}
	delete(n.Labels, LabelLeaving)
	delete(n.Labels, LabelReplaces)
}

func ensure(n *corev1.Node) {
	if n.Annotations == nil {
		n.Annotations = map[string]string{}
	}
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
}

func remember(n *corev1.Node) {
	ensure(n)
	if _, done := n.Annotations[AnnotationBefore]; done {
		return
	}
	was := before{Unschedulable: n.Spec.Unschedulable, ScaleDownDisabled: value(n.Annotations, scaleDownDisabled), ExcludeFromBalancers: value(n.Labels, excludeFromBalancers)}
	raw, _ := json.Marshal(was) // strings and a bool always marshal
	n.Annotations[AnnotationBefore] = string(raw)
}

func value(m map[string]string, key string) *string {
	if v, ok := m[key]; ok {
		return &v
	}
	return nil
}

func setOnce(m map[string]string, key, v string) {
	if _, ok := m[key]; !ok {
		m[key] = v
	}
}

func putBack(m map[string]string, key string, was *string) {
	if was == nil {
		delete(m, key)
		return
	}
	m[key] = *was
}

func hasTaint(n *corev1.Node, effect corev1.TaintEffect) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == TaintLeaving && t.Effect == effect })
}

// Taint is the one that a recycle puts on a Node, with an effect.
func Taint(effect corev1.TaintEffect) corev1.Taint {
	return corev1.Taint{Key: TaintLeaving, Effect: effect}
}

func addTaint(n *corev1.Node, effect corev1.TaintEffect) {
	if !hasTaint(n, effect) {
		n.Spec.Taints = append(n.Spec.Taints, Taint(effect))
	}
}

func removeTaint(n *corev1.Node) {
	n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == TaintLeaving })
}
