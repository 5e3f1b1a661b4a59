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

// Two groups live side by side, one by settings of its own.
func TestAGroupHasSettingsOfItsOwn(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		const other = "other"
		w.ok(w.sim.ConfigureGroup(other, []byte(`{"boot":"0s","nodeNaming":"resource-name","detachFromStandby":"refuse","launchRetry":"1s"}`)))
		ids := w.group(1, 5, 1)
		_, err := w.asg.CreateAutoScalingGroup(w.ctx, &autoscaling.CreateAutoScalingGroupInput{
			AutoScalingGroupName: aws.String(other), MinSize: aws.Int32(1), MaxSize: aws.Int32(5), DesiredCapacity: aws.Int32(1),
			AvailabilityZones: []string{region + "a"},
			LaunchTemplate:    &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("nodes"), Version: aws.String("$Latest")},
		})
		w.ok(err)
		w.pass(5 * time.Second)
		others := w.membersOf(other)
		if len(others) != 1 {
			t.Fatalf("in service after a boot that takes no time: %v", others)
		}
		for id, suffix := range map[string]string{ids[0]: "", others[0]: others[0]} {
			if name := w.instance(id).PrivateDnsName; !strings.HasPrefix(*name, suffix) || (suffix == "" && !strings.HasPrefix(*name, "ip-")) {
				t.Errorf("the name of %s is %s", id, *name)
			}
		}
		for _, c := range []struct {
			group, id string
			refused   bool
		}{{name, ids[0], false}, {other, others[0], true}} {
			_, err := w.asg.EnterStandby(w.ctx, &autoscaling.EnterStandbyInput{AutoScalingGroupName: &c.group, InstanceIds: []string{c.id}, ShouldDecrementDesiredCapacity: aws.Bool(false)})
			w.ok(err)
			w.pass(time.Minute)
			_, err = w.asg.DetachInstances(w.ctx, &autoscaling.DetachInstancesInput{AutoScalingGroupName: &c.group, InstanceIds: []string{c.id}, ShouldDecrementDesiredCapacity: aws.Bool(false)})
			if refused := err != nil; refused != c.refused {
				t.Errorf("group %s: a detach from standby says %v", c.group, err)
			}
		}
	})
}

// One group cannot launch, and then it can; a change for all in between changes nothing for it.
func TestAGroupsOwnLaunchFailure(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.group(1, 5, 1)
		w.ok(w.sim.ConfigureGroup(name, []byte(`{"launchFailure":"InsufficientInstanceCapacity","launchRetry":"10m"}`)))
		_, err := w.asg.SetDesiredCapacity(w.ctx, &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String(name), DesiredCapacity: aws.Int32(2)})
		w.ok(err)
		w.pass(time.Minute)
		w.ok(w.sim.Configure(func(c *awssim.Config) { c.Boot = time.Second }))
		w.pass(time.Minute)
		if in := w.in("InService"); len(in) != 1 {
			t.Errorf("in service though nothing can be launched: %v", in)
		}
		w.ok(w.sim.ConfigureGroup(name, []byte(`{}`)))
		w.pass(10 * time.Second) // the pause of ten minutes after the failure ends as well
		if in := w.in("InService"); len(in) != 2 {
			t.Errorf("in service: %v, want 2", in)
		}
	})
}

func TestSettingsThatAreNoGroups(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		for settings, reason := range map[string]string{
			`{"faultRate":0.5}`:        `"faultRate" is none that a group has for itself`,
			`{"boot":"soon"}`:          "boot",
			`{"nodeNaming":"by hand"}`: "by hand",
			`[]`:                       "reading the settings",
		} {
			if err := w.sim.ConfigureGroup(name, []byte(settings)); err == nil || !strings.Contains(err.Error(), reason) {
				t.Errorf("%s: %v", settings, err)
			}
		}
	})
}

func (w *world) membersOf(group string) (ids []string) {
	w.Helper()
	out, err := w.asg.DescribeAutoScalingInstances(w.ctx, &autoscaling.DescribeAutoScalingInstancesInput{})
	w.ok(err)
	for _, m := range out.AutoScalingInstances {
		if *m.AutoScalingGroupName == group && *m.LifecycleState == "InService" {
			ids = append(ids, *m.InstanceId)
		}
	}
	slices.Sort(ids)
	return ids
}
