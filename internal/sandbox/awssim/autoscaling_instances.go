package awssim

import (
	"fmt"
	"slices"
	"time"
)

// maxInstanceIDs is one less than the 20 that the manual promises.
const maxInstanceIDs = 19

// named are the members that a call names.
func (s *Sim) named(r *request) (*group, []*member, error) {
	g, err := s.openGroup(r)
	if err != nil {
		return nil, nil, err
	}
	ids, err := instanceIDs(r)
	if err != nil {
		return nil, nil, err
	}
	var out []*member
	for _, id := range ids {
		m := g.member(id)
		if m == nil {
			return nil, nil, notInGroup(id, g.name)
		}
		if !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	return g, out, nil
}

func instanceIDs(r *request) ([]string, error) {
	ids := r.list("InstanceIds")
	switch {
	case len(ids) == 0:
		return nil, validation("You must specify at least one instance ID.")
	case len(ids) > maxInstanceIDs:
		return nil, validation("1 validation error detected: Value '%v' at 'instanceIds' failed to satisfy constraint: Member must have length less than or equal to %d", ids, maxInstanceIDs)
	}
	return ids, nil
}

func sum(ms []*member) int {
	n := 0
	for _, m := range ms {
		n += m.units()
	}
	return n
}

// enterStandby answers long before the replacement is there.
func (s *Sim) enterStandby(r *request) (any, error) {
	g, ms, err := s.named(r)
	if err != nil {
		return nil, err
	}
	decrement, err := r.requiredBool("ShouldDecrementDesiredCapacity")
	if err != nil {
		return nil, err
	}
	for _, m := range ms {
		if m.state != stateInService {
			return nil, validation("The instance %s is not in InService.", m.inst.id)
		}
	}
	if decrement && g.desired-sum(ms) < g.min {
		return nil, sizes(g, "place into standby", len(ms))
	}
	var out []*activity
	for _, m := range ms {
		was := g.capacity()
		cause := fmt.Sprintf("At %s instance %s was moved to standby in response to a user request", stamp(time.Now()), m.inst.id)
		if decrement {
			cause += fmt.Sprintf(", shrinking the capacity from %d to %d", was, was-m.units())
		}
		a := s.begin(m, CauseCall, "Moving EC2 instance to Standby", cause+".")
		a.progress = 50
		s.setState(m, stateEnteringStandby)
		s.afterMember(m, s.configOf(g.name).EnteringStandby, func() {
			s.setState(m, stateStandby)
			a.finish(activitySuccessful, "")
		})
		out = append(out, a)
	}
	if decrement {
		s.setDesired(g, g.desired-sum(ms))
	}
	return g.answer(out), nil
}

// exitStandby raises desired capacity whatever EnterStandby did to it. It does
// not ask whether the instance runs: one that does not comes into service, and
// the health check has it replaced.
func (s *Sim) exitStandby(r *request) (any, error) {
	g, ms, err := s.named(r)
	if err != nil {
		return nil, err
	}
	for _, m := range ms {
		if m.state == stateEnteringStandby && m.busy() != nil {
			return nil, activityInProgress(m.busy())
		}
		if m.state != stateStandby {
			return nil, validation("The instance %s is not in Standby.", m.inst.id)
		}
	}
	if g.isSuspended("Launch") {
		return nil, validation("The Launch process of AutoScalingGroup %s is suspended. Resume it to move instances out of standby.", g.name)
	}
	if s.configOf(g.name).ExitStandbyAtMax == AtMaxRefuse && g.desired+sum(ms) > g.max {
		return nil, sizes(g, "move out of standby", len(ms))
	}
	var out []*activity
	for _, m := range ms {
		cause := fmt.Sprintf("At %s instance %s was moved out of standby in response to a user request, increasing the capacity from %d to %d.",
			stamp(time.Now()), m.inst.id, g.desired, g.desired+m.units())
		out = append(out, s.enterService(m, "Moving EC2 instance out of Standby", cause))
		s.setDesired(g, g.desired+m.units())
	}
	return g.answer(out), nil
}

// enterService takes a member by way of Pending into service; no launch hook runs.
func (s *Sim) enterService(m *member, what, cause string) *activity {
	a := s.begin(m, CauseCall, what, cause)
	a.code, a.progress = activityPreInService, 30
	m.healthy, m.deadSince = true, time.Time{}
	s.setState(m, statePending)
	s.afterMember(m, s.configOf(m.group.name).ExitingStandby, func() {
		m.notBack = m.inst.dead()
		s.arrive(m)
	})
	return a
}

// detachInstances takes from Standby too, unless the switch says otherwise.
// With decrement, desired capacity falls even for a Standby instance that no
// longer counts towards it, and scale-in then takes another one.
func (s *Sim) detachInstances(r *request) (any, error) {
	g, ms, err := s.named(r)
	if err != nil {
		return nil, err
	}
	decrement, err := r.requiredBool("ShouldDecrementDesiredCapacity")
	if err != nil {
		return nil, err
	}
	for _, m := range ms {
		switch {
		case m.state == stateInService || m.state == stateStandby && s.configOf(g.name).DetachFromStandby == DetachAccept:
		case m.state == stateStandby:
			return nil, validation("The instance %s is not in InService.", m.inst.id)
		case m.state == stateEnteringStandby && m.busy() != nil:
			return nil, activityInProgress(m.busy())
		default:
			return nil, validation("The instance %s is not in InService or Standby.", m.inst.id)
		}
	}
	if decrement && g.desired-sum(ms) < g.min {
		return nil, sizes(g, "detach", len(ms))
	}
	var out []*activity
	for _, m := range ms {
		cause := fmt.Sprintf("At %s instance %s was detached in response to a user request", stamp(time.Now()), m.inst.id)
		if decrement {
			cause += fmt.Sprintf(", shrinking the capacity from %d to %d", g.desired, g.desired-m.units())
			s.setDesired(g, g.desired-m.units())
		}
		a := s.begin(m, CauseCall, "Detaching EC2 instance", cause+".")
		a.progress = 50
		m.protected = false
		s.setState(m, stateDetaching)
		s.afterMember(m, s.configOf(g.name).Detaching, func() {
			s.setState(m, stateDetached)
			a.finish(activitySuccessful, "")
			s.leave(m)
		})
		out = append(out, a)
	}
	return g.answer(out), nil
}

func (s *Sim) attachInstances(r *request) (any, error) {
	g, err := s.openGroup(r)
	if err != nil {
		return nil, err
	}
	ids, err := instanceIDs(r)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		inst := s.instances[id]
		switch {
		case inst == nil || inst.forgotten:
			return nil, validation("Invalid Instance ID(s): %s. Instance ID(s) must be valid", id)
		case inst.member != nil:
			return nil, validation("Instance %s is already part of AutoScalingGroup:%s, member can not be attached", id, inst.member.group.name)
		case inst.state != ec2Running:
			return nil, validation("Instance %s is not in correct state. Instance(s) must be in 'running' state.", id)
		case !slices.Contains(g.zones, inst.zone):
			return nil, validation("The instance %s is not in any of the Availability Zones of AutoScalingGroup %s.", id, g.name)
		}
	}
	units := 0
	for _, id := range ids {
		units += (&member{weight: g.weightOf(s.instances[id].kind)}).units()
	}
	if g.desired+units > g.max {
		return nil, sizes(g, "attach", len(ids))
	}
	for _, id := range ids {
		inst := s.instances[id]
		t, _ := s.resolve(g.template)
		m := &member{inst: inst, group: g, healthy: true, weight: g.weightOf(inst.kind), template: t, unnamed: g.template.version == ""}
		inst.member = m
		inst.tags["aws:autoscaling:groupName"] = g.name
		g.members = append(g.members, m)
		s.enterService(m, "Attaching an existing EC2 instance", fmt.Sprintf("At %s an instance was attached in response to a user request, increasing the capacity from %d to %d.",
			stamp(time.Now()), g.desired, g.desired+m.units()))
		s.setDesired(g, g.desired+m.units())
	}
	return empty{}, nil
}

