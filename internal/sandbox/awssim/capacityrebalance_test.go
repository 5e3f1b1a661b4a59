package awssim_test

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

func TestCapacityRebalancing(t *testing.T) {
	for _, c := range []struct {
		name  string
		most  int32
		story func(w *world, ids []string)
	}{
		{"it launches first, and then terminates the one at risk and no other", 6, func(w *world, ids []string) {
			w.ok(w.sim.RecommendRebalance(ids[1]))
			w.pass(5 * time.Second)
			w.want(len(w.in("Pending")), 1, "pending")
			w.want(w.state(ids[1]), "InService", "the one at risk, meanwhile")
			w.pass(25 * time.Second)
			w.want(w.state(ids[1]), "Terminating", "the one at risk, then")
			w.want(len(w.in("InService")), 3, "in service")
			w.pass(5 * time.Minute)
			w.want(w.state(ids[1]), "", "the one at risk, in the end")
			w.want([]string{string(w.state(ids[0])), string(w.state(ids[2]))}, []string{"InService", "InService"}, "the others")
			w.want(*w.describe().DesiredCapacity, 3, "desired")
			w.want(w.cause(ids[1]), awssim.CauseRebalance, "cause")
			for _, id := range w.in("InService") {
				w.want(w.instance(id).InstanceLifecycle, "spot", "lifecycle")
			}
		}},
		{"with hooks, the one at risk waits for its own", 6, func(w *world, ids []string) {
			_, err := w.asg.PutLifecycleHook(w.ctx, &autoscaling.PutLifecycleHookInput{AutoScalingGroupName: aws.String(name), LifecycleHookName: aws.String("hook"),
				LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_TERMINATING"), HeartbeatTimeout: aws.Int32(600)})
			w.ok(err)
			w.ok(w.sim.RecommendRebalance(ids[0]))
			w.pass(2 * time.Minute)
			w.want(w.state(ids[0]), "Terminating:Wait", "state")
			w.want(len(w.in("InService")), 3, "in service")
		}},
		{"at maximum size it goes above it", 3, func(w *world, ids []string) {
			w.ok(w.sim.RecommendRebalance(ids[0]))
			w.pass(5 * time.Second)
			w.want(len(w.in("Pending")), 1, "pending")
			w.pass(5 * time.Minute)
			w.want(w.state(ids[0]), "", "the one at risk")
			w.want(len(w.in("InService")), 3, "in service")
		}},
		{"at maximum size two at risk go one after the other", 3, func(w *world, ids []string) {
			most := w.mostAtOnce()
			w.ok(w.sim.RecommendRebalance(ids[0]))
			w.ok(w.sim.RecommendRebalance(ids[1]))
			w.pass(10 * time.Minute)
			w.want([]string{string(w.state(ids[0])), string(w.state(ids[1]))}, []string{"", ""}, "those at risk")
			w.want(w.state(ids[2]), "InService", "the other")
			w.want(len(w.in("InService")), 3, "in service")
			w.want(*most <= 5, true, "members at once, one of them on its way out")
		}},
		{"taken by EC2 before its time, one replacement is enough", 6, func(w *world, ids []string) {
			w.ok(w.sim.RecommendRebalance(ids[0]))
			w.pass(5 * time.Second)
			w.ok(w.sim.ActOutside(ids[0], "terminate"))
			w.pass(10 * time.Minute)
			launched := 0
			for _, e := range w.sim.Events(0) {
				if e.Kind == awssim.KindLifecycle && e.To == "Pending" {
					launched++
				}
			}
			w.want(launched, 4, "launches in all")
			w.want(len(w.in("InService")), 3, "in service")
		}},
		{"nothing while Launch is suspended", 6, func(w *world, ids []string) {
			w.suspend("Launch")
			w.ok(w.sim.RecommendRebalance(ids[0]))
			w.pass(time.Hour)
			w.want(w.in("InService"), ids, "in service")
			w.resume("Launch")
			w.pass(5 * time.Minute)
			w.want(slices.Contains(w.in("InService"), ids[0]), false, "the one at risk serves")
		}},
		{"with Terminate suspended both stay", 6, func(w *world, ids []string) {
			w.suspend("Terminate")
			w.ok(w.sim.RecommendRebalance(ids[0]))
			w.pass(time.Hour)
			w.want(len(w.in("InService")), 4, "in service")
			w.resume("Terminate")
			w.pass(5 * time.Minute)
			w.want(w.state(ids[0]), "", "the one at risk")
			w.want(len(w.in("InService")), 3, "in service in the end")
		}},
		{"a group may be told to ignore it", 6, func(w *world, ids []string) {
			w.ok(w.sim.ConfigureGroup(name, []byte(`{"capacityRebalancing":"ignore"}`)))
			w.ok(w.sim.RecommendRebalance(ids[0]))
			w.pass(time.Hour)
			w.want(w.in("InService"), ids, "in service")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(cfg *awssim.Config) { cfg.Spot = true }, func(w *world) {
				c.story(w, w.group(1, c.most, 3, func(in *autoscaling.CreateAutoScalingGroupInput) { in.CapacityRebalance = aws.Bool(true) }))
			})
		})
	}
}

func TestWithoutCapacityRebalancingNothingFollows(t *testing.T) {
	inWorld(t, func(cfg *awssim.Config) { cfg.Spot = true }, func(w *world) {
		ids := w.group(1, 6, 3)
		w.ok(w.sim.RecommendRebalance(ids[0]))
		w.pass(time.Hour)
		w.want(w.in("InService"), ids, "in service")
	})
}
