package cli_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apitypes "k8s.io/apimachinery/pkg/types"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// workflow is an Argo Workflow of namespace argo in the cluster that the sweep runs in.
func workflow(name, uid, completed string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "argoproj.io/v1alpha1", Kind: "Workflow"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "argo", UID: apitypes.UID(uid), Labels: map[string]string{"workflows.argoproj.io/completed": completed}},
	}
}

var workflowsResource = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "workflows"}

// podsOf counts the pods of an instance's node that have not finished.
func (w *world) podsOf(id string) (running int) {
	pods, err := w.kube.CoreV1().Pods("").List(w.Context(), metav1.ListOptions{})
	if err != nil {
		w.Fatal(err)
	}
	n := w.nodeOf(id)
	for _, p := range pods.Items {
		if n != nil && p.Spec.NodeName == n.Name && p.Status.Phase == corev1.PodRunning {
			running++
		}
	}
	return running
}

// sweep runs one while these workflows exist.
func (w *world) sweep(workflows []*metav1.PartialObjectMetadata, flags ...string) outcome {
	w.Helper()
	w.withArgo(workflows...)
	defer func() { w.steps = nil }()
	return w.stepAs(w.Context(), "sweep-1", "sweep", append([]string{"--workflow-name", "argo/sweep"}, flags...)...)
}

func (w *world) by(workflow string) []string {
	return []string{"--instance-id", w.ids[0], "--workflow-name", workflow}
}

func TestSweepSettlesWhatATerminatedWorkflowLeft(t *testing.T) {
	for name, c := range map[string]struct {
		workflow  string
		workflows []*metav1.PartialObjectMetadata
		outcome   string // "" means that it is not found
		settled   bool
	}{
		"its workflow was deleted":          {"argo/wf", nil, "is back in service", true},
		"its workflow has ended":            {"argo/wf", []*metav1.PartialObjectMetadata{workflow("wf", "wf-1", "true")}, "is back in service", true},
		"another workflow has the name now": {"argo/wf", []*metav1.PartialObjectMetadata{workflow("wf", "wf-2", "")}, "is back in service", true},
		"its workflow runs":                 {"argo/wf", []*metav1.PartialObjectMetadata{workflow("wf", "wf-1", "")}, "", false},
		"a person runs the steps by hand":   {"alice@laptop", nil, "left to alice@laptop", false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				if err := w.sim.Configure(func(c *awssim.Config) { c.LaunchFailure = "InsufficientInstanceCapacity" }); err != nil {
					w.Fatal(err)
				}
				if o := w.stepAs(w.Context(), "wf-1", "standby", append(w.by(c.workflow), "--poll-window", "1m")...); o.code != 75 {
					w.Fatal(o.stderr)
				}
				if o := w.sweep(nil); len(o.result.Left) > 0 {
					w.Errorf("found while its claim is alive: %+v", o.result.Left)
				}
				time.Sleep(10 * time.Minute)

				w.sim.ForgetCalls()
				dry := w.sweep(c.workflows, "--dry-run")
				if actions := w.actions(); dry.code != 0 || len(actions) > 0 || (len(dry.result.Left) > 0) != (c.outcome != "") {
					w.Errorf("a dry run: exit %d, calls %v, %+v", dry.code, actions, dry.result.Left)
				}
				o := w.sweep(c.workflows)
				switch {
				case o.code != 0:
					w.Fatal(o.stderr)
				case c.outcome == "" && len(o.result.Left) > 0:
					w.Errorf("found: %+v", o.result.Left)
				case c.outcome != "" && (len(o.result.Left) != 1 || !strings.Contains(o.result.Left[0].Outcome, c.outcome) || o.result.Left[0].InstanceID != w.ids[0]):
					w.Errorf("found: %+v", o.result.Left)
				}
				if !c.settled {
					return
				}
				if what := strings.Join(dry.result.Left[0].What, ", "); !strings.Contains(what, "claim of wf-1, AZRebalance of Auto Scaling group workers suspended") || !strings.HasPrefix(dry.result.Left[0].Outcome, "would be settled") {
					w.Errorf("the dry run found %+v", dry.result.Left[0])
				}
				if suspended := w.group().SuspendedProcesses; len(suspended) > 0 {
					w.Errorf("suspended: %v", suspended)
				}
				w.whole(w.ids...)
				if again := w.sweep(c.workflows); again.code != 0 || len(again.result.Left) > 0 {
					w.Errorf("the second sweep: exit %d, %+v", again.code, again.result.Left)
				}
			})
		})
	}
}

