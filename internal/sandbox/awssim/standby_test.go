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

func TestHooks(t *testing.T) {
	launching, terminating := "autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING"
	put := func(w *world, transition, result string) {
		_, err := w.asg.PutLifecycleHook(w.ctx, &autoscaling.PutLifecycleHookInput{AutoScalingGroupName: aws.String(name), LifecycleHookName: aws.String("hook"),
			LifecycleTransition: &transition, HeartbeatTimeout: aws.Int32(120), DefaultResult: &result})
		w.ok(err)
	}
	complete := func(w *world, id, result string) {
		_, err := w.asg.CompleteLifecycleAction(w.ctx, &autoscaling.CompleteLifecycleActionInput{AutoScalingGroupName: aws.String(name), LifecycleHookName: aws.String("hook"), InstanceId: &id, LifecycleActionResult: &result})
		w.ok(err)
	}
	for _, c := range []struct {
		name  string
		story func(w *world, ids []string)
	}{
		{"the replacement waits for its launch hook", func(w *world, ids []string) {
			put(w, launching, "CONTINUE")
			w.ok(w.standby(false, ids[0]))
			w.pass(time.Minute)
			w.want(len(w.in("Pending:Wait")), 1, "waiting")
			w.want(w.activities()[0].StatusCode, types.ScalingActivityStatusCodeMidLifecycleAction, "activity")
			complete(w, w.in("Pending:Wait")[0], "CONTINUE")
			w.want(len(w.in("Pending:Proceed")), 1, "proceeding")
			w.pass(5 * time.Second)
			w.want(len(w.in("InService")), 3, "in service")
		}},
		{"the end of the heartbeat gives the default result", func(w *world, ids []string) {
			put(w, launching, "CONTINUE")
			w.ok(w.standby(false, ids[0]))
			w.pass(time.Minute)
			w.want(len(w.in("InService")), 2, "in service before")
			w.pass(2 * time.Minute)
			w.want(len(w.in("InService")), 3, "in service after")
		}},
		{"a recorded heartbeat begins a new wait", func(w *world, ids []string) {
			put(w, launching, "CONTINUE")
			w.ok(w.standby(false, ids[0]))
			w.pass(time.Minute)
			id := w.in("Pending:Wait")[0]
			w.pass(75 * time.Second)
			_, err := w.asg.RecordLifecycleActionHeartbeat(w.ctx, &autoscaling.RecordLifecycleActionHeartbeatInput{AutoScalingGroupName: aws.String(name), LifecycleHookName: aws.String("hook"), InstanceId: &id})
			w.ok(err)
			w.pass(100 * time.Second)
			w.want(w.state(id), "Pending:Wait", "state")
			w.pass(time.Minute)
			w.want(w.state(id), "InService", "state in the end")
		}},
		{"an abandoned launch is terminated and tried again", func(w *world, ids []string) {
			put(w, launching, "ABANDON")
			w.ok(w.standby(false, ids[0]))
			w.pass(time.Minute)
			first := w.in("Pending:Wait")[0]
			complete(w, first, "ABANDON")
			w.pass(2 * time.Minute)
			w.want(w.state(first), "", "first")
			w.want(len(w.in("Pending:Wait")), 1, "second")
		}},
		{"standby and detach run no hook", func(w *world, ids []string) {
			w.ok(w.standby(true, ids[0]))
			w.pass(time.Minute)
			put(w, launching, "ABANDON")
			w.ok(w.exit(ids[0]))
			w.pass(time.Minute)
			w.want(w.state(ids[0]), "InService", "state after exit")
			put(w, terminating, "ABANDON")
			w.ok(w.detach(true, ids[0]))
			w.pass(time.Minute)
			w.want(w.state(ids[0]), "", "state after detach")
		}},
		{"termination waits, and goes on even when abandoned", func(w *world, ids []string) {
			put(w, terminating, "CONTINUE")
			w.ok(w.terminate(false, ids[0]))
			w.want(w.state(ids[0]), "Terminating:Wait", "state")
			w.want(w.instance(ids[0]).State.Name, "running", "instance meanwhile")
			complete(w, ids[0], "ABANDON")
			w.want(w.state(ids[0]), "Terminating:Proceed", "state")
			w.pass(time.Minute)
			w.want(w.instance(ids[0]).State.Name, "terminated", "instance in the end")
		}},
		{"hooks are described and deleted", func(w *world, _ []string) {
			put(w, launching, "CONTINUE")
			in := &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: aws.String(name)}
			out, err := w.asg.DescribeLifecycleHooks(w.ctx, in)
			w.ok(err)
			w.want(len(out.LifecycleHooks), 1, "hooks")
			w.want(*out.LifecycleHooks[0].GlobalTimeout, 12000, "global timeout")
			_, err = w.asg.DeleteLifecycleHook(w.ctx, &autoscaling.DeleteLifecycleHookInput{AutoScalingGroupName: aws.String(name), LifecycleHookName: aws.String("hook")})
			w.ok(err)
			out, err = w.asg.DescribeLifecycleHooks(w.ctx, in)
			w.ok(err)
			w.want(len(out.LifecycleHooks), 0, "hooks after deleting")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) { c.story(w, w.group(1, 4, 3)) })
		})
	}
}
