package awssim

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// warmed begins the lifecycle states of the members of a warm pool. Beside
// those of the group with this before them there are the two in which they rest.
const (
	warmed             = "Warmed:"
	stateWarmedStopped = "Warmed:Stopped"
	stateWarmedRunning = "Warmed:Running"
)

// warmPool is what a group keeps beside its capacity. Its members are members
// of the group that do not count.
type warmPool struct {
	min, most int    // most: MaxGroupPreparedCapacity, together with desired capacity; -1: the group's maximum
	state     string // in which they rest: Stopped or Running
	reuse     bool   // scale-in returns instances to it
	deleting  bool
}

// pooling tells whether the group has a warm pool that is to stay.
func (g *group) pooling() bool { return g.warm != nil && !g.warm.deleting }

// pool are the members of the warm pool that are not on their way out.
func (g *group) pool() []*member {
	return slices.DeleteFunc(slices.Clone(g.members), func(m *member) bool { return !m.warm || m.terminating() })
}

// serving are the members that a group shows itself; those of the pool are shown apart.
func (g *group) serving() []*member {
	return slices.DeleteFunc(slices.Clone(g.members), func(m *member) bool { return m.warm })
}

// resting tells whether a member of the pool can be taken from it.
func (m *member) resting() bool {
	return m.state == stateWarmedStopped && m.inst.state == ec2Stopped || m.state == stateWarmedRunning && m.inst.state == ec2Running
}

// poolTarget is the size that the pool should have: what desired capacity lacks
// to the prepared capacity, and at least its minimum.
func (g *group) poolTarget() int {
	most := g.warm.most
	if most < 0 {
		most = g.max
	}
	return max(g.warm.min, most-g.desired)
}

// poolSize counts those on their way back into the pool too.
func (g *group) poolSize() int {
	n := len(g.pool())
	for _, m := range g.members {
		if m.reuse && !m.warm {
			n++
		}
	}
	return n
}

// takesBack tells whether the next instance of a scale-in returns to the pool.
func (g *group) takesBack() bool {
	return g.pooling() && g.warm.reuse && g.poolSize() < g.poolTarget()
}

// warmest is the member of the pool that a scale-out takes, nil if it has none
// to give: one for the emptiest zone, otherwise the oldest.
func (g *group) warmest() *member {
	ready := slices.DeleteFunc(g.pool(), func(m *member) bool { return !m.resting() })
	if len(ready) == 0 || !g.pooling() {
		return nil
	}
	zone := g.emptiestZone()
	if i := slices.IndexFunc(ready, func(m *member) bool { return m.inst.zone == zone }); i >= 0 {
		return ready[i]
	}
	return ready[0]
}

// takeFromPool puts a warmed instance into the group, by way of Pending and of
// the launch hooks, for a second time.
func (s *Sim) takeFromPool(m *member, cause string) {
	m.warm, m.fromPool, m.inst.pooled = false, true, false
	m.healthy, m.deadSince, m.protected = true, time.Time{}, m.group.protectNew
	s.begin(m, CauseScaleOut, "Launching a new EC2 instance from warm pool", cause).code = activityPreInService
	s.setState(m, statePending)
	if m.inst.state == ec2Running {
		if m.inst.joins {
			s.afterInstance(m.inst, s.configOf(m.inst.home).NodeJoin, func() { s.joinNode(m.inst) })
		}
		s.runHooks(m, hookLaunching)
		return
	}
	s.startInstance(m.inst, m.origin)
	s.afterMember(m, s.configOf(m.inst.home).Starting, func() { s.runHooks(m, hookLaunching) })
}

// returnToPool is the end of a scale-in that reuses. The Node stays, shut down
// like that of any stopped instance.
func (s *Sim) returnToPool(m *member) {
	m.warm, m.reuse, m.inst.pooled = true, false, true
	s.setState(m, m.named(statePending))
	s.rest(m)
}

// rest takes a member of the pool to the state in which it waits.
func (s *Sim) rest(m *member) {
	g := m.group
	if !g.pooling() {
		s.terminateMember(m, CauseWarmPool, poolCause("to delete the warm pool"))
		return
	}
	if g.warm.state == "Running" {
		s.setState(m, stateWarmedRunning)
		m.activity.finish(activitySuccessful, "")
		return
	}
	s.stopInstance(m.inst, m.origin)
	s.afterMember(m, s.configOf(g.name).Stopping, func() {
		s.setState(m, stateWarmedStopped)
		m.activity.finish(activitySuccessful, "")
	})
}

// fillPool brings the warm pool to its size, or to its end.
func (s *Sim) fillPool(g *group) {
	if g.warm == nil {
		return
	}
	if g.warm.deleting {
		for _, m := range g.pool() {
			s.terminateMember(m, CauseWarmPool, poolCause("to delete the warm pool"))
		}
		if !slices.ContainsFunc(g.members, func(m *member) bool { return m.warm }) {
			g.warm = nil
		}
		return
	}
	for g.poolSize() < g.poolTarget() && !g.isSuspended("Launch") && time.Until(g.launchAfter) <= 0 {
		cause := fmt.Sprintf("At %s an instance was started in response to a difference between desired and actual capacity of the warm pool, increasing it from %d to %d.", stamp(time.Now()), g.poolSize(), g.poolSize()+1)
		if s.launch(g, CauseWarmPool, g.poolZone(), cause) == nil {
			return
		}
	}
	for g.poolSize() > g.poolTarget() && !g.isSuspended("Terminate") {
		ready := slices.DeleteFunc(g.pool(), func(m *member) bool { return !m.resting() })
		if len(ready) == 0 {
			return
		}
		s.terminateMember(ready[len(ready)-1], CauseWarmPool, poolCause("to a difference between desired and actual capacity of the warm pool"))
	}
}

// poolZone has the fewest members of the pool; the first of equals.
func (g *group) poolZone() string {
	byZone := g.perZone(func(m *member) bool { return m.warm })
	return slices.MinFunc(g.zones, func(a, b string) int { return cmp.Compare(byZone[a], byZone[b]) })
}

func poolCause(why string) string {
	return "At " + stamp(time.Now()) + " an instance was taken out of the warm pool in response " + why + "."
}
