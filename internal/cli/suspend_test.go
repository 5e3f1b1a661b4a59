package cli_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

func (w *world) balances() bool {
	for _, p := range w.group().SuspendedProcesses {
		if aws.ToString(p.ProcessName) == "AZRebalance" {
			return false
		}
	}
	return true
}

func TestAZRebalanceIsSuspendedUntilTheLastRecycleOfTheGroupEnds(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		first, second := []string{"--instance-id", w.ids[0]}, []string{"--instance-id", w.ids[1]}
		w.doneAs("wf-1", "standby", first...)
		w.doneAs("wf-2", "standby", second...)
		if w.balances() {
			w.Error("AZRebalance is not suspended")
		}
		for _, name := range []string{"taint", "drain", "evict", "retire"} {
			w.doneAs("wf-1", name, first...)
		}
		if w.balances() {
			w.Error("it was resumed while the second recycle is in progress")
		}
		for _, name := range []string{"taint", "drain", "evict", "retire"} {
			w.doneAs("wf-2", name, second...)
		}
		if !w.balances() {
			w.Error("it is still suspended after the last one")
		}
		w.nothingLeft()
	})
}

func TestASuspensionOfAZRebalanceThatWasThereStays(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.suspends("AZRebalance")
		w.sim.ForgetCalls()
		w.recycle(w.ids[0])
		if w.balances() || slices.Contains(w.actions(), "SuspendProcesses") {
			w.Errorf("suspended: %t, calls %v", !w.balances(), w.actions())
		}
	})
}

func TestASuspensionThatSomebodyEndsIsMadeAgainWhileWaiting(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.EnteringStandby = 5 * time.Minute }, func(w *world) {
		go func() {
			time.Sleep(2 * time.Minute)
			_, _ = w.groups.ResumeProcesses(w.Context(), &autoscaling.ResumeProcessesInput{AutoScalingGroupName: aws.String(group), ScalingProcesses: []string{"AZRebalance"}})
		}()
		w.done("standby", "--instance-id", w.ids[0])
		if w.balances() {
			w.Error("AZRebalance is not suspended")
		}
	})
}

func TestSettleAfterAFailureResumesAZRebalance(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.done("standby", "--instance-id", w.ids[0])
		w.done("settle", "--instance-id", w.ids[0], "--workflow-status", "Failed")
		if !w.balances() {
			w.Error("it is still suspended")
		}
	})
}

func (w *world) suspends(process string) {
	w.Helper()
	if _, err := w.groups.SuspendProcesses(w.Context(), &autoscaling.SuspendProcessesInput{AutoScalingGroupName: aws.String(group), ScalingProcesses: []string{process}}); err != nil {
		w.Fatal(err)
	}
}

// processes tells in which order processes were suspended and resumed, and the desired capacity set.
func (w *world) processes() (all []string) {
	for _, e := range w.sim.Events(0) {
		if e.Kind == "process" || e.Kind == "desired" {
			all = append(all, strings.TrimSpace(e.Process+" "+e.To))
		}
	}
	return all
}

