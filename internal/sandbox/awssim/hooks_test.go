package awssim_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

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