func TestSweepGoesForwardWithTheParametersOfTheWorkflow(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		selection := append(w.by("argo/wf"), "--label-selector", "app=batch", "--action", "terminate")
		for _, name := range []string{"standby", "taint", "drain", "evict"} {
			w.done(name, selection...)
		}
		if err := w.sim.AddFaults(awssim.Fault{Action: "TerminateInstances", Count: 1000, Kind: "error-before", Code: "RequestLimitExceeded"}); err != nil {
			w.Fatal(err)
		}
		if o := w.stepAs(w.Context(), "wf-1", "retire", append(selection, "--poll-window", "5m")...); o.code != 75 {
			w.Fatal(o.stderr)
		}
		w.sim.ForgetFaults()
		w.pod(w.ids[0], "late", 20*time.Minute, func(p *corev1.Pod) {
			p.Labels, p.Spec.RestartPolicy = map[string]string{"app": "batch"}, corev1.RestartPolicyAlways
		})
		time.Sleep(6 * time.Minute)
		o := w.sweep(nil)
		if state := w.instanceState(w.ids[0]); o.code != 75 && state != "terminated" {
			w.Errorf("exit %d, the instance is %s\n%s", o.code, state, o.stderr)
		}
		if left := w.podsOf(w.ids[0]); left > 0 && w.instanceState(w.ids[0]) != "running" {
			w.Errorf("the instance is %s while %d pod(s) that matter run", w.instanceState(w.ids[0]), left)
		}
		for range 5 {
			if o.code != 75 {
				break
			}
			time.Sleep(6 * time.Minute)
			o = w.sweep(nil)
		}
		if state := w.instanceState(w.ids[0]); o.code != 0 || state != "terminated" {
			w.Errorf("exit %d, the instance is %s\n%s", o.code, state, o.stderr)
		}
		w.whole(w.ids[1:]...)
	})
}

// A retire that is killed at any of its calls, and whose workflow is terminated then, is finished by the sweep once it is announced.
func TestSweepFinishesWhatAKilledRetireBegan(t *testing.T) {
	for _, c := range []struct{ detach, action, end string }{
		{awssim.DetachAccept, "stop", "stopped"}, {awssim.DetachRefuse, "terminate", "terminated"},
	} {
		t.Run(c.action, func(t *testing.T) {
			change := func(config *awssim.Config) { config.DetachFromStandby = c.detach }
			outcomes := map[string]int{}
			for at, more := 1, true; more; at++ {
				inWorld(t, change, func(w *world) {
					flags := append(w.by("argo/wf"), "--action", c.action)
					for _, name := range []string{"standby", "taint", "drain", "evict"} {
						w.done(name, flags...)
					}
					r := &reaper{at: at}
					w.mortal(r)
					ctx, kill := context.WithCancel(w.Context())
					r.kill = kill
					w.stepAs(ctx, "wf-1", "retire", flags...)
					kill()
					if more = r.dead; !more {
						return
					}
					time.Sleep(6 * time.Minute)
					o := w.sweep(nil)
					switch {
					case o.code != 0:
						w.Fatalf("killed at call %d, %s: exit %d\n%s", at, r.victim, o.code, o.stderr)
					case w.instanceState(w.ids[0]) == c.end:
						outcomes["finished"]++
					case len(o.result.Left) == 1 && strings.Contains(o.result.Left[0].Outcome, "stays on standby"):
						outcomes["parked"]++
					default:
						w.Errorf("killed at call %d, %s: the instance is %s, %+v", at, r.victim, w.instanceState(w.ids[0]), o.result.Left)
					}
					w.innocent()
				})
			}
			if outcomes["finished"] == 0 || outcomes["parked"] == 0 {
				t.Errorf("outcomes: %v", outcomes)
			}
		})
	}
}

// A person may put an instance back into service whose detach was announced. Whoever settles it takes the tags off.
func TestTagsOfARecycleThatAPersonEnded(t *testing.T) {
	for _, by := range []string{"settle", "sweep"} {
		t.Run(by, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				for _, name := range []string{"standby", "taint", "drain", "evict"} {
					w.done(name, w.by("argo/wf")...)
				}
				if err := w.sim.AddFaults(awssim.Fault{Action: "DetachInstances", Count: 1000, Kind: "error-before", Code: "RequestLimitExceeded"}); err != nil {
					w.Fatal(err)
				}
				if o := w.stepAs(w.Context(), "wf-1", "retire", append(w.by("argo/wf"), "--poll-window", "1m")...); o.code != 75 || w.tag(w.ids[0], asg.TagRetiredAt) == "" {
					w.Fatal(o.stderr)
				}
				w.exitStandby(w.ids[0])
				time.Sleep(6 * time.Minute)
				var o outcome
				if by == "sweep" {
					o = w.sweep(nil)
				} else {
					o = w.stepAs(w.Context(), "wf-1", "settle", append(w.by("argo/wf"), "--workflow-status", "Failed")...)
				}
				if tag, n := w.tag(w.ids[0], asg.TagRetiredAt), w.nodeOf(w.ids[0]); o.code != 0 || tag != "" || n.Spec.Unschedulable || len(n.Spec.Taints) > 0 {
					w.Errorf("exit %d, retired at %q, %+v\n%s", o.code, tag, n.Spec, o.stderr)
				}
			})
		})
	}
}

func TestSweepLeavesAReplacedNodeToPeople(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.done("standby", w.by("argo/wf")...)
		w.done("settle", append(w.by("argo/wf"), "--workflow-status", "Failed")...)
		for range 2 {
			w.sim.ForgetCalls()
			o := w.sweep(nil)
			if o.code != 0 || len(o.result.Left) != 1 || !strings.Contains(o.result.Left[0].Outcome, "parked, replaced") || len(w.actions()) > 0 {
				w.Errorf("exit %d, %+v, calls %v", o.code, o.result.Left, w.actions())
			}
		}
	})
}

func TestSweepTakesNoInstance(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		if o := w.step("sweep", "--instance-id", w.ids[0]); o.code != 2 || !strings.Contains(o.stderr, "flag provided but not defined: -instance-id") {
			w.Errorf("exit %d\n%s", o.code, o.stderr)
		}
	})
}
