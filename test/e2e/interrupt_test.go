package e2e

import (
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Whenever a person stops a recycle, the exit handler puts right what can be put right, and the next submit goes on: back to
// the start while no replacement can be launched, and from there on no call that changes something is made twice.
func TestStoppedAndSubmittedAgain(t *testing.T) {
	t.Parallel()
	s := given(t, "stopped")
	byID := "instance-id=" + s.ids[0]
	s.batch(s.ids[0], "long", endless)
	s.service(s.ids[0], "web", 2, 2)

	s.configure(setting{"launchFailure", "InsufficientInstanceCapacity"})
	r := s.submit(byID)
	s.onStandby()
	s.stopped(r, "is back in service")
	s.untouched()
	s.configure()
	s.fromNow()

	r = s.submit(byID)
	r.running("drain")
	s.stopped(r, "stays on standby")
	s.others(s.members(astypes.LifecycleStateInService))
	s.finishes("long")

	r = s.submit(byID)
	r.running("evict")
	s.stopped(r, "stays on standby")
	s.lift("web")

	s.submit(byID).ends(wfv1.WorkflowSucceeded)
	s.recycled("stopped")
	s.asOneRecycle()
}

// stopped stops a workflow, and checks that its exit handler said this and that nothing is held any more.
func (s *scenario) stopped(r recycle, settled string) {
	s.Helper()
	r.press("stop")
	r.ends(wfv1.WorkflowFailed)
	r.says("settle", settled)
	if s.claim() != nil {
		s.Error("after argo stop the claim is held")
	}
}

// onStandby waits until the first instance is on standby, with no replacement in service.
func (s *scenario) onStandby() {
	s.Helper()
	s.await(2*time.Minute, "standby without a replacement", func(ctx) (bool, string, error) {
		return len(s.members(astypes.LifecycleStateStandby)) == 1, "not on standby", nil
	})
}

// lift takes a service's disruption budget away.
func (s *scenario) lift(name string) {
	s.Helper()
	s.must(s.kube.PolicyV1().PodDisruptionBudgets(s.namespace).Delete(s.Context(), name, metav1.DeleteOptions{}))
}
