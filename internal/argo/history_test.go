package argo_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/eks-recycle/eks-recycle/internal/argo"
)

// What a person submitted: standby in two attempts, and an eviction that was blocked and still runs.
func TestHistoriesAreReadOfWorkflows(t *testing.T) {
	clock := func(minute string) string { return "2026-11-26T22:" + minute + ":00Z" }
	parsed := func(minute string) time.Time { at, _ := time.Parse(time.RFC3339, clock(minute)); return at }
	pod := func(template, from, until, message string, more ...any) map[string]any {
		parameters := []any{map[string]any{"name": "message", "value": message}}
		for i := 0; i+1 < len(more); i += 2 {
			parameters = append(parameters, map[string]any{"name": more[i], "value": more[i+1]})
		}
		node := map[string]any{"type": "Pod", "templateName": template, "phase": "Succeeded", "startedAt": clock(from), "outputs": map[string]any{"parameters": parameters}}
		if until != "" {
			node["finishedAt"] = clock(until)
		}
		return node
	}
	client := dynamicClient()
	workflow := func(name string, nodes map[string]any, more map[string]any) {
		w := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": map[string]any{"name": name, "namespace": "eks-recycle"},
			"spec":   map[string]any{"arguments": map[string]any{"parameters": []any{map[string]any{"name": "node", "value": "node-1"}}}},
			"status": map[string]any{"nodes": nodes},
		}}
		for key, value := range more {
			_ = unstructured.SetNestedField(w.Object, value, "status", key)
		}
		if err := client.Tracker().Create(workflows, w, "eks-recycle"); err != nil {
			t.Fatal(err)
		}
	}
	workflow("recycle-node-a", map[string]any{
		"2": pod("standby", "20", "25", "replaced", "instance-id", "i-1", "node-name", "node-1", "asg-name", "g", "replacement-node", "node-2"),
		"1": pod("standby", "00", "20", "not yet"),
		"0": map[string]any{"type": "Retry", "templateName": "standby", "phase": "Succeeded"},
		"3": pod("evict", "26", "46", "1 pod(s) on node node-1: default/web is blocked: budget"),
		"4": pod("evict", "46", "", ""),
		"5": pod("unknown", "00", "59", "of another template"),
	}, nil)
	workflow("a-sweep", map[string]any{"1": pod("sweep", "00", "01", "")}, nil)
	workflow("long-ago", map[string]any{"1": pod("standby", "00", "01", "")}, map[string]any{"phase": "Succeeded", "finishedAt": clock("05")})

	var got []argo.History
	err := argo.Workflows{Dynamic: client}.Histories(t.Context(), "eks-recycle", "", parsed("10"), func(h argo.History) { got = append(got, h) })
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %d histories: %+v", err, len(got), got)
	}
	h := got[0]
	if h.Name != "recycle-node-a" || h.Instance != "i-1" || h.Node != "node-1" || h.Group != "g" || h.Replacement != "node-2" {
		t.Errorf("%+v", h)
	}
	evict := []argo.Attempt{{From: parsed("26"), Until: parsed("46"), Message: "1 pod(s) on node node-1: default/web is blocked: budget"}, {From: parsed("46")}}
	want := []argo.Step{
		{Name: "standby", From: parsed("00"), Until: parsed("25"), Attempts: []argo.Attempt{{From: parsed("00"), Until: parsed("20"), Message: "not yet"}, {From: parsed("20"), Until: parsed("25"), Message: "replaced"}}},
		{Name: "evict", From: parsed("26"), Attempts: evict},
	}
	if diff := cmp.Diff(want, h.Steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(evict[:1], h.Steps[1].Blocked()); diff != "" {
		t.Errorf("blocked (-want +got):\n%s", diff)
	}
}
