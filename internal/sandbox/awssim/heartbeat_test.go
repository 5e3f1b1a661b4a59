package awssim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

const terminating = "autoscaling:EC2_INSTANCE_TERMINATING"

// hook puts a termination hook, with CONTINUE as its default result.
func (w *world) hook(name string, heartbeat int32, change ...func(*autoscaling.PutLifecycleHookInput)) {
	w.Helper()
	in := &autoscaling.PutLifecycleHookInput{
		AutoScalingGroupName: aws.String("workers"), LifecycleHookName: &name,
		LifecycleTransition: aws.String(terminating), HeartbeatTimeout: &heartbeat, DefaultResult: aws.String("CONTINUE"),
	}
	for _, c := range change {
		c(in)
	}
	_, err := w.asg.PutLifecycleHook(w.ctx, in)
	w.ok(err)
}

func (w *world) beat(hook, token, id string) error {
	in := &autoscaling.RecordLifecycleActionHeartbeatInput{AutoScalingGroupName: aws.String(name), LifecycleHookName: &hook}
	if token != "" {
		in.LifecycleActionToken = &token
	}
	if id != "" {
		in.InstanceId = &id
	}
	_, err := w.asg.RecordLifecycleActionHeartbeat(w.ctx, in)
	return err
}

func (w *world) complete(hook, token, id, result string) error {
	in := &autoscaling.CompleteLifecycleActionInput{AutoScalingGroupName: aws.String(name), LifecycleHookName: &hook, LifecycleActionResult: &result}
	if token != "" {
		in.LifecycleActionToken = &token
	}
	if id != "" {
		in.InstanceId = &id
	}
	_, err := w.asg.CompleteLifecycleAction(w.ctx, in)
	return err
}

// hookEvents are those about lifecycle actions.
func (w *world) hookEvents(kind string) []awssim.Event {
	var out []awssim.Event
	for _, e := range w.sim.Events(0) {
		if e.Kind == kind {
			out = append(out, e)
		}
	}
	return out
}

func TestHeartbeats(t *testing.T) {
	for _, c := range []struct {
		name      string
		heartbeat int32
		every     time.Duration
		beats     int
		most      time.Duration
	}{
		{"100 times the heartbeat timeout, which 100 heartbeats reach", 30, 30*time.Second - time.Millisecond, 100, 3000 * time.Second},
		{"and which more of them do not pass", 30, time.Second, 2999, 3000 * time.Second},
		{"48 hours, where that is less", 3600, 20 * time.Minute, 143, 48 * time.Hour},
		{"48 hours with the longest heartbeat timeout", 7200, time.Hour, 47, 48 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				id := w.group(1, 4, 3)[0]
				w.hook("hook", c.heartbeat)
				w.ok(w.terminate(false, id))
				began := time.Now()
				beats := 0
				var err error
				for err == nil {
					time.Sleep(c.every)
					if err = w.beat("hook", "", id); err == nil {
						beats++
					}
				}
				w.refused(err, "ValidationError", "No active Lifecycle Action found with instance ID %s", id)
				w.want(beats, c.beats, "heartbeats taken")
				w.want(len(w.hookEvents(awssim.KindHeartbeat)), c.beats, "heartbeats told of")
				ended := w.hookEvents(awssim.KindHook)[1]
				w.want(ended.Time.Sub(began), c.most, "time waited")
				w.want(ended.To+" by "+ended.Cause, "CONTINUE by timeout", "end")
				w.pass(2 * time.Minute)
				w.want(w.state(id), "", "state in the end")
			})
		})
	}
}

