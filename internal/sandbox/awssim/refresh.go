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

func (r *refresh) active() bool { return r.end.IsZero() }

func (g *group) activeRefresh() *refresh {
	i := slices.IndexFunc(g.refreshes, (*refresh).active)
	if i < 0 {
		return nil
	}
	return g.refreshes[i]
}

// setRefresh changes the status of a refresh.
func (s *Sim) setRefresh(g *group, r *refresh, status string) {
	if r.status != status {
		s.record(s.origin(CauseRefresh), Event{Kind: KindRefresh, Group: g.name, From: r.status, To: status})
		r.status = status
	}
}

func (s *Sim) finishRefresh(g *group, r *refresh, status, reason string) {
	s.setRefresh(g, r, status)
	r.reason, r.end = reason, time.Now()
}

func (s *Sim) startRefresh(g *group, standby string, minHealthy int) *refresh {
	r := &refresh{id: uuid(s.rng), start: time.Now(), standby: standby, minHealthy: minHealthy}
	for _, m := range g.members {
		away := m.state == stateStandby || m.state == stateEnteringStandby
		if m.state == stateInService || away && standby != "Ignore" {
			r.todo = append(r.todo, m.inst.id)
		}
	}
	r.total = len(r.todo)
	g.refreshes = append(g.refreshes, r)
	s.setRefresh(g, r, "Pending")
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
		s.finishRefresh(g, r, "Cancelled", "Cancelled due to user request.")
		return
	}
	s.setRefresh(g, r, "InProgress")
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
		s.finishRefresh(g, r, "Successful", "")
	}
}

func (s *Sim) waitForStandby(g *group, r *refresh) {
	if r.waiting.IsZero() {
		r.waiting = time.Now()
		s.after(s.cfg.RefreshPatience, func() { s.reconcile(g) })
	}
	r.reason = "Waiting for instances in Standby to return to service."
	if time.Since(r.waiting) >= s.cfg.RefreshPatience {
		s.finishRefresh(g, r, "Failed", fmt.Sprintf("Instances stayed in Standby for more than %s.", s.cfg.RefreshPatience))
	}
}

func (r *refresh) percent() int {
	if r.total == 0 {
		return 100
	}
	return (r.total - len(r.todo)) * 100 / r.total
}
