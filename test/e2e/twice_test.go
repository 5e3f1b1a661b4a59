package e2e

import (
	"strings"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
)

// Three submits of one node: one works, the others wait. Under one name Argo's mutex keeps them apart; under two names, which
// are two mutexes, only the claim does. When the one that works is terminated, another one goes on with its work, and the
// last finds nothing left to do.
func TestSubmitsOfOneNode(t *testing.T) {
	t.Parallel()
	s := given(t, "twice")
	s.batch(s.ids[0], "long", endless)
	byID, byNode := "instance-id="+s.ids[0], "node="+s.nodes[s.ids[0]]
	first := s.submit(byID)
	first.running("drain")
	second, third := s.submit(byID), s.submit(byNode)
	for r, waiting := range map[recycle]func(recycle) (bool, string){second: recycle.waitsForTheMutex, third: recycle.waitsForTheClaim} {
		s.await(2*time.Minute, r.name+" to wait", func(ctx) (bool, string, error) {
			done, status := waiting(r)
			return done, status, nil
		})
	}
	first.press("terminate")
	first.ends(wfv1.WorkflowFailed)
	if n := len(first.attempts("settle")); n > 0 {
		t.Errorf("the exit handler ran after argo terminate: %d attempts", n)
	}
	s.await(3*time.Minute, "another one that drains", func(ctx) (bool, string, error) {
		return second.runs("drain") != "" || third.runs("drain") != "", "neither does", nil
	})
	s.finishes("long")
	second.ends(wfv1.WorkflowSucceeded)
	// The one that was submitted by the node's name may find no Node of that name any more.
	if third.completed() == wfv1.WorkflowFailed && !strings.Contains(third.said(), "does not exist in this cluster") {
		t.Errorf("workflow %s failed: %s", third.name, third.said())
	}
	s.recycled("stopped")
	s.asOneRecycle()
}

func (r recycle) waitsForTheMutex() (bool, string) {
	status := r.get().Status
	return strings.Contains(status.Message, "Waiting for") && len(status.Nodes) == 0, "says " + status.Message
}

// waitsForTheClaim looks at whatever step it is at: a claim can have expired between two steps of the other one, when their
// pods took long to start.
func (r recycle) waitsForTheClaim() (bool, string) {
	log := ""
	for _, step := range []string{"standby", "taint", "drain", "evict", "retire"} {
		log += r.log(step)
	}
	return strings.Contains(log, "is claimed by"), "logs " + log
}
