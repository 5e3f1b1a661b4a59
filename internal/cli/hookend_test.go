package cli_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// keepsWaiting keeps an instance waiting by another hand for that long.
func (w *world) keepsWaiting(id string, long time.Duration) {
	w.Helper()
	for until := time.Now().Add(long); time.Now().Before(until); time.Sleep(min(30*time.Minute, time.Until(until))) {
		if _, err := w.groups.RecordLifecycleActionHeartbeat(w.Context(), &autoscaling.RecordLifecycleActionHeartbeatInput{
			AutoScalingGroupName: aws.String(group), LifecycleHookName: aws.String(hookName), InstanceId: &id,
		}); err != nil {
			w.Fatal(err)
		}
	}
}

// The pod of an attempt starts when the hook's time is nearly over, and a third of the heartbeat timeout is longer than what is left: the
// action is abandoned at once.
func TestAnAttemptThatBeginsWhenTheHookIsNearlyOver(t *testing.T) {
	for name, after := range map[string]time.Duration{"before the margin": 47*time.Hour + 44*time.Minute, "in the margin": 47*time.Hour + 50*time.Minute} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				id := w.ids[0]
				w.pod(id, "batch", 60*time.Hour, nil)
				event := w.terminatingWith(id, time.Hour, w.retains)
				if o := w.tries("taint", event...); o.code != 0 {
					w.Fatalf("taint: exit %d\n%s", o.code, o.stderr)
				}
				w.keepsWaiting(id, after)
				if o := w.tries("drain", append(slices.Clone(event), "--max-wait", "72h")...); o.code != 0 {
					w.Errorf("drain: exit %d\n%s", o.code, o.stderr)
				}
				if kept := w.members("Terminating:Retained"); !slices.Equal(kept, []string{id}) || w.instanceState(id) != "running" {
					w.Errorf("retained: %v, the instance is %s", kept, w.instanceState(id))
				}
			})
		})
	}
}

// on-failure says what becomes of the instance. Where the group would retain what is abandoned, it is terminated all the same.
func TestAFailureBeforeTheInstanceIsRetained(t *testing.T) {
	for _, onFailure := range []string{"CONTINUE", "ABANDON"} {
		t.Run(onFailure, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				id := w.ids[0]
				w.pod(id, "endless", 0, nil)
				event := w.terminatingWith(id, time.Hour, w.retains)
				if failed, o := w.drainTerminating(event, "--max-wait", "1m"); failed != "drain" || o.code != 1 {
					w.Fatalf("step %q: exit %d\n%s", failed, o.code, o.stderr)
				}
				if o := w.tries("lifecycle complete", append(event, "--workflow-status", "Failed", "--on-failure", onFailure)...); o.code != 0 {
					w.Fatalf("exit %d\n%s", o.code, o.stderr)
				}
				time.Sleep(10 * time.Minute)
				if state := w.instanceState(id); state != "terminated" {
					w.Errorf("the instance is %s; retained: %v", state, w.members("Terminating:Retained"))
				}
				w.unclaimed()
			})
		})
	}
}

// A workflow that failed as its instance came back and is terminated again does not complete that termination, whatever its on-failure.
func TestTheExitHandlerOfAnOldTermination(t *testing.T) {
	for _, onFailure := range []string{"CONTINUE", "ABANDON"} {
		t.Run(onFailure, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.hook(time.Hour, "CONTINUE")
				w.pool(types.WarmPoolStateRunning)
				for _, id := range w.ids[1:] {
					w.protectFromScaleIn(id)
				}
				id := w.ids[0]
				w.grow(group, 2)
				old := w.waiting(id)
				if failed, o := w.drainTerminating(old); failed != "" {
					w.Fatalf("step %s: exit %d\n%s", failed, o.code, o.stderr)
				}
				if o := w.tries("lifecycle complete", append(slices.Clone(old), "--workflow-status", "Succeeded")...); o.code != 0 {
					w.Fatalf("complete: exit %d\n%s", o.code, o.stderr)
				}
				w.grow(group, 3)
				w.pod(id, "batch", 20*time.Hour, nil)
				w.grow(group, 2)
				w.waiting(id)
				o := w.tries("lifecycle complete", append(old, "--workflow-status", "Failed", "--on-failure", onFailure)...)
				if in := w.members("Terminating:Wait"); !slices.Equal(in, []string{id}) {
					w.Errorf("waiting: %v; exit %d %q", in, o.code, o.result.Message)
				}
				if n := w.nodeOf(id); n == nil {
					w.Error("the Node is gone, with its pod")
				}
			})
		})
	}
}

// The policy is taken off the group while a drain is in progress: an action that is abandoned then ends the instance, with its pods.
func TestAPolicyThatIsTakenOff(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		id := w.ids[0]
		w.pod(id, "batch", 47*time.Hour+55*time.Minute, nil)
		event := w.terminatingWith(id, time.Hour, w.retains)
		go func() {
			select {
			case <-time.After(47*time.Hour + 40*time.Minute):
			case <-w.over:
				return
			}
			if _, err := w.groups.UpdateAutoScalingGroup(w.Context(), &autoscaling.UpdateAutoScalingGroupInput{
				AutoScalingGroupName:    aws.String(group),
				InstanceLifecyclePolicy: &types.InstanceLifecyclePolicy{RetentionTriggers: &types.RetentionTriggers{TerminateHookAbandon: types.RetentionActionTerminate}},
			}); err != nil {
				w.Error(err)
			}
		}()
		w.drainTerminating(event, "--max-wait", "72h", "--poll-window", "24h") // one attempt reads the policy once
		for _, call := range w.sim.Calls(0) {
			if call.Action == "CompleteLifecycleAction" {
				w.Errorf("the action was completed with %s", call.Params["LifecycleActionResult"])
			}
		}
	})
}

