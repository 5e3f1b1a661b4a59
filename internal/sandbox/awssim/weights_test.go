package awssim_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// Sizes of a group are in units of weight; an instance here counts two.
func TestArithmeticOfWeights(t *testing.T) {
	for _, c := range []struct {
		name                 string
		least, most, desired int32
		change               func(*awssim.Config)
		story                func(w *world, ids []string)
	}{
		{"standby with decrement takes the weight", 2, 8, 6, nil, func(w *world, ids []string) {
			w.ok(w.standby(true, ids[0]))
			w.want(*w.describe().DesiredCapacity, 4, "desired")
			w.refused(w.standby(true, ids[1], ids[2]), "ValidationError", "AutoScalingGroup workers has min-size=2, max-size=8, and desired-size=4. "+
				"To place into standby 2 instances, please update the AutoScalingGroup sizes appropriately.")
		}},
		{"standby without decrement is made up for by one instance", 2, 8, 6, nil, func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.pass(5 * time.Minute)
			w.want(len(w.in("InService")), 3, "in service")
			w.want(*w.describe().DesiredCapacity, 6, "desired")
		}},
		{"exit adds the weight, and is refused where it does not fit", 2, 7, 6, nil, func(w *world, ids []string) {
			w.ok(w.standby(true, ids[0]))
			w.pass(time.Minute)
			w.ok(w.exit(ids[0]))
			w.want(*w.describe().DesiredCapacity, 6, "desired")
			w.pass(time.Minute)
			w.ok(w.standby(false, ids[0]))
			w.pass(time.Minute)
			w.refused(w.exit(ids[0]), "ValidationError", "AutoScalingGroup workers has min-size=2, max-size=7, and desired-size=6. "+
				"To move out of standby 1 instance, please update the AutoScalingGroup sizes appropriately.")
		}},
		{"detach with decrement takes the weight", 2, 8, 6, nil, func(w *world, ids []string) {
			w.ok(w.detach(true, ids[0]))
			w.pass(5 * time.Minute)
			w.want(*w.describe().DesiredCapacity, 4, "desired")
			w.want(w.in("InService"), ids[1:], "in service")
		}},
		{"detach from Standby without decrement changes nobody else", 2, 8, 6, nil, func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.pass(5 * time.Minute)
			serving := w.in("InService")
			w.ok(w.detach(false, ids[0]))
			w.pass(5 * time.Minute)
			w.want(*w.describe().DesiredCapacity, 6, "desired")
			w.want(w.in("InService"), serving, "in service")
		}},
		{"detach from Standby with decrement costs an innocent instance", 2, 8, 6, nil, func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.pass(5 * time.Minute)
			w.ok(w.detach(true, ids[0]))
			w.pass(5 * time.Minute)
			w.want(*w.describe().DesiredCapacity, 4, "desired")
			w.want(len(w.in("InService")), 2, "in service")
		}},
		{"an attached instance brings the weight of its type", 2, 8, 6, nil, func(w *world, ids []string) {
			w.ok(w.detach(true, ids[0]))
			w.pass(time.Minute)
			_, err := w.asg.AttachInstances(w.ctx, &autoscaling.AttachInstancesInput{AutoScalingGroupName: aws.String(name), InstanceIds: ids[:1]})
			w.ok(err)
			w.want(*w.describe().DesiredCapacity, 6, "desired")
			w.pass(5 * time.Minute)
			w.want(len(w.in("InService")), 3, "in service")
		}},
		{"what no instance fits exactly is exceeded and not scaled in", 1, 8, 5, nil, func(w *world, ids []string) {
			w.pass(time.Hour)
			w.want(w.in("InService"), ids, "in service")
			w.want(len(ids), 3, "instances for five units")
		}},
		{"rebalancing passes max size by one instance", 2, 8, 8, func(c *awssim.Config) { c.AZRebalance = true }, func(w *world, _ []string) {
			w.suspend("AZRebalance")
			w.zones("a")
			w.desired(2)
			w.pass(5 * time.Minute)
			w.desired(8)
			w.pass(5 * time.Minute)
			w.want(w.inZones(), map[string]int{"a": 4}, "to begin with")
			w.zones("a", "b")
			w.resume("AZRebalance")
			w.pass(10 * time.Minute)
			w.want(w.inZones(), map[string]int{"a": 2, "b": 2}, "in the end")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, c.change, func(w *world) { c.story(w, w.group(c.least, c.most, c.desired, weighted("2"))) })
		})
	}
}

func TestGroupsWithoutRoom(t *testing.T) {
	for _, c := range []struct {
		name                 string
		least, most, desired int32
		story                func(w *world, ids []string)
	}{
		{"one of one at max goes on standby and is replaced", 1, 1, 1, func(w *world, ids []string) {
			w.refused(w.standby(true, ids[0]), "ValidationError", "AutoScalingGroup workers has min-size=1, max-size=1, and desired-size=1. "+
				"To place into standby 1 instance, please update the AutoScalingGroup sizes appropriately.")
			w.ok(w.standby(false, ids[0]))
			w.pass(5 * time.Minute)
			w.want(len(w.in("InService")), 1, "in service")
			w.want(len(w.describe().Instances), 2, "members, above max size with the one on standby")
			w.refused(w.exit(ids[0]), "ValidationError", "AutoScalingGroup workers has min-size=1, max-size=1, and desired-size=1. "+
				"To move out of standby 1 instance, please update the AutoScalingGroup sizes appropriately.")
			w.ok(w.detach(false, ids[0]))
			w.pass(5 * time.Minute)
			w.want(len(w.in("InService")), 1, "in service in the end")
			w.want(*w.describe().DesiredCapacity, 1, "desired in the end")
		}},
		{"at min nothing that decrements is taken", 3, 4, 3, func(w *world, ids []string) {
			for _, err := range []error{w.standby(true, ids[0]), w.detach(true, ids[0]), w.terminate(true, ids[0])} {
				if err == nil {
					w.Error("not refused")
				}
			}
			w.want(w.in("InService"), ids, "in service")
		}},
		{"min raised above desired takes desired along, max lowered beneath it too", 1, 4, 2, func(w *world, _ []string) {
			bounds := func(least, most int32) {
				_, err := w.asg.UpdateAutoScalingGroup(w.ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(name), MinSize: &least, MaxSize: &most})
				w.ok(err)
				w.pass(5 * time.Minute)
			}
			bounds(3, 4)
			w.want(len(w.in("InService")), 3, "in service after min")
			bounds(0, 1)
			w.want(len(w.in("InService")), 1, "in service after max")
			w.want(*w.describe().DesiredCapacity, 1, "desired")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) { c.story(w, w.group(c.least, c.most, c.desired)) })
		})
	}
}
