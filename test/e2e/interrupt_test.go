package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// moments are points on the way at which a workflow is interrupted. Up to the drain the node runs a pod that matters, and
// the eviction is held up by a disruption budget, so that both last.
var moments = []struct {
	name    string
	holds   bool // a pod that matters runs
	reached func(recycle) (bool, string)
	settled string // what the exit handler says
	brief   bool   // the step may be through before the signal is
}{
	{"standby-launching", true, func(r recycle) (bool, string) {
		return slices.Contains(r.actions(), "EnterStandby"), "not on its way to standby"
	}, "stays on standby", false},
	{"standby-replaced", true, func(r recycle) (bool, string) {
		in := r.members(astypes.LifecycleStateInService)
		return len(in) == 3 && !slices.Contains(in, r.ids[0]), fmt.Sprintf("in service: %v", in)
	}, "stays on standby", false},
	{"taint", true, func(r recycle) (bool, string) { return len(r.attempts("taint")) > 0, "no pod yet" }, "stays on standby", false},
	{"drain", true, func(r recycle) (bool, string) { return r.runs("drain") != "", "not running yet" }, "stays on standby", false},
	{"evict", false, func(r recycle) (bool, string) { return r.runs("evict") != "", "not running yet" }, "stays on standby", false},
	{"retire", false, func(r recycle) (bool, string) { return r.runs("retire") != "", "not running yet" }, "is stopped", true},
}

// Whenever a person ends a recycle, the exit handler puts right what can be put right, if it gets to run at all, and the
// next submit ends as if nothing had happened: no call that changes something is made twice.
func TestInterruptedAndSubmittedAgain(t *testing.T) {
	t.Parallel()
	for _, moment := range moments {
		for _, verb := range []string{"stop", "terminate"} {
			t.Run(verb+"-"+moment.name, func(t *testing.T) {
				t.Parallel()
				s := given(t, verb+"-"+moment.name)
				if moment.holds {
					s.batch(s.ids[0], "long", endless)
				} else {
					s.service(s.ids[0], "web", 2, 2)
				}
				if moment.name == "retire" {
					s.lift("web")
				}
				first := s.submit("instance-id=" + s.ids[0])
				s.await(3*time.Minute, "moment "+moment.name, func(ctx) (bool, string, error) {
					done, status := moment.reached(first)
					return done, status, nil
				})
				first.interrupt(verb)
				if phase := first.completed(); phase != wfv1.WorkflowFailed && !moment.brief {
					t.Errorf("after argo %s the workflow is %s", verb, phase)
				}
				if verb == "stop" {
					first.says("settle", moment.settled)
				} else if n := len(first.attempts("settle")); n > 0 && !moment.brief {
					t.Errorf("the exit handler ran after argo terminate: %d attempts", n)
				}
				if held := s.claim() != nil; held != (verb == "terminate") && !moment.brief {
					t.Errorf("after argo %s the claim is held: %v", verb, held)
				}
				s.others(s.members(astypes.LifecycleStateInService))

				second := s.submit("instance-id=" + s.ids[0])
				if moment.holds {
					second.running("drain")
					s.finishes("long")
				} else if moment.name == "evict" {
					s.lift("web")
				}
				second.ends(wfv1.WorkflowSucceeded)
				s.recycled("stopped")
				s.asOneRecycle()
			})
		}
	}
}

// While no replacement can be launched, a recycle that ends goes back to the start; one that is cut short is taken up by
// the next submit, once instances can be launched again.
func TestNoReplacementComes(t *testing.T) {
	all := givenAll(t, "launch", "launch-stop", "launch-terminate")
	failing := map[string]any{"launchFailure": "InsufficientInstanceCapacity"}
	working := map[string]any{"launchFailure": ""}
	shared.configure(t, failing, working)
	late := all[0].submit("instance-id="+all[0].ids[0], "replacement-timeout=15s")
	var cut []recycle
	for _, s := range all[1:] {
		cut = append(cut, s.submit("instance-id="+s.ids[0]))
	}
	for i, verb := range []string{"stop", "terminate"} {
		s := all[1+i]
		s.await(2*time.Minute, "standby without a replacement", func(ctx) (bool, string, error) {
			return len(s.members(astypes.LifecycleStateStandby)) == 1, "not on standby", nil
		})
		cut[i].interrupt(verb)
		cut[i].ends(wfv1.WorkflowFailed)
	}
	cut[0].says("settle", "is back in service")
	all[1].untouched()

	late.ends(wfv1.WorkflowFailed)
	late.says("standby", "InsufficientInstanceCapacity")
	late.says("settle", "is back in service")
	all[0].untouched()

	shared.configure(t, working, working)
	for i, s := range all[1:] {
		cut[i] = s.submit("instance-id=" + s.ids[0])
	}
	for i, s := range all[1:] {
		cut[i].ends(wfv1.WorkflowSucceeded)
		s.recycled("stopped")
	}
}

// lift takes a service's disruption budget away.
func (s *scenario) lift(name string) {
	s.Helper()
	s.must(s.kube.PolicyV1().PodDisruptionBudgets(s.namespace).Delete(s.Context(), name, metav1.DeleteOptions{}))
}
