package awssim

import "time"

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

// runHooks makes a member wait for the hooks of a transition; without any it
// goes on at once.
func (s *Sim) runHooks(m *member, transition string) {
	m.hookTokens = map[string]string{}
	for _, h := range m.group.hooks {
		if h.transition == transition {
			m.hookTokens[h.name] = uuid(s.rng)
		}
	}
	if len(m.hookTokens) == 0 {
		s.proceed(m, transition)
		return
	}
	if transition == hookLaunching {
		s.setState(m, statePendingWait)
	} else {
		s.setState(m, stateTerminatingWait)
	}
	m.activity.code = activityMidLifecycle
	m.hooksBegan = time.Now()
	for _, h := range m.group.hooks {
		if h.transition == transition {
			s.heartbeat(m, h, m.hooksBegan)
		}
	}
}

// heartbeat gives a hook's answer for it when its time is over.
func (s *Sim) heartbeat(m *member, h *hook, began time.Time) {
	end := time.Duration(h.heartbeat) * time.Second
	if left := time.Until(began.Add(time.Duration(h.globalTimeout()) * time.Second)); left < end {
		end = left
	}
	token := m.hookTokens[h.name]
	s.afterMember(m, end, func() {
		if m.hookTokens[h.name] == token {
			s.completeHook(m, h.name, h.result)
		}
	})
}

// completeHook takes a hook's answer. An abandoned launch ends at once; a
// termination goes on either way, only without its other hooks.
func (s *Sim) completeHook(m *member, name, result string) {
	delete(m.hookTokens, name)
	launching := m.state == statePendingWait
	if result == "ABANDON" {
		if launching {
			m.activity.finish(activityCancelled, "Lifecycle Action Abandoned")
			s.terminateMember(m, CauseHook, "At "+stamp(time.Now())+" an instance was taken out of service in response to a failed lifecycle action.")
			return
		}
		clear(m.hookTokens)
	}
	if len(m.hookTokens) > 0 {
		return
	}
	transition, state := hookTerminating, stateTerminatingProceed
	if launching {
		transition, state = hookLaunching, statePendingProceed
	}
	s.setState(m, state)
	m.activity.code = activityInProgressCode
	// The state is there to be seen, if briefly.
	s.afterMember(m, s.cfg.Reconcile, func() { s.proceed(m, transition) })
}

func (s *Sim) proceed(m *member, transition string) {
	if transition == hookTerminating {
		s.shutDown(m)
		return
	}
	if m.inst.state != ec2Running && m.inst.state != ec2Pending {
		reason := "Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: " + m.inst.reasonMessage
		m.activity.finish(activityCancelled, reason)
		s.terminateMember(m, CauseUnhealthy, "At "+stamp(time.Now())+" an instance was taken out of service in response to an EC2 health check indicating it has been terminated or stopped.")
		return
	}
	s.arrive(m)
}
