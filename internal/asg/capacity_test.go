package asg

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/google/go-cmp/cmp"
)

// Activities in the words of Auto Scaling
// (https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-enter-exit-standby.html and …/ec2-auto-scaling-verify-scaling-activity.html).
func TestCapacitiesFollowFromActivities(t *testing.T) {
	evening := time.Date(2026, 11, 26, 22, 0, 0, 0, time.UTC)
	after := func(minutes int) time.Time { return evening.Add(time.Duration(minutes) * time.Minute) }
	activity := func(description string, from, to int, cause string) astypes.Activity {
		return astypes.Activity{
			Description: &description, Cause: &cause, StartTime: aws.Time(after(from)), EndTime: aws.Time(after(to)), StatusCode: astypes.ScalingActivityStatusCodeSuccessful,
		}
	}
	const lacks = "At 2026-11-26T22:01:00Z an instance was started in response to a difference between desired and actual capacity, increasing the capacity from 2 to 3."
	member := func(id, state string) Member { return Member{ID: id, Lifecycle: state, Weight: 1} }
	recycle := []astypes.Activity{
		activity("Detaching EC2 instance: i-0000000a", 40, 41, "At 2026-11-26T22:40:00Z instance i-0000000a was detached in response to a user request."),
		activity("Launching a new EC2 instance: i-0000000d", 1, 3, lacks),
		activity("Moving EC2 instance to Standby: i-0000000a", 1, 2, "At 2026-11-26T22:01:00Z instance i-0000000a was moved to standby in response to a user request."),
	}
	three := []Member{member("i-0000000b", InService), member("i-0000000c", InService), member("i-0000000d", InService)}
	failed := activity("Launching a new EC2 instance: i-0000000e.  Status Reason: no capacity", 2, 2, lacks)
	failed.StatusCode = astypes.ScalingActivityStatusCodeFailed
	for name, c := range map[string]struct {
		members    []Member
		desired    int32
		activities []astypes.Activity
		since      int
		want       []Capacity
	}{
		"nothing happened": {three, 3, nil, 0, []Capacity{{after(0), 3, 3}}},
		"a recycle":        {three, 3, recycle, 0, []Capacity{{after(0), 3, 3}, {after(1), 2, 3}, {after(3), 3, 3}}},
		"a recycle of which the standby was before the picture": {three, 3, recycle, 20, []Capacity{{after(20), 3, 3}}},
		"a launch that failed": {three, 3, append([]astypes.Activity{failed}, recycle...), 0, []Capacity{{after(0), 3, 3}, {after(1), 2, 3}, {after(3), 3, 3}}},
		"a person scales out and in": {three, 3, []astypes.Activity{
			activity("Terminating EC2 instance: i-0000000e", 30, 31, "At 2026-11-26T22:29:00Z a user request explicitly set group desired capacity changing the desired capacity from 4 to 3.  At 2026-11-26T22:30:00Z an instance was taken out of service in response to a difference between desired and actual capacity, shrinking the capacity from 4 to 3."),
			activity("Launching a new EC2 instance: i-0000000e", 11, 12, "At 2026-11-26T22:10:00Z a user request explicitly set group desired capacity changing the desired capacity from 3 to 4.  At 2026-11-26T22:11:00Z an instance was started in response to a difference between desired and actual capacity, increasing the capacity from 3 to 4."),
		}, 0, []Capacity{{after(0), 3, 3}, {after(10), 3, 4}, {after(12), 4, 4}, {after(29), 4, 3}, {after(30), 3, 3}}},
		"a node is brought back": {append(three, member("i-0000000a", InService)), 4, []astypes.Activity{
			activity("Moving EC2 instance out of Standby: i-0000000a", 20, 21, "At 2026-11-26T22:20:00Z instance i-0000000a was moved out of standby in response to a user request, increasing the capacity from 3 to 4."),
			recycle[1], recycle[2],
		}, 0, []Capacity{{after(0), 3, 3}, {after(1), 2, 3}, {after(3), 3, 3}, {after(20), 3, 4}, {after(21), 4, 4}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := capacities(Group{Name: "g", Desired: c.desired, Members: c.members}, c.activities, after(c.since), after(60))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
