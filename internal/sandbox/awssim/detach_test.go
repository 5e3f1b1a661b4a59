package awssim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

func TestDetach(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*awssim.Config)
		story  func(w *world, ids []string)
	}{
		{"from Standby without decrement touches nothing else", nil, func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.pass(time.Minute)
			before := w.in("InService")
			w.ok(w.detach(false, ids[0]))
			w.want(w.state(ids[0]), "Detaching", "state at once")
			w.pass(29 * time.Second)
			w.want(w.state(ids[0]), "Detaching", "state, still")
			w.pass(time.Hour)
			w.want(w.state(ids[0]), "", "state in the end")
			w.want(w.in("InService"), before, "others")
			w.want(*w.describe().DesiredCapacity, 3, "desired")
			w.want(w.instance(ids[0]).State.Name, "running", "instance")
			for _, tag := range w.instance(ids[0]).Tags {
				if strings.HasPrefix(*tag.Key, "aws:autoscaling:") {
					w.Errorf("tag %q is still there", *tag.Key)
				}
			}
		}},
		{"from Standby with decrement costs an innocent instance", nil, func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.pass(time.Minute)
			w.ok(w.detach(true, ids[0]))
			w.pass(10 * time.Minute)
			w.want(*w.describe().DesiredCapacity, 2, "desired")
			w.want(len(w.in("InService")), 2, "in service")
			w.want(len(w.describe().Instances), 2, "members")
		}},
		{"from Standby refused where the switch says so", func(c *awssim.Config) { c.DetachFromStandby = awssim.DetachRefuse }, func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.pass(time.Minute)
			w.refused(w.detach(false, ids[0]), "ValidationError", "The instance %s is not in InService.", ids[0])
			w.ok(w.exit(ids[0]))
			w.pass(time.Minute)
			w.ok(w.detach(true, ids[0]))
			w.pass(10 * time.Minute)
			w.want(*w.describe().DesiredCapacity, 3, "desired")
			w.want(len(w.in("InService")), 3, "in service")
		}},
		{"from InService without decrement brings a replacement", nil, func(w *world, ids []string) {
			w.ok(w.detach(false, ids[0]))
			w.pass(time.Minute)
			w.want(len(w.in("InService")), 3, "in service")
		}},
		{"decrement below min is refused", nil, func(w *world, ids []string) {
			w.refused(w.detach(true, ids...), "ValidationError", "AutoScalingGroup workers has min-size=1, max-size=4, and desired-size=3. "+
				"To detach 3 instances, please update the AutoScalingGroup sizes appropriately.")
		}},
		{"twice is refused, first for its state and then for its group", nil, func(w *world, ids []string) {
			w.ok(w.detach(true, ids[0]))
			w.refused(w.detach(true, ids[0]), "ValidationError", "The instance %s is not in InService or Standby.", ids[0])
			w.pass(time.Minute)
			w.refused(w.detach(true, ids[0]), "ValidationError", "The instance %s is not part of Auto Scaling group workers.", ids[0])
		}},
		{"an unknown group", nil, func(w *world, ids []string) {
			no := false
			_, err := w.asg.DetachInstances(w.ctx, &autoscaling.DetachInstancesInput{AutoScalingGroupName: aws.String("other"), InstanceIds: ids, ShouldDecrementDesiredCapacity: &no})
			w.refused(err, "ValidationError", "AutoScalingGroup name not found - AutoScalingGroup 'other' not found")
		}},
		{"attach takes it back by way of Pending, and raises desired capacity", nil, func(w *world, ids []string) {
			w.ok(w.detach(true, ids[0]))
			w.pass(time.Minute)
			in := &autoscaling.AttachInstancesInput{AutoScalingGroupName: aws.String(name), InstanceIds: ids[:1]}
			_, err := w.asg.AttachInstances(w.ctx, in)
			w.ok(err)
			w.want(w.state(ids[0]), "Pending", "state")
			w.want(*w.describe().DesiredCapacity, 3, "desired")
			w.pass(time.Minute)
			w.want(w.state(ids[0]), "InService", "state in the end")
			_, err = w.asg.AttachInstances(w.ctx, in)
			w.refused(err, "ValidationError", "Instance %s is already part of AutoScalingGroup:workers, member can not be attached", ids[0])
		}},
		{"scale-in protection is lost", nil, func(w *world, ids []string) {
			_, err := w.asg.SetInstanceProtection(w.ctx, &autoscaling.SetInstanceProtectionInput{AutoScalingGroupName: aws.String(name), InstanceIds: ids[:1], ProtectedFromScaleIn: aws.Bool(true)})
			w.ok(err)
			w.ok(w.detach(true, ids[0]))
			w.want(*w.describe().Instances[0].ProtectedFromScaleIn, false, "protection")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, c.change, func(w *world) { c.story(w, w.group(1, 4, 3)) })
		})
	}
}

func TestTerminateInGroup(t *testing.T) {
	for _, c := range []struct {
		name  string
		story func(w *world, ids []string)
	}{
		{"from Standby without decrement touches nothing else", func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.pass(time.Minute)
			before := w.in("InService")
			w.ok(w.terminate(false, ids[0]))
			w.want(w.state(ids[0]), "Terminating", "state")
			w.pass(10 * time.Minute)
			w.want(w.in("InService"), before, "others")
			w.want(w.instance(ids[0]).State.Name, "terminated", "instance")
		}},
		{"from Standby with decrement costs an innocent instance", func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.pass(time.Minute)
			w.ok(w.terminate(true, ids[0]))
			w.pass(10 * time.Minute)
			w.want(len(w.in("InService")), 2, "in service")
		}},
		{"ignores protection and is replaced", func(w *world, ids []string) {
			_, err := w.asg.SetInstanceProtection(w.ctx, &autoscaling.SetInstanceProtectionInput{AutoScalingGroupName: aws.String(name), InstanceIds: ids, ProtectedFromScaleIn: aws.Bool(true)})
			w.ok(err)
			w.ok(w.terminate(false, ids[0]))
			w.pass(10 * time.Minute)
			w.want(len(w.in("InService")), 3, "in service")
			w.want(w.state(ids[0]), "", "state")
		}},
		{"at min size with decrement", func(w *world, ids []string) {
			_, err := w.asg.UpdateAutoScalingGroup(w.ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(name), MinSize: aws.Int32(3)})
			w.ok(err)
			w.refused(w.terminate(true, ids[0]), "ValidationError", "Currently, desiredSize equals minSize (3). Terminating instance without replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.")
		}},
		{"an instance of no group", func(w *world, _ []string) {
			w.refused(w.terminate(false, "i-00000000000000000"), "ValidationError", "Instance Id not found - No managed instance found for instance ID: i-00000000000000000")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) { c.story(w, w.group(1, 4, 3)) })
		})
	}
}
