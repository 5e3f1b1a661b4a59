package awssim

import (
	"fmt"
	"slices"
	"time"
)

// rebalanceLater puts AZRebalance on the agenda of a group out of balance,
// unless one is under way.
func (s *Sim) rebalanceLater(g *group) {
	if !s.cfg.AZRebalance || g.rebalancing || g.rebalanced > 0 || slices.ContainsFunc(g.members, func(m *member) bool { return m.surplus }) {
		return
	}
	if _, uneven := g.uneven(); !uneven || g.isSuspended("AZRebalance") {
		return
	}
	g.rebalancing = true
	s.after(s.cfg.AZRebalanceAfter, func() {
		g.rebalancing = false
		if s.cfg.AZRebalance && time.Until(g.launchAfter) <= 0 {
			s.rebalance(g)
		}
	})
}

// uneven is the zone to launch into, where another has two members more and
// one of them may go: with all protected, rebalancing would never end.
func (g *group) uneven() (least string, uneven bool) {
	byZone := g.perZone((*member).counts)
	least = g.emptiestZone()
	most := slices.MaxFunc(g.zones, func(a, b string) int { return byZone[a] - byZone[b] })
	mayGo := func(m *member) bool { return m.inst.zone == most && m.state == stateInService && !m.protected }
	return least, byZone[most]-byZone[least] >= 2 && slices.ContainsFunc(g.members, mayGo)
}

// rebalance launches into the emptiest zone, above desired capacity; scale-in
// takes one from the fullest once the new one is in service.
func (s *Sim) rebalance(g *group) bool {
	least, uneven := g.uneven()
	if !uneven || g.deleting || g.isSuspended("AZRebalance") || g.isSuspended("Launch") {
		return false
	}
	// AWS may pass MaxSize by a tenth or one instance while it rebalances.
	units := g.nextUnits()
	if g.capacity()+units > g.max+max(units, g.max/10) {
		return false
	}
	cause := fmt.Sprintf("At %s instances were launched to balance instances in zones %s with other zones resulting in more than desired number of instances in the group.", stamp(time.Now()), least)
	m := s.launch(g, CauseAZRebalance, least, cause)
	if m != nil {
		m.surplus = true
	}
	return m != nil
}

// Rebalance does what AZRebalance would, now. It says whether there was
// anything to do.
func (s *Sim) Rebalance(name string) (bool, error) {
	s.mu.Lock()
	defer s.release()
	s.catchUp()
	g := s.group(name)
	if g == nil {
		return false, fmt.Errorf("rebalancing group %q: it does not exist", name)
	}
	return s.rebalance(g), nil
}
