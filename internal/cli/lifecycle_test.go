package cli_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

const hookName = "recycle"

// hook has the group wait before it terminates an instance, unless it does already.
func (w *world) hook(heartbeat time.Duration, result string) {
	w.Helper()
	hooks, err := w.groups.DescribeLifecycleHooks(w.Context(), &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: aws.String(group)})
	if err != nil {
		w.Fatal(err)
	}
	if len(hooks.LifecycleHooks) > 0 {
		return
	}
	if _, err := w.groups.PutLifecycleHook(w.Context(), &autoscaling.PutLifecycleHookInput{
		AutoScalingGroupName: aws.String(group), LifecycleHookName: aws.String(hookName), LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_TERMINATING"),
		DefaultResult: &result, HeartbeatTimeout: aws.Int32(int32(heartbeat.Seconds())),
	}); err != nil {
		w.Fatal(err)
	}
}

// terminating has the group terminate an instance, which then waits for the hook, and returns the parameters that the event
// gives drain-terminating.
func (w *world) terminating(id string, heartbeat time.Duration) []string {
	w.Helper()
	w.hook(heartbeat, "CONTINUE")
	_, err := w.groups.TerminateInstanceInAutoScalingGroup(w.Context(), &autoscaling.TerminateInstanceInAutoScalingGroupInput{InstanceId: &id, ShouldDecrementDesiredCapacity: aws.Bool(false)})
	if err != nil {
		w.Fatal(err)
	}
	began := time.Now()
	for range 60 {
		if w.sim.LifecycleToken(id, hookName) != "" { // it waits
			break
		}
		time.Sleep(time.Second)
	}
	return []string{"--instance-id", id, "--asg-name", group, "--lifecycle-hook", hookName, "--lifecycle-began", began.UTC().Format(time.RFC3339)}
}

// drainTerminating runs the steps of the workflow as its retries do, with a pause for each pod to start, until one fails.
func (w *world) drainTerminating(event []string, flags ...string) (failed string, o outcome) {
	w.Helper()
	for _, name := range []string{"taint", "drain", "evict"} {
		if o = w.tries(name, append(slices.Clone(event), flags...)...); o.code != 0 {
			return name, o
		}
	}
	return "", o
}

func (w *world) tries(name string, flags ...string) (o outcome) {
	w.Helper()
	for range 400 {
		time.Sleep(10 * time.Second)
		if o = w.step(name, flags...); o.code != 75 {
			return o
		}
	}
	w.Fatalf("step %s is never done", name)
	return o
}

// beats are the times of the heartbeats.
func (w *world) beats() (at []time.Time) {
	for _, call := range w.sim.Calls(0) {
		if call.Action == "RecordLifecycleActionHeartbeat" {
			at = append(at, call.Time)
		}
	}
	return at
}

func longestGap(began time.Time, at []time.Time) (gap time.Duration) {
	for _, t := range at {
		gap, began = max(gap, t.Sub(began)), t
	}
	return gap
}

// A pod of thirty hours keeps a terminating instance waiting for as long, and no longer.
func TestDrainTerminatingForThirtyHours(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		id := w.ids[0]
		w.pod(id, "batch", 30*time.Hour, nil)
		w.pod(id, "web", 0, func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyAlways })
		began := time.Now()
		event := w.terminating(id, time.Hour)
		if failed, o := w.drainTerminating(event); failed != "" {
			w.Fatalf("step %s: exit %d\n%s", failed, o.code, o.stderr)
		}
		if n := w.nodeOf(id); n == nil || !n.Spec.Unschedulable {
			w.Error("the node is not there any more, or is open")
		}
		if state := w.instanceState(id); state != "running" {
			w.Errorf("after the drain the instance is %s", state)
		}
		o := w.tries("lifecycle complete", append(event, "--workflow-status", "Succeeded")...)
		if o.code != 0 || !strings.Contains(o.result.Message, "is completed: CONTINUE") {
			w.Fatalf("complete: exit %d %q\n%s", o.code, o.result.Message, o.stderr)
		}
		took := time.Since(began)
		if took < 30*time.Hour || took > 30*time.Hour+10*time.Minute {
			w.Errorf("it took %s, want the pod's 30 h and little more", took)
		}
		beats := w.beats()
		gap := longestGap(began, beats)
		t.Logf("%d heartbeats in %s, longest gap %s of a timeout of 1h", len(beats), took.Round(time.Second), gap.Round(time.Second))
		if gap > 30*time.Minute || len(beats) > 5*30 {
			w.Errorf("%d heartbeats, longest gap %s: want them well inside the timeout of 1h, and not too many", len(beats), gap)
		}
		time.Sleep(10 * time.Minute)
		if state := w.instanceState(id); state != "terminated" {
			w.Errorf("the instance is %s", state)
		}
		w.whole(w.ids[1:]...)
	})
}

