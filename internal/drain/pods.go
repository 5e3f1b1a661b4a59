// Package drain waits for the pods that matter on a Node to finish by themselves, and evicts the rest through the
// Eviction API. It never deletes a pod.
//
// k8s.io/kubectl/pkg/drain is not used: it lists where this watches, reads each DaemonSet, evicts without UID
// preconditions, and cannot wait for a pod without evicting it.
package drain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// ownLabel is on the recycle's own pods, in its namespace. They never count: a drain that waits for itself would not end. In another
// namespace anybody may set it.
const (
	ownLabel = "app.kubernetes.io/name"
	ownValue = "eks-recycle"
)

// Selection says which pods of a Node matter. An empty selector means every run-to-completion pod, and every pod that asks not
// to be disrupted, unless Disruptable is set; no namespaces means all of them.
type Selection struct {
	Own         string // namespace of the recycle's own pods
	Namespaces  []string
	Disruptable bool
	selector    labels.Selector
}

// ParseSelection reads a label selector (the full Kubernetes grammar) and a comma-separated list of namespaces.
func ParseSelection(selector, namespaces string) (Selection, error) {
	parsed, err := labels.Parse(selector)
	if err != nil {
		return Selection{}, hint.Errorf(`for example "app=batch,tier in (gold, silver),!preemptible"`, "label selector %q is malformed: %w", selector, err)
	}
	s := Selection{selector: parsed}
	for _, namespace := range strings.Split(namespaces, ",") {
		namespace = strings.TrimSpace(namespace)
		if namespace == "" {
			continue
		}
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			return Selection{}, fmt.Errorf("namespace %q is malformed: %s", namespace, problems[0])
		}
		if !slices.Contains(s.Namespaces, namespace) {
			s.Namespaces = append(s.Namespaces, namespace)
		}
	}
	return s, nil
}

// Labels is the label selector, as ParseSelection reads it.
func (s Selection) Labels() string {
	if s.selector == nil {
		return ""
	}
	return s.selector.String()
}

// String describes the selection for people.
func (s Selection) String() string {
	what := "every run-to-completion pod"
	switch {
	case !s.selector.Empty():
		what = "pods with " + s.selector.String()
	case !s.Disruptable:
		what += " and every pod that asks not to be disrupted"
	}
	if len(s.Namespaces) > 0 {
		what += " in " + strings.Join(s.Namespaces, ", ")
	}
	return what
}

// Matters reports whether a pod has to finish by itself before its Node may go.
func (s Selection) Matters(p *corev1.Pod) bool {
	switch {
	case exempt(p), s.isOwn(p):
		return false
	case len(s.Namespaces) > 0 && !slices.Contains(s.Namespaces, p.Namespace):
		return false
	case s.selector.Empty():
		return p.Spec.RestartPolicy != corev1.RestartPolicyAlways || (!s.Disruptable && asksToStay(p))
	default:
		return s.selector.Matches(labels.Set(p.Labels))
	}
}

func (s Selection) isOwn(p *corev1.Pod) bool {
	return p.Labels[ownLabel] == ownValue && p.Namespace == s.Own
}

// query is what of the selection the API server can evaluate.
func (s Selection) query(node string) query {
	q := query{namespaces: s.Namespaces, labels: s.selector.String(), fields: unfinishedOn(node)}
	if s.selector.Empty() && s.Disruptable {
		q.fields = fields.AndSelectors(q.fields, fields.OneTermNotEqualSelector("spec.restartPolicy", string(corev1.RestartPolicyAlways)))
	}
	return q
}

func unfinishedOn(node string) fields.Selector {
	return fields.AndSelectors(
		fields.OneTermEqualSelector("spec.nodeName", node),
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
		fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed)),
	)
}

// What people write on a pod that must not be disrupted, for Karpenter (https://karpenter.sh/docs/concepts/disruption/) and for
// cluster-autoscaler (https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md).
const (
	doNotDisrupt = "karpenter.sh/do-not-disrupt"
	safeToEvict  = "cluster-autoscaler.kubernetes.io/safe-to-evict"
)

// asksToStay reports a pod that asks not to be disrupted.
func asksToStay(p *corev1.Pod) bool {
	return p.Annotations[doNotDisrupt] == "true" || p.Annotations[safeToEvict] == "false"
}

// exempt reports pods that neither wait for nor evict makes sense: finished, DaemonSet and mirror pods.
func exempt(p *corev1.Pod) bool {
	if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return true
	}
	if _, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return true
	}
	owner := metav1.GetControllerOf(p)
	return owner != nil && owner.Kind == "DaemonSet"
}

// oldestFirst orders pods by creation, then by name.
func oldestFirst(a, b *corev1.Pod) int {
	if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
		return c
	}
	return strings.Compare(key(a), key(b))
}

func key(p *corev1.Pod) string { return p.Namespace + "/" + p.Name }

// maxListed is how many pods a message names.
const maxListed = 10

// waitingFor is why the first container of a pod that waits does not run, such as ImagePullBackOff, or "".
func waitingFor(p *corev1.Pod) string {
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if c.State.Waiting != nil && c.State.Waiting.Reason != "" {
			return c.State.Waiting.Reason
		}
	}
	return p.Status.Reason
}

// Describe names pods with their ages, and those that do not run with the reason, in the order given.
func Describe(pods []*corev1.Pod) string {
	names := make([]string, 0, maxListed)
	for _, p := range pods[:min(len(pods), maxListed)] {
		name := fmt.Sprintf("%s (%s", key(p), duration.HumanDuration(time.Since(p.CreationTimestamp.Time)))
		switch {
		case p.DeletionTimestamp != nil:
			name += ", terminating"
		case p.Status.Phase == corev1.PodPending:
			name += ", Pending"
			if why := waitingFor(p); why != "" {
				name += ": " + why
			}
		}
		names = append(names, name+")")
	}
	if more := len(pods) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}
