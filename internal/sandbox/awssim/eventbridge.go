package awssim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

func (s *Sim) eventsActions() map[string]handler {
	return map[string]handler{
		"PutRule":           typed(s.putRule),
		"DeleteRule":        typed(s.deleteRule),
		"ListRules":         typed(s.listRules),
		"PutTargets":        typed(s.putTargets),
		"RemoveTargets":     typed(s.removeTargets),
		"ListTargetsByRule": typed(s.listTargets),
		"PutEvents":         typed(s.putEvents),
	}
}

// rule of the default event bus.
type rule struct {
	name, arn, text, description, state string

	pattern *pattern
	targets []ruleTarget
}

// ruleTarget is a queue.
type ruleTarget struct {
	Id  string //nolint:revive // the name on the wire
	Arn string
}

func (s *Sim) rule(name string) *rule {
	i := slices.IndexFunc(s.rules, func(r *rule) bool { return r.name == name })
	if i < 0 {
		return nil
	}
	return s.rules[i]
}

func (s *Sim) ruleOf(bus, name string) (*rule, error) {
	if err := defaultBus(bus); err != nil {
		return nil, err
	}
	if r := s.rule(name); r != nil {
		return r, nil
	}
	return nil, fail("ResourceNotFoundException", "Rule %s does not exist on EventBus default.", name)
}

func defaultBus(name string) error {
	if name != "" && name != "default" {
		return fail("ResourceNotFoundException", "Event bus %s does not exist.", name)
	}
	return nil
}

type putRuleInput struct {
	Name, EventPattern, State, Description, EventBusName string

	Tags []struct{ Key, Value string } // taken, shown nowhere
}

func (s *Sim) putRule(_ *request, in putRuleInput) (any, error) {
	if err := defaultBus(in.EventBusName); err != nil {
		return nil, err
	}
	p, err := readPattern(in.EventPattern)
	if err != nil {
		return nil, fail("InvalidEventPatternException", "Event pattern is not valid. Reason: %v", err)
	}
	r := s.rule(in.Name)
	if r == nil {
		r = &rule{name: in.Name, arn: s.ruleARN(in.Name)}
		s.rules = append(s.rules, r)
	}
	r.text, r.pattern, r.description, r.state = in.EventPattern, p, in.Description, in.State
	if r.state == "" {
		r.state = "ENABLED"
	}
	return map[string]string{"RuleArn": r.arn}, nil
}

type ruleInput struct {
	Name, EventBusName string
	Force              bool
}

func (s *Sim) deleteRule(_ *request, in ruleInput) (any, error) {
	if err := defaultBus(in.EventBusName); err != nil {
		return nil, err
	}
	r := s.rule(in.Name)
	if r != nil && len(r.targets) > 0 {
		return nil, fail("ValidationException", "Rule can't be deleted since it has targets.")
	}
	s.rules = slices.DeleteFunc(s.rules, func(o *rule) bool { return o == r })
	return empty{}, nil
}

type listRulesInput struct {
	NamePrefix, EventBusName string
}

func (s *Sim) listRules(_ *request, in listRulesInput) (any, error) {
	if err := defaultBus(in.EventBusName); err != nil {
		return nil, err
	}
	out := []map[string]string{}
	for _, r := range s.rules {
		if strings.HasPrefix(r.name, in.NamePrefix) {
			out = append(out, map[string]string{"Name": r.name, "Arn": r.arn, "EventPattern": r.text, "State": r.state, "Description": r.description, "EventBusName": "default"})
		}
	}
	return map[string]any{"Rules": out}, nil
}

type putTargetsInput struct {
	Rule, EventBusName string
	Targets            []ruleTarget
}

func (s *Sim) putTargets(_ *request, in putTargetsInput) (any, error) {
	r, err := s.ruleOf(in.EventBusName, in.Rule)
	if err != nil {
		return nil, err
	}
	for _, t := range in.Targets {
		if t.Id == "" || !s.isQueueARN(t.Arn) {
			return nil, fail("ValidationException", "Parameter %s is not valid. Reason: Provided Arn is not in correct format.", t.Arn)
		}
	}
	for _, t := range in.Targets {
		r.targets = append(slices.DeleteFunc(r.targets, func(o ruleTarget) bool { return o.Id == t.Id }), t)
	}
	return failedEntries(), nil
}

func failedEntries() map[string]any {
	return map[string]any{"FailedEntryCount": 0, "FailedEntries": []string{}}
}

type removeTargetsInput struct {
	Rule, EventBusName string
	Ids                []string //nolint:revive // the name on the wire
	Force              bool
}

