package awssim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

func TestGroupSizes(t *testing.T) {
	update := func(w *world, change func(*autoscaling.UpdateAutoScalingGroupInput)) error {
		in := &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(name)}
		change(in)
		_, err := w.asg.UpdateAutoScalingGroup(w.ctx, in)
		return err
	}
	for _, c := range []struct {
		name  string
		story func(w *world, ids []string)
	}{
		{"growing", func(w *world, _ []string) {
			w.desired(4)
			w.pass(time.Minute)
			w.want(len(w.in("InService")), 4, "in service")
			if cause := *w.activities()[0].Cause; !strings.Contains(cause, "changing the desired capacity from 3 to 4.") {
				w.Errorf("cause is %q", cause)
			}
		}},
		{"shrinking", func(w *world, _ []string) {
			w.desired(1)
			w.pass(5 * time.Second)
			w.want(len(w.in("Terminating")), 2, "terminating")
			w.pass(5 * time.Minute)
			w.want(len(w.describe().Instances), 1, "members")
		}},
		{"shrinking with Terminate suspended", func(w *world, _ []string) {
			w.suspend("Terminate")
			w.desired(1)
			w.pass(time.Hour)
			w.want(len(w.in("InService")), 3, "in service")
			w.want(*w.describe().SuspendedProcesses[0].ProcessName, "Terminate", "suspended")
			w.resume("Terminate")
			w.pass(5 * time.Minute)
			w.want(len(w.in("InService")), 1, "in service after resuming")
		}},
		{"out of bounds", func(w *world, _ []string) {
			_, err := w.asg.SetDesiredCapacity(w.ctx, &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String(name), DesiredCapacity: aws.Int32(9)})
			w.refused(err, "ValidationError", "New SetDesiredCapacity value 9 is above max value 4 for the AutoScalingGroup.")
			_, err = w.asg.SetDesiredCapacity(w.ctx, &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String(name), DesiredCapacity: aws.Int32(0)})
			w.refused(err, "ValidationError", "New SetDesiredCapacity value 0 is below min value 1 for the AutoScalingGroup.")
			w.refused(update(w, func(in *autoscaling.UpdateAutoScalingGroupInput) { in.DesiredCapacity = aws.Int32(9) }),
				"ValidationError", "Desired capacity:9 must be between the specified min size:1 and max size:4")
			w.refused(update(w, func(in *autoscaling.UpdateAutoScalingGroupInput) { in.MaxSize = aws.Int32(0) }),
				"ValidationError", "Max bound, 0, must be greater than or equal to min bound, 1")
			w.want(*w.describe().MaxSize, 4, "max size")
		}},
		{"bounds take desired capacity along", func(w *world, _ []string) {
			w.ok(update(w, func(in *autoscaling.UpdateAutoScalingGroupInput) { in.MinSize = aws.Int32(4) }))
			w.want(*w.describe().DesiredCapacity, 4, "desired")
			w.ok(update(w, func(in *autoscaling.UpdateAutoScalingGroupInput) {
				in.MinSize = aws.Int32(1)
				in.MaxSize = aws.Int32(2)
			}))
			w.want(*w.describe().DesiredCapacity, 2, "desired")
		}},
		{"protected instances stay", func(w *world, ids []string) {
			_, err := w.asg.SetInstanceProtection(w.ctx, &autoscaling.SetInstanceProtectionInput{AutoScalingGroupName: aws.String(name), InstanceIds: ids[:2], ProtectedFromScaleIn: aws.Bool(true)})
			w.ok(err)
			w.desired(1)
			w.pass(5 * time.Minute)
			w.want(w.in("InService"), ids[:2], "in service")
		}},
		{"an existing name and a missing one", func(w *world, _ []string) {
			_, err := w.asg.CreateAutoScalingGroup(w.ctx, &autoscaling.CreateAutoScalingGroupInput{AutoScalingGroupName: aws.String(name), MinSize: aws.Int32(0), MaxSize: aws.Int32(0)})
			w.refused(err, "AlreadyExists", "AutoScalingGroup by this name already exists - A group with the name workers already exists")
		}},
		{"deleting needs force", func(w *world, _ []string) {
			in := &autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: aws.String(name)}
			_, err := w.asg.DeleteAutoScalingGroup(w.ctx, in)
			w.refused(err, "ResourceInUse", "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.")
			w.desired(4)
			w.pass(3 * time.Second)
			_, err = w.asg.DeleteAutoScalingGroup(w.ctx, in)
			w.refused(err, "ScalingActivityInProgress", "You cannot delete an AutoScalingGroup while there are scaling activities in progress for that group.")
			in.ForceDelete = aws.Bool(true)
			_, err = w.asg.DeleteAutoScalingGroup(w.ctx, in)
			w.ok(err)
			w.want(*w.describe().Status, "Delete in progress", "status")
			w.refused(update(w, func(*autoscaling.UpdateAutoScalingGroupInput) {}), "ValidationError", "The AutoScaling group may not be modified while it is pending delete")
			w.pass(5 * time.Minute)
			out, err := w.asg.DescribeAutoScalingGroups(w.ctx, &autoscaling.DescribeAutoScalingGroupsInput{})
			w.ok(err)
			w.want(len(out.AutoScalingGroups), 0, "groups")
		}},
		{"unknown processes are refused", func(w *world, _ []string) {
			_, err := w.asg.SuspendProcesses(w.ctx, &autoscaling.SuspendProcessesInput{AutoScalingGroupName: aws.String(name), ScalingProcesses: []string{"Lunch"}})
			w.refused(err, "ValidationError", "Lunch is not a valid process name")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) { c.story(w, w.group(1, 4, 3)) })
		})
	}
}

