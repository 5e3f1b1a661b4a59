// Package argo4_test checks with Argo Workflows 4's own packages what test/workflows checks with those of 3.7: that Argo
// parses and accepts the shipped templates. It is a module of its own because this project links the types of 3.7.
package argo4_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	wfv1 "github.com/argoproj/argo-workflows/v4/pkg/apis/workflow/v1alpha1"
	"github.com/argoproj/argo-workflows/v4/util/logging"
	"github.com/argoproj/argo-workflows/v4/workflow/common"
	"github.com/argoproj/argo-workflows/v4/workflow/validate"
	"sigs.k8s.io/yaml"
)

// testdata holds what kustomize renders, which a test of test/workflows compares with the manifests.
const testdata = "../workflows/testdata"

func TestArgo4AcceptsWhatIsShipped(t *testing.T) {
	ctx := logging.WithLogger(t.Context(), logging.NewSlogLogger(logging.Error, logging.Text))
	rendered, err := filepath.Glob(filepath.Join(testdata, "*.yaml"))
	rendered = slices.DeleteFunc(rendered, func(file string) bool { return filepath.Base(file) == "another-cluster.yaml" }) // which has no workflows
	if err != nil || len(rendered) == 0 {
		t.Fatalf("found %d rendered files: %v", len(rendered), err)
	}
	for _, file := range rendered {
		t.Run(filepath.Base(file), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			accept(ctx, t, content)
		})
	}
}

// accept parses strictly, lints, and submits each template with arguments as people give them.
func accept(ctx context.Context, t *testing.T, content []byte) {
	t.Helper()
	found := templates{}
	var crons []*wfv1.CronWorkflow
	for _, parsed := range parse(ctx, content) {
		if parsed.Err != nil {
			t.Errorf("parsing: %v", parsed.Err)
			continue
		}
		switch o := parsed.Object.(type) {
		case *wfv1.WorkflowTemplate:
			found[o.Name] = o
		case *wfv1.CronWorkflow:
			crons = append(crons, o)
		}
	}
	if len(crons) == 0 {
		t.Error("found no CronWorkflow")
	}
	for _, c := range crons {
		if err := validate.CronWorkflow(ctx, found, none{}, c, nil); err != nil {
			t.Errorf("validating %s: %v", c.Name, err)
		}
	}
	given := submissions(t)
	for name, wt := range found {
		if err := lint(ctx, found, wt); err != nil {
			t.Errorf("linting %s: %v", name, err)
		}
		if len(given[name]) == 0 {
			t.Errorf("nothing says how %s is submitted", name)
		}
		for _, arguments := range given[name] {
			if err := validate.Workflow(ctx, found, none{}, submission(name, arguments), nil, validate.Opts{Submit: true}); err != nil {
				t.Errorf("submitting %s with %v: %v", name, arguments, err)
			}
		}
		delete(given, name)
	}
	if len(given) > 0 {
		t.Errorf("not found: %v", given)
	}
}

func lint(ctx context.Context, known templates, wt *wfv1.WorkflowTemplate) error {
	return validate.WorkflowTemplate(ctx, known, none{}, wt, nil, validate.Opts{Lint: true})
}

// parse reads the manifests of Argo Workflows among all others, strictly.
func parse(ctx context.Context, content []byte) []common.ParseResult {
	var out []common.ParseResult
	for manifest := range strings.SplitSeq(string(content), "\n---\n") {
		if strings.Contains(manifest, "\nkind: WorkflowTemplate\n") || strings.Contains(manifest, "\nkind: CronWorkflow\n") {
			out = append(out, common.ParseObjects(ctx, []byte(manifest), true)...)
		}
	}
	return out
}

// submissions are the arguments with which each template is tried, here and with Argo Workflows 3.7.
func submissions(t *testing.T) map[string][][]string {
	t.Helper()
	content, err := os.ReadFile("../workflows/arguments.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out map[string][][]string
	if err := yaml.UnmarshalStrict(content, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// A template that Argo refuses is seen to be refused.
func TestArgo4RefusesWhatItHasDropped(t *testing.T) {
	ctx := logging.WithLogger(t.Context(), logging.NewSlogLogger(logging.Error, logging.Text))
	base, err := os.ReadFile(filepath.Join(testdata, "base.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"a lock in the singular":   {"    mutexes:\n    - name: ", "    mutex:\n      name: "},
		"an unknown field":         {"  entrypoint: ", "  entrance: x\n  entrypoint: "},
		"a deadline for all steps": {"  - name: recycle\n    steps:", "  - activeDeadlineSeconds: 60\n    name: recycle\n    steps:"},
		"a timeout for all steps":  {"  - name: recycle\n    steps:", "  - timeout: 60s\n    name: recycle\n    steps:"},
		"a name that is none":      {" settle\n", " set_tle\n"},
		"a step of no template":    {"template: drain\n", "template: drains\n"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.ReplaceAll(string(base), change[0], change[1])
			if changed == string(base) {
				t.Fatalf("nothing to change: %q", change[0])
			}
			refused := false
			for _, parsed := range parse(ctx, []byte(changed)) {
				wt, ok := parsed.Object.(*wfv1.WorkflowTemplate)
				refused = refused || parsed.Err != nil || ok && lint(ctx, templates{wt.Name: wt}, wt) != nil
			}
			if !refused {
				t.Error("Argo takes it")
			}
		})
	}
}

func submission(template string, arguments []string) *wfv1.Workflow {
	wf := &wfv1.Workflow{}
	wf.GenerateName = template + "-"
	wf.Spec.WorkflowTemplateRef = &wfv1.WorkflowTemplateRef{Name: template}
	for _, a := range arguments {
		name, value, _ := strings.Cut(a, "=")
		wf.Spec.Arguments.Parameters = append(wf.Spec.Arguments.Parameters, wfv1.Parameter{Name: name, Value: wfv1.AnyStringPtr(value)})
	}
	return wf
}

// templates are a namespace's.
type templates map[string]*wfv1.WorkflowTemplate

func (t templates) Get(_ context.Context, name string) (*wfv1.WorkflowTemplate, error) {
	if wt, ok := t[name]; ok {
		return wt, nil
	}
	return nil, fmt.Errorf("no WorkflowTemplate %q", name)
}

// none is a cluster without templates of its own.
type none struct{}

func (none) Get(_ context.Context, name string) (*wfv1.ClusterWorkflowTemplate, error) {
	return nil, fmt.Errorf("no ClusterWorkflowTemplate %q", name)
}
