package awssim

import (
	"fmt"
	"time"
)

// rebalanceCapacity replaces the members at risk of a group with Capacity
// Rebalancing: it launches above desired capacity, and terminates the one at
// risk, by way of its hooks, once the new one is in service. "Amazon EC2 Auto
// Scaling can exceed the specified maximum capacity of your group by up to 10
// percent", or by one (Amazon EC2 Auto Scaling User Guide, Capacity Rebalancing).
func (s *Sim) rebalanceCapacity(g *group) {
	by := map[*member]*member{} // the one launched, by the one at risk
	for _, m := range g.members {
		if m.replaces == nil || m.terminating() {
			continue
		}
		by[m.replaces] = m
		// Where the one at risk is gone, there is a place in capacity.
		if m.surplus && m.replaces.state != stateInService {
			m.surplus = false
		}
	}
	if !g.capacityRebalance || s.configOf(g.name).CapacityRebalancing == RebalanceIgnores {
		return
	}
	for _, m := range g.serving() {
		if !m.atRisk || m.state != stateInService {
			continue
		}
		switch next := by[m]; {
		case next == nil:
			s.launchFor(m)
		case next.state == stateInService && !g.isSuspended("Terminate"):
			s.terminateMember(m, CauseRebalance, fmt.Sprintf("At %s an instance was taken out of service in response to an EC2 instance rebalance recommendation.", stamp(time.Now())))
		}
	}
}

func (s *Sim) launchFor(m *member) {
	g, units := m.group, m.group.nextUnits()
	if g.isSuspended("Launch") || time.Until(g.launchAfter) > 0 {
		return
	}
	above := units // launched above desired capacity already, with this one
	for _, o := range g.members {
		if o.surplus {
			above += o.units()
		}
	}
	if g.capacity()+above > g.max+max(units, g.max/10) {
		return
	}
	next := s.launch(g, CauseRebalance, m.inst.zone, fmt.Sprintf("At %s an instance was launched in response to an EC2 instance rebalance recommendation.", stamp(time.Now())))
	if next != nil {
		next.surplus, next.replaces = true, m
		next.inst.lifecycle = m.inst.lifecycle
	}
}
