package awssim

import (
	"slices"
	"time"
)

const (
	hookLaunching   = "autoscaling:EC2_INSTANCE_LAUNCHING"
	hookTerminating = "autoscaling:EC2_INSTANCE_TERMINATING"
)

type hook struct {
	name, transition, result   string // result: CONTINUE or ABANDON
	heartbeat                  int    // seconds
	target, role, notification string
}

// globalTimeout is the most a hook can be kept waiting by heartbeats.
func (h *hook) globalTimeout() int { return min(48*3600, 100*h.heartbeat) }

// action is a lifecycle action: one hook that one member waits for. Its token
// stays the same from beginning to end, however many heartbeats there are.
type action struct {
	hook     *hook
	terms    hook // those in force: see [Config.HookChange]
	token    string
	began    time.Time
	deadline time.Time
}

// runHooks makes a member wait for the hooks of a transition; without any it
// goes on at once.
func (s *Sim) runHooks(m *member, transition string) {
	m.actions, m.abandoned = nil, false
	for _, h := range m.group.hooks {
		if h.transition == transition {
			m.actions = append(m.actions, &action{hook: h, terms: *h, token: uuid(s.rng), began: time.Now()})
		}
	}
	if len(m.actions) == 0 {
		s.proceed(m, transition)
		return
	}
	if transition == hookLaunching {
		s.setState(m, m.named(statePendingWait))
	} else {
		s.setState(m, m.named(stateTerminatingWait))
	}
	m.activity.code = activityMidLifecycle
	for _, a := range m.actions {
		s.extend(m, a, m.origin)
		s.announce(m, a)
	}
}

// extend gives an action its hook's heartbeat timeout from now on, but never
// more than the global timeout from its beginning: "the maximum amount of time
// that you can keep an instance in a wait state is 48 hours or 100 times the
// heartbeat timeout, whichever is smaller" (Amazon EC2 Auto Scaling User Guide,
// lifecycle hooks).
func (s *Sim) extend(m *member, a *action, by origin) {
	before := a.deadline
	a.deadline = time.Now().Add(time.Duration(a.terms.heartbeat) * time.Second)
	if most := a.began.Add(time.Duration(a.terms.globalTimeout()) * time.Second); a.deadline.After(most) {
		a.deadline = most
	}
	kind := KindHeartbeat
	if before.IsZero() {
		kind = KindHook
	}
	s.recordHook(m, a, by, Event{Kind: kind, From: deadlineText(before), To: deadlineText(a.deadline)})
	deadline := a.deadline
	s.afterMember(m, time.Until(deadline), func() {
		if slices.Contains(m.actions, a) && a.deadline.Equal(deadline) {
			s.complete(m, a, a.terms.result, s.origin(CauseTimeout))
		}
	})
}

// deadlineText is how an [Event] shows a deadline.
func deadlineText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func (s *Sim) recordHook(m *member, a *action, by origin, e Event) {
	e.Group, e.Instance, e.Hook = m.group.name, m.inst.id, a.hook.name
	s.record(by, e)
}

// end takes an action off a member's list.
func (s *Sim) end(m *member, a *action, result string, by origin) {
	m.actions = slices.DeleteFunc(m.actions, func(o *action) bool { return o == a })
	s.recordHook(m, a, by, Event{Kind: KindHook, From: deadlineText(a.deadline), To: result})
}

// complete takes an action's result. An abandoned launch ends at once; a
// termination goes on either way, only without its other hooks, and is retained
// where the group's instance lifecycle policy says so.
func (s *Sim) complete(m *member, a *action, result string, by origin) {
	s.end(m, a, result, by)
	launching := m.state == m.named(statePendingWait)
	if result == "ABANDON" {
		for len(m.actions) > 0 {
			s.end(m, m.actions[0], result, by)
		}
		if launching {
			m.activity.finish(activityCancelled, "Lifecycle Action Abandoned")
			s.terminateMember(m, CauseHook, "At "+stamp(time.Now())+" an instance was taken out of service in response to a failed lifecycle action.")
			return
		}
		m.abandoned = true
	}
	if len(m.actions) > 0 {
		return
	}
	transition, state := hookTerminating, stateTerminatingProceed
	if launching {
		transition, state = hookLaunching, statePendingProceed
	}
	s.setState(m, m.named(state))
	m.activity.code = activityInProgressCode
	// The state is there to be seen, if briefly.
	s.afterMember(m, s.configOf(m.group.name).Reconcile, func() { s.proceed(m, transition) })
}

func (s *Sim) proceed(m *member, transition string) {
	if transition == hookTerminating {
		if m.abandoned && m.group.retention == retain {
			s.retain(m)
			return
		}
		if m.reuse && !m.inst.dead() && m.group.pooling() {
			s.returnToPool(m)
			return
		}
		s.shutDown(m)
		return
	}
	if m.inst.dead() {
		reason := "Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: " + m.inst.reasonMessage
		m.activity.finish(activityCancelled, reason)
		s.terminateMember(m, CauseUnhealthy, "At "+stamp(time.Now())+" an instance was taken out of service in response to an EC2 health check indicating it has been terminated or stopped.")
		return
	}
	if m.warm {
		s.rest(m)
		return
	}
	s.arrive(m)
}
