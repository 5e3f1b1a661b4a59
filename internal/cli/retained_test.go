package cli_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// retains gives the group the instance lifecycle policy that keeps an instance whose termination hook is abandoned.
func (w *world) retains() {
	w.Helper()
	if _, err := w.groups.UpdateAutoScalingGroup(w.Context(), &autoscaling.UpdateAutoScalingGroupInput{
		AutoScalingGroupName:    aws.String(group),
		InstanceLifecyclePolicy: &types.InstanceLifecyclePolicy{RetentionTriggers: &types.RetentionTriggers{TerminateHookAbandon: types.RetentionActionRetain}},
	}); err != nil {
		w.Fatal(err)
	}
}

// terminatingWith is terminating with the policy; the hook has to be there first.
func (w *world) terminatingWith(id string, heartbeat time.Duration, policy func()) []string {
	w.Helper()
	w.hook(heartbeat, "CONTINUE")
	policy()
	return w.terminating(id, heartbeat)
}

// A pod of sixty hours: the hook's 48 are given up in time, the retained instance is drained on, and then terminated.
func TestDrainTerminatingForSixtyHours(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		id := w.ids[0]
		w.pod(id, "batch", 60*time.Hour, nil)
		w.pod(id, "web", 0, func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyAlways })
		began := time.Now()
		event := w.terminatingWith(id, time.Hour, w.retains)
		if failed, o := w.drainTerminating(event, "--max-wait", "72h"); failed != "" {
			w.Fatalf("step %s: exit %d %q\n%s", failed, o.code, o.result.Message, o.stderr)
		}
		if kept := w.members("Terminating:Retained"); !slices.Equal(kept, []string{id}) || w.instanceState(id) != "running" {
			w.Errorf("retained: %v, the instance is %s", kept, w.instanceState(id))
		}
		o := w.tries("lifecycle complete", append(event, "--workflow-status", "Succeeded")...)
		if o.code != 0 || !strings.Contains(o.result.Message, "which its group had retained, is being terminated") {
			w.Fatalf("complete: exit %d %q\n%s", o.code, o.result.Message, o.stderr)
		}
		if took := time.Since(began); took < 60*time.Hour || took > 60*time.Hour+15*time.Minute {
			w.Errorf("it took %s, want the pod's 60 h and little more", took)
		}
		last := w.beats()[len(w.beats())-1]
		t.Logf("%d heartbeats, the last after %s; done after %s", len(w.beats()), last.Sub(began).Round(time.Minute), time.Since(began).Round(time.Minute))
		if last.Sub(began) > 48*time.Hour {
			w.Errorf("the last heartbeat came after %s", last.Sub(began))
		}
		time.Sleep(10 * time.Minute)
		w.whole(w.ids[1:]...)
		w.unclaimed()
	})
}

// Killed at any call between the abandonment and the end, and run again, it ends in the same state; so it does when the hook's time ran
// out with nobody there, if the hook's default result is ABANDON.
func TestARetainedInstanceIsDrainedOn(t *testing.T) {
	for name, c := range map[string]struct {
		result string // of the hook, by default
		away   time.Duration
		faults int
	}{
		"nobody there for two days": {"ABANDON", 50 * time.Hour, 0},
		"errors on the way":         {"CONTINUE", 0, 6},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				id := w.ids[0]
				w.pod(id, "batch", 60*time.Hour, nil)
				w.hook(time.Hour, c.result)
				w.retains()
				event := w.terminating(id, time.Hour)
				if c.away > 0 {
					w.hook(time.Hour, c.result)
				}
				if o := w.tries("taint", event...); o.code != 0 {
					w.Fatalf("taint: exit %d\n%s", o.code, o.stderr)
				}
				time.Sleep(c.away)
				for _, action := range []string{"CompleteLifecycleAction", "DescribeAutoScalingGroups", "TerminateInstanceInAutoScalingGroup"} {
					if c.faults > 0 {
						go func() {
							time.Sleep(47 * time.Hour)
							w.fault(action, c.faults)
						}()
					}
				}
				if failed, o := w.drainTerminating(event, "--max-wait", "72h"); failed != "" {
					w.Fatalf("step %s: exit %d %q\n%s", failed, o.code, o.result.Message, o.stderr)
				}
				for range 2 { // and once more
					if o := w.tries("lifecycle complete", append(event, "--workflow-status", "Succeeded")...); o.code != 0 {
						w.Errorf("complete: exit %d\n%s", o.code, o.stderr)
					}
				}
				time.Sleep(10 * time.Minute)
				w.whole(w.ids[1:]...)
				w.unclaimed()
			})
		})
	}
}