func TestCreateGroup(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ids := w.group(1, 4, 2, func(in *autoscaling.CreateAutoScalingGroupInput) {
			in.LaunchTemplate, in.LaunchConfigurationName = nil, aws.String("old")
			in.AvailabilityZones, in.VPCZoneIdentifier = nil, aws.String("subnet-1,subnet-2")
			in.NewInstancesProtectedFromScaleIn = aws.Bool(true)
		})
		g := w.describe()
		w.want(*g.LaunchConfigurationName, "old", "launch configuration")
		w.want(g.AvailabilityZones, []string{region + "a", region + "b"}, "zones")
		w.want(*g.Instances[0].ProtectedFromScaleIn, true, "protection")
		tags := map[string]string{}
		for _, tag := range w.instance(ids[0]).Tags {
			tags[*tag.Key] = *tag.Value
		}
		w.want(tags, map[string]string{"aws:autoscaling:groupName": name, "kubernetes.io/cluster/sandbox": "owned"}, "tags")

		in := &autoscaling.CreateAutoScalingGroupInput{AutoScalingGroupName: aws.String("b"), MinSize: aws.Int32(0), MaxSize: aws.Int32(1)}
		_, err := w.asg.CreateAutoScalingGroup(w.ctx, in)
		w.refused(err, "ValidationError", "At least one Availability Zone or VPC Subnet is required.")
		in.AvailabilityZones = []string{"us-east-1a"}
		_, err = w.asg.CreateAutoScalingGroup(w.ctx, in)
		w.refused(err, "ValidationError", "Invalid Availability Zones: [us-east-1a]")
		in.AvailabilityZones = []string{region + "a"}
		_, err = w.asg.CreateAutoScalingGroup(w.ctx, in)
		w.refused(err, "ValidationError", "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter.")
	})
}