// A group that could launch nothing lets none of its members go while its desired capacity is lowered.
func TestScaleInIsSuspendedWhileANodeIsBroughtBack(t *testing.T) {
	for name, c := range map[string]struct {
		flags   []string
		prepare func(*world)
		want    []string
	}{
		"and resumed": {nil, func(*world) {},
			[]string{"AZRebalance suspended", "Terminate suspended", "2", "3", "Terminate running", "AZRebalance running"}},
		"unless it is so already, and then it stays": {nil, func(w *world) { w.suspends("Terminate") },
			[]string{"Terminate suspended", "AZRebalance suspended", "2", "3", "AZRebalance running"}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				if err := w.sim.Configure(func(c *awssim.Config) { c.LaunchFailure = "InsufficientInstanceCapacity" }); err != nil {
					w.Fatal(err)
				}
				before := len(w.processes())
				c.prepare(w)
				flags := append([]string{"--instance-id", w.ids[0]}, c.flags...)
				if o := w.step("standby", append(flags, "--replacement-timeout=1m")...); o.code != 1 {
					w.Fatalf("standby exits %d: %s", o.code, o.stderr)
				}
				w.done("settle", append(flags, "--workflow-status=Failed")...)
				if diff := cmp.Diff(c.want, w.processes()[before:]); diff != "" {
					w.Errorf("processes and desired capacity (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A return that is refused before it changed anything leaves the group able to scale in.
func TestScaleInIsResumedAfterAReturnThatIsRefused(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.done("standby", "--instance-id", w.ids[0])
		w.resized("MaxSize", 3)
		if o := w.step("restore", "--instance-id", w.ids[0]); o.code != 1 || !strings.Contains(o.stderr, "maximum size 3") {
			w.Errorf("exit %d: %s", o.code, o.stderr)
		}
		if all := w.processes(); all[len(all)-1] != "Terminate running" {
			w.Errorf("processes and desired capacity: %v", all)
		}
	})
}

// A Node object that is deleted comes back when its kubelet registers again, without taints, labels and annotations.
func TestANodeThatRegistersAgainIsClosedAgain(t *testing.T) {
	for _, next := range []string{"drain", "evict", "retire"} {
		t.Run("before "+next, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				id := []string{"--instance-id", w.ids[0]}
				steps := []string{"standby", "taint", "drain", "evict", "retire"}
				at := slices.Index(steps, next)
				for _, name := range steps[:at] {
					w.done(name, id...)
				}
				w.reborn(w.ids[0])
				w.pod(w.ids[0], "batch", 3*time.Minute, nil)
				for _, name := range steps[at:] {
					w.done(name, id...)
				}
				w.whole(w.ids[1:]...)
			})
		})
	}
}

// reborn deletes the Node of an instance and lets it register again.
func (w *world) reborn(id string) {
	w.Helper()
	old := w.nodeOf(id)
	if err := w.kube.CoreV1().Nodes().Delete(w.Context(), old.Name, metav1.DeleteOptions{}); err != nil {
		w.Fatal(err)
	}
	again := old.DeepCopy()
	again.UID, again.ResourceVersion, again.Annotations, again.Spec.Taints, again.Spec.Unschedulable = "reborn", "", nil, nil, false
	again.Labels = map[string]string{"kubernetes.io/hostname": old.Name}
	if _, err := w.kube.CoreV1().Nodes().Create(w.Context(), again, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
}

// argo retry takes a recycle up at the step that failed, after its exit handler has parked it: its group's zones are not
// rebalanced while it goes on either.
func TestARetriedWorkflowSuspendsRebalancingAgain(t *testing.T) {
	for _, from := range []string{"taint", "drain", "evict", "retire"} {
		inWorld(t, nil, func(w *world) {
			w.withArgo(workflow("a", "a", ""))
			id := []string{"--instance-id", w.ids[0]}
			w.run("a", "standby", id...)
			if from != "taint" {
				w.run("a", "taint", id...)
			}
			w.run("a", "settle", append(id, "--workflow-status", "Failed")...)
			if !w.balances() {
				t.Errorf("AZRebalance is suspended while the recycle is parked")
			}
			w.pod(w.ids[0], "batch", time.Hour, nil)
			w.sim.ForgetCalls()
			for _, step := range recycleSteps[slices.Index(recycleSteps, from):] {
				if o := w.run("a", step, id...); o.code != 0 {
					t.Fatal(o.stderr)
				}
				if w.balances() != (step == "retire") {
					t.Errorf("from %s: AZRebalance runs after step %s: %t", from, step, w.balances())
				}
			}
			if calls := w.actions(); calls[0] != "SuspendProcesses" || calls[len(calls)-1] != "ResumeProcesses" {
				t.Errorf("from %s: calls %v", from, calls)
			}
			w.run("a", "settle", append(id, "--workflow-status", "Succeeded")...)
			w.whole(w.ids[1:]...)
		})
	}
}
