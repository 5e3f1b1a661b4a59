package e2e

import (
	"fmt"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
)

// A recycle goes on whatever button of the Argo UI a person presses: suspend and resume, for longer than a claim lasts;
// resubmit, which makes another workflow; retry, which runs the failed step of the same workflow again after its exit handler.
func TestButtonsOfTheArgoUI(t *testing.T) {
	t.Parallel()
	s := given(t, "buttons")
	s.batch(s.ids[0], "long", endless)
	s.service(s.ids[0], "web", 2, 2)

	first := s.submit("instance-id=" + s.ids[0])
	first.running("drain")
	first.press("suspend")
	s.await(time.Minute, "the controller to see it", func(ctx) (bool, string, error) { // or it starts one step more
		spec := first.get().Status.StoredWorkflowSpec
		return spec != nil && spec.Suspend != nil && *spec.Suspend, "it has not", nil
	})
	s.finishes("long")
	s.await(2*time.Minute, "the claim of the suspended workflow to expire", func(ctx) (bool, string, error) {
		claim := s.claim()
		if claim == nil || first.runs("drain") != "" {
			return false, fmt.Sprintf("the drain runs: %t; the record is there: %t", first.runs("drain") != "", claim != nil), nil
		}
		length := time.Duration(*claim.Spec.LeaseDurationSeconds) * time.Second
		return time.Since(claim.Spec.RenewTime.Time) > length+time.Second, "it is still held", nil
	})
	if n := len(first.attempts("evict")); n > 0 {
		t.Errorf("step evict ran while the workflow was suspended, suspend is %v: %d attempts: %s", first.get().Spec.Suspend, n, first.said())
	}
	first.press("resume")
	first.running("evict")
	s.stopped(first, "stays on standby")

	second := recycle{s, first.press("resubmit", "-o", "name")}
	second.running("evict")
	s.stopped(second, "stays on standby")
	s.lift("web")

	second.press("retry")
	second.ends(wfv1.WorkflowSucceeded)
	for _, step := range []string{"standby", "taint", "drain"} {
		if n := len(second.attempts(step)); n != 1 {
			t.Errorf("step %s of the workflow that was retried ran %d times, want 1", step, n)
		}
	}
	s.recycled("stopped")
	s.asOneRecycle()
}