func TestHeartbeat(t *testing.T) {
	for _, c := range []struct {
		name  string
		story func(w *world, id string)
	}{
		{"keeps the token and counts from now", func(w *world, id string) {
			token := w.token("q")
			w.pass(100 * time.Second)
			w.ok(w.beat("hook", token, ""))
			w.pass(119 * time.Second)
			w.ok(w.beat("hook", token, id))
			w.pass(119 * time.Second)
			w.want(w.state(id), "Terminating:Wait", "state")
			var margins []time.Duration
			for _, e := range w.hookEvents(awssim.KindHeartbeat) {
				margin, ok := e.Margin()
				w.want(ok, true, "has a margin")
				margins = append(margins, margin)
			}
			w.want(fmt.Sprint(margins), "[20s 1s]", "time left at each")
			w.ok(w.complete("hook", token, "", "CONTINUE"))
			w.want(w.state(id), "Terminating:Proceed", "state")
			w.refused(w.beat("hook", token, ""), "ValidationError", "No active Lifecycle Action found with token %s", token)
		}},
		{"a token of another time is refused, with the right instance too", func(w *world, id string) {
			const stale = "00000000-0000-4000-a000-000000000000"
			w.refused(w.beat("hook", stale, id), "ValidationError", "No active Lifecycle Action found with token %s", stale)
			w.refused(w.complete("hook", stale, id, "CONTINUE"), "ValidationError", "No active Lifecycle Action found with token %s", stale)
			w.refused(w.beat("hook", "", "i-00000000"), "ValidationError", "No active Lifecycle Action found with instance ID i-00000000")
			w.refused(w.beat("other", "", id), "ValidationError", "No Lifecycle Hook found")
			if w.beat("hook", "", "") == nil {
				w.Error("a heartbeat for nothing is taken")
			}
			w.pass(2 * time.Minute)
			w.want(w.state(id), "Terminating:Proceed", "state")
		}},
		{"a changed hook counts from the next heartbeat", func(w *world, id string) {
			w.pass(time.Minute)
			w.hook("hook", 600)
			w.pass(59 * time.Second)
			w.ok(w.beat("hook", "", id))
			w.pass(599 * time.Second)
			w.want(w.state(id), "Terminating:Wait", "state")
			w.pass(time.Second)
			w.want(w.state(id), "Terminating:Proceed", "state")
		}},
		{"or only for what begins after it", func(w *world, id string) {
			w.ok(w.sim.Configure(func(c *awssim.Config) { c.HookChange = awssim.HookChangeNewOnly }))
			w.hook("hook", 600)
			w.pass(time.Minute)
			w.ok(w.beat("hook", "", id))
			w.pass(2 * time.Minute)
			w.want(w.state(id), "Terminating:Proceed", "state")
		}},
		{"a change without a target keeps the one there, an empty target takes it away", func(w *world, id string) {
			w.hook("hook", 600)
			hooks := func() string {
				out, err := w.asg.DescribeLifecycleHooks(w.ctx, &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: aws.String(name)})
				w.ok(err)
				return aws.ToString(out.LifecycleHooks[0].NotificationTargetARN)
			}
			w.want(hooks(), "arn:aws:sqs:eu-central-1:000000000000:q", "target")
			w.hook("hook", 600, func(in *autoscaling.PutLifecycleHookInput) { in.NotificationTargetARN = aws.String("") })
			w.want(hooks(), "", "target")
		}},
		{"a deleted hook lets a termination go on", func(w *world, id string) {
			w.hook("second", 600)
			_, err := w.asg.DeleteLifecycleHook(w.ctx, &autoscaling.DeleteLifecycleHookInput{AutoScalingGroupName: aws.String(name), LifecycleHookName: aws.String("hook")})
			w.ok(err)
			w.want(w.state(id), "Terminating:Proceed", "state")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				id := w.group(1, 4, 3)[0]
				w.queue("q", nil)
				w.hook("hook", 120, w.target("q"))
				w.ok(w.terminate(false, id))
				c.story(w, id)
			})
		})
	}
}

func TestMaxInstanceLifetimeRefused(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.group(1, 4, 3)
		_, err := w.asg.UpdateAutoScalingGroup(w.ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(name), MaxInstanceLifetime: aws.Int32(3600)})
		if err == nil {
			w.Error("an hour is taken")
		}
		w.want(aws.ToInt32(w.describe().MaxInstanceLifetime), 0, "lifetime")
	})
}

func TestTwoTerminationHooks(t *testing.T) {
	for result, want := range map[string]string{"CONTINUE": "Terminating:Wait", "ABANDON": "Terminating:Proceed"} {
		t.Run(result+" of one", func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				id := w.group(1, 4, 3)[0]
				w.hook("first", 120)
				w.hook("second", 120)
				w.ok(w.terminate(false, id))
				w.ok(w.complete("first", "", id, result))
				w.want(w.state(id), want, "state")
				err := w.beat("second", "", id)
				w.want(err == nil, result == "CONTINUE", "the other still waits")
			})
		})
	}
}

// While one waits to be terminated it runs on and does not count.
func TestTerminatingWait(t *testing.T) {
	for _, c := range []struct {
		name     string
		begin    func(w *world, id string)
		launched bool
	}{
		{"scale-in does not replace", func(w *world, _ string) { w.desired(2) }, false},
		{"termination with a lower desired capacity does not replace", func(w *world, id string) { w.ok(w.terminate(true, id)) }, false},
		{"termination at the same desired capacity replaces", func(w *world, id string) { w.ok(w.terminate(false, id)) }, true},
		{"an unhealthy instance is replaced", func(w *world, id string) {
			_, err := w.asg.SetInstanceHealth(w.ctx, &autoscaling.SetInstanceHealthInput{InstanceId: &id, HealthStatus: aws.String("Unhealthy")})
			w.ok(err)
		}, true},
		{"one past the maximum instance lifetime is replaced", func(w *world, _ string) {
			lifetime := func(seconds int32) {
				_, err := w.asg.UpdateAutoScalingGroup(w.ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(name), MaxInstanceLifetime: &seconds})
				w.ok(err)
			}
			lifetime(86400)
			w.pass(23*time.Hour + 57*time.Minute)
			w.want(len(w.in("InService")), 3, "in service before")
			w.pass(10 * time.Minute)
			lifetime(0) // the others are as old, and would follow one by one
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				ids := w.group(1, 4, 3)
				w.hook("hook", 3600)
				c.begin(w, ids[0])
				w.pass(5 * time.Minute)
				waiting := w.in("Terminating:Wait")
				if len(waiting) != 1 {
					w.Fatalf("%d wait, want one", len(waiting))
				}
				w.want(w.instance(waiting[0]).State.Name, "running", "instance")
				serving := 2
				if c.launched {
					serving = 3
				}
				w.want(len(w.in("InService")), serving, "in service")
				w.want(len(w.describe().Instances), serving+1, "members")
				w.ok(w.complete("hook", "", waiting[0], "CONTINUE"))
				w.pass(2 * time.Minute)
				w.want(w.instance(waiting[0]).State.Name, "terminated", "instance in the end")
				w.want(len(w.describe().Instances), serving, "members in the end")
			})
		})
	}
}
