package awssim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// queuePolicy is the part of a queue's policy that says which services of AWS
// may send to it.
type queuePolicy struct {
	Version   string
	ID        string `json:"Id"`
	Statement []queueStatement
}

type queueStatement struct {
	Sid       string
	Effect    string
	Principal struct{ Service oneOrMore }
	Action    oneOrMore
	Resource  oneOrMore
	Condition map[string]map[string]oneOrMore
}

// oneOrMore is a string or a list of them.
type oneOrMore []string

// UnmarshalJSON reads either.
func (o *oneOrMore) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*o = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(o))
}

// readQueuePolicy refuses what it could not evaluate: an element that it does
// not know must not pass as harmless.
func readQueuePolicy(text string) (*queuePolicy, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no policy is one answer of two
	}
	var p queuePolicy
	if err := strictJSON(strings.NewReader(text), &p); err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	for _, st := range p.Statement {
		if st.Effect != "Allow" && st.Effect != "Deny" {
			return nil, fmt.Errorf("statement %q has effect %q", st.Sid, st.Effect)
		}
		for operator, keys := range st.Condition {
			if !slices.Contains([]string{"ArnEquals", "ArnLike", "StringEquals", "StringLike"}, operator) {
				return nil, fmt.Errorf("statement %q has condition %q, which the simulator does not know", st.Sid, operator)
			}
			for key := range keys {
				if key != "aws:SourceArn" && key != "aws:SourceAccount" {
					return nil, fmt.Errorf("statement %q has condition key %q, which the simulator does not know", st.Sid, key)
				}
			}
		}
	}
	return &p, nil
}

// sender is a service of AWS that sends for a resource, such as a rule.
type sender struct {
	service, arn, account string
}

// takesFrom tells whether the queue's policy lets a service send to it.
func (q *queue) takesFrom(from sender) bool {
	allowed := false
	if q.policy == nil {
		return false
	}
	for _, st := range q.policy.Statement {
		if !st.covers(q.arn, from) {
			continue
		}
		if st.Effect == "Deny" {
			return false
		}
		allowed = true
	}
	return allowed
}

func (st queueStatement) covers(queueARN string, from sender) bool {
	has := func(patterns oneOrMore, value string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return wildcard(strings.ToLower(p), strings.ToLower(value)) })
	}
	if !slices.Contains(st.Principal.Service, from.service) || !has(st.Action, "sqs:SendMessage") || !has(st.Resource, queueARN) {
		return false
	}
	keys := map[string]string{"aws:SourceArn": from.arn, "aws:SourceAccount": from.account}
	for _, operator := range slices.Sorted(maps.Keys(st.Condition)) {
		for key, want := range st.Condition[operator] {
			met := slices.Contains(want, keys[key])
			if operator != "StringEquals" { // ArnEquals and ArnLike behave alike
				met = slices.ContainsFunc(want, func(p string) bool { return wildcard(p, keys[key]) })
			}
			if !met {
				return false
			}
		}
	}
	return true
}
