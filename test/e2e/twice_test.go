package e2e

import (
	"strings"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
)

// Two submits of one node: one works, the other waits and finds nothing left to do. Under one name Argo's mutex keeps
// them apart; under two names, which are two mutexes, only the claim does.
func TestTwoSubmitsOfOneNode(t *testing.T) {
	t.Parallel()
	byID := func(s *scenario) string { return "instance-id=" + s.ids[0] }
	byNode := func(s *scenario) string { return "node=" + s.nodes[s.ids[0]] }
	for _, c := range []struct {
		name          string
		first, second func(*scenario) string
		waits         func(recycle) (bool, string)
	}{
		{"one-name", byID, byID, recycle.waitsForTheMutex},
		{"id-then-node", byID, byNode, recycle.waitsForTheClaim},
		{"node-then-id", byNode, byID, recycle.waitsForTheClaim},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := given(t, "twice-"+c.name)
			s.batch(s.ids[0], "long", endless)
			acts, waits := s.actsAndWaits([]recycle{s.submit(c.first(s)), s.submit(c.second(s))}, c.waits)
			s.finishes("long")
			acts.ends(wfv1.WorkflowSucceeded)
			waits.ends(wfv1.WorkflowSucceeded)
			s.recycled("stopped")
			s.asOneRecycle()
		})
	}
}

// actsAndWaits waits until one of two recycles drains and the other waits for it, whichever came first.
func (s *scenario) actsAndWaits(two []recycle, waiting func(recycle) (bool, string)) (acts, waits recycle) {
	s.Helper()
	s.await(2*time.Minute, "one that drains", func(ctx) (bool, string, error) {
		for i, r := range two {
			if r.runs("drain") != "" {
				acts, waits = r, two[1-i]
				return true, "", nil
			}
		}
		return false, "neither does", nil
	})
	s.await(2*time.Minute, waits.name+" to wait", func(ctx) (bool, string, error) {
		done, status := waiting(waits)
		return done, status, nil
	})
	return acts, waits
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
