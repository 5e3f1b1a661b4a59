package awssim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// pattern is an event pattern of EventBridge ("Comparison operators for use in
// event patterns", user guide), with the operators exact, prefix, suffix,
// equals-ignore-case, anything-but and exists. A pattern with another one is
// refused: ignored, it would let through what the rule keeps out.
type pattern struct {
	fields map[string]*pattern // of an object
	any    []condition         // of a leaf: one has to hold
}

// condition is one element of a leaf's list.
type condition struct {
	exists *bool             // the leaf is there, or is not
	holds  func(string) bool // by the JSON of a value
}

// readPattern refuses what AWS refuses, and the operators not known.
func readPattern(text string) (*pattern, error) {
	doc, err := decodeObject([]byte(text))
	if err != nil {
		return nil, err
	}
	return newPattern(doc)
}

// decodeObject keeps numbers as they are written: EventBridge compares
// numbers by their text, and 300 is not 300.0.
func decodeObject(text []byte) (map[string]any, error) {
	var doc map[string]any
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("reading JSON: %w", err)
	}
	if dec.More() {
		return nil, fmt.Errorf("reading JSON: there is more than one value")
	}
	return doc, nil
}

func newPattern(doc map[string]any) (*pattern, error) {
	if len(doc) == 0 {
		return nil, fmt.Errorf("an object of a pattern is empty")
	}
	out := &pattern{fields: map[string]*pattern{}}
	for _, name := range slices.Sorted(maps.Keys(doc)) {
		var err error
		switch v := doc[name].(type) {
		case map[string]any:
			out.fields[name], err = newPattern(v)
		case []any:
			out.fields[name], err = newLeaf(v)
		default:
			err = fmt.Errorf("is neither an object nor a list")
		}
		if strings.HasPrefix(name, "$") {
			err = fmt.Errorf("the operator is not known")
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
	}
	return out, nil
}

func newLeaf(list []any) (*pattern, error) {
	if len(list) == 0 {
		return nil, fmt.Errorf("the list is empty")
	}
	out := &pattern{}
	for _, element := range list {
		c, err := newCondition(element)
		if err != nil {
			return nil, err
		}
		out.any = append(out.any, c)
	}
	return out, nil
}

func newCondition(element any) (condition, error) {
	op, ok := element.(map[string]any)
	if !ok {
		if _, list := element.([]any); list {
			return condition{}, fmt.Errorf("a list stands within a list")
		}
		want := jsonText(element)
		return condition{holds: func(have string) bool { return have == want }}, nil
	}
	if len(op) != 1 {
		return condition{}, fmt.Errorf("an operator stands alone in its object, this one is one of %d", len(op))
	}
	for name, argument := range op {
		if name == "exists" {
			want, ok := argument.(bool)
			if !ok {
				return condition{}, fmt.Errorf("exists is true or false")
			}
			return condition{exists: &want}, nil
		}
		if name == "anything-but" {
			holds, err := anythingBut(argument)
			return condition{holds: holds}, err
		}
		holds, err := textOperator(name, argument)
		return condition{holds: holds}, err
	}
	return condition{}, nil
}

func anythingBut(argument any) (func(string) bool, error) {
	var not func(string) bool
	switch argument := argument.(type) {
	case map[string]any:
		if len(argument) != 1 {
			return nil, fmt.Errorf("anything-but takes one operator")
		}
		for name, inner := range argument {
			var err error
			if not, err = textOperator(name, inner); err != nil {
				return nil, err
			}
		}
	case []any:
		if len(argument) == 0 {
			return nil, fmt.Errorf("anything-but has an empty list")
		}
		wants := listOf(argument, jsonText)
		not = func(have string) bool { return slices.Contains(wants, have) }
	default:
		want := jsonText(argument)
		not = func(have string) bool { return have == want }
	}
	return func(have string) bool { return !not(have) }, nil
}

// textOperator compares the text of strings.
func textOperator(name string, argument any) (func(string) bool, error) {
	compare, ok := map[string]func(have, want string) bool{
		"prefix": strings.HasPrefix, "suffix": strings.HasSuffix, "equals-ignore-case": strings.EqualFold,
	}[name]
	if !ok {
		return nil, fmt.Errorf("the operator %q is not known", name)
	}
	want, ok := argument.(string)
	if !ok {
		return nil, fmt.Errorf("%s takes a string", name)
	}
	return func(have string) bool {
		var text string
		return json.Unmarshal([]byte(have), &text) == nil && compare(text, want)
	}, nil
}

// jsonText leaves < and & as they are, as AWS does.
func jsonText(v any) string {
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// matches holds a pattern against an event or a part of it. Of a list of
// objects one has to match as a whole.
func (p *pattern) matches(have any) bool {
	if p.fields == nil {
		return p.matchesLeaf(have)
	}
	if list, ok := have.([]any); ok {
		return slices.ContainsFunc(list, p.matches)
	}
	// What is no object has no fields, as what is absent.
	object, _ := have.(map[string]any)
	for name, inner := range p.fields {
		value, there := object[name]
		if !there {
			value = []any{}
		}
		if !there && inner.fields != nil {
			value = nil
		}
		if !inner.matches(value) {
			return false
		}
	}
	return true
}

func (p *pattern) matchesLeaf(have any) bool {
	values := leaves(have)
	for _, c := range p.any {
		if c.exists != nil {
			if *c.exists == (len(values) > 0) {
				return true
			}
			continue
		}
		if slices.ContainsFunc(values, c.holds) {
			return true
		}
	}
	return false
}

// leaves are the JSON of a value, or of those in a list. An object has none:
// operators work on leaf nodes only.
func leaves(v any) []string {
	switch v := v.(type) {
	case map[string]any:
		return nil
	case []any:
		var out []string
		for _, element := range v {
			out = append(out, leaves(element)...)
		}
		return out
	default:
		return []string{jsonText(v)}
	}
}
