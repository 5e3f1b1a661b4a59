package cli_test

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
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
			w.Error("it was resumed while the second recycle is under way")
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
		if _, err := w.groups.SuspendProcesses(w.Context(), &autoscaling.SuspendProcessesInput{AutoScalingGroupName: aws.String(group), ScalingProcesses: []string{"AZRebalance"}}); err != nil {
			w.Fatal(err)
		}
		w.sim.ForgetCalls()
		w.recycle(w.ids[0])
		if w.balances() || slices.Contains(w.actions(), "SuspendProcesses") {
			w.Errorf("suspended: %t, calls %v", !w.balances(), w.actions())
		}
	})
}

func TestAZRebalanceIsLeftAloneOnRequest(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.recycle(w.ids[0], "--suspend-az-rebalance=false")
		if actions := w.actions(); slices.Contains(actions, "SuspendProcesses") || slices.Contains(actions, "ResumeProcesses") {
			w.Errorf("calls %v", actions)
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
