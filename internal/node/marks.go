package node

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// What a recycle writes on the leaving Node.
const (
	// TaintLeaving is put on with effect PreferNoSchedule first, and NoSchedule once the replacement is Ready.
	TaintLeaving = "eks-recycle.io/leaving"
	// AnnotationWorkflow names who recycles the Node.
	AnnotationWorkflow = "eks-recycle.io/workflow"
	// AnnotationMembers lists the group's members before the instance went on standby: none of them is its replacement.
	AnnotationMembers = "eks-recycle.io/members"
	// AnnotationStartedAt is when the Node was first marked, RFC 3339.
	AnnotationStartedAt = "eks-recycle.io/started-at"
	// AnnotationReplacement is the id of the instance that took its place.
	AnnotationReplacement = "eks-recycle.io/replacement"
	// AnnotationWaitStartedAt is when the wait for pods began, RFC 3339. It spans attempts and workflows.
	AnnotationWaitStartedAt = "eks-recycle.io/wait-started-at"
	// AnnotationWaitsFor says which pods matter, as JSON, for whoever has to finish what the workflow began.
	AnnotationWaitsFor = "eks-recycle.io/waits-for"
	// AnnotationBefore keeps what the marks replaced, so that it can be put back.
	AnnotationBefore = "eks-recycle.io/before"
	// AnnotationRetiringSince is when the retire step began to take the instance out of its group, RFC 3339. The instance's
	// tags say so too, but EC2 may show them late.
	AnnotationRetiringSince = "eks-recycle.io/retiring-since"
	// AnnotationNotice is when AWS gave notice that it takes the instance, RFC 3339, or "unknown". Such a Node is not brought
	// back into service by a sweep: it goes with its instance.
	AnnotationNotice = "eks-recycle.io/notice"
	// LabelLeaving is on the leaving Node and names its instance. It is a label, so that a sweep finds the Node: no selector
	// reaches a taint.
	LabelLeaving = "eks-recycle.io/leaving"
	// LabelReplaces is on the replacement's Node and names the instance whose place it took. It is a label, so that it is
	// found when the old Node is gone.
	LabelReplaces = "eks-recycle.io/replaces"
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

// Leaving claims a Node for a recycle: soft taint, protection from cluster-autoscaler, and what later attempts need to
// know. What an earlier attempt has written stays.
func Leaving(workflow string, baseline []string, now time.Time) Mark {
	return func(n *corev1.Node) {
		remember(n)
		n.Annotations[AnnotationWorkflow], n.Labels[LabelLeaving] = workflow, InstanceID(n.Spec.ProviderID)
		n.Annotations[scaleDownDisabled] = "true"
		setOnce(n.Annotations, AnnotationMembers, strings.Join(baseline, ","))
		setOnce(n.Annotations, AnnotationStartedAt, now.UTC().Format(time.RFC3339))
		if !hasTaint(n, corev1.TaintEffectNoSchedule) {
			addTaint(n, corev1.TaintEffectPreferNoSchedule)
		}
	}
}

// Anew forgets how far an earlier recycle came: someone has brought the instance back into service since, so its baseline,
// its replacement and its clocks mean nothing any more. What was there before the first mark stays remembered.
func Anew(n *corev1.Node) {
	ensure(n)
	for _, key := range []string{AnnotationMembers, AnnotationStartedAt, AnnotationReplacement, AnnotationWaitStartedAt, AnnotationRetiringSince, AnnotationWaitsFor} {
		delete(n.Annotations, key)
	}
}

// Patient lets the wait for a replacement begin again, for a workflow that takes up what another one left.
func Patient(n *corev1.Node) { ensure(n); delete(n.Annotations, AnnotationStartedAt) }

// Retiring writes down that the instance is on its way out of its group.
func Retiring(now time.Time) Mark {
	return func(n *corev1.Node) {
		ensure(n)
		setOnce(n.Annotations, AnnotationRetiringSince, now.UTC().Format(time.RFC3339))
	}
}

// IsRetiring reports whether a retire step began to take the instance out of its group.
func IsRetiring(n *corev1.Node) bool { return n.Annotations[AnnotationRetiringSince] != "" }

// Replaced writes down which instance took the Node's place.
func Replaced(replacement string) Mark {
	return func(n *corev1.Node) { ensure(n); n.Annotations[AnnotationReplacement] = replacement }
}

// IsReplaced reports whether Replaced holds for some instance.
func IsReplaced(n *corev1.Node) bool { return n.Annotations[AnnotationReplacement] != "" }

// Closed cordons a Node and taints it so that no pod is scheduled there any more.
func Closed(workflow string) Mark {
	return func(n *corev1.Node) {
		remember(n)
		n.Annotations[AnnotationWorkflow], n.Labels[LabelLeaving] = workflow, InstanceID(n.Spec.ProviderID)
		n.Spec.Unschedulable = true
		removeTaint(n)
		addTaint(n, corev1.TaintEffectNoSchedule)
	}
}

// Noticed closes a Node whose instance AWS takes, whatever is done about it.
func Noticed(workflow string, at time.Time) Mark {
	return func(n *corev1.Node) {
		Closed(workflow)(n)
		text := "unknown"
		if !at.IsZero() {
			text = at.UTC().Format(time.RFC3339)
		}
		setOnce(n.Annotations, AnnotationNotice, text)
	}
}

// IsNoticed reports whether Noticed holds.
func IsNoticed(n *corev1.Node) bool { return n.Annotations[AnnotationNotice] != "" }

// IsClosed reports whether Closed holds.
func IsClosed(n *corev1.Node) bool {
	return n.Spec.Unschedulable && hasTaint(n, corev1.TaintEffectNoSchedule)
}

// IsLeaving reports whether a recycle has tainted the Node, softly or hard.
func IsLeaving(n *corev1.Node) bool {
	return hasTaint(n, corev1.TaintEffectPreferNoSchedule) || hasTaint(n, corev1.TaintEffectNoSchedule)
}

// WaitStarted writes down when the wait for pods began, unless an earlier attempt did, and for which pods it is.
func WaitStarted(now time.Time, waitsFor string) Mark {
	return func(n *corev1.Node) {
		ensure(n)
		n.Annotations[AnnotationWaitsFor] = waitsFor
		setOnce(n.Annotations, AnnotationWaitStartedAt, now.UTC().Format(time.RFC3339))
	}
}

// OutOfBalancers takes the Node out of service load balancers.
func OutOfBalancers(n *corev1.Node) {
	remember(n)
	setOnce(n.Labels, excludeFromBalancers, "true")
}

// Replaces marks the Node of a replacement: protected from cluster-autoscaler until the recycle is over, and taken, so
// that two recycles of one group do not count the same newcomer twice. A Node that another recycle took stays as it is:
// ask ReplacementFor afterwards.
func Replaces(id string) Mark {
	return func(n *corev1.Node) {
		if other := ReplacementFor(n); other != "" && other != id {
			return
		}
		remember(n)
		n.Labels[LabelReplaces] = id
		n.Annotations[scaleDownDisabled] = "true"
	}
}

// ReplacementFor returns the instance whose place the Node took, or "".
func ReplacementFor(n *corev1.Node) string { return n.Labels[LabelReplaces] }

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
		if IsClosed(n) {
			n.Spec.Unschedulable = was.Unschedulable
		}
		putBack(n.Annotations, scaleDownDisabled, was.ScaleDownDisabled)
		putBack(n.Labels, excludeFromBalancers, was.ExcludeFromBalancers)
	}
	removeTaint(n)
	for _, key := range []string{AnnotationBefore, AnnotationWorkflow, AnnotationMembers, AnnotationStartedAt, AnnotationReplacement, AnnotationWaitStartedAt, AnnotationRetiringSince, AnnotationWaitsFor, AnnotationNotice} {
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

func addTaint(n *corev1.Node, effect corev1.TaintEffect) {
	if !hasTaint(n, effect) {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: TaintLeaving, Effect: effect})
	}
}

func removeTaint(n *corev1.Node) {
	n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == TaintLeaving })
}