// Once the hook's global timeout comes near, the wait ends while there is time left to evict, with a warning long before.
func TestDrainTerminatingNearsTheHooksEnd(t *testing.T) {
	for _, onTimeout := range []string{"fail", "evict"} {
		t.Run(onTimeout, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				id := w.ids[0]
				w.pod(id, "endless", 0, nil)
				began := time.Now()
				event := w.terminating(id, 5*time.Minute) // 500 minutes in all
				failed, o := w.drainTerminating(event, "--on-timeout", onTimeout)
				took := time.Since(began)
				if took < 480*time.Minute || took > 499*time.Minute {
					w.Errorf("the wait ended after %s, want within the last 20 minutes of 500", took)
				}
				if state := w.instanceState(id); state != "running" {
					w.Errorf("the instance is %s", state)
				}
				w.warnedOf("RecycleHookEnds", "default/endless")
				switch onTimeout {
				case "fail":
					if failed != "drain" || o.code != 1 || !strings.Contains(o.stderr, "still run when the 8h20m0s that lifecycle hook recycle waits in all are nearly over") {
						w.Errorf("step %q: exit %d\n%s", failed, o.code, o.stderr)
					}
				case "evict":
					if failed != "" {
						w.Errorf("step %s: exit %d\n%s", failed, o.code, o.stderr)
					}
					if pods, _ := w.kube.CoreV1().Pods("default").List(w.Context(), metav1.ListOptions{}); len(pods.Items) != 0 {
						w.Errorf("%d pod(s) left", len(pods.Items))
					}
				}
			})
		})
	}
}

// warnedOf checks that there is one Event of a Node, long before the end.
func (w *world) warnedOf(reason, pod string) {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, e := range w.events {
		if e.Reason != reason {
			continue
		}
		n++
		if before := time.Since(e.FirstTimestamp.Time); before < 45*time.Minute || !strings.Contains(e.Message, pod) {
			w.Errorf("event %s came %s ago: %s", reason, before, e.Message)
		}
	}
	if n != 1 {
		w.Errorf("%d events %s, want 1", n, reason)
	}
}

func TestFailedDrainTerminatingCompletesAsItIsTold(t *testing.T) {
	for onFailure, want := range map[string]string{"": "running", "wait": "running", "CONTINUE": "terminated", "ABANDON": "terminated"} {
		t.Run(onFailure, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				id := w.ids[0]
				w.pod(id, "endless", 0, nil)
				event := w.terminating(id, time.Hour)
				if failed, o := w.drainTerminating(event, "--max-wait", "1m"); failed != "drain" || o.code != 1 {
					w.Fatalf("step %q: exit %d\n%s", failed, o.code, o.stderr)
				}
				flags := append(slices.Clone(event), "--workflow-status", "Failed")
				if onFailure != "" {
					flags = append(flags, "--on-failure", onFailure)
				}
				if o := w.tries("lifecycle complete", flags...); o.code != 0 {
					w.Fatalf("exit %d\n%s", o.code, o.stderr)
				}
				time.Sleep(10 * time.Minute)
				if state := w.instanceState(id); state != want {
					w.Errorf("the instance is %s, want %s", state, want)
				}
				w.unclaimed()
				if want == "terminated" {
					return
				}
				w.tries("sweep")
				if n := w.nodeOf(id); n == nil || !n.Spec.Unschedulable {
					w.Error("a sweep has opened the node of an instance that is being terminated")
				}
				if failed, o := w.drainTerminating(event, "--max-wait", "1m", "--on-timeout", "evict"); failed != "" {
					w.Errorf("submitted again, step %s: exit %d\n%s", failed, o.code, o.stderr)
				}
			})
		})
	}
}

