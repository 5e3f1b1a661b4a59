// Package iampolicy says whether an identity policy of AWS would let a call through, so that a test can hold every call
// a recycle made against the policy that users are told to attach.
//
// It knows the part of the policy language that such a document needs and refuses to read a policy that uses more:
// an element that it does not understand must not pass as harmless. It is no replacement for AWS's policy simulator.
package iampolicy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Policy is an identity policy.
type Policy struct {
	Version   string      `json:"Version"`
	Statement []Statement `json:"Statement"`
}

// Statement is one statement of a policy.
type Statement struct {
	Sid       string                       `json:"Sid"`
	Effect    string                       `json:"Effect"`
	Action    oneOrMore                    `json:"Action"`
	Resource  oneOrMore                    `json:"Resource"`
	Condition map[string]map[string]values `json:"Condition"`
}

// Parse reads a policy and refuses what it could not evaluate.
func Parse(data []byte) (Policy, error) {
	var p Policy
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return Policy{}, fmt.Errorf("decoding policy: %w", err)
	}
	if p.Version != "2012-10-17" {
		return Policy{}, fmt.Errorf("reading policy: version %q is not 2012-10-17", p.Version)
	}
	if bytes.Contains(data, []byte("${")) {
		return Policy{}, fmt.Errorf("reading policy: policy variables are not supported")
	}
	for _, s := range p.Statement {
		if err := s.validate(); err != nil {
			return Policy{}, fmt.Errorf("reading statement %q: %w", s.Sid, err)
		}
	}
	return p, nil
}

func (s Statement) validate() error {
	if s.Effect != "Allow" && s.Effect != "Deny" {
		return fmt.Errorf("effect %q is neither Allow nor Deny", s.Effect)
	}
	if len(s.Action) == 0 || len(s.Resource) == 0 {
		return fmt.Errorf("a statement needs actions and resources")
	}
	for _, a := range s.Action {
		if a != "*" && !strings.Contains(a, ":") {
			return fmt.Errorf("action %q has no service prefix", a)
		}
	}
	for _, r := range s.Resource {
		if r != "*" && len(strings.SplitN(r, ":", arnParts)) != arnParts {
			return fmt.Errorf("resource %q is not an ARN", r)
		}
	}
	for name := range s.Condition {
		if _, err := parseOperator(name); err != nil {
			return err
		}
	}
	return nil
}

// oneOrMore is a list that JSON may give as a single string.
type oneOrMore []string

func (l *oneOrMore) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*l = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(l))
}

// values are condition values: strings, or what JSON has besides, one or many.
type values []string

func (v *values) UnmarshalJSON(data []byte) error {
	var many []json.RawMessage
	if json.Unmarshal(data, &many) != nil {
		many = []json.RawMessage{data}
	}
	*v = nil
	for _, raw := range many {
		var s string
		if json.Unmarshal(raw, &s) != nil {
			s = string(raw)
		}
		*v = append(*v, s)
	}
	return nil
}
