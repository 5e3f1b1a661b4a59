package awssim_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// watch notes down what an observer is told from now on, one line a change.
func (w *world) watch() *[]string {
	var lines []string
	w.sim.Observe(func(c awssim.Change) {
		if c.Call != nil {
			effect := "without effect"
			if c.Call.Effect {
				effect = "done"
			}
			lines = append(lines, strings.TrimSpace("call "+c.Call.Action+" "+effect+" "+c.Call.ErrorCode))
			return
		}
		e := c.Event
		lines = append(lines, strings.Join(strings.Fields(e.Kind+" "+e.Process+" "+e.From+">"+e.To+" by "+e.Cause+" "+e.AccessKey), " "))
	})
	return &lines
}

func TestObserverIsTold(t *testing.T) {
	for _, c := range []struct {
		name  string
		story func(w *world, ids []string)
		want  []string // in this order, among others
	}{
		{"of a call after what it brought about, and of what follows with the call as its cause", func(w *world, ids []string) {
			w.ok(w.standby(true, ids[0]))
			w.pass(time.Minute)
		}, []string{"lifecycle InService>EnteringStandby by call sandbox", "desired 3>2 by call sandbox", "call EnterStandby done", "lifecycle EnteringStandby>Standby by call sandbox"}},
		{"of a refused call", func(w *world, ids []string) {
			if w.standby(true, ids...) == nil {
				w.Error("not refused")
			}
		}, []string{"call EnterStandby without effect ValidationError"}},
		{"of a call whose answer is an error although it was done", func(w *world, ids []string) {
			w.ok(w.sim.AddFaults(awssim.Fault{Action: "EnterStandby", Kind: awssim.FaultErrorAfter, Code: "InternalFailure", Status: 500}))
			w.refused(w.standby(false, ids[0]), "InternalFailure", "An error was injected.")
		}, []string{"lifecycle InService>EnteringStandby by call sandbox", "call EnterStandby done InternalFailure"}},
		{"of a call whose answer is lost", func(w *world, ids []string) {
			w.ok(w.sim.AddFaults(awssim.Fault{Action: "EnterStandby", Kind: awssim.FaultDropAfter}))
			if w.standby(false, ids[0]) == nil {
				w.Error("answered")
			}
		}, []string{"lifecycle InService>EnteringStandby by call sandbox", "call EnterStandby done"}},
		{"of a call that never arrived", func(w *world, ids []string) {
			w.ok(w.sim.AddFaults(awssim.Fault{Action: "EnterStandby", Kind: awssim.FaultDropBefore}))
			if w.standby(false, ids[0]) == nil {
				w.Error("answered")
			}
		}, []string{"call EnterStandby without effect"}},
		{"that a replacement is the group's own doing", func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.pass(time.Minute)
		}, []string{"instance >pending by scale-out", "lifecycle >Pending by scale-out", "lifecycle Pending>InService by scale-out"}},
		{"which member scale-in chose", func(w *world, _ []string) {
			w.desired(2)
			w.pass(2 * time.Minute)
		}, []string{"desired 3>2 by call sandbox", "call SetDesiredCapacity done", "lifecycle InService>Terminating by scale-in", "instance running>shutting-down by scale-in", "lifecycle Terminating>Terminated by scale-in"}},
		{"that a member died by a hand outside, and that the group replaced it as unhealthy", func(w *world, ids []string) {
			w.ok(w.sim.ActOutside(ids[0], "stop"))
			w.pass(5 * time.Minute)
		}, []string{"instance running>stopping by outside", "lifecycle InService>Terminating by unhealthy", "instance stopping>shutting-down by unhealthy", "lifecycle >Pending by scale-out"}},
		{"that an instance refresh replaces", func(w *world, _ []string) {
			_, err := w.asg.StartInstanceRefresh(w.ctx, &autoscaling.StartInstanceRefreshInput{AutoScalingGroupName: aws.String(name)})
			w.ok(err)
			w.pass(time.Minute)
		}, []string{"lifecycle InService>Terminating by refresh"}},
		{"that AZRebalance launches above desired and takes one from the fullest zone", func(w *world, ids []string) {
			w.ok(w.terminate(true, ids[1]))
			w.pass(2 * time.Minute)
			_, err := w.asg.UpdateAutoScalingGroup(w.ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(name), AvailabilityZones: []string{region + "a"}})
			w.ok(err)
			w.desired(3)
			w.pass(2 * time.Minute)
			_, err = w.asg.UpdateAutoScalingGroup(w.ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(name), AvailabilityZones: []string{region + "a", region + "b"}})
			w.ok(err)
			acted, err := w.sim.Rebalance(name)
			w.ok(err)
			w.want(acted, true, "acted")
			w.pass(5 * time.Minute)
		}, []string{"lifecycle >Pending by az-rebalance", "lifecycle Pending>InService by az-rebalance", "lifecycle InService>Terminating by az-rebalance"}},
		{"of processes suspended and resumed, not of those that were so before", func(w *world, _ []string) {
			w.suspend("AZRebalance")
			w.suspend("AZRebalance", "Launch")
			w.resume("AZRebalance")
		}, []string{"process AZRebalance running>suspended by call sandbox", "call SuspendProcesses done", "process Launch running>suspended by call sandbox", "call SuspendProcesses done",
			"process AZRebalance suspended>running by call sandbox", "call ResumeProcesses done"}},
		{"of new bounds", func(w *world, _ []string) {
			_, err := w.asg.UpdateAutoScalingGroup(w.ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(name), MinSize: aws.Int32(2), MaxSize: aws.Int32(9)})
			w.ok(err)
		}, []string{"min 1>2 by call sandbox", "max 4>9 by call sandbox"}},
		{"of a launch abandoned by its hook", func(w *world, _ []string) {
			_, err := w.asg.PutLifecycleHook(w.ctx, &autoscaling.PutLifecycleHookInput{AutoScalingGroupName: aws.String(name), LifecycleHookName: aws.String("h"),
				LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_LAUNCHING"), HeartbeatTimeout: aws.Int32(30)})
			w.ok(err)
			w.desired(4)
			w.pass(2 * time.Minute)
		}, []string{"lifecycle Pending>Pending:Wait by scale-out", "lifecycle Pending:Wait>Terminating by hook"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				ids := w.group(1, 4, 3)
				lines := w.watch()
				c.story(w, ids)
				rest := *lines
				for _, want := range c.want {
					i := slices.Index(rest, want)
					if i < 0 {
						w.Fatalf("not told, or not in its turn: %q\namong\n%s", want, strings.Join(*lines, "\n"))
					}
					rest = rest[i+1:]
				}
			})
		})
	}
}