// After a failure the instance stays retained, with its pod, or goes, as on-failure says; the same submit goes on.
func TestAFailedDrainOfARetainedInstance(t *testing.T) {
	for onFailure, state := range map[string]string{"wait": "running", "CONTINUE": "terminated", "ABANDON": "terminated"} {
		t.Run(onFailure, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				id := w.ids[0]
				w.pod(id, "endless", 0, nil)
				event := w.terminatingWith(id, time.Hour, w.retains)
				failed, o := w.drainTerminating(event, "--max-wait", "50h")
				if failed != "drain" || o.code != 1 || !strings.Contains(o.stderr, "after 50h0m0s") {
					w.Fatalf("step %q: exit %d\n%s", failed, o.code, o.stderr)
				}
				if o := w.tries("lifecycle complete", append(slices.Clone(event), "--workflow-status", "Failed", "--on-failure", onFailure)...); o.code != 0 {
					w.Fatalf("exit %d\n%s", o.code, o.stderr)
				}
				time.Sleep(24 * time.Hour)
				if in := w.members("Terminating:Retained"); (len(in) == 1) != (state == "running") {
					w.Errorf("retained: %v", in)
				}
				w.unclaimed()
				if state != "running" {
					return
				}
				if o := w.tries("sweep"); o.code != 0 || w.instanceState(id) != "running" {
					w.Errorf("a sweep: exit %d; the instance is %s", o.code, w.instanceState(id))
				}
				if failed, o := w.drainTerminating(event, "--max-wait", "1m", "--on-timeout", "evict"); failed != "" {
					w.Fatalf("submitted again, step %s: exit %d\n%s", failed, o.code, o.stderr)
				}
				w.tries("lifecycle complete", append(event, "--workflow-status", "Succeeded")...)
				time.Sleep(10 * time.Minute)
				w.whole(w.ids[1:]...)
			})
		})
	}
}

// pool gives the group a warm pool into which instances go that are scaled in.
func (w *world) pool(state types.WarmPoolState) {
	w.Helper()
	if _, err := w.groups.PutWarmPool(w.Context(), &autoscaling.PutWarmPoolInput{
		AutoScalingGroupName: aws.String(group), MinSize: aws.Int32(0), MaxGroupPreparedCapacity: aws.Int32(3), PoolState: state,
		InstanceReusePolicy: &types.InstanceReusePolicy{ReuseOnScaleIn: aws.Bool(true)},
	}); err != nil {
		w.Fatal(err)
	}
	time.Sleep(time.Minute)
}

