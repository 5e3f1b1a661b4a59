package cli_test

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
)

// A group with Capacity Rebalancing replaces a Spot Instance at risk by itself, also one that is being recycled. Whoever is first,
// the target goes, no other member does, and nothing is held in the end.
func TestCapacityRebalancingInMidRecycle(t *testing.T) {
	for _, before := range append([]string{"standby"}, recycleSteps[1:]...) {
		t.Run("before "+before, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				_, err := w.groups.UpdateAutoScalingGroup(w.Context(), &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(group), CapacityRebalance: aws.Bool(true)})
				w.must(err)
				w.must(w.sim.ChangeInstance(w.ids[0], "", "spot"))
				w.withArgo(workflow("a", "a", ""))
				id := []string{"--instance-id", w.ids[0], "--action", "terminate"}
				status := "Succeeded"
				for _, step := range recycleSteps {
					if step == before {
						w.must(w.sim.RecommendRebalance(w.ids[0]))
						time.Sleep(20 * time.Second)
					}
					if o := w.run("a", step, id...); o.code != 0 {
						t.Logf("step %s exits %d: %s", step, o.code, o.result.Message)
						status = "Failed"
						break
					}
				}
				if o := w.run("a", "settle", append(id, "--workflow-status", status)...); o.code != 0 {
					t.Errorf("settle exits %d: %s", o.code, o.result.Message)
				}
				time.Sleep(30 * time.Minute)
				in := w.members("InService")
				if len(in) != 3 || slices.Contains(in, w.ids[0]) || !slices.Contains(in, w.ids[1]) || !slices.Contains(in, w.ids[2]) || w.instanceState(w.ids[0]) != "terminated" {
					t.Errorf("in service %v of %v; the target is %s", in, w.ids, w.instanceState(w.ids[0]))
				}
				if desired := aws.ToInt32(w.group().DesiredCapacity); desired != 3 || !w.balances() {
					t.Errorf("desired %d, AZRebalance runs: %t", desired, w.balances())
				}
				w.unclaimed()
			})
		})
	}
}
