package awssim

import (
	"fmt"
	"strings"
)

// Attributes of an instance by which EC2 refuses what a call asks for. Auto
// Scaling terminates protected instances all the same, and a dry run says
// nothing of them: it asks only for permissions.
const (
	attributeTermination = "disableApiTermination"
	attributeStop        = "disableApiStop" // refuses TerminateInstances too
)

func notPermitted(inst *instance, what, attribute string) *apiError {
	return fail("OperationNotPermitted", "The instance '%s' may not be %s. Modify its '%s' instance attribute and try again.", inst.id, what, attribute)
}

// ProtectInstance sets the instance's attribute disableApiTermination.
func (s *Sim) ProtectInstance(id string, protected bool) error {
	return s.protect(id, attributeTermination, protected)
}

// ProtectFromStop sets the instance's attribute disableApiStop.
func (s *Sim) ProtectFromStop(id string, protected bool) error {
	return s.protect(id, attributeStop, protected)
}

func (s *Sim) protect(id, attribute string, protected bool) error {
	s.mu.Lock()
	defer s.release()
	inst := s.instances[id]
	if inst == nil {
		return fmt.Errorf("changing instance %q: it does not exist", id)
	}
	*inst.attribute(attribute) = protected
	return nil
}

// attribute is where an instance has one of its boolean attributes, nil if the
// simulator does not have it.
func (inst *instance) attribute(name string) *bool {
	switch name {
	case attributeTermination:
		return &inst.noTermination
	case attributeStop:
		return &inst.noStop
	}
	return nil
}

// one is the instance that a call about a single one names.
func (s *Sim) one(r *request) (*instance, error) {
	id, err := r.required("InstanceId")
	if err != nil {
		return nil, err
	}
	found, err := s.lookup([]string{id})
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

type booleanXML struct {
	Value bool `xml:"value"`
}

type instanceAttributeResult struct {
	ec2Head
	InstanceID    string      `xml:"instanceId"`
	NoTermination *booleanXML `xml:"disableApiTermination"`
	NoStop        *booleanXML `xml:"disableApiStop"`
}

func (s *Sim) describeInstanceAttribute(r *request) (any, error) {
	inst, err := s.one(r)
	if err != nil {
		return nil, err
	}
	name, err := r.required("Attribute")
	if err != nil {
		return nil, err
	}
	out := &instanceAttributeResult{InstanceID: inst.id}
	switch name {
	case attributeTermination:
		out.NoTermination = &booleanXML{inst.noTermination}
	case attributeStop:
		out.NoStop = &booleanXML{inst.noStop}
	default:
		return nil, unknownAttribute(name)
	}
	return out, nil
}

func unknownAttribute(name string) *apiError {
	return fail("InvalidParameterValue", "Value (%s) for parameter attribute is invalid. Unknown attribute.", name)
}

// modifyInstanceAttribute takes the attribute by its own parameter, or by name
// and value as older clients have it. One call changes one attribute.
func (s *Sim) modifyInstanceAttribute(r *request) (any, error) {
	inst, err := s.one(r)
	if err != nil {
		return nil, err
	}
	name, parameter := r.str("Attribute"), "Value"
	for _, known := range []string{attributeTermination, attributeStop} {
		own := strings.ToUpper(known[:1]) + known[1:] + ".Value"
		if !r.has(own) {
			continue
		}
		if name != "" {
			return nil, fail("InvalidParameterCombination", "Fields for multiple attribute types specified: %s, %s", name, known)
		}
		name, parameter = known, own
	}
	if name == "" {
		return nil, fail("InvalidParameterCombination", "No attributes specified.")
	}
	field := inst.attribute(name)
	if field == nil {
		return nil, unknownAttribute(name)
	}
	value, err := r.requiredBool(parameter)
	if err != nil {
		return nil, err
	}
	if inst.state == ec2ShuttingDown || inst.state == ec2Terminated {
		return nil, fail("IncorrectInstanceState", "The instance '%s' is not in a state from which its attributes can be modified.", inst.id)
	}
	*field = value
	return &ec2Done{Return: true}, nil
}