// An instance that goes to the warm pool and comes back gets a Node that takes pods, and can go again: its next event is another one.
func TestAnInstanceThatComesBackFromTheWarmPool(t *testing.T) {
	for _, state := range []types.WarmPoolState{types.WarmPoolStateStopped, types.WarmPoolStateRunning} {
		t.Run(string(state), func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.hook(time.Hour, "CONTINUE")
				w.pool(state)
				for _, id := range w.ids[1:] { // so that it is always the same one that goes
					w.protectFromScaleIn(id)
				}
				id := w.ids[0]
				var old []string
				for turn := range 2 {
					w.grow(group, 2)
					event := w.waiting(id)
					if o := w.step("drain", old...); turn > 0 && (o.code != 1 || !strings.Contains(o.stderr, "is being terminated again")) {
						w.Errorf("the workflow of the first termination: exit %d %q", o.code, o.stderr)
					}
					if failed, o := w.drainTerminating(event); failed != "" {
						w.Fatalf("turn %d, step %s: exit %d\n%s", turn, failed, o.code, o.stderr)
					}
					for range 2 {
						if o := w.tries("lifecycle complete", append(event, "--workflow-status", "Succeeded")...); o.code != 0 {
							w.Fatalf("turn %d, complete: exit %d\n%s", turn, o.code, o.stderr)
						}
					}
					if got := w.stateOf(id); got != "Warmed:"+string(state) {
						w.Fatalf("turn %d: the instance is %s", turn, got)
					}
					if n := w.nodeOf(id); n != nil && n.Spec.Unschedulable {
						w.Errorf("turn %d: the Node in the pool is cordoned", turn)
					}
					w.grow(group, 3)
					if in := w.members("InService"); !slices.Contains(in, id) {
						w.Fatalf("turn %d: in service: %v", turn, in)
					}
					if n := w.nodeOf(id); n == nil || n.Spec.Unschedulable || len(n.Spec.Taints) > 0 || n.Annotations["eks-recycle.io/interruption"] != "" {
						w.Errorf("turn %d: the Node of the instance that came back: %+v", turn, n)
					}
					old = event
				}
				w.unclaimed()
			})
		})
	}
}

// stateOf is the lifecycle state of an instance, also in the warm pool.
func (w *world) stateOf(id string) string {
	w.Helper()
	out, err := w.groups.DescribeAutoScalingInstances(w.Context(), &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: []string{id}})
	if err != nil {
		w.Fatal(err)
	}
	return aws.ToString(out.AutoScalingInstances[0].LifecycleState)
}

// waiting is the event of an instance that has begun to wait.
func (w *world) waiting(id string) []string {
	w.Helper()
	for range 60 {
		if w.sim.LifecycleToken(id, hookName) != "" {
			return []string{"--instance-id", id, "--asg-name", group, "--lifecycle-hook", hookName, "--lifecycle-began", time.Now().UTC().Format(time.RFC3339)}
		}
		time.Sleep(time.Second)
	}
	w.Fatalf("instance %s does not wait", id)
	return nil
}

func (w *world) protectFromScaleIn(id string) {
	w.Helper()
	if _, err := w.groups.SetInstanceProtection(w.Context(), &autoscaling.SetInstanceProtectionInput{
		AutoScalingGroupName: aws.String(group), InstanceIds: []string{id}, ProtectedFromScaleIn: aws.Bool(true),
	}); err != nil {
		w.Fatal(err)
	}
}

// The exit handler was killed, and the instance came back all the same: a sweep takes the marks off. Within the hour in which a notice may
// still be true, it does not.
func TestASweepOpensTheNodeOfAnInstanceThatCameBack(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.Spot = true }, func(w *world) {
		id := w.ids[0]
		if o := w.step("interruption", "--instance-id", id, "--noticed-at", time.Now().UTC().Format(time.RFC3339)); o.code != 0 {
			w.Fatalf("exit %d\n%s", o.code, o.stderr)
		}
		if o := w.step("sweep"); o.code != 0 || !w.nodeOf(id).Spec.Unschedulable || len(o.result.Left) != 1 || !strings.Contains(o.result.Left[0].Outcome, "AWS gave notice") {
			w.Errorf("at once: exit %d %v", o.code, o.result.Left)
		}
		time.Sleep(2 * time.Hour)
		if o := w.step("sweep"); o.code != 0 || w.nodeOf(id).Spec.Unschedulable {
			w.Errorf("two hours later: exit %d %v", o.code, o.result.Left)
		}
		w.nothingLeft()
	})
}
