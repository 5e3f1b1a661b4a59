package awssim

import "slices"

// Values of a group's TerminateHookAbandon.
const (
	retain       = "retain"
	terminateNow = "terminate"
)

const retentionTrigger = "InstanceLifecyclePolicy.RetentionTriggers.TerminateHookAbandon"

type lifecyclePolicyXML struct {
	TerminateHookAbandon string `xml:"RetentionTriggers>TerminateHookAbandon"`
}

// readRetention takes the instance lifecycle policy. What is not given stays.
func (g *group) readRetention(p params) error {
	if !p.has(retentionTrigger) {
		return nil
	}
	v := p.str(retentionTrigger)
	if !slices.Contains([]string{retain, terminateNow}, v) {
		return validation("1 validation error detected: Value '%s' at 'instanceLifecyclePolicy.retentionTriggers.terminateHookAbandon' failed to satisfy constraint: Member must satisfy enum value set: [retain, terminate]", v)
	}
	g.retention = v
	return nil
}

// retain keeps a member whose termination hook was abandoned: it runs on, out
// of capacity and out of every process of the group, until a call asks for its
// end ("Manage retained instances", Amazon EC2 Auto Scaling User Guide).
func (s *Sim) retain(m *member) {
	m.reuse = false
	s.setState(m, stateRetained)
	m.activity.finish(activitySuccessful, "")
}

// endRetained terminates a retained member. Its hooks have run.
func (s *Sim) endRetained(m *member, cause string) *activity {
	a := s.begin(m, CauseCall, "Terminating EC2 instance", cause)
	s.setState(m, stateTerminating)
	s.shutDown(m)
	return a
}
