package contract

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
)

// requestChecks are about answers of Auto Scaling that leave the group as it is.
func requestChecks() []check {
	const noMember = "The instance " + nobody + " is not part of Auto Scaling group "
	return []check{
		{"DescribeAutoScalingInstances leaves out an unknown id without an error", func(w *world) {
			known := w.inService(1)[0]
			out, err := w.asg.DescribeAutoScalingInstances(w.ctx, &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: []string{nobody, known}})
			w.ok(err)
			w.want(len(out.AutoScalingInstances), 1, "instances")
		}},
		{"an instance that is no member cannot be put on standby, brought back or detached", func(w *world) {
			w.refused(w.enterStandby(nobody), "ValidationError", noMember+w.name())
			w.refused(w.exitStandby(nobody), "ValidationError", noMember+w.name())
			w.refused(w.detach(nobody), "ValidationError", noMember+w.name())
		}},
		{"an instance that no group has is not terminated by Auto Scaling", func(w *world) {
			w.refused(w.terminate(nobody), "ValidationError", "No managed instance found for instance ID: "+nobody)
		}},
		{"a group that does not exist is left out of descriptions, and an error to what changes it", func(w *world) {
			none := aws.String(w.name() + "-none")
			groups, err := w.asg.DescribeAutoScalingGroups(w.ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{*none}})
			w.ok(err)
			w.want(len(groups.AutoScalingGroups), 0, "groups")
			_, err = w.asg.DescribeScalingActivities(w.ctx, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: none})
			w.refused(err, "ValidationError", "AutoScalingGroup name not found")
			_, err = w.asg.ResumeProcesses(w.ctx, &autoscaling.ResumeProcessesInput{AutoScalingGroupName: none, ScalingProcesses: []string{"AZRebalance"}})
			w.refused(err, "ValidationError", "AutoScalingGroup name not found")
			_, err = w.asg.DescribeLifecycleHooks(w.ctx, &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: none})
			w.refused(err, "ValidationError", "AutoScalingGroup name not found")
		}},
		{"SetDesiredCapacity out of the group's bounds is refused and says which bound", func(w *world) {
			w.refused(w.setDesired(4), "ValidationError", "New SetDesiredCapacity value 4 is above max value 3 for the AutoScalingGroup.")
			w.refused(w.setDesired(0), "ValidationError", "New SetDesiredCapacity value 0 is below min value 1 for the AutoScalingGroup.")
			w.want(w.desired(), 1, "desired capacity")
		}},
		{"SetDesiredCapacity to what it is changes nothing", func(w *world) {
			w.ok(w.setDesired(1))
			w.want(len(w.inService(1)), 1, "in service")
		}},
		{"SuspendProcesses twice is no error, and the reason is that a user did it", func(w *world) {
			w.suspend("AZRebalance")
			w.soon("the number of suspended processes", 1, func() any { return len(w.suspended()) })
			first := w.suspended()["AZRebalance"]
			if !strings.HasPrefix(first, "User suspended at ") {
				w.Errorf("reason %q, want that a user did it", first)
			}
			w.suspend("AZRebalance")
			w.want(len(w.suspended()), 1, "processes suspended")
			w.unsettled("does the second SuspendProcesses change the reason", yes(w.suspended()["AZRebalance"] != first), "no")
		}},
		{"ResumeProcesses twice is no error", func(w *world) {
			w.resume("AZRebalance")
			w.resume("AZRebalance")
			w.soon("the number of suspended processes", 0, func() any { return len(w.suspended()) })
		}},
		{"EnterStandby with decrement is refused at the minimum size", func(w *world) {
			_, err := w.asg.EnterStandby(w.ctx, &autoscaling.EnterStandbyInput{
				AutoScalingGroupName: aws.String(w.name()), InstanceIds: w.inService(1), ShouldDecrementDesiredCapacity: aws.Bool(true),
			})
			w.refused(err, "ValidationError", "has min-size=1, max-size=3, and desired-size=1. To place into standby 1 instance, please update the AutoScalingGroup sizes appropriately.")
		}},
		{"an instance in service cannot exit standby", func(w *world) {
			w.refused(w.exitStandby(w.inService(1)[0]), "ValidationError", "is not in Standby")
		}},
		{"no instance refresh was started: none is listed", func(w *world) {
			out, err := w.asg.DescribeInstanceRefreshes(w.ctx, &autoscaling.DescribeInstanceRefreshesInput{AutoScalingGroupName: aws.String(w.name()), MaxRecords: aws.Int32(1)})
			w.ok(err)
			w.want(len(out.InstanceRefreshes), 0, "instance refreshes")
		}},
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
