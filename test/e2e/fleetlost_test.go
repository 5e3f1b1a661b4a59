package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A fleet loses its own pod and the workflow controller half-way, and then somebody terminates it. Its recycles run on, the
// next fleet does the rest, and no node is recycled twice. The first recycle waits for a pod all the while.
func TestFleetIsLostAndSubmittedAgain(t *testing.T) {
	t.Parallel()
	s := begin(t, "fleet-lost", 4, "$Latest")
	s.awaitNodes()
	for i, id := range s.ids {
		s.launchedAgo(id, time.Duration(20-i)*24*time.Hour)
	}
	long := s.ids[0]
	s.batch(long, "long", endless)
	parameters := []string{"asg=" + s.group, "max-unavailable=2", "min-age=1d"}
	first := s.fleet(parameters...)

	first.awaitChildren(2)
	lost := first.running("fleet")
	now := metav1.NewDeleteOptions(0)
	s.must(s.kube.CoreV1().Pods(s.cluster.Namespace).Delete(t.Context(), lost, *now))
	s.must(s.kube.CoreV1().Pods(controllerNamespace).DeleteCollection(t.Context(), *now, metav1.ListOptions{LabelSelector: "app=" + controller}))
	s.awaitController()
	begun := first.awaitChildren(3)

	first.interrupt("terminate")
	first.ends(wfv1.WorkflowFailed)
	if n := len(first.attempts("finish")); n > 0 {
		t.Errorf("the exit handler ran after argo terminate: %d attempts", n)
	}
	running := slices.DeleteFunc(first.children(), func(c child) bool { return !c.ended.IsZero() })
	if !slices.ContainsFunc(running, func(c child) bool { return c.instance == long }) {
		t.Errorf("of a fleet that was terminated these recycles run: %v", running)
	}

	second := s.fleet(parameters...)
	rest := second.awaitChildren(1)
	s.finishes("long")
	second.ends(wfv1.WorkflowSucceeded)
	second.says("finish", fmt.Sprintf("%d node(s) recycled, 0 skipped, 0 failed", len(s.ids)-len(begun)))
	for _, c := range begun {
		if slices.ContainsFunc(rest, func(r child) bool { return r.instance == c.instance }) {
			t.Errorf("both fleets recycled %s", c.instance)
		}
		first.child(c.instance).ends(wfv1.WorkflowSucceeded)
	}
	s.replaced(s.ids...)
	var runs spans
	for _, c := range append(first.children(), second.children()...) {
		runs = append(runs, [2]time.Time{c.began, c.ended})
	}
	if away, _ := s.away(); runs.peak() != 2 || away.peak() > 2 {
		t.Errorf("at once: %d recycles by Argo, %d instances by AWS, want 2", runs.peak(), away.peak())
	}
}

// awaitChildren waits until a fleet has begun so many recycles.
func (r recycle) awaitChildren(n int) (all []child) {
	r.Helper()
	r.await(4*time.Minute, fmt.Sprintf("%d recycles of a fleet", n), func(ctx) (bool, string, error) {
		if phase := r.get().Status.Phase; phase.Completed() {
			return false, "", fmt.Errorf("workflow %s is %s and has begun %d", r.name, phase, len(all))
		}
		all = r.children()
		return len(all) >= n, fmt.Sprintf("%d begun", len(all)), nil
	})
	return all
}
