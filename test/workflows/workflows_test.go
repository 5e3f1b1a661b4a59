// Package workflows_test checks what workflows/ ships without a cluster: that Argo Workflows accepts the templates, that
// kustomize renders what a user gets, and that the permissions are those the steps need and no others.
//
// That the templates also do what they say is shown on a real controller by test/e2e.
package workflows_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	"github.com/argoproj/argo-workflows/v3/workflow/common"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const shipped = "../../workflows"

// kustomizations are the folders that a user may apply.
func kustomizations() []string {
	return []string{"base", "overlays/example", "overlays/example-events", "overlays/sandbox", "overlays/sandbox-events"}
}

func read(t *testing.T, elem ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{shipped}, elem...)...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func render(t *testing.T, folder string) []byte {
	t.Helper()
	return renderFrom(t, filesys.MakeFsOnDisk(), filepath.Join(shipped, folder))
}

func renderFrom(t *testing.T, disk filesys.FileSystem, folder string) []byte {
	t.Helper()
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(disk, folder)
	if err != nil {
		t.Fatalf("rendering %s: %v", folder, err)
	}
	out, err := objects.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// parse reads the WorkflowTemplates among the manifests, and refuses fields that Argo does not know.
func parse(t *testing.T, manifests []byte) []v1alpha1.WorkflowTemplate {
	t.Helper()
	var all []v1alpha1.WorkflowTemplate
	for doc := range bytes.SplitSeq(manifests, []byte("\n---\n")) {
		if !bytes.Contains(doc, []byte("kind: WorkflowTemplate\n")) {
			continue
		}
		found, err := common.SplitWorkflowTemplateYAMLFile(doc, true)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	if len(all) == 0 {
		t.Fatal("found no WorkflowTemplate")
	}
	return all
}

func recycleNode(t *testing.T) *v1alpha1.WorkflowTemplate {
	t.Helper()
	return template(t, "recycle-node")
}

// template is one of the base's, as it is rendered.
func template(t *testing.T, name string) *v1alpha1.WorkflowTemplate {
	t.Helper()
	for _, wt := range templates(t) {
		if wt.Name == name {
			return &wt
		}
	}
	t.Fatalf("the base has no WorkflowTemplate %s", name)
	return nil
}

// templates are all that the base ships.
func templates(t *testing.T) []v1alpha1.WorkflowTemplate {
	t.Helper()
	return parse(t, render(t, "base"))
}

// steps are the templates that run a container, each merged with the defaults the way the controller does it.
func steps(t *testing.T, wt *v1alpha1.WorkflowTemplate) []v1alpha1.Template {
	t.Helper()
	defaults, err := json.Marshal(wt.Spec.TemplateDefaults)
	if err != nil {
		t.Fatal(err)
	}
	var out []v1alpha1.Template
	for _, tmpl := range wt.Spec.Templates {
		if tmpl.Container == nil {
			continue
		}
		own, err := json.Marshal(tmpl)
		if err != nil {
			t.Fatal(err)
		}
		both, err := strategicpatch.StrategicMergePatch(defaults, own, v1alpha1.Template{})
		if err != nil {
			t.Fatal(err)
		}
		var merged v1alpha1.Template
		if err := json.Unmarshal(both, &merged); err != nil {
			t.Fatal(err)
		}
		out = append(out, merged)
	}
	return out
}
