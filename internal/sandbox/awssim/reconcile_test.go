package awssim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

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
