package awssim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

func TestStandby(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*awssim.Config)
		story  func(w *world, ids []string)
	}{
		{"without decrement the group launches a replacement, and the call does not wait for it", nil, func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.want(w.state(ids[0]), "EnteringStandby", "state at once")
			w.want(len(w.describe().Instances), 3, "members at once")
			w.pass(5 * time.Second)
			w.want(len(w.in("Pending")), 1, "pending after the reaction")
			w.pass(time.Minute)
			w.want(w.state(ids[0]), "Standby", "state in the end")
			w.want(len(w.in("InService")), 3, "in service in the end")
			w.want(*w.describe().DesiredCapacity, 3, "desired")
		}},
		{"with decrement nothing is launched", nil, func(w *world, ids []string) {
			w.ok(w.standby(true, ids[0]))
			w.pass(time.Minute)
			w.want(*w.describe().DesiredCapacity, 2, "desired")
			w.want(len(w.in("InService")), 2, "in service")
		}},
		{"decrement below min is refused", nil, func(w *world, ids []string) {
			w.refused(w.standby(true, ids...), "ValidationError", "AutoScalingGroup workers has min-size=1, max-size=4, and desired-size=3. "+
				"To place into standby 3 instances, please update the AutoScalingGroup sizes appropriately.")
			w.want(len(w.in("InService")), 3, "in service")
		}},
		{"only from InService, also the second time", nil, func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.refused(w.standby(false, ids[0]), "ValidationError", "The instance %s is not in InService.", ids[0])
			w.pass(time.Minute)
			w.refused(w.standby(false, ids[0]), "ValidationError", "The instance %s is not in InService.", ids[0])
		}},
		{"one wrong id of several changes nothing", nil, func(w *world, ids []string) {
			w.refused(w.standby(false, ids[0], "i-00000000000000000"), "ValidationError", "The instance i-00000000000000000 is not part of Auto Scaling group workers.")
			w.want(w.state(ids[0]), "InService", "the right one")
		}},
		{"at most 19 ids", nil, func(w *world, ids []string) {
			err := w.standby(false, strings.Split(strings.Repeat(ids[0]+",", 19)+ids[0], ",")...)
			if err == nil || !strings.Contains(err.Error(), "Member must have length less than or equal to 19") {
				w.Errorf("got %v", err)
			}
		}},
		{"a busy instance gives ScalingActivityInProgress to all but EnterStandby", nil, func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			blocked := "Scaling activity " + *w.activities()[0].ActivityId + " is in progress and blocks this action"
			w.refused(w.exit(ids[0]), "ScalingActivityInProgress", "%s", blocked)
			w.refused(w.detach(false, ids[0]), "ScalingActivityInProgress", "%s", blocked)
			w.refused(w.terminate(false, ids[0]), "ScalingActivityInProgress", "%s", blocked)
		}},
		{"exit passes Pending and raises desired capacity", nil, func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.pass(time.Minute)
			w.ok(w.exit(ids[0]))
			w.want(w.state(ids[0]), "Pending", "state at once")
			w.pass(time.Minute)
			w.want(len(w.in("InService")), 4, "in service, one too many")
			w.want(*w.describe().DesiredCapacity, 4, "desired")
		}},
		{"lowering desired capacity after exit takes an innocent instance", nil, func(w *world, ids []string) {
			w.ok(w.standby(false, ids[2]))
			w.pass(time.Minute)
			w.ok(w.exit(ids[2]))
			w.pass(time.Minute)
			w.desired(3)
			w.pass(5 * time.Second)
			w.want(len(w.in("Terminating")), 1, "terminating")
			// Its own zone is the fullest; it and the replacement are alike but for age.
			w.want(w.state(ids[2]), "Terminating", "the oldest of the fullest zone")
		}},
		{"lowering desired capacity before exit is without surplus", nil, func(w *world, ids []string) {
			w.suspend("Launch")
			w.ok(w.standby(false, ids[0]))
			w.pass(time.Minute)
			w.desired(2)
			w.resume("Launch")
			w.ok(w.exit(ids[0]))
			w.pass(5 * time.Minute)
			w.want(w.in("InService"), ids, "in service")
			w.want(*w.describe().DesiredCapacity, 3, "desired")
		}},
		{"no exit while Launch is suspended", nil, func(w *world, ids []string) {
			w.ok(w.standby(true, ids[0]))
			w.pass(time.Minute)
			w.suspend("Launch")
			w.refused(w.exit(ids[0]), "ValidationError", "The Launch process of AutoScalingGroup workers is suspended. Resume it to move instances out of standby.")
			w.resume("Launch")
			w.ok(w.exit(ids[0]))
		}},
		{"exit only from Standby", nil, func(w *world, ids []string) {
			w.refused(w.exit(ids[0]), "ValidationError", "The instance %s is not in Standby.", ids[0])
		}},
		{"exit at max size is refused by default", nil, func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.pass(time.Minute)
			w.desired(4)
			w.refused(w.exit(ids[0]), "ValidationError", "AutoScalingGroup workers has min-size=1, max-size=4, and desired-size=4. "+
				"To move out of standby 1 instance, please update the AutoScalingGroup sizes appropriately.")
		}},
		{"exit at max size passes it where the switch says so", func(c *awssim.Config) { c.ExitStandbyAtMax = awssim.AtMaxAllow }, func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.pass(time.Minute)
			w.desired(4)
			w.ok(w.exit(ids[0]))
			w.want(*w.describe().DesiredCapacity, 5, "desired")
		}},
		{"a Standby instance terminated outside stays listed as healthy", nil, func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.pass(time.Minute)
			w.ok(w.sim.ActOutside(ids[0], "terminate"))
			w.pass(24 * time.Hour)
			w.want(w.state(ids[0]), "Standby", "state")
			for _, i := range w.describe().Instances {
				w.want(*i.HealthStatus, "Healthy", "health")
			}
		}},
		{"a Standby instance may be stopped and started", nil, func(w *world, ids []string) {
			w.ok(w.standby(true, ids[0]))
			w.pass(time.Minute)
			w.ok(w.sim.ActOutside(ids[0], "stop"))
			w.pass(10 * time.Minute)
			w.want(w.instance(ids[0]).State.Name, "stopped", "instance")
			w.ok(w.sim.ActOutside(ids[0], "start"))
			w.pass(time.Minute)
			w.ok(w.exit(ids[0]))
			w.pass(10 * time.Minute)
			w.want(w.state(ids[0]), "InService", "state")
		}},
		{"with Launch suspended no replacement comes", nil, func(w *world, ids []string) {
			w.suspend("Launch")
			w.ok(w.standby(false, ids[0]))
			w.pass(time.Hour)
			w.want(len(w.describe().Instances), 3, "members")
			w.resume("Launch")
			w.pass(time.Minute)
			w.want(len(w.in("InService")), 3, "in service after resuming")
		}},
		{"activities tell the story", nil, func(w *world, ids []string) {
			w.ok(w.standby(true, ids[0]))
			w.want(w.activities()[0].StatusCode, "InProgress", "status at once")
			w.pass(time.Minute)
			w.ok(w.exit(ids[0]))
			w.pass(time.Minute)
			got := w.activities()
			w.want(*got[0].Description, "Moving EC2 instance out of Standby: "+ids[0], "newest")
			w.want(*got[1].Description, "Moving EC2 instance to Standby: "+ids[0], "before it")
			w.want(*got[1].Cause, "At 2000-01-01T00:02:00Z instance "+ids[0]+" was moved to standby in response to a user request, shrinking the capacity from 3 to 2.", "cause")
			w.want(got[1].StatusCode, "Successful", "status in the end")
			w.want(got[1].EndTime.Sub(*got[1].StartTime), "30s", "duration")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, c.change, func(w *world) { c.story(w, w.group(1, 4, 3)) })
		})
	}
}

func (w *world) desired(n int32) {
	w.Helper()
	_, err := w.asg.SetDesiredCapacity(w.ctx, &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String(name), DesiredCapacity: &n})
	w.ok(err)
}
