package drain

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// Host is the Node whose pods are meant. Here is asked whether it is still that one: a later Node can have its name. Ready is
// asked whether its kubelet reports that it is Ready, once a pod has outlived its grace period. Nil means that it is. Taint keeps
// new pods off it.
type Host struct {
	Name  string
	Here  func(context.Context) (bool, error)
	Ready func(context.Context) (bool, error)
	Taint corev1.Taint
}

func (h Host) here(ctx context.Context) (bool, error) {
	if h.Here == nil {
		return true, nil
	}
	return h.Here(ctx)
}

// tolerated reports that a pod tolerates the taint: evicting it could bring its successor back to the same Node, without end.
// Karpenter leaves such pods alone too (https://karpenter.sh/docs/concepts/disruption/#termination-controller).
func (h Host) tolerated(p *corev1.Pod) bool {
	if h.Taint.Key == "" {
		return false
	}
	for i := range p.Spec.Tolerations {
		if p.Spec.Tolerations[i].ToleratesTaint(klog.Logger{}, &h.Taint, false) {
			return true
		}
	}
	return false
}

// lostAfter is how long a pod may outlive its grace period before its Node is asked for.
const lostAfter = time.Minute

// overdue is when a pod has outlived its grace period for long enough; the deletion timestamp is the end of that period.
func overdue(p *corev1.Pod) (at time.Time, terminating bool) {
	if p.DeletionTimestamp == nil {
		return at, false
	}
	return p.DeletionTimestamp.Add(lostAfter), true
}

// withoutLost tells the pods that are lost: their deletion is overdue, and the kubelet that should end them does not report. It
// says when to look again though no pod changes; zero: not before one does. A Node that cannot be read loses no pod.
func (h Host) withoutLost(ctx context.Context, pods []*corev1.Pod, every time.Duration) (remaining, lost []*corev1.Pod, again time.Duration) {
	asked, ready := false, true
	for _, p := range pods {
		at, terminating := overdue(p)
		late := terminating && time.Now().After(at)
		if late && !asked && h.Ready != nil {
			asked = true
			if is, err := h.Ready(ctx); err == nil {
				ready = is
			}
		}
		if late && !ready {
			lost = append(lost, p)
			continue
		}
		remaining = append(remaining, p)
		if !terminating || h.Ready == nil {
			continue
		}
		wait := time.Until(at) + time.Second
		if late {
			wait = every
		}
		if again == 0 || wait < again {
			again = wait
		}
	}
	return remaining, lost, again
}
