package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/cli"
)

// What workflows left that were terminated, so that their exit handlers never ran: a sweep lists it, and then settles it
// as they would have. A recycle that is in progress meanwhile notices nothing.
func TestSweepSettlesWhatTerminatedWorkflowsLeft(t *testing.T) {
	t.Parallel()
	all := sideBySide(t, "sweep-launch", "sweep-drain", "sweep-detach", "sweep-beside")
	launch, drain, detach, beside := all[0], all[1], all[2], all[3]
	byID := func(s *scenario) recycle { return s.submit("instance-id=" + s.ids[0]) }
	for _, s := range []*scenario{drain, beside} {
		s.batch(s.ids[0], "long", endless)
	}
	swept := launch.onlySweeper()

	detach.configure(setting{"detaching", "1m"}) // for a terminate to come before the instance is out of its group
	launch.configure(setting{"launchFailure", "InsufficientInstanceCapacity"})
	detaching, draining, running, launching := byID(detach), byID(drain), byID(beside), byID(launch)
	launch.onStandby()
	launching.press("terminate")
	detach.await(2*time.Minute, "DetachInstances", func(ctx) (bool, string, error) {
		return slices.Contains(detach.actions(), "DetachInstances"), "not called", nil
	})
	detaching.press("terminate")
	draining.running("drain")
	draining.press("terminate")
	running.running("drain")

	for _, r := range []recycle{detaching, draining, launching} {
		r.ends(wfv1.WorkflowFailed)
		if n := len(r.attempts("settle")); n > 0 {
			t.Errorf("workflow %s: the exit handler ran after argo terminate: %d attempts", r.name, n)
		}
	}
	detaching.deleted()
	for _, s := range []*scenario{launch, drain, detach} {
		s.abandoned()
	}
	if state := detach.instanceState(detach.ids[0]); state != "running" {
		t.Errorf("instance %s, which nobody stopped yet, is %s", detach.ids[0], state)
	}

	before := make([][]string, len(all))
	for i, s := range all {
		before[i] = s.actions()
	}
	dry := launch.sweep("dry-run=true")
	for _, s := range []*scenario{launch, drain, detach} {
		s.left(dry, "would be settled")
		if s.claim() == nil {
			t.Errorf("group %s: a dry run gave the claim back", s.group)
		}
	}
	beside.left(dry, "")
	for i, s := range all {
		if diff := cmp.Diff(before[i], s.actions()); diff != "" {
			t.Errorf("group %s: calls that change something, before and after a dry run:\n%s", s.group, diff)
		}
	}

	sweep := launch.sweep()
	swept()
	launch.left(sweep, "is back in service")
	launch.untouched()
	detach.left(sweep, "is stopped")
	detach.recycled("stopped")
	detach.asOneRecycle()
	drain.left(sweep, "stays on standby")
	drain.standsBy()
	beside.left(sweep, "")
	running.goesOn("drain", time.Now())

	draining = byID(drain)
	draining.running("drain")
	for _, s := range []*scenario{drain, beside} {
		s.finishes("long")
	}
	draining.ends(wfv1.WorkflowSucceeded)
	running.ends(wfv1.WorkflowSucceeded)
	for _, s := range []*scenario{drain, beside} {
		s.recycled("stopped")
		s.asOneRecycle()
	}
}

// sweep submits a sweep, waits for its success and returns what it lists.
func (s *scenario) sweep(parameters ...string) (left []cli.Left) {
	s.Helper()
	r := s.submitFrom("workflowtemplate/recycle-sweep", parameters...)
	r.ends(wfv1.WorkflowSucceeded)
	s.must(json.Unmarshal([]byte(r.output("sweep", "left")), &left))
	return left
}

// onlySweeper waits until no other scenario sweeps: a sweep settles what all have left. The scenario ends that at the latest.
func (s *scenario) onlySweeper() (done func()) {
	s.sweeping.Lock()
	done = sync.OnceFunc(s.sweeping.Unlock)
	s.Cleanup(done)
	return done
}

// left checks what a sweep says of the group's first instance; "" means nothing.
func (s *scenario) left(found []cli.Left, outcome string) {
	s.Helper()
	i := slices.IndexFunc(found, func(l cli.Left) bool { return l.InstanceID == s.ids[0] })
	switch {
	case i < 0 && outcome == "":
	case i < 0:
		s.Errorf("group %s: a sweep does not list instance %s, want %q of it", s.group, s.ids[0], outcome)
	case outcome == "" || !strings.Contains(found[i].Outcome, outcome):
		s.Errorf("group %s: a sweep lists %+v, want %q of it", s.group, found[i], outcome)
	}
}

// standsBy checks that the group's first instance waits for a person: cordoned on standby, replaced, with nothing held.
func (s *scenario) standsBy() {
	s.Helper()
	if on := s.members(astypes.LifecycleStateStandby); !slices.Equal(on, s.ids[:1]) {
		s.Errorf("on standby: %v, want %s", on, s.ids[0])
	}
	if !s.node(s.nodes[s.ids[0]]).Spec.Unschedulable {
		s.Errorf("node %s is not cordoned", s.nodes[s.ids[0]])
	}
	if s.claim() != nil {
		s.Error("the claim is still held")
	}
	if suspended := s.asg().SuspendedProcesses; len(suspended) > 0 {
		s.Errorf("process %s is left suspended", *suspended[0].ProcessName)
	}
	s.awaitRunning("long")
	s.others(s.members(astypes.LifecycleStateInService))
}

// abandoned waits until nobody renews the claim of a terminated workflow any more.
func (s *scenario) abandoned() {
	s.Helper()
	s.await(time.Minute, "the end of the claim", func(ctx) (bool, string, error) {
		claim := s.claim()
		if claim == nil {
			return false, "", fmt.Errorf("a terminated workflow left no claim on instance %s", s.ids[0])
		}
		until := claim.Spec.RenewTime.Add(time.Duration(*claim.Spec.LeaseDurationSeconds) * time.Second)
		return time.Now().After(until), "it lasts until " + until.Format(time.TimeOnly), nil
	})
}

// deleted removes the Workflow object, as its ttl does in the end.
func (r recycle) deleted() {
	r.Helper()
	r.must(r.workflows.ArgoprojV1alpha1().Workflows(r.cluster.Namespace).Delete(r.Context(), r.name, metav1.DeleteOptions{}))
}