// Whatever the parameters name that does not wait for that hook in that group: nothing is touched, and no hook completed.
func TestWhatDoesNotWaitIsNotTouched(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		event := w.terminating(w.ids[0], time.Hour)
		set := func(flag, value string) []string {
			flags := slices.Clone(event)
			flags[slices.Index(flags, flag)+1] = value
			return flags
		}
		for name, c := range map[string]struct {
			flags  []string
			stderr string
			code   int
		}{
			"an instance that serves": {set("--instance-id", w.ids[1]), "does not wait for a lifecycle hook in Auto Scaling group \"workers\"", 1},
			"another hook":            {set("--lifecycle-hook", "another"), "has no lifecycle hook \"another\"", 1},
			"another group":           {set("--asg-name", "others"), "does not wait for a lifecycle hook in Auto Scaling group \"others\"", 1},
			"no hook":                 {set("--lifecycle-hook", ""), "--lifecycle-hook \"\" is missing or malformed", 2},
			"a time that is none":     {set("--lifecycle-began", "now"), "--lifecycle-began \"now\" is malformed", 2},
		} {
			for _, step := range []string{"taint", "drain", "evict"} {
				if o := w.step(step, c.flags...); o.code != c.code || !strings.Contains(o.stderr, c.stderr) {
					w.Errorf("%s, %s: exit %d\n%s", name, step, o.code, o.stderr)
				}
			}
			w.step("lifecycle complete", c.flags...)
		}
		for _, id := range w.ids {
			if n := w.nodeOf(id); n.Spec.Unschedulable {
				w.Errorf("the node of %s is cordoned", id)
			}
		}
		if waiting := w.members("Terminating:Wait"); !slices.Equal(waiting, w.ids[:1]) {
			w.Errorf("waiting: %v", waiting)
		}
	})
}

// The hook's time can run out all the same: the wait ends and says so.
func TestDrainTerminatingWhenTheActionIsCompletedByAnotherHand(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		id := w.ids[0]
		w.pod(id, "endless", 0, nil)
		event := w.terminating(id, time.Hour)
		go func() {
			select {
			case <-time.After(3 * time.Hour):
			case <-w.over:
				return
			}
			_, err := w.groups.CompleteLifecycleAction(w.Context(), &autoscaling.CompleteLifecycleActionInput{
				AutoScalingGroupName: aws.String(group), LifecycleHookName: aws.String(hookName), InstanceId: &id, LifecycleActionResult: aws.String("CONTINUE"),
			})
			if err != nil {
				w.Error(err)
			}
		}()
		if o := w.tries("taint", event...); o.code != 0 {
			w.Fatalf("taint: exit %d\n%s", o.code, o.stderr)
		}
		o := w.step("drain", append(slices.Clone(event), "--poll-window", "24h")...) // the one attempt ends by itself
		if o.code != 1 || !strings.Contains(o.stderr, "no lifecycle action waits for it") {
			w.Errorf("drain: exit %d\n%s", o.code, o.stderr)
		}
		o = w.tries("lifecycle complete", append(event, "--workflow-status", "Failed", "--on-failure", "CONTINUE")...)
		if o.code != 0 || !strings.Contains(o.result.Message, "was over already") {
			w.Errorf("complete: exit %d %q", o.code, o.result.Message)
		}
		w.unclaimed()
	})
}

