package argo

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// History is what a Workflow tells of the recycle that it ran, or runs.
type History struct {
	Outcome
	Replacement string
	Steps       []Step
}

// Step is one step of it, over all attempts. Until is zero while it runs.
type Step struct {
	Name        string
	From, Until time.Time
	Attempts    []Attempt
	Failed      bool
}

// Attempt is one pod of a step, with what it said.
type Attempt struct {
	From, Until time.Time
	Message     string
}

// steps of a recycle, by the names of their templates, in order.
var steps = []string{"standby", "taint", "drain", "evict", "retire", "settle"}

// Histories reads the Workflows that recycle nodes: those of one fleet, or all with an empty uid. Those that ended before since are left
// out. Of a Workflow whose nodes the controller keeps compressed or in a database no steps are known.
func (w Workflows) Histories(ctx context.Context, namespace, fleet string, since time.Time, each func(History)) error {
	options := metav1.ListOptions{Limit: outcomesAPage}
	if fleet != "" {
		options.LabelSelector = ofFleet(fleet)
	}
	for {
		page, err := w.Dynamic.Resource(workflows).Namespace(namespace).List(ctx, options)
		if err != nil {
			return fmt.Errorf("listing workflows: %w", err)
		}
		for i := range page.Items {
			h := historyOf(&page.Items[i])
			recycles := h.Fleet != "" || slices.ContainsFunc(h.Steps, func(s Step) bool { return s.Name == "standby" })
			if recycles && (h.Finished.IsZero() || !h.Finished.Before(since)) {
				each(h)
			}
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}

// UID is that of a Workflow.
func (w Workflows) UID(ctx context.Context, namespace, name string) (string, error) {
	found, err := w.Metadata.Resource(workflows).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("reading workflow %q: %w", name, err)
	}
	return string(found.UID), nil
}

func historyOf(w *unstructured.Unstructured) History {
	h := History{Outcome: outcomeOf(w)}
	nodes, _, _ := unstructured.NestedMap(w.Object, "status", "nodes")
	by := map[string]*Step{}
	for _, id := range slices.Sorted(maps.Keys(nodes)) {
		node, _ := nodes[id].(map[string]any)
		name := text(node, "templateName")
		if text(node, "type") != "Pod" || !slices.Contains(steps, name) {
			continue
		}
		a := Attempt{at(node, "startedAt"), at(node, "finishedAt"), cmp.Or(output(node, "message"), text(node, "message"))}
		if by[name] == nil {
			by[name] = &Step{Name: name}
		}
		by[name].Attempts = append(by[name].Attempts, a)
		if name == "standby" {
			h.Instance, h.Node, h.Group = cmp.Or(h.Instance, output(node, "instance-id")), cmp.Or(h.Node, output(node, "node-name")), cmp.Or(h.Group, output(node, "asg-name"))
			h.Replacement = cmp.Or(output(node, "replacement-node"), output(node, "replacement-instance-id"), h.Replacement)
		}
	}
	failed := map[string]bool{} // by step: its last attempt
	for _, node := range nodes {
		node, _ := node.(map[string]any)
		if phase := text(node, "phase"); text(node, "type") == "Retry" && (phase == "Failed" || phase == "Error") {
			failed[text(node, "templateName")] = true
		}
	}
	for _, name := range steps {
		if s := by[name]; s != nil {
			h.Steps = append(h.Steps, s.complete(failed[name]))
		}
	}
	parameters, _, _ := unstructured.NestedSlice(w.Object, "spec", "arguments", "parameters")
	for _, p := range parameters {
		p, _ := p.(map[string]any)
		switch text(p, "name") {
		case "instance-id":
			h.Instance = cmp.Or(h.Instance, text(p, "value"))
		case "node":
			h.Node = cmp.Or(h.Node, text(p, "value"))
		}
	}
	return h
}

// complete puts the attempts of a step in order, and says when it began and ended.
func (s *Step) complete(failed bool) Step {
	slices.SortFunc(s.Attempts, func(a, b Attempt) int { return a.From.Compare(b.From) })
	s.From, s.Failed = s.Attempts[0].From, failed
	for _, a := range s.Attempts {
		if a.Until.IsZero() { // it runs
			s.Until = time.Time{}
			return *s
		}
		s.Until = a.Until
	}
	return *s
}

// Message is what the last attempt said.
func (s Step) Message() string { return s.Attempts[len(s.Attempts)-1].Message }

// Blocked are the attempts that ended with a pod whose eviction was refused.
func (s Step) Blocked() []Attempt {
	return slices.DeleteFunc(slices.Clone(s.Attempts), func(a Attempt) bool { return !strings.Contains(a.Message, "is blocked") })
}

func at(node map[string]any, name string) time.Time {
	t, _ := time.Parse(time.RFC3339, text(node, name))
	return t
}
