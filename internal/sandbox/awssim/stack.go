package awssim

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Stack is what a template of CloudFormation made.
type Stack struct {
	Name string `json:"name"`
	// Resources are the names by logical id: of a queue its URL, of a rule its name, as Ref gives them.
	Resources map[string]string `json:"resources"`
	Outputs   map[string]string `json:"outputs"`
	// Policies are the documents of IAM policies and the trust policies of
	// roles, by logical id. Nothing here evaluates them.
	Policies map[string]string `json:"policies"`
}

// templateDoc is the part of a template that is read. What else there is, is refused.
type templateDoc struct {
	Version     string                       `yaml:"AWSTemplateFormatVersion"`
	Description string                       `yaml:"Description"`
	Parameters  map[string]templateParameter `yaml:"Parameters"`
	Conditions  map[string]yaml.Node         `yaml:"Conditions"`
	Resources   map[string]templateResource  `yaml:"Resources"`
	Outputs     map[string]templateOutput    `yaml:"Outputs"`
}

type templateParameter struct {
	Description    string   `yaml:"Description"`
	Type           string   `yaml:"Type"`
	Default        *string  `yaml:"Default"`
	AllowedPattern string   `yaml:"AllowedPattern"`
	MinValue       *float64 `yaml:"MinValue"`
	MaxValue       *float64 `yaml:"MaxValue"`
	MinLength      int      `yaml:"MinLength"`
}

type templateResource struct {
	Type       string    `yaml:"Type"`
	Condition  string    `yaml:"Condition"`
	Properties yaml.Node `yaml:"Properties"`
}

type templateOutput struct {
	Description string    `yaml:"Description"`
	Condition   string    `yaml:"Condition"`
	Value       yaml.Node `yaml:"Value"`
}

// LoadTemplate makes the queues, queue policies, rules and lifecycle hooks of
// a CloudFormation template, in YAML with the short forms of !Ref, !Sub,
// !GetAtt, !If, !Equals and !Not. Loaded again under the same name, it brings
// what is there up to date. A resource, property or function that it does not
// know is an error; what was made until then stays.
func (s *Sim) LoadTemplate(name string, template []byte, parameters map[string]string) (Stack, error) {
	s.mu.Lock()
	defer s.release()
	s.catchUp()
	s.by = origin{cause: CauseOutside}
	stack, err := s.loadTemplate(name, template, parameters)
	if err != nil {
		return Stack{}, fmt.Errorf("loading template of stack %q: %w", name, err)
	}
	return stack, nil
}

func (s *Sim) loadTemplate(name string, template []byte, parameters map[string]string) (Stack, error) {
	l := &stackLoader{
		sim: s, stack: Stack{Name: name, Resources: map[string]string{}, Outputs: map[string]string{}, Policies: map[string]string{}},
		params: map[string]string{}, made: map[string]map[string]string{}, making: map[string]bool{},
	}
	dec := yaml.NewDecoder(bytes.NewReader(template))
	dec.KnownFields(true)
	if err := dec.Decode(&l.doc); err != nil {
		return Stack{}, fmt.Errorf("reading it: %w", err)
	}
	if err := l.takeParameters(parameters); err != nil {
		return Stack{}, err
	}
	for _, id := range slices.Sorted(maps.Keys(l.doc.Resources)) {
		wanted, err := l.condition(l.doc.Resources[id].Condition)
		if err != nil {
			return Stack{}, err
		}
		if !wanted {
			continue
		}
		attributes, err := l.resource(id)
		if err != nil {
			return Stack{}, err
		}
		l.stack.Resources[id] = attributes[refAttribute]
	}
	for _, id := range slices.Sorted(maps.Keys(l.doc.Outputs)) {
		out := l.doc.Outputs[id]
		wanted, err := l.condition(out.Condition)
		if err != nil || !wanted {
			if err != nil {
				return Stack{}, err
			}
			continue
		}
		value, err := l.value(&out.Value)
		if err != nil {
			return Stack{}, fmt.Errorf("output %q: %w", id, err)
		}
		l.stack.Outputs[id] = fmt.Sprint(value)
	}
	return l.stack, nil
}

// takeParameters checks what is given as CloudFormation does.
func (l *stackLoader) takeParameters(given map[string]string) error {
	for name := range given {
		if _, ok := l.doc.Parameters[name]; !ok {
			return fmt.Errorf("parameters: [%s] do not exist in the template", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.doc.Parameters)) {
		p := l.doc.Parameters[name]
		value, ok := given[name]
		if !ok && p.Default == nil {
			return fmt.Errorf("parameters: [%s] must have values", name)
		}
		if !ok {
			value = *p.Default
		}
		if p.AllowedPattern != "" {
			pattern, err := regexp.Compile("^(?:" + p.AllowedPattern + ")$")
			if err != nil {
				return fmt.Errorf("parameter %q: %w", name, err)
			}
			if !pattern.MatchString(value) {
				return fmt.Errorf("parameter %q: %q does not match pattern %s", name, value, p.AllowedPattern)
			}
		}
		if len(value) < p.MinLength {
			return fmt.Errorf("parameter %q: %q is too short", name, value)
		}
		if p.Type == "Number" {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil || p.MinValue != nil && n < *p.MinValue || p.MaxValue != nil && n > *p.MaxValue {
				return fmt.Errorf("parameter %q: %q is no number within its bounds", name, value)
			}
		}
		l.params[name] = value
	}
	return nil
}
