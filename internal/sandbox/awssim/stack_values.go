package awssim

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// stackLoader makes one stack.
type stackLoader struct {
	sim    *Sim
	doc    templateDoc
	params map[string]string
	made   map[string]map[string]string // attributes by logical id
	making map[string]bool
	stack  Stack
}

// refAttribute is where a resource's attributes hold what Ref gives.
const refAttribute = "Ref"

// absent is AWS::NoValue: the property or element is left out.
type absent struct{}

// value is a node of the template with its functions carried out.
func (l *stackLoader) value(node *yaml.Node) (any, error) {
	if strings.HasPrefix(node.Tag, "!") && !strings.HasPrefix(node.Tag, "!!") {
		return l.function(node)
	}
	switch node.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i].Value
			if key == "Ref" || strings.HasPrefix(key, "Fn::") {
				return nil, fmt.Errorf("line %d: the long form %s is not known", node.Line, key)
			}
			v, err := l.value(node.Content[i+1])
			if err != nil {
				return nil, err
			}
			if v != (any)(absent{}) {
				out[key] = v
			}
		}
		return out, nil
	case yaml.SequenceNode:
		out := []any{}
		for _, element := range node.Content {
			v, err := l.value(element)
			if err != nil {
				return nil, err
			}
			if v != (any)(absent{}) {
				out = append(out, v)
			}
		}
		return out, nil
	case yaml.ScalarNode:
		var v any
		return v, node.Decode(&v)
	}
	return nil, fmt.Errorf("line %d: the simulator reads no aliases", node.Line)
}

func (l *stackLoader) function(node *yaml.Node) (any, error) {
	switch node.Tag {
	case "!Ref":
		return l.reference(node.Value)
	case "!GetAtt":
		id, attribute, _ := strings.Cut(node.Value, ".")
		return l.attribute(id, attribute)
	case "!Sub":
		return l.substitute(node)
	case "!If":
		if len(node.Content) != 3 {
			return nil, fmt.Errorf("line %d: !If takes three", node.Line)
		}
		holds, err := l.condition(node.Content[0].Value)
		if err != nil {
			return nil, err
		}
		if holds {
			return l.value(node.Content[1])
		}
		return l.value(node.Content[2])
	case "!Equals":
		if len(node.Content) != 2 {
			return nil, fmt.Errorf("line %d: !Equals takes two", node.Line)
		}
		a, err := l.value(node.Content[0])
		if err != nil {
			return nil, err
		}
		b, err := l.value(node.Content[1])
		return fmt.Sprint(a) == fmt.Sprint(b), err
	case "!Condition":
		return l.condition(node.Value)
	case "!Or":
		for _, one := range node.Content {
			if v, err := l.value(one); err != nil || v == any(true) {
				return v, err
			}
		}
		return false, nil
	case "!Not":
		if len(node.Content) != 1 {
			return nil, fmt.Errorf("line %d: !Not takes one", node.Line)
		}
		v, err := l.value(node.Content[0])
		return v == any(false), err
	}
	return nil, fmt.Errorf("line %d: the function %s is not known", node.Line, node.Tag)
}

// condition is that of a name; none always holds.
func (l *stackLoader) condition(name string) (bool, error) {
	if name == "" {
		return true, nil
	}
	node, ok := l.doc.Conditions[name]
	if !ok {
		return false, fmt.Errorf("condition %q does not exist", name)
	}
	v, err := l.value(&node)
	return v == any(true), err
}

func (l *stackLoader) reference(name string) (any, error) {
	cfg := l.sim.cfg
	switch name {
	case "AWS::NoValue":
		return absent{}, nil
	case "AWS::AccountId":
		return cfg.AccountID, nil
	case "AWS::Region":
		return cfg.Region, nil
	case "AWS::Partition":
		return l.sim.partition(), nil
	case "AWS::URLSuffix":
		return l.sim.urlSuffix(), nil
	case "AWS::StackName":
		return l.stack.Name, nil
	}
	if v, ok := l.params[name]; ok {
		return v, nil
	}
	return l.attribute(name, refAttribute)
}

func (l *stackLoader) attribute(id, attribute string) (any, error) {
	attributes, err := l.resource(id)
	if err != nil {
		return nil, err
	}
	v, ok := attributes[attribute]
	if !ok {
		return nil, fmt.Errorf("resource %q has no attribute %q", id, attribute)
	}
	return v, nil
}

// substitute knows ${Name} and ${Id.Attribute}.
func (l *stackLoader) substitute(node *yaml.Node) (any, error) {
	if node.Kind != yaml.ScalarNode {
		return nil, fmt.Errorf("line %d: !Sub takes a string", node.Line)
	}
	var failed error
	text := regexp.MustCompile(`\$\{[^}]*\}`).ReplaceAllStringFunc(node.Value, func(match string) string {
		name := match[2 : len(match)-1]
		var v any
		var err error
		if id, attribute, ok := strings.Cut(name, "."); ok {
			v, err = l.attribute(id, attribute)
		} else {
			v, err = l.reference(name)
		}
		if err != nil && failed == nil {
			failed = err
		}
		return fmt.Sprint(v)
	})
	return text, failed
}