// Heartbeats go on while the API server, or Auto Scaling, answers with errors for a while.
func TestHeartbeatsAreTriedAgain(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		id := w.ids[0]
		w.pod(id, "batch", 6*time.Hour, nil)
		event := w.terminating(id, 10*time.Minute)
		failures := 0
		go func() {
			for range 6 {
				select {
				case <-time.After(50 * time.Minute):
				case <-w.over:
					return
				}
				failures++
				w.fault("RecordLifecycleActionHeartbeat", 12)
			}
		}()
		if failed, o := w.drainTerminating(event); failed != "" {
			w.Fatalf("step %s: exit %d\n%s", failed, o.code, o.stderr)
		}
		if state := w.instanceState(id); state != "running" || failures < 6 {
			w.Errorf("the instance is %s after %d times of errors", state, failures)
		}
	})
}

// A recycle of the node is in progress when its group terminates the instance: both wait for the pod, and so does the hook.
func TestDrainTerminatingWaitsForARecycleInProgress(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		id := w.ids[0]
		w.pod(id, "batch", 2*time.Hour, nil)
		ended := make(chan outcome)
		go func() {
			w.triesAs("recycle-1", "standby", "--instance-id", id)
			w.triesAs("recycle-1", "taint", "--instance-id", id)
			ended <- w.triesAs("recycle-1", "drain", "--instance-id", id)
			w.triesAs("recycle-1", "settle", "--instance-id", id, "--workflow-status", "Failed")
			close(ended)
		}()
		time.Sleep(30 * time.Minute)
		event := w.terminating(id, 15*time.Minute)
		before := time.Now()
		failed, o := w.drainTerminating(event)
		if failed != "" {
			w.Errorf("step %s: exit %d\n%s", failed, o.code, o.stderr)
		}
		if took := time.Since(before); took < time.Hour {
			w.Errorf("it ended after %s, before the pod", took)
		}
		if o := <-ended; o.code != 0 {
			w.Errorf("the recycle's drain: exit %d\n%s", o.code, o.stderr)
		}
		<-ended
		if o := w.tries("lifecycle complete", append(event, "--workflow-status", "Succeeded")...); o.code != 0 {
			w.Errorf("complete: exit %d\n%s", o.code, o.stderr)
		}
	})
}

func (w *world) triesAs(holder, name string, flags ...string) (o outcome) {
	for range 400 {
		if o = w.stepAs(w.Context(), holder, name, flags...); o.code != 75 {
			return o
		}
		time.Sleep(10 * time.Second)
	}
	w.Errorf("step %s is never done", name)
	return o
}

func (w *world) fault(action string, count int) {
	if err := w.sim.AddFaults(awssim.Fault{Action: action, Kind: "error-before", Code: "Throttling", Count: count}); err != nil {
		w.Error(err)
	}
}

// A pod that tolerates every taint and came after the drain is waited for before the action is completed, with heartbeats.
func TestCompleteLooksOnceMore(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		id := w.ids[0]
		event := w.terminating(id, 5*time.Minute)
		if failed, o := w.drainTerminating(event); failed != "" {
			w.Fatalf("step %s: exit %d\n%s", failed, o.code, o.stderr)
		}
		w.pod(id, "late", 18*time.Minute, nil)
		came := time.Now()
		o := w.tries("lifecycle complete", append(event, "--workflow-status", "Succeeded")...)
		if o.code != 0 || !strings.Contains(o.result.Message, "is completed: CONTINUE") {
			w.Errorf("complete: exit %d %q\n%s", o.code, o.result.Message, o.stderr)
		}
		if waited := time.Since(came); waited < 18*time.Minute || waited > 20*time.Minute {
			w.Errorf("it was completed %s after the pod came, want its 18 minutes", waited)
		}
	})
}