type oneActivity struct {
	Activity activityXML
}

// terminateInGroup ignores scale-in protection.
func (s *Sim) terminateInGroup(r *request) (any, error) {
	id, err := r.required("InstanceId")
	if err != nil {
		return nil, err
	}
	decrement, err := r.requiredBool("ShouldDecrementDesiredCapacity")
	if err != nil {
		return nil, err
	}
	m, err := s.managed(id)
	if err != nil {
		return nil, err
	}
	g := m.group
	if m.state == stateEnteringStandby || m.state == stateDetaching || m.terminating() {
		if a := m.busy(); a != nil {
			return nil, activityInProgress(a)
		}
	}
	if decrement && m.warm {
		return nil, validation("The instance %s is in the warm pool of AutoScalingGroup %s: its termination does not change the desired capacity.", id, g.name)
	}
	if decrement && g.desired-m.units() < g.min {
		return nil, validation("Currently, desiredSize equals minSize (%d). Terminating instance without replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.", g.min)
	}
	cause := fmt.Sprintf("At %s instance %s was taken out of service in response to a user request", stamp(time.Now()), id)
	if decrement {
		cause += fmt.Sprintf(", shrinking the capacity from %d to %d", g.desired, g.desired-m.units())
		s.setDesired(g, g.desired-m.units())
	}
	if m.state == stateRetained {
		return oneActivity{g.activityXML(s.endRetained(m, cause+"."))}, nil
	}
	return oneActivity{g.activityXML(s.terminateMember(m, CauseCall, cause+"."))}, nil
}

func (s *Sim) managed(id string) (*member, error) {
	inst := s.instances[id]
	if inst == nil || inst.member == nil {
		return nil, notManaged(id)
	}
	return inst.member, nil
}

func (s *Sim) setInstanceHealth(r *request) (any, error) {
	id, err := r.required("InstanceId")
	if err != nil {
		return nil, err
	}
	status, err := r.required("HealthStatus")
	if err != nil {
		return nil, err
	}
	m, err := s.managed(id)
	if err != nil {
		return nil, err
	}
	switch status {
	case "Healthy", "Unhealthy":
		m.healthy = status == "Healthy"
	default:
		return nil, validation("Health status must be either Healthy or Unhealthy")
	}
	s.reconcileSoon(m.group)
	return empty{}, nil
}

func (s *Sim) setInstanceProtection(r *request) (any, error) {
	_, ms, err := s.named(r)
	if err != nil {
		return nil, err
	}
	protect, err := r.requiredBool("ProtectedFromScaleIn")
	if err != nil {
		return nil, err
	}
	for _, m := range ms {
		if m.state != stateInService && m.state != stateStandby && !m.pending() {
			return nil, validation("The instance %s is not in InService or EnteringStandby or Standby.", m.inst.id)
		}
	}
	for _, m := range ms {
		m.protected = protect
		s.reconcileSoon(m.group)
	}
	return empty{}, nil
}

func (g *group) answer(as []*activity) activitiesResult {
	return activitiesResult{Activities: memberList(as, g.activityXML)}
}
