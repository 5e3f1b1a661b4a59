package cli_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// Two instances of weight 4 are eight units for a desired capacity of 7. What a group has beyond that is no launch: one that is
// brought back leaves the desired capacity as it was.
func TestAWeightedGroupWithNaturalOverage(t *testing.T) {
	for name, sizes := range map[string][2]int32{
		"room": {0, 11}, "no room": {0, 8}, "none at all": {0, 7}, "at its minimum": {7, 11}, "near its minimum": {4, 11}, "at its minimum, with little room": {7, 12},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				ids := w.weightedGroup("weighted", sizes[0], 7, sizes[1])
				if err := w.sim.Configure(func(c *awssim.Config) { c.LaunchFailure = "InsufficientInstanceCapacity" }); err != nil {
					t.Fatal(err)
				}
				w.withArgo(workflow("a", "a", ""))
				id := []string{"--instance-id", ids[0], "--replacement-timeout", "10m"}
				if o := w.run("a", "standby", id...); o.code != 1 {
					t.Fatalf("standby exits %d: %s", o.code, o.result.Message)
				}
				o := w.run("a", "settle", append(id, "--workflow-status", "Failed")...)
				time.Sleep(10 * time.Minute)
				g := w.groupNamed("weighted")
				if o.code != 0 || aws.ToInt32(g.DesiredCapacity) != 7 || len(g.Instances) != 2 || len(o.result.Warnings) > 0 {
					t.Errorf("settle exits %d: %s %v; desired %d, %d members", o.code, o.result.Message, o.result.Warnings, aws.ToInt32(g.DesiredCapacity), len(g.Instances))
				}
			})
		})
	}
}

// weightedGroup makes a group whose instances count four units each, and waits until they serve.
func (w *world) weightedGroup(name string, least, desired, most int32) (ids []string) {
	w.Helper()
	_, err := w.groups.CreateAutoScalingGroup(w.Context(), &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: &name, MinSize: &least, MaxSize: &most, DesiredCapacity: &desired, AvailabilityZones: []string{w.region + "a"},
		MixedInstancesPolicy: &types.MixedInstancesPolicy{LaunchTemplate: &types.LaunchTemplate{
			LaunchTemplateSpecification: &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("workers"), Version: aws.String("1")},
			Overrides:                   []types.LaunchTemplateOverrides{{InstanceType: aws.String("m5.2xlarge"), WeightedCapacity: aws.String("4")}},
		}},
		Tags: []types.Tag{{Key: aws.String("kubernetes.io/cluster/sandbox"), Value: aws.String("owned"), PropagateAtLaunch: aws.Bool(true)}},
	})
	if err != nil {
		w.Fatal(err)
	}
	time.Sleep(3 * time.Minute)
	for _, m := range w.groupNamed(name).Instances {
		ids = append(ids, aws.ToString(m.InstanceId))
	}
	return ids
}

func (w *world) groupNamed(name string) types.AutoScalingGroup {
	w.Helper()
	out, err := w.groups.DescribeAutoScalingGroups(w.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{name}})
	if err != nil {
		w.Fatal(err)
	}
	return out.AutoScalingGroups[0]
}
