package e2e

import (
	"strings"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The whole job: a node with batch pods, a service with a budget, a DaemonSet and a finished pod.
func TestStop(t *testing.T) {
	t.Parallel()
	s := given(t, "stop")
	s.daemon("agent")
	s.batch(s.ids[0], "short", 15*time.Second)
	s.batch(s.ids[0], "long", 45*time.Second)
	s.batch(s.ids[1], "elsewhere", 30*time.Second)
	s.service(s.ids[0], "web", 3, 2)

	reaction := s.reaction("long")
	r := s.submit("instance-id=" + s.ids[0])
	for _, name := range []string{"short", "long", "elsewhere"} {
		s.awaitFinished(name)
	}
	r.ends(wfv1.WorkflowSucceeded)

	s.recycled("stopped")
	s.asOneRecycle()
	if n := len(r.attempts("drain")); n != 1 {
		t.Errorf("the drain took %d attempts, one window suffices", n)
	}
	t.Logf("one recycle: %d pods, %d AWS calls; %s from the last pod's end to the next API call", r.pods(), len(s.ours(true)), <-reaction)
}

// Named by the instance, submitted by the node's name, terminated.
func TestTerminateWithInstanceIDNames(t *testing.T) {
	shared.configure(t, map[string]any{"nodeNaming": "instance-id"}, map[string]any{"nodeNaming": "ip-name"})
	s := given(t, "terminate")
	if s.nodes[s.ids[0]] != s.ids[0] {
		t.Fatalf("node of %s is called %s", s.ids[0], s.nodes[s.ids[0]])
	}
	r := s.submit("node="+s.nodes[s.ids[0]], "action=terminate")
	r.ends(wfv1.WorkflowSucceeded)
	s.recycled("terminated")
}

func TestDetachRefusedFromStandby(t *testing.T) {
	shared.configure(t, map[string]any{"detachFromStandby": "refuse"}, map[string]any{"detachFromStandby": "accept"})
	s := given(t, "refused")
	r := s.submit("instance-id=" + s.ids[0])
	r.ends(wfv1.WorkflowSucceeded)
	s.recycled("stopped")
	// The second tag says what the desired capacity was, before ExitStandby raises it.
	s.acted("EnterStandby", "CreateTags", "DetachInstances", "CreateTags", "ExitStandby", "DetachInstances", "StopInstances")
}

func TestDrainOverSeveralAttempts(t *testing.T) {
	t.Parallel()
	s := given(t, "attempts")
	s.batch(s.ids[0], "long", endless)
	r := s.submit("instance-id="+s.ids[0], "poll-window=8s")
	r.triesAgain("drain", 3)
	s.finishes("long")
	r.ends(wfv1.WorkflowSucceeded)
	s.recycled("stopped")
}

func TestDrainPodDeletedInMidWait(t *testing.T) {
	t.Parallel()
	s := given(t, "deleted")
	s.batch(s.ids[0], "long", endless)
	r := s.submit("instance-id=" + s.ids[0])
	pod := r.running("drain")
	s.must(s.kube.CoreV1().Pods(s.cluster.Namespace).Delete(t.Context(), pod, metav1.DeleteOptions{}))
	r.triesAgain("drain", 2)
	s.finishes("long")
	r.ends(wfv1.WorkflowSucceeded)
	s.recycled("stopped")
}

func TestBudgetBlocksEvictionForAWhile(t *testing.T) {
	t.Parallel()
	s := given(t, "budget")
	s.service(s.ids[0], "web", 2, 2)
	r := s.submit("instance-id="+s.ids[0], "poll-window=10s")
	s.await(3*time.Minute, "an evict attempt that names the budget", func(ctx) (bool, string, error) {
		message := r.message("evict")
		return strings.Contains(message, "The disruption budget web needs 2 healthy pods"), message, nil
	})
	s.must(s.kube.PolicyV1().PodDisruptionBudgets(s.namespace).Delete(t.Context(), "web", metav1.DeleteOptions{}))
	r.ends(wfv1.WorkflowSucceeded)
	s.recycled("stopped")
}

func TestDryRunChangesNothing(t *testing.T) {
	t.Parallel()
	s := given(t, "dry-run")
	s.batch(s.ids[0], "long", time.Hour)
	before := s.node(s.nodes[s.ids[0]])
	r := s.submit("instance-id="+s.ids[0], "dry-run=true")
	r.ends(wfv1.WorkflowSucceeded)
	r.says("drain", "would wait for 1 pod(s)")
	if actions := s.actions(); len(actions) > 0 {
		t.Errorf("calls: %v", actions)
	}
	after := s.node(s.nodes[s.ids[0]])
	if diff := cmp.Diff(before.Spec, after.Spec) + cmp.Diff(before.Annotations, after.Annotations) + cmp.Diff(before.Labels, after.Labels); diff != "" {
		t.Errorf("the node changed:\n%s", diff)
	}
	s.untouched()
}
