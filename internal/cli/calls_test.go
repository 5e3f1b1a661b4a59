package cli_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// A plain recycle makes few calls of AWS: all recycles of an account and a region share one throttle bucket. Where AWS takes
// longer, it is asked again after 1, 2, 4, … seconds, at most every 30.
func TestAPlainRecycleTakesFewCalls(t *testing.T) {
	quick := func(c *awssim.Config) {
		second := time.Second
		c.EnteringStandby, c.Boot, c.NodeJoin, c.NodeReady, c.Reconcile, c.Detaching, c.Stopping = second, second, second/2, second/2, second/5, second, second
	}
	inWorld(t, quick, func(w *world) {
		w.withArgo(workflow("a", "a", ""))
		w.pod(w.ids[0], "batch", 2*time.Hour, nil)
		w.sim.ForgetCalls()
		began := time.Now()
		for _, step := range append(slices.Clone(recycleSteps), "settle") {
			if o := w.run("a", step, "--instance-id", w.ids[0], "--workflow-status", "Succeeded"); o.code != 0 {
				t.Fatal(o.stderr)
			}
		}
		made := map[string]int{}
		calls := w.sim.Calls(0)
		for _, c := range calls {
			action := c.Action
			if c.Params["DryRun"] == "true" {
				action += " (dry run)"
			}
			if action != "DescribeInstances" && action != "DescribeAutoScalingGroups" { // their number depends on how long AWS takes
				made[action]++
			}
		}
		want := map[string]int{
			"DescribeInstanceRefreshes": 1, "StopInstances (dry run)": 1, "DescribeInstanceAttribute": 2,
			"SuspendProcesses": 1, "EnterStandby": 1, "CreateTags": 1, "DetachInstances": 1, "StopInstances": 1, "ResumeProcesses": 1,
		}
		if diff := cmp.Diff(want, made); diff != "" || len(calls) > 20 {
			t.Errorf("%d calls (-want +got):\n%s", len(calls), diff)
		}
		if took := time.Since(began) - 2*time.Hour; took > 10*time.Second {
			t.Errorf("it took %s beside the pod", took)
		}
		w.whole(w.ids[1:]...)
	})
}
