package awssim_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

func retention(action types.RetentionAction) *types.InstanceLifecyclePolicy {
	return &types.InstanceLifecyclePolicy{RetentionTriggers: &types.RetentionTriggers{TerminateHookAbandon: action}}
}

func TestRetention(t *testing.T) {
	for _, c := range []struct {
		name   string
		result string // default of the hook
		story  func(w *world, id string, complete func(result string))
	}{
		{"ABANDON keeps the instance, running and out of capacity", "CONTINUE", func(w *world, id string, complete func(string)) {
			w.ok(w.terminate(false, id))
			complete("ABANDON")
			w.want(w.state(id), "Terminating:Proceed", "state at once")
			w.pass(7 * 24 * time.Hour)
			w.want(w.state(id), "Terminating:Retained", "state days later")
			w.want(w.instance(id).State.Name, "running", "instance")
			w.want(len(w.in("InService")), 3, "in service")
			w.want(*w.describe().DesiredCapacity, 3, "desired")
		}},
		{"so does a timeout with ABANDON for default", "ABANDON", func(w *world, id string, complete func(string)) {
			w.ok(w.terminate(false, id))
			w.pass(time.Hour)
			w.want(w.state(id), "Terminating:Retained", "state")
		}},
		{"CONTINUE terminates as ever", "ABANDON", func(w *world, id string, complete func(string)) {
			w.ok(w.terminate(false, id))
			complete("CONTINUE")
			w.pass(5 * time.Minute)
			w.want(w.instance(id).State.Name, "terminated", "instance")
		}},
		{"scale-in retains too", "ABANDON", func(w *world, id string, complete func(string)) {
			w.desired(2)
			w.pass(time.Hour)
			w.want(len(w.in("Terminating:Retained")), 1, "retained")
			w.want(len(w.in("InService")), 2, "in service")
		}},
		{"a call terminates a retained instance, without another hook", "ABANDON", func(w *world, id string, complete func(string)) {
			w.ok(w.terminate(false, id))
			w.pass(time.Hour)
			w.ok(w.terminate(false, id))
			w.want(w.state(id), "Terminating", "state")
			w.pass(5 * time.Minute)
			w.want(w.instance(id).State.Name, "terminated", "instance")
			w.want(w.state(id), "", "state in the end")
			w.want(len(w.in("InService")), 3, "in service")
		}},
		{"a retained instance can be neither detached nor put on standby nor brought back", "ABANDON", func(w *world, id string, complete func(string)) {
			w.ok(w.terminate(false, id))
			w.pass(time.Hour)
			w.refused(w.detach(false, id), "ValidationError", "The instance %s is not in InService or Standby.", id)
			w.refused(w.standby(false, id), "ValidationError", "The instance %s is not in InService.", id)
			w.refused(w.exit(id), "ValidationError", "The instance %s is not in Standby.", id)
		}},
		{"the policy can be changed, and counts when the hook ends", "ABANDON", func(w *world, id string, complete func(string)) {
			w.ok(w.terminate(false, id))
			_, err := w.asg.UpdateAutoScalingGroup(w.ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(name), InstanceLifecyclePolicy: retention("terminate")})
			w.ok(err)
			w.want(w.describe().InstanceLifecyclePolicy.RetentionTriggers.TerminateHookAbandon, "terminate", "policy as described")
			complete("ABANDON")
			w.pass(5 * time.Minute)
			w.want(w.instance(id).State.Name, "terminated", "instance")
		}},
		{"another value is refused, and another update leaves it", "ABANDON", func(w *world, id string, complete func(string)) {
			_, err := w.asg.UpdateAutoScalingGroup(w.ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(name), InstanceLifecyclePolicy: retention("keep")})
			if err == nil {
				w.Error("retention \"keep\" is taken")
			}
			w.desired(3)
			w.want(w.describe().InstanceLifecyclePolicy.RetentionTriggers.TerminateHookAbandon, "retain", "policy")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				ids := w.group(1, 4, 3, func(in *autoscaling.CreateAutoScalingGroupInput) { in.InstanceLifecyclePolicy = retention("retain") })
				_, err := w.asg.PutLifecycleHook(w.ctx, &autoscaling.PutLifecycleHookInput{AutoScalingGroupName: aws.String(name), LifecycleHookName: aws.String("hook"),
					LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_TERMINATING"), HeartbeatTimeout: aws.Int32(120), DefaultResult: &c.result})
				w.ok(err)
				c.story(w, ids[0], func(result string) {
					_, err := w.asg.CompleteLifecycleAction(w.ctx, &autoscaling.CompleteLifecycleActionInput{AutoScalingGroupName: aws.String(name), LifecycleHookName: aws.String("hook"), InstanceId: &ids[0], LifecycleActionResult: &result})
					w.ok(err)
				})
			})
		})
	}
}

func TestRetentionNeedsAHook(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ids := w.group(1, 4, 3, func(in *autoscaling.CreateAutoScalingGroupInput) { in.InstanceLifecyclePolicy = retention("retain") })
		w.ok(w.terminate(false, ids[0]))
		w.pass(5 * time.Minute)
		w.want(w.instance(ids[0]).State.Name, "terminated", "instance")
	})
}

func TestAGroupWithoutALifecyclePolicyShowsNone(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.group(1, 4, 1)
		w.want(w.describe().InstanceLifecyclePolicy == nil, true, "no policy")
	})
}
