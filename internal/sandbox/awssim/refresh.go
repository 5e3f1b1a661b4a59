package awssim

import (
	"fmt"
	"slices"
	"time"
)

// refresh is an instance refresh: it replaces, one after the other, the
// members that were there when it began.
type refresh struct {
	id, status, reason string
	start, end         time.Time
	todo               []string
	total              int
	standby            string // Wait, Ignore or Terminate
	minHealthy         int
	waiting            time.Time // since when Standby instances hold it up
}

// standbyPatience is how long a refresh waits for Standby instances.
const standbyPatience = time.Hour

func (r *refresh) active() bool { return r.end.IsZero() }

func (g *group) activeRefresh() *refresh {
	i := slices.IndexFunc(g.refreshes, (*refresh).active)
	if i < 0 {
		return nil
	}
	return g.refreshes[i]
}

func (r *refresh) finish(status, reason string) {
	r.status, r.reason, r.end = status, reason, time.Now()
}

func (s *Sim) startRefresh(g *group, standby string, minHealthy int) *refresh {
	r := &refresh{id: uuid(s.rng), status: "Pending", start: time.Now(), standby: standby, minHealthy: minHealthy}
	for _, m := range g.members {
		if m.state == stateInService || m.state == stateStandby && standby != "Ignore" {
			r.todo = append(r.todo, m.inst.id)
		}
	}
	r.total = len(r.todo)
	g.refreshes = append(g.refreshes, r)
	s.reconcileSoon(g)
	return r
}

// refreshStep replaces the next member once the group is whole.
func (s *Sim) refreshStep(g *group) {
	r := g.activeRefresh()
	if r == nil {
		return
	}
	if r.status == "Cancelling" {
		r.finish("Cancelled", "Cancelled due to user request.")
		return
	}
	r.status = "InProgress"
	settled := g.capacity() == g.desired
	for _, m := range g.members {
		settled = settled && !m.pending() && !m.terminating()
	}
	if !settled {
		return
	}
	r.todo = slices.DeleteFunc(r.todo, func(id string) bool { return g.member(id) == nil })
	var next, standby *member
	for _, id := range r.todo {
		switch m := g.member(id); {
		case m.state == stateStandby || m.state == stateEnteringStandby:
			standby = m
		case m.state == stateInService && next == nil:
			next = m
		}
	}
	switch {
	case next != nil:
		r.waiting = time.Time{}
		s.terminateMember(next, CauseRefresh, fmt.Sprintf("At %s an instance was taken out of service in response to an instance refresh.", stamp(time.Now())))
	case standby != nil && r.standby == "Terminate" && standby.state == stateStandby:
		s.terminateMember(standby, CauseRefresh, fmt.Sprintf("At %s an instance was taken out of service in response to an instance refresh.", stamp(time.Now())))
	case standby != nil && r.standby == "Wait":
		s.waitForStandby(g, r)
	case len(r.todo) == 0 || standby != nil && r.standby == "Ignore":
		r.finish("Successful", "")
	}
}

func (s *Sim) waitForStandby(g *group, r *refresh) {
	if r.waiting.IsZero() {
		r.waiting = time.Now()
		s.after(standbyPatience, func() { s.reconcile(g) })
	}
	r.reason = "Waiting for instances in Standby to return to service."
	if time.Since(r.waiting) >= standbyPatience {
		r.finish("Failed", "Instances stayed in Standby for more than one hour.")
	}
}

func (r *refresh) percent() int {
	if r.total == 0 {
		return 100
	}
	return (r.total - len(r.todo)) * 100 / r.total
}