func TestDescribeGroupsByPageAndTag(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		for i := range 7 {
			_, err := w.asg.CreateAutoScalingGroup(w.ctx, &autoscaling.CreateAutoScalingGroupInput{
				AutoScalingGroupName: aws.String(fmt.Sprintf("g%d", i)), MinSize: aws.Int32(0), MaxSize: aws.Int32(1), AvailabilityZones: []string{region + "a"},
				LaunchConfigurationName: aws.String("c"), Tags: []types.Tag{{Key: aws.String("parity"), Value: aws.String(fmt.Sprint(i % 2))}},
			})
			w.ok(err)
		}
		in := &autoscaling.DescribeAutoScalingGroupsInput{MaxRecords: aws.Int32(2), Filters: []types.Filter{{Name: aws.String("tag:parity"), Values: []string{"0"}}}}
		pages := autoscaling.NewDescribeAutoScalingGroupsPaginator(w.asg, in)
		var names []string
		for pages.HasMorePages() {
			page, err := pages.NextPage(w.ctx)
			w.ok(err)
			for _, g := range page.AutoScalingGroups {
				names = append(names, *g.AutoScalingGroupName)
			}
		}
		w.want(names, []string{"g0", "g2", "g4", "g6"}, "groups")
		_, err := w.asg.DescribeAutoScalingGroups(w.ctx, &autoscaling.DescribeAutoScalingGroupsInput{NextToken: aws.String("nonsense")})
		w.refused(err, "InvalidNextToken", "The token 'nonsense' is invalid.")
	})
}

func TestDescribeInstancesOfGroups(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ids := w.group(1, 60, 55)
		pages := autoscaling.NewDescribeAutoScalingInstancesPaginator(w.asg, &autoscaling.DescribeAutoScalingInstancesInput{MaxRecords: aws.Int32(20)})
		n := 0
		for pages.HasMorePages() {
			page, err := pages.NextPage(w.ctx)
			w.ok(err)
			n += len(page.AutoScalingInstances)
		}
		w.want(n, 55, "instances by page")
		_, err := w.asg.DescribeAutoScalingInstances(w.ctx, &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: ids[:51]})
		w.refused(err, "ValidationError", "The number of instance ids that may be passed in is limited to 50")
		out, err := w.asg.DescribeAutoScalingInstances(w.ctx, &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: []string{ids[0], "i-00000000000000000"}})
		w.ok(err)
		w.want(len(out.AutoScalingInstances), 1, "the unknown one is left out")
	})
}

// A page that begins after another activity was added must not show one twice.
func TestActivitiesByPageWhileTheyGrow(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ids := w.group(1, 5, 3)
		in := &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: aws.String(name), MaxRecords: aws.Int32(1)}
		first, err := w.asg.DescribeScalingActivities(w.ctx, in)
		w.ok(err)
		w.ok(w.standby(true, ids[0]))
		w.pass(time.Minute)
		in.NextToken = first.NextToken
		second, err := w.asg.DescribeScalingActivities(w.ctx, in)
		w.ok(err)
		if *first.Activities[0].ActivityId == *second.Activities[0].ActivityId {
			w.Error("the same activity on both pages")
		}
		out, err := w.asg.DescribeScalingActivities(w.ctx, &autoscaling.DescribeScalingActivitiesInput{ActivityIds: []string{*first.Activities[0].ActivityId, "unknown"}})
		w.ok(err)
		w.want(len(out.Activities), 1, "by id")
		w.pass(7 * 7 * 24 * time.Hour)
		w.want(len(w.activities()), 0, "activities after seven weeks")
	})
}

func TestGroupTags(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.group(1, 4, 1)
		tag := types.Tag{ResourceId: aws.String(name), ResourceType: aws.String("auto-scaling-group"), Key: aws.String("team"), Value: aws.String("x"), PropagateAtLaunch: aws.Bool(true)}
		_, err := w.asg.CreateOrUpdateTags(w.ctx, &autoscaling.CreateOrUpdateTagsInput{Tags: []types.Tag{tag}})
		w.ok(err)
		out, err := w.asg.DescribeTags(w.ctx, &autoscaling.DescribeTagsInput{Filters: []types.Filter{{Name: aws.String("key"), Values: []string{"team"}}}})
		w.ok(err)
		w.want(*out.Tags[0].Value, "x", "tag")
		_, err = w.asg.DeleteTags(w.ctx, &autoscaling.DeleteTagsInput{Tags: []types.Tag{tag}})
		w.ok(err)
		w.want(len(w.describe().Tags), 1, "tags left")
	})
}
