package argo4_test

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	wfv1 "github.com/argoproj/argo-workflows/v4/pkg/apis/workflow/v1alpha1"
	"github.com/argoproj/argo-workflows/v4/util/logging"
	"github.com/argoproj/argo-workflows/v4/util/template"
)

// The controller substitutes twice: when it reads a workflow, what it knows by then; and when the workflow or a step has ended, the rest.
// What it cannot substitute then, it does not emit, and says so in a condition of the workflow only.
func TestArgo4SubstitutesTheMetrics(t *testing.T) {
	ctx := logging.WithLogger(t.Context(), logging.NewSlogLogger(logging.Error, logging.Text))
	substituted := 0
	content, err := os.ReadFile(filepath.Join(testdata, "example-events.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, parsed := range parse(ctx, content) {
		wt, ok := parsed.Object.(*wfv1.WorkflowTemplate)
		if parsed.Err != nil || !ok {
			continue
		}
		known := map[string]any{"workflow.mainEntrypoint": wt.Spec.Entrypoint, "workflow.creationTimestamp.s": "1800000000"}
		rehearses := false
		for _, p := range wt.Spec.Arguments.Parameters {
			known["workflow.parameters."+p.Name] = p.Value.String()
			rehearses = rehearses || p.Name == "dry-run"
		}
		ended := maps.Clone(known)
		maps.Copy(ended, map[string]any{"workflow.status": "Failed", "workflow.duration": "61.000000", "status": "Succeeded", "duration": "60.000000"})
		rehearsal := maps.Clone(known)
		rehearsal["workflow.parameters.dry-run"] = "true"
		for _, m := range wt.Spec.Metrics.Prometheus {
			got := substitute(ctx, t, substitute(ctx, t, m, known, true), ended, false)
			if got.When != "false != true" {
				t.Errorf("%s, %s: when %s", wt.Name, m.Name, got.When)
			}
			for _, l := range got.Labels {
				if want := map[string]string{"kind": wt.Spec.Entrypoint, "status": "Failed"}[l.Key]; l.Value != want {
					t.Errorf("%s, %s: label %s is %q, want %q", wt.Name, m.Name, l.Key, l.Value, want)
				}
			}
			number(t, wt.Name, got)
			substituted++
			if got := substitute(ctx, t, m, rehearsal, true); rehearses && got.When != "true != true" {
				t.Errorf("%s, %s: of a rehearsal: when %s", wt.Name, m.Name, got.When)
			}
		}
		for _, step := range wt.Spec.Templates {
			if step.Metrics == nil {
				continue
			}
			of := maps.Clone(ended)
			for _, p := range step.Outputs.Parameters {
				of["outputs.parameters."+p.Name] = "7"
			}
			for _, m := range step.Metrics.Prometheus {
				number(t, wt.Name, substitute(ctx, t, substitute(ctx, t, m, known, true), of, false))
				substituted++
			}
		}
	}
	if substituted == 0 {
		t.Error("found no metric")
	}
}

// substitute does what the controller's computeMetrics and substituteGlobalVariables do.
func substitute(ctx context.Context, t *testing.T, m *wfv1.Prometheus, scope map[string]any, allowUnresolved bool) *wfv1.Prometheus {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	replaced, err := template.Replace(ctx, string(text), scope, allowUnresolved)
	if err != nil {
		t.Errorf("%s: %v", m.Name, err)
		return m
	}
	var out wfv1.Prometheus
	if err := json.Unmarshal([]byte(replaced), &out); err != nil {
		t.Fatal(err)
	}
	return &out
}

func number(t *testing.T, where string, m *wfv1.Prometheus) {
	t.Helper()
	if _, err := strconv.ParseFloat(m.GetValueString(), 64); err != nil || strings.Contains(m.When, "{{") {
		t.Errorf("%s, %s: %q, when %s", where, m.Name, m.GetValueString(), m.When)
	}
}
