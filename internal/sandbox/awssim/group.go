package awssim

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Lifecycle states of an instance in a group.
const (
	statePending            = "Pending"
	statePendingWait        = "Pending:Wait"
	statePendingProceed     = "Pending:Proceed"
	stateInService          = "InService"
	stateEnteringStandby    = "EnteringStandby"
	stateStandby            = "Standby"
	stateDetaching          = "Detaching"
	stateDetached           = "Detached"
	stateTerminating        = "Terminating"
	stateTerminatingWait    = "Terminating:Wait"
	stateTerminatingProceed = "Terminating:Proceed"
	stateRetained           = "Terminating:Retained"
	stateTerminated         = "Terminated"
)

// group is one Auto Scaling group.
type group struct {
	name, arn         string
	created           time.Time
	min, max, desired int
	zones             []string
	zoneIdentifier    string // VPCZoneIdentifier as given
	template          template
	mixed             *mixedPolicy
	policies          []string
	protectNew        bool
	capacityRebalance bool // what is at risk is replaced
	cooldown          int
	healthCheckType   string
	balancers         []string // names of load balancers, told and nothing more
	targets           []string // ARNs of their target groups, likewise
	healthGrace       int
	lifetime          int    // MaxInstanceLifetime in seconds; 0: none
	retention         string // what an abandoned termination hook leads to: retain, terminate, or "" where never set
	tags              []groupTag
	suspended         []suspension
	hooks             []*hook
	members           []*member
	activities        []*activity // oldest first
	refreshes         []*refresh  // oldest first
	warm              *warmPool   // nil: none
	deleting          bool

	cause          string // why capacity is about to change, for the next activities
	rebalanced     int    // units that AZRebalance launched above desired, until scale-in has taken as many
	reconciling    bool   // one is on the agenda
	rebalancing    bool   // likewise
	launchAfter    time.Time
	lifetimeDue    time.Time // for which a look at the lifetimes is on the agenda
	failedLaunches int
}

// template is a launch template, or a launch configuration where name alone is set.
type template struct {
	id, name, version string
	configuration     string
}

// resolved is the number that a version stands for at launch.
func (t template) resolved(latest int) template {
	if t.configuration == "" && (t.version == "" || strings.HasPrefix(t.version, "$")) {
		t.version = strconv.Itoa(latest)
	}
	return t
}

type mixedPolicy struct {
	overrides    []override
	onDemandBase int
	onDemandPct  int
	allocation   string
}

type override struct {
	kind, weight, image string

	template template // instead of the policy's, if it has one of its own
}

type groupTag struct {
	key, value string
	propagate  bool
}

type suspension struct {
	process, reason string
}

// member is an instance as its group sees it.
type member struct {
	inst      *instance
	group     *group
	state     string
	step      int    // counts changes of state, so that a late appointment sees it is stale
	origin    origin // of its latest activity
	healthy   bool
	deadSince time.Time // when the group's health check began to see it dead
	protected bool
	weight    string
	template  template
	unnamed   bool    // the group named no version of its template
	surplus   bool    // launched above desired to rebalance: counts once in service
	notBack   bool    // came out of standby without running
	abandoned bool    // a termination hook of it ended in ABANDON
	warm      bool    // in the warm pool, or on the way there
	fromPool  bool    // on the way out of it into service
	reuse     bool    // on the way from service into it
	atRisk    bool    // EC2 recommends to rebalance it
	replaces  *member // the one at risk that Capacity Rebalancing launched it for
	activity  *activity
	actions   []*action // those it waits for, by the order of their hooks
}

func (g *group) isSuspended(process string) bool {
	return slices.ContainsFunc(g.suspended, func(s suspension) bool { return s.process == process })
}

func (g *group) member(id string) *member {
	i := slices.IndexFunc(g.members, func(m *member) bool { return m.inst.id == id })
	if i < 0 {
		return nil
	}
	return g.members[i]
}

func (g *group) tagMap() map[string]string {
	out := map[string]string{}
	for _, t := range g.tags {
		out[t.key] = t.value
	}
	return out
}

// units is what a member counts towards desired capacity while it counts.
func (m *member) units() int {
	n, err := parseWeight(m.weight)
	if err != nil {
		return 1
	}
	return n
}

// nextUnits is what the next instance to be launched will count.
func (g *group) nextUnits() int {
	weight := g.next().weight
	return (&member{weight: weight}).units()
}

// weightOf is what an instance of a type counts in a mixed instances group.
func (g *group) weightOf(kind string) string {
	if g.mixed != nil {
		for _, o := range g.mixed.overrides {
			if o.kind == kind {
				return o.weight
			}
		}
	}
	return ""
}

func (m *member) pending() bool {
	return m.state == statePending || m.state == statePendingWait || m.state == statePendingProceed
}

func (m *member) terminating() bool {
	switch strings.TrimPrefix(m.state, warmed) {
	case stateTerminating, stateTerminatingWait, stateTerminatingProceed, stateTerminated:
		return true
	}
	return false
}

// named is a state as it is called for a member of the warm pool, or of the group.
func (m *member) named(state string) string {
	if m.warm {
		return warmed + state
	}
	return state
}

// counts towards desired capacity: in service, or on the way there.
func (m *member) counts() bool {
	return m.state == stateInService || m.pending() && !m.surplus
}

func (g *group) capacity() int {
	n := 0
	for _, m := range g.members {
		if m.counts() {
			n += m.units()
		}
	}
	return n
}

func (s *Sim) setState(m *member, state string) {
	s.record(m.origin, Event{Kind: KindLifecycle, Group: m.group.name, Instance: m.inst.id, From: m.state, To: state})
	m.state = state
	m.step++
	s.reconcileSoon(m.group)
}

// afterMember runs do unless the member changes state before.
func (s *Sim) afterMember(m *member, d time.Duration, do func()) {
	step := m.step
	s.after(d, func() {
		if m.step == step {
			do()
		}
	})
}

func (s *Sim) setDesired(g *group, desired int) {
	if desired == g.desired {
		return
	}
	s.record(s.origin(CauseCall), Event{Kind: KindDesired, Group: g.name, From: strconv.Itoa(g.desired), To: strconv.Itoa(desired)})
	g.desired = desired
	s.reconcileSoon(g)
}

// leave takes a member out of its group.
func (s *Sim) leave(m *member) {
	m.step++
	m.group.members = slices.DeleteFunc(m.group.members, func(o *member) bool { return o == m })
	m.inst.member = nil
	for key := range m.inst.tags {
		if strings.HasPrefix(key, "aws:autoscaling:") {
			delete(m.inst.tags, key)
		}
	}
	s.reconcileSoon(m.group)
}
