package awssim

import "slices"

type changeXML struct {
	InstanceID string   `xml:"instanceId"`
	Current    stateXML `xml:"currentState"`
	Previous   stateXML `xml:"previousState"`
}

type changeResult struct {
	ec2Head
	Instances items[changeXML] `xml:"instancesSet"`
}

// change checks all instances before it acts on any.
func (s *Sim) change(r *request, check func(*instance) error, act func(*instance)) (any, error) {
	ids := r.list("InstanceId")
	if len(ids) == 0 {
		return nil, missingParameter("ec2", "InstanceId")
	}
	found, err := s.lookup(ids)
	if err != nil {
		return nil, err
	}
	for _, inst := range found {
		if err := check(inst); err != nil {
			return nil, err
		}
	}
	return &changeResult{Instances: itemList(found, func(inst *instance) changeXML {
		before := inst.state
		act(inst)
		return changeXML{inst.id, stateOf(inst.state), stateOf(before)}
	})}, nil
}

func (s *Sim) stopInstances(r *request) (any, error) {
	return s.change(r, func(inst *instance) error {
		switch {
		case !slices.Contains([]string{ec2Running, ec2Stopping, ec2Stopped}, inst.state):
			return fail("IncorrectInstanceState", "The instance '%s' is not in a state from which it can be stopped.", inst.id)
		case inst.rootDevice != "ebs":
			return fail("UnsupportedOperation", "The instance '%s' does not have an 'ebs' root device type and cannot be stopped.", inst.id)
		case inst.lifecycle == "spot":
			return fail("UnsupportedOperation", "You can't stop the Spot Instance '%s' because it is associated with a one-time Spot Instance request. You can only stop Spot Instances associated with persistent Spot Instance requests.", inst.id)
		case inst.noStop && inst.state == ec2Running:
			return notPermitted(inst, "stopped", attributeStop)
		}
		return nil
	}, func(inst *instance) {
		if inst.state == ec2Running {
			s.stopInstance(inst, s.by)
		}
	})
}

func (s *Sim) startInstances(r *request) (any, error) {
	return s.change(r, func(inst *instance) error {
		if !slices.Contains([]string{ec2Stopped, ec2Pending, ec2Running}, inst.state) {
			return fail("IncorrectInstanceState", "The instance '%s' is not in a state from which it can be started.", inst.id)
		}
		return nil
	}, func(inst *instance) {
		if inst.state == ec2Stopped {
			s.startInstance(inst, s.by)
		}
	})
}

func (s *Sim) terminateInstances(r *request) (any, error) {
	return s.change(r, func(inst *instance) error {
		switch {
		case inst.state == ec2ShuttingDown || inst.state == ec2Terminated:
			return nil
		case inst.noTermination:
			return notPermitted(inst, "terminated", attributeTermination)
		case inst.noStop:
			return notPermitted(inst, "terminated", attributeStop)
		}
		return nil
	}, func(inst *instance) { s.terminateInstance(inst, s.by) })
}