func (s *Sim) removeTargets(_ *request, in removeTargetsInput) (any, error) {
	r, err := s.ruleOf(in.EventBusName, in.Rule)
	if err != nil {
		return nil, err
	}
	r.targets = slices.DeleteFunc(r.targets, func(t ruleTarget) bool { return slices.Contains(in.Ids, t.Id) })
	return failedEntries(), nil
}

type listTargetsInput struct {
	Rule, EventBusName string
}

func (s *Sim) listTargets(_ *request, in listTargetsInput) (any, error) {
	r, err := s.ruleOf(in.EventBusName, in.Rule)
	if err != nil {
		return nil, err
	}
	return map[string]any{"Targets": append([]ruleTarget{}, r.targets...)}, nil
}

type putEventsInput struct {
	Entries []struct {
		Source, DetailType, Detail, EventBusName string
		Resources                                []string
		Time                                     float64
	}
}

func (s *Sim) putEvents(_ *request, in putEventsInput) (any, error) {
	out := []map[string]string{}
	refused := 0
	for _, e := range in.Entries {
		entry := map[string]string{}
		at := time.Now()
		if e.Time != 0 {
			at = time.Unix(int64(e.Time), 0)
		}
		switch {
		case strings.HasPrefix(e.Source, "aws."):
			entry["ErrorCode"], entry["ErrorMessage"] = "NotAuthorizedForSourceException", "Not authorized for the source."
		case !json.Valid([]byte(e.Detail)):
			entry["ErrorCode"], entry["ErrorMessage"] = "MalformedDetail", "Detail is malformed."
		default:
			entry["EventId"] = s.emit(e.Source, e.DetailType, at, json.RawMessage(e.Detail), e.Resources...)
		}
		if entry["ErrorCode"] != "" {
			refused++
		}
		out = append(out, entry)
	}
	return map[string]any{"FailedEntryCount": refused, "Entries": out}, nil
}

// envelope is what every event of EventBridge has, in AWS's order.
type envelope struct {
	Version    string   `json:"version"`
	ID         string   `json:"id"`
	DetailType string   `json:"detail-type"`
	Source     string   `json:"source"`
	Account    string   `json:"account"`
	Time       string   `json:"time"`
	Region     string   `json:"region"`
	Resources  []string `json:"resources"`
	Detail     any      `json:"detail"`
}

// emit puts an event of the account on the bus and gives its id.
func (s *Sim) emit(source, detailType string, at time.Time, detail any, resources ...string) string {
	e := envelope{
		Version: "0", ID: uuid(s.mail), DetailType: detailType, Source: source, Account: s.cfg.AccountID,
		Time: stamp(at), Region: s.cfg.Region, Resources: append([]string{}, resources...), Detail: detail,
	}
	body := jsonText(e)
	if _, err := s.publish(body); err != nil {
		s.cfg.Log.Error("event not published", "error", err.Error())
	}
	return e.ID
}

// Delivery is what a rule did with an event that it matched.
type Delivery struct {
	Rule  string `json:"rule"`
	Queue string `json:"queue"`           // ARN
	Error string `json:"error,omitempty"` // why it did not come there
}

// publish sends an event to the targets of the rules that match it. EventBridge
// tells nobody of a target that does not take it but its metrics.
func (s *Sim) publish(body string) ([]Delivery, error) {
	doc, err := decodeObject([]byte(body))
	if err != nil {
		return nil, err
	}
	out := []Delivery{}
	for _, r := range s.rules {
		if r.state == "DISABLED" || !r.pattern.matches(doc) {
			continue
		}
		for _, t := range r.targets {
			d := Delivery{Rule: r.name, Queue: t.Arn}
			if err := s.deliver(t.Arn, sender{"events.amazonaws.com", r.arn, s.cfg.AccountID}, body); err != nil {
				d.Error = err.Error()
				s.cfg.Log.Warn("event not delivered", "rule", r.name, "queue", t.Arn, "error", err.Error())
			}
			out = append(out, d)
		}
	}
	return out, nil
}

// deliver puts a message of a service into a queue whose policy lets it.
func (s *Sim) deliver(queueARN string, from sender, body string) error {
	q := s.queueByARN(queueARN)
	if q == nil {
		return fmt.Errorf("sending to queue %q: it does not exist", queueARN)
	}
	if !q.takesFrom(from) {
		return fmt.Errorf("sending to queue %q: its policy does not let %s send for %s", queueARN, from.service, from.arn)
	}
	s.send(q, body)
	return nil
}

// PutEvent puts an event on the bus as it is: of another account or with
// fields that no service sends, as a test needs it.
func (s *Sim) PutEvent(body string) ([]Delivery, error) {
	s.mu.Lock()
	defer s.release()
	s.catchUp()
	return s.publish(body)
}
