package awssim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
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

func TestHealth(t *testing.T) {
	for _, c := range []struct {
		name  string
		story func(w *world, ids []string)
	}{
		{"a stopped member is terminated and replaced", func(w *world, ids []string) {
			w.ok(w.sim.ActOutside(ids[0], "stop"))
			w.pass(5 * time.Minute)
			w.want(w.state(ids[0]), "", "state")
			w.want(w.instance(ids[0]).State.Name, "terminated", "instance")
			w.want(len(w.in("InService")), 3, "in service")
		}},
		{"a member terminated outside is replaced", func(w *world, ids []string) {
			w.ok(w.sim.ActOutside(ids[0], "terminate"))
			w.pass(5 * time.Minute)
			w.want(w.state(ids[0]), "", "state")
			w.want(len(w.in("InService")), 3, "in service")
		}},
		{"not with HealthCheck suspended", func(w *world, ids []string) {
			w.suspend("HealthCheck")
			w.ok(w.sim.ActOutside(ids[0], "stop"))
			w.pass(time.Hour)
			w.want(w.state(ids[0]), "InService", "state")
			w.want(*w.describe().Instances[0].HealthStatus, "Healthy", "health")
		}},
		{"with ReplaceUnhealthy suspended it is only marked", func(w *world, ids []string) {
			w.suspend("ReplaceUnhealthy")
			w.ok(w.sim.ActOutside(ids[0], "stop"))
			w.pass(time.Hour)
			w.want(w.state(ids[0]), "InService", "state")
			w.want(*w.describe().Instances[0].HealthStatus, "Unhealthy", "health")
			w.resume("ReplaceUnhealthy")
			w.pass(5 * time.Minute)
			w.want(w.state(ids[0]), "", "state after resuming")
		}},
		{"a member called unhealthy is replaced", func(w *world, ids []string) {
			_, err := w.asg.SetInstanceHealth(w.ctx, &autoscaling.SetInstanceHealthInput{InstanceId: &ids[0], HealthStatus: aws.String("Unhealthy")})
			w.ok(err)
			w.pass(5 * time.Minute)
			w.want(w.state(ids[0]), "", "state")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) { c.story(w, w.group(1, 4, 3)) })
		})
	}
}

func TestLaunchFailure(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ids := w.group(1, 4, 3)
		w.ok(w.sim.Configure(func(c *awssim.Config) { c.LaunchFailure = "InsufficientInstanceCapacity" }))
		w.ok(w.standby(false, ids[0]))
		w.pass(10 * time.Second)
		newest := w.activities()[0]
		if *newest.Description != "Moving EC2 instance to Standby: "+ids[0] {
			w.Errorf("the activity in progress comes first, got %q", *newest.Description)
		}
		w.pass(time.Minute)
		failed := 0
		for _, a := range w.activities() {
			if a.StatusCode == "Failed" {
				failed++
				if !strings.Contains(*a.StatusMessage, "InsufficientInstanceCapacity - We currently do not have sufficient m5.large capacity in the Availability Zone you requested (eu-central-1a).") {
					w.Errorf("message is %q", *a.StatusMessage)
				}
			}
		}
		w.want(failed, 2, "failed launches after a minute, with pauses")
		w.want(len(w.in("InService")), 2, "in service")
		w.ok(w.sim.Configure(func(c *awssim.Config) { c.LaunchFailure = "" }))
		w.pass(time.Minute)
		w.want(len(w.in("InService")), 3, "in service once there is capacity")
	})
}

func TestLaunchFailureThatPasses(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.LaunchFailure, c.LaunchFailures = "InsufficientInstanceCapacity", 2 }, func(w *world) {
		w.group(1, 4, 2)
		w.pass(2 * time.Minute)
		w.want(len(w.in("InService")), 2, "in service")
	})
}

func TestWeightsCountTowardsCapacity(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ids := w.group(0, 12, 8, func(in *autoscaling.CreateAutoScalingGroupInput) {
			in.LaunchTemplate = nil
			in.MixedInstancesPolicy = &types.MixedInstancesPolicy{LaunchTemplate: &types.LaunchTemplate{
				LaunchTemplateSpecification: &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("nodes")},
				Overrides:                   []types.LaunchTemplateOverrides{{InstanceType: aws.String("m5.2xlarge"), WeightedCapacity: aws.String("4")}},
			}}
		})
		w.want(len(ids), 2, "instances for eight units")
		w.want(*w.describe().MixedInstancesPolicy.LaunchTemplate.Overrides[0].WeightedCapacity, "4", "weight")
		w.ok(w.standby(true, ids[0]))
		w.want(*w.describe().DesiredCapacity, 4, "desired")
		w.pass(time.Minute)
		w.desired(3)
		w.pass(5 * time.Minute)
		w.want(len(w.in("InService")), 1, "an instance of four units stays for three")
	})
}