func TestObserverSeesNoHalfDoneCall(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ids := w.group(1, 4, 3)
		seen, last := 0, 0
		w.sim.Observe(func(c awssim.Change) {
			g, ok := c.Group(name)
			if !ok || g.Capacity < g.Desired {
				t.Errorf("%+v: capacity %d of %d", c.Event, g.Capacity, g.Desired)
			}
			seen++
			if c.Event != nil && c.Event.Seq <= last {
				t.Errorf("event %d is told after event %d", c.Event.Seq, last)
			} else if c.Event != nil {
				last = c.Event.Seq
			}
		})
		w.ok(w.standby(true, ids[0], ids[1]))
		w.pass(time.Minute)
		w.ok(w.exit(ids[0], ids[1]))
		w.want(seen > 5, true, "changes seen")
	})
}

func TestObserverReadsTheState(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ids := w.group(1, 8, 6, weighted("2"))
		w.suspend("AZRebalance")
		var group awssim.GroupView
		var inst awssim.InstanceState
		var names []string
		var whole awssim.State
		known := true
		w.sim.Observe(func(c awssim.Change) {
			group, _ = c.Group(name)
			inst, _ = c.Instance(ids[0])
			names, whole = c.GroupNames(), c.State()
			_, known = c.Instance("i-00000000000000000")
		})
		w.ok(w.standby(false, ids[0]))
		w.want(names, []string{name}, "groups")
		w.want([]int{group.Min, group.Max, group.Desired, group.Capacity}, []int{1, 8, 6, 4}, "sizes")
		w.want(group.Suspended, []string{"AZRebalance"}, "suspended")
		w.want(len(group.Members), 3, "members")
		w.want(group.Members[0], awssim.MemberView{Instance: ids[0], State: "running", LifecycleState: "EnteringStandby", AvailabilityZone: region + "a",
			NodeName: inst.NodeName, Weight: 2, Healthy: true}, "member")
		w.want(inst.Tags["aws:autoscaling:groupName"], name, "tag")
		w.want(len(whole.Instances), 3, "instances of the whole state")
		w.want(known, false, "an instance that is not there")
	})
}

// weighted makes a group count in units of capacity.
func weighted(units string) func(*autoscaling.CreateAutoScalingGroupInput) {
	return func(in *autoscaling.CreateAutoScalingGroupInput) {
		in.LaunchTemplate = nil
		in.MixedInstancesPolicy = &types.MixedInstancesPolicy{LaunchTemplate: &types.LaunchTemplate{
			LaunchTemplateSpecification: &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("nodes")},
			Overrides:                   []types.LaunchTemplateOverrides{{InstanceType: aws.String("m5.2xlarge"), WeightedCapacity: &units}},
		}}
	}
}
