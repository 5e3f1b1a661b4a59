package contract

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// standbyChecks begin with one instance in service and end with two, desired capacity 2, and a third on standby.
func standbyChecks() []check {
	return []check{
		{"EnterStandby without decrement launches a replacement, and desired capacity stays", func(w *world) {
			before := w.inService(1)
			w.ok(w.enterStandby(before[0]))
			w.standby = before[0]
			w.want(w.desired(), 1, "desired capacity at once")
			w.replacement = w.newcomer(before)
			w.becomes(w.standby, "Standby")
			w.want(w.desired(), 1, "desired capacity in the end")
			w.want(w.inService(1), []string{w.replacement}, "in service")
		}},
		{"EnterStandby of an instance on standby is refused", func(w *world) {
			id := w.need(w.standby, "on standby")
			w.refused(w.enterStandby(id), "ValidationError", "The instance "+id+" is not in InService.")
			w.want(w.lifecycle(id), "Standby", "lifecycle state")
		}},
		{"an activity says that the instance was put on standby, and names it in its description", func(w *world) {
			w.activity("Moving EC2 instance to Standby", w.need(w.standby, "on standby"))
		}},
		{"an activity says that the replacement was launched, after the other was put on standby", func(w *world) {
			launch := w.activity("Launching a new EC2 instance", w.need(w.replacement, "that replaced it"))
			w.want(launch.StatusCode, "Successful", "status")
			standby := w.activity("Moving EC2 instance to Standby", w.standby)
			if aws.ToTime(launch.StartTime).Before(aws.ToTime(standby.StartTime)) {
				w.Errorf("the launch began at %s, before %s", launch.StartTime, standby.StartTime)
			}
		}},
		{"an instance on standby runs on and keeps Auto Scaling's tag", func(w *world) {
			i := w.instance(w.need(w.standby, "on standby"))
			w.want(i.State.Name, "running", "state")
			w.want(tagOf(i, "aws:autoscaling:groupName"), w.name(), "tag of the group")
		}},
		{"ExitStandby raises desired capacity by one and brings the instance back", func(w *world) {
			id := w.need(w.standby, "on standby")
			w.ok(w.exitStandby(id))
			w.soon("desired capacity", 2, func() any { return w.desired() })
			w.becomes(id, "InService")
			w.want(len(w.inService(2)), 2, "in service")
			w.activity("Moving EC2 instance out of Standby", id)
		}},
		{"at the maximum size EnterStandby without decrement still launches a replacement", func(w *world) {
			before := w.inService(2)
			w.setMax(2)
			w.standby = before[0]
			w.ok(w.enterStandby(w.standby))
			w.replacement = w.newcomer(before)
			w.becomes(w.standby, "Standby")
			w.want(w.desired(), 2, "desired capacity")
			w.want(len(w.members()), 3, "members, with that on standby")
		}},
		{"ExitStandby that would pass the maximum size is refused", func(w *world) {
			id := w.need(w.standby, "on standby")
			err := w.exitStandby(id)
			w.unsettled("is ExitStandby at the maximum size refused", yes(err != nil), "yes")
			if err == nil {
				w.becomes(id, "InService")
				w.backOnStandby(id)
			} else {
				w.refused(err, "ValidationError", "")
				w.unsettled("its words", shortened(w, message(err)), "AutoScalingGroup … has min-size=1, max-size=2, and desired-size=2. "+
					"To move out of standby 1 instance, please update the AutoScalingGroup sizes appropriately.")
			}
			w.setMax(3)
			w.want(w.desired(), 2, "desired capacity")
			w.want(len(w.inService(2)), 2, "in service")
		}},
	}
}

// backOnStandby undoes an ExitStandby that was not refused.
func (w *world) backOnStandby(id string) {
	w.Helper()
	_, err := w.asg.EnterStandby(w.ctx, &autoscaling.EnterStandbyInput{
		AutoScalingGroupName: aws.String(w.name()), InstanceIds: []string{id}, ShouldDecrementDesiredCapacity: aws.Bool(true),
	})
	w.ok(err)
	w.becomes(id, "Standby")
}

// shortened is a message without what differs from run to run.
func shortened(w *world, text string) string { return strings.ReplaceAll(text, w.name(), "…") }

// activity waits for the newest activity of a kind about an instance to end. Its description begins with the kind and names
// the instance as a word of its own, which is all that a recycle reads.
func (w *world) activity(kind, id string) (found astypes.Activity) {
	w.Helper()
	w.eventually(fmt.Sprintf("the activity %q of %s is over", kind, id), func() (bool, string) {
		out, err := w.asg.DescribeScalingActivities(w.ctx, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: aws.String(w.name())})
		w.ok(err)
		for _, a := range out.Activities {
			text := aws.ToString(a.Description)
			if strings.HasPrefix(text, kind) && slices.Contains(strings.Fields(text), id) {
				found = a
				return a.EndTime != nil, "its status is " + string(a.StatusCode)
			}
		}
		return false, fmt.Sprintf("none of %d activities is it", len(out.Activities))
	})
	return found
}