func TestTerminationPolicies(t *testing.T) {
	for _, c := range []struct {
		policy string
		want   int // place of the victim among the members, by age
	}{
		{"OldestInstance", 0},
		{"NewestInstance", 2},
		{"OldestLaunchTemplate", 1},
		{"Default", 1},
		{"ClosestToNextInstanceHour", 0},
	} {
		t.Run(c.policy, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				one := func(in *autoscaling.CreateAutoScalingGroupInput) {
					in.AvailabilityZones = []string{region + "a"}
					in.TerminationPolicies = []string{c.policy}
					in.LaunchTemplate.Version = aws.String("7")
				}
				w.group(0, 5, 1, one)
				for _, version := range []string{"5", "6"} {
					_, err := w.asg.UpdateAutoScalingGroup(w.ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(name),
						LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("nodes"), Version: &version}})
					w.ok(err)
					w.desired(*w.describe().DesiredCapacity + 1)
					w.pass(time.Minute)
				}
				ids := w.in("InService")
				w.desired(2)
				w.pass(5 * time.Second)
				w.want(w.in("Terminating"), []string{ids[c.want]}, "victim")
			})
		})
	}
	t.Run("the fullest zone comes before any policy", func(t *testing.T) {
		inWorld(t, nil, func(w *world) {
			w.group(0, 5, 3, func(in *autoscaling.CreateAutoScalingGroupInput) { in.TerminationPolicies = []string{"OldestInstance"} })
			w.desired(4)
			w.pass(time.Minute)
			ids := w.in("InService")
			w.ok(w.terminate(true, ids[1]))
			w.pass(5 * time.Minute)
			w.desired(2)
			w.pass(5 * time.Second)
			// Two in zone a (places 0 and 3), one in c, as old as the first.
			w.want(w.in("Terminating"), []string{ids[0]}, "victim")
		})
	})
}

func TestRebalance(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ids := w.group(0, 2, 2, func(in *autoscaling.CreateAutoScalingGroupInput) { in.AvailabilityZones = []string{region + "a"} })
		_, err := w.asg.UpdateAutoScalingGroup(w.ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(name), AvailabilityZones: []string{region + "a", region + "b"}})
		w.ok(err)
		w.suspend("AZRebalance")
		acted, err := w.sim.Rebalance(name)
		w.ok(err)
		w.want(acted, false, "while suspended")
		w.resume("AZRebalance")
		acted, err = w.sim.Rebalance(name)
		w.ok(err)
		w.want(acted, true, "acted")
		w.pass(10 * time.Second)
		w.want(len(w.describe().Instances), 3, "above max size meanwhile")
		w.want(len(w.in("InService")), 2, "nobody goes before the new one is there")
		w.pass(5 * time.Minute)
		w.want(len(w.in("InService")), 2, "in service")
		w.want(w.state(ids[0]), "", "the oldest of the fullest zone")
		acted, err = w.sim.Rebalance(name)
		w.ok(err)
		w.want(acted, false, "when balanced")
	})
}

func TestInstanceRefresh(t *testing.T) {
	status := func(w *world) types.InstanceRefresh {
		out, err := w.asg.DescribeInstanceRefreshes(w.ctx, &autoscaling.DescribeInstanceRefreshesInput{AutoScalingGroupName: aws.String(name)})
		w.ok(err)
		return out.InstanceRefreshes[0]
	}
	start := func(w *world, standby types.StandbyInstances) error {
		_, err := w.asg.StartInstanceRefresh(w.ctx, &autoscaling.StartInstanceRefreshInput{AutoScalingGroupName: aws.String(name), Preferences: &types.RefreshPreferences{StandbyInstances: standby}})
		return err
	}
	for _, c := range []struct {
		name  string
		story func(w *world, ids []string)
	}{
		{"replaces all, one by one", func(w *world, ids []string) {
			w.ok(start(w, ""))
			w.refused(start(w, ""), "InstanceRefreshInProgress", "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.")
			w.pass(10 * time.Second)
			w.want(status(w).Status, "InProgress", "status")
			w.pass(10 * time.Minute)
			w.want(status(w).Status, "Successful", "status in the end")
			for _, id := range ids {
				w.want(w.state(id), "", "old member")
			}
			w.want(len(w.in("InService")), 3, "in service")
		}},
		{"waits an hour for Standby, and fails", func(w *world, ids []string) {
			w.ok(w.standby(true, ids[0]))
			w.pass(time.Minute)
			w.ok(start(w, ""))
			w.pass(30 * time.Minute)
			w.want(status(w).Status, "InProgress", "status")
			w.pass(time.Hour)
			w.want(status(w).Status, "Failed", "status in the end")
			w.want(w.state(ids[0]), "Standby", "state")
		}},
		{"terminates Standby instances where told", func(w *world, ids []string) {
			w.ok(w.standby(true, ids[0]))
			w.pass(time.Minute)
			w.ok(start(w, types.StandbyInstancesTerminate))
			w.pass(time.Hour)
			w.want(status(w).Status, "Successful", "status")
			w.want(w.state(ids[0]), "", "state")
		}},
		{"is cancelled", func(w *world, _ []string) {
			w.ok(start(w, ""))
			in := &autoscaling.CancelInstanceRefreshInput{AutoScalingGroupName: aws.String(name)}
			_, err := w.asg.CancelInstanceRefresh(w.ctx, in)
			w.ok(err)
			w.pass(time.Minute)
			w.want(status(w).Status, "Cancelled", "status")
			_, err = w.asg.CancelInstanceRefresh(w.ctx, in)
			w.refused(err, "ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found for Auto Scaling group workers")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) { c.story(w, w.group(1, 4, 3)) })
		})
	}
}