// The policy comes when the warning has: in the middle of an attempt that began without it.
func TestAPolicyThatComesLate(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		id := w.ids[0]
		w.pod(id, "batch", 60*time.Hour, nil)
		event := w.terminating(id, time.Hour)
		go func() {
			select {
			case <-time.After(44 * time.Hour):
				w.retains()
			case <-w.over:
			}
		}()
		began := time.Now()
		if failed, o := w.drainTerminating(event, "--max-wait", "72h", "--poll-window", "24h"); failed != "" {
			w.Errorf("step %s: exit %d\n%s", failed, o.code, o.stderr)
		}
		if kept, took := w.members("Terminating:Retained"), time.Since(began); !slices.Equal(kept, []string{id}) || took < 60*time.Hour {
			w.Errorf("after %s retained: %v, the instance is %s", took, kept, w.instanceState(id))
		}
	})
}

// submit runs the workflow's steps as one submit does, exit handler included, until the reaper strikes. What fails ends the steps.
func (w *world) submit(r *reaper, holder string, event []string, complete ...string) (killed bool) {
	w.Helper()
	status := "Succeeded"
	for _, name := range []string{"taint", "drain", "evict", "lifecycle complete"} {
		flags := slices.Clone(event)
		if name == "lifecycle complete" {
			flags = append(append(flags, "--workflow-status", status), complete...)
		} else if status != "Succeeded" {
			continue
		} else {
			flags = append(flags, "--max-wait", "72h")
		}
		for range 400 {
			time.Sleep(10 * time.Second)
			ctx, kill := context.WithCancel(w.Context())
			if r != nil {
				r.kill = kill
			}
			o := w.stepAs(ctx, holder, name, flags...)
			kill()
			if r != nil && r.dead {
				return true
			}
			if o.code != 75 {
				if o.code != 0 {
					status = "Failed"
				}
				break
			}
		}
	}
	return false
}

// Killed before or after each of its calls from the last quarter of an hour of the hook to the end, and retried a minute later, drain-terminating
// loses no pod, abandons the action once and leaves nothing.
func TestCrashAtEveryCallOfARetainedDrain(t *testing.T) {
	points := 0
	for at, more := 1, true; more; at++ {
		for _, after := range []bool{false, true} {
			inWorld(t, nil, func(w *world) {
				id := w.ids[0]
				w.pod(id, "batch", 49*time.Hour, nil)
				event := w.terminatingWith(id, time.Hour, w.retains)
				w.tries("taint", event...)
				w.keepsWaiting(id, 47*time.Hour+40*time.Minute)
				r := &reaper{at: at, after: after}
				w.mortal(r)
				began := time.Now()
				more = w.submit(r, "wf-1", event)
				w.steps = nil
				if more {
					time.Sleep(time.Minute)
					w.submit(nil, "wf-1", event)
				}
				if took := time.Since(began); took < 80*time.Minute {
					w.Errorf("it ended after %s, before its pod", took)
				}
				completed := slices.DeleteFunc(w.actions(), func(action string) bool { return action != "CompleteLifecycleAction" })
				if len(completed) != 1 {
					w.Errorf("the action was abandoned %d times", len(completed))
				}
				time.Sleep(10 * time.Minute)
				w.whole(w.ids[1:]...)
				if w.Failed() {
					w.Fatalf("killed at call %d (%s, after: %v)", at, r.victim, after)
				}
			})
			points++
		}
	}
	t.Logf("%d crash points", points)
}

// So it is with an instance that goes to a warm pool and comes back: its Node takes pods then.
func TestCrashAtEveryCallOfACompletionIntoTheWarmPool(t *testing.T) {
	for _, state := range []types.WarmPoolState{types.WarmPoolStateStopped, types.WarmPoolStateRunning} {
		t.Run(string(state), func(t *testing.T) {
			points := 0
			for at, more := 1, true; more; at++ {
				for _, after := range []bool{false, true} {
					inWorld(t, nil, func(w *world) {
						w.hook(time.Hour, "CONTINUE")
						w.pool(state)
						for _, id := range w.ids[1:] {
							w.protectFromScaleIn(id)
						}
						id := w.ids[0]
						w.grow(group, 2)
						event := w.waiting(id)
						if failed, o := w.drainTerminating(event); failed != "" {
							w.Fatalf("step %s: exit %d\n%s", failed, o.code, o.stderr)
						}
						r := &reaper{at: at, after: after}
						w.mortal(r)
						ctx, kill := context.WithCancel(w.Context())
						r.kill = kill
						w.stepAs(ctx, "wf-1", "lifecycle complete", append(slices.Clone(event), "--workflow-status", "Succeeded")...)
						kill()
						more = r.dead
						w.steps = nil
						if more {
							w.tries("lifecycle complete", append(slices.Clone(event), "--workflow-status", "Succeeded")...)
						}
						w.unclaimed()
						w.grow(group, 3)
						time.Sleep(5 * time.Minute)
						if n := w.nodeOf(id); n == nil || n.Spec.Unschedulable || len(n.Spec.Taints) > 0 {
							w.Errorf("the instance is %s, its Node: %+v", w.stateOf(id), n)
						}
						if w.Failed() {
							w.Fatalf("killed at call %d (%s, after: %v)", at, r.victim, after)
						}
					})
					points++
				}
			}
			t.Logf("%d crash points", points)
		})
	}
}
