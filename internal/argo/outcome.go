package argo

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// outcomeOf reads a whole Workflow. Its reason is what the steps said that failed: Argo's own message names no more than
// the step. Where the controller keeps the nodes compressed or in a database, that message has to do.
func outcomeOf(w *unstructured.Unstructured) Outcome {
	o := Outcome{Child: childOf(w)}
	finished, _, _ := unstructured.NestedString(w.Object, "status", "finishedAt")
	o.Finished, _ = time.Parse(time.RFC3339, finished)
	o.Phase = cmp.Or(o.Phase, text(w.Object, "status", "phase"))
	if o.Succeeded() || !o.Ended {
		return o
	}
	nodes, _, _ := unstructured.NestedMap(w.Object, "status", "nodes")
	type said struct{ at, step, words, reason string }
	last := map[string]said{} // by step
	for _, id := range slices.Sorted(maps.Keys(nodes)) {
		node, _ := nodes[id].(map[string]any)
		s := said{text(node, "startedAt"), text(node, "templateName"), cmp.Or(output(node, "message"), text(node, "message")), output(node, "reason")}
		failed := text(node, "phase") == "Failed" || text(node, "phase") == "Error"
		if text(node, "type") != "Pod" || s.words == "" || (!failed && s.step != "settle") || s.at < last[s.step].at {
			continue
		}
		last[s.step] = s
	}
	all := slices.SortedFunc(maps.Values(last), func(a, b said) int { return strings.Compare(a.at, b.at) })
	var words []string
	for _, s := range all {
		words = append(words, s.step+": "+s.words)
		o.Reason = cmp.Or(o.Reason, s.reason)
	}
	o.Message = cmp.Or(strings.Join(words, "; "), text(w.Object, "status", "message"), o.Phase)
	return o
}

// output is the value of an output parameter of a step's pod, or "".
func output(node map[string]any, name string) string {
	parameters, _, _ := unstructured.NestedSlice(node, "outputs", "parameters")
	for _, p := range parameters {
		if p, _ := p.(map[string]any); text(p, "name") == name {
			return text(p, "value")
		}
	}
	return ""
}

func text(in map[string]any, path ...string) string {
	s, _, _ := unstructured.NestedString(in, path...)
	return s
}
