package e2e

import (
	"fmt"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A fleet loses its own pod, and then somebody terminates it. Its recycle runs on, the next fleet does the rest, and no node is
// recycled twice. The first recycle waits for a pod all the while.
func TestFleetIsLostAndSubmittedAgain(t *testing.T) {
	t.Parallel()
	s := given(t, "fleet-lost")
	old := s.ids[:2]
	for i, id := range old {
		s.launchedAgo(id, time.Duration(20-i)*24*time.Hour)
	}
	s.batch(old[0], "long", endless)
	parameters := []string{"asg=" + s.group, "min-age=1d"}
	first := s.fleet(parameters...)
	first.child(old[0]).running("drain")

	lost := first.pod("run")
	s.must(s.kube.CoreV1().Pods(s.cluster.Namespace).Delete(t.Context(), lost.Name, *metav1.NewDeleteOptions(0)))
	first.hasSuccessor("run", lost)
	first.press("terminate")
	first.ends(wfv1.WorkflowFailed)
	if n := len(first.attempts("finish")); n > 0 {
		t.Errorf("the exit handler ran after argo terminate: %d attempts", n)
	}
	if begun := first.children(); len(begun) != 1 || !begun[0].ended.IsZero() {
		t.Errorf("of a fleet that was terminated these recycles were begun, want one that runs: %v", begun)
	}

	second := s.fleet(parameters...)
	second.running("run")
	s.finishes("long")
	second.ends(wfv1.WorkflowSucceeded)
	second.says("finish", "1 node(s) recycled, 0 skipped, 0 failed")
	if begun := second.children(); len(begun) != 1 || begun[0].instance != old[1] {
		t.Errorf("the second fleet has begun %v, want %s", begun, old[1])
	}
	first.child(old[0]).ends(wfv1.WorkflowSucceeded)
	s.replaced(old...)
	var runs spans
	for _, c := range append(first.children(), second.children()...) {
		runs = append(runs, [2]time.Time{c.began, c.ended})
	}
	if away, _ := s.away(); runs.peak() != 1 || away.peak() > 1 {
		t.Errorf("at once: %d recycles by Argo, %d instances by AWS, want 1", runs.peak(), away.peak())
	}
}

// pod is that of a step's attempt that runs.
func (r recycle) pod(step string) *corev1.Pod {
	r.Helper()
	pod, err := r.kube.CoreV1().Pods(r.cluster.Namespace).Get(r.Context(), r.running(step), metav1.GetOptions{})
	r.must(err)
	return pod
}

// hasSuccessor waits until another pod works in the place of one that is lost. Argo gives it the same name where it had not
// seen the lost one run yet, and otherwise makes it another attempt.
func (r recycle) hasSuccessor(step string, lost *corev1.Pod) {
	r.Helper()
	r.await(3*time.Minute, "a successor of pod "+lost.Name, func(ctx ctx) (bool, string, error) {
		name := r.runs(step)
		if name == "" {
			return false, "no attempt runs", nil
		}
		pod, err := r.kube.CoreV1().Pods(r.cluster.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err.Error(), nil
		}
		return pod.UID != lost.UID && pod.Status.Phase == corev1.PodRunning, fmt.Sprintf("%s is %s, the same: %t", name, pod.Status.Phase, pod.UID == lost.UID), nil
	})
}
