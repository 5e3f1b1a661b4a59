package awssim

import "time"

// Change is what an observer is told of: a call or one change of state, and
// the state as it is now. It is good only until the observer returns.
type Change struct {
	Event *Event // nil for a call
	Call  *Call  // nil for a change of state
	sim   *Sim
}

// Observe has the function called after every call, whatever came of it (see
// [Call.Effect]), and for every [Event]. What happens at one moment is told
// once all of it is done, the events in their order and then the call that
// brought them about: nobody, an observer neither, ever sees a group between
// the two halves of one call.
//
// The function runs under the simulator's lock, in the goroutine of the
// caller or of the simulator's own clock. It must not call the Sim, nor
// wait for anyone who does; the methods of Change are there for it to read.
func (s *Sim) Observe(observer func(Change)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observers = append(s.observers, observer)
}

// tell gives the observers what has happened since the last time.
func (s *Sim) tell(call *Call) {
	if len(s.observers) == 0 {
		return
	}
	news := s.untold
	s.untold = s.untold[:0]
	for _, observer := range s.observers {
		for i := range news {
			observer(Change{Event: &news[i], sim: s})
		}
		if call != nil {
			observer(Change{Call: call, sim: s})
		}
	}
}

// release ends what a hand outside did: it tells of it and unlocks.
func (s *Sim) release() {
	s.by = origin{}
	s.remember()
	s.tell(nil)
	s.mu.Unlock()
}

// State is everything, newly put together: for a report, too dear for every change.
func (c Change) State() State { return c.sim.state() }

// Time is when it happened.
func (c Change) Time() time.Time {
	if c.Event != nil {
		return c.Event.Time
	}
	return time.Now().UTC()
}

// GroupView is one group with its members.
type GroupView struct {
	Name      string
	Min       int
	Max       int
	Desired   int
	Capacity  int // in service or on the way there, in units of weight
	Suspended []string
	Members   []MemberView // by the time they came
}

// MemberView is an instance as a member of its group.
type MemberView struct {
	Instance         string
	State            string // of EC2: pending, running, …
	LifecycleState   string
	AvailabilityZone string
	NodeName         string
	Weight           int // units of capacity, 1 where the group has no weights
	Healthy          bool
	Protected        bool
}

// GroupNames are all groups there are.
func (c Change) GroupNames() []string {
	return listOf(c.sim.groups, func(g *group) string { return g.name })
}

// Group is one group; false if there is none of the name.
func (c Change) Group(name string) (GroupView, bool) {
	g := c.sim.group(name)
	if g == nil {
		return GroupView{}, false
	}
	return GroupView{
		Name: g.name, Min: g.min, Max: g.max, Desired: g.desired, Capacity: g.capacity(),
		Suspended: listOf(g.suspended, func(p suspension) string { return p.process }),
		Members:   listOf(g.members, (*member).view),
	}, true
}

func (m *member) view() MemberView {
	return MemberView{
		Instance: m.inst.id, State: m.inst.state, LifecycleState: m.state, AvailabilityZone: m.inst.zone,
		NodeName: m.inst.nodeName, Weight: m.units(), Healthy: m.healthy, Protected: m.protected,
	}
}

// Instance is one instance, also one of no group; false if EC2 shows none of
// the id.
func (c Change) Instance(id string) (InstanceState, bool) {
	inst := c.sim.instances[id]
	if inst == nil || inst.forgotten && inst.member == nil {
		return InstanceState{}, false
	}
	return inst.view(), true
}
