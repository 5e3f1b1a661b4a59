package argo4_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"sigs.k8s.io/yaml"
)

// definition is a full CustomResourceDefinition of Argo's, as its Helm chart installs it.
type definition struct {
	validator  validation.SchemaValidator
	structural *schema.Structural
}

// problems are what an API server with the full definitions refuses or, without a word, drops.
func (d definition) problems(object map[string]any) []string {
	var found []string
	for _, err := range validation.ValidateCustomResource(nil, object, d.validator) {
		found = append(found, err.Error())
	}
	options := schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, path := range pruning.PruneWithOptions(object, d.structural, true, options) {
		found = append(found, "unknown field "+path)
	}
	return found
}

func definitions(t *testing.T) map[string]definition {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/argoproj/argo-workflows/v4").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]definition{}
	for kind, file := range map[string]string{"WorkflowTemplate": "workflowtemplates", "CronWorkflow": "cronworkflows"} {
		content, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "manifests", "base", "crds", "full", "argoproj.io_"+file+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(content, &crd); err != nil {
			t.Fatal(err)
		}
		var props apiextensions.JSONSchemaProps
		if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, &props, nil); err != nil {
			t.Fatal(err)
		}
		var d definition
		if d.structural, err = schema.NewStructural(&props); err != nil {
			t.Fatal(err)
		}
		if d.validator, _, err = validation.NewSchemaValidator(&props); err != nil {
			t.Fatal(err)
		}
		found[kind] = d
	}
	return found
}

func TestTheFullDefinitionsAcceptWhatIsShipped(t *testing.T) {
	known := definitions(t)
	rendered, err := filepath.Glob(filepath.Join(testdata, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	checked := map[string]int{}
	for _, file := range rendered {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for manifest := range strings.SplitSeq(string(content), "\n---\n") {
			var object map[string]any
			if err := yaml.Unmarshal([]byte(manifest), &object); err != nil {
				t.Fatal(err)
			}
			kind, _ := object["kind"].(string)
			d, ok := known[kind]
			if !ok {
				continue
			}
			checked[kind]++
			for _, problem := range d.problems(object) {
				t.Errorf("%s, %s: %s", filepath.Base(file), kind, problem)
			}
		}
	}
	for kind := range known {
		if checked[kind] == 0 {
			t.Errorf("found no %s", kind)
		}
	}
}

func TestTheFullDefinitionsRefuseWhatTheyDoNotKnow(t *testing.T) {
	template := definitions(t)["WorkflowTemplate"]
	for name, manifest := range map[string]string{
		"an unknown field":           "spec: {entrance: x}",
		"a number for a string":      "spec: {entrypoint: 1}",
		"a number for a name":        "spec: {templates: [{name: 1}]}",
		"an unknown field of a step": "spec: {templates: [{name: x, steps: [[{name: a, templates: b}]]}]}",
	} {
		t.Run(name, func(t *testing.T) {
			object := map[string]any{}
			if err := yaml.Unmarshal([]byte(manifest), &object); err != nil {
				t.Fatal(err)
			}
			object["apiVersion"], object["kind"], object["metadata"] = "argoproj.io/v1alpha1", "WorkflowTemplate", map[string]any{"name": "x"}
			if len(template.problems(object)) == 0 {
				t.Error("the definition takes it")
			}
		})
	}
}
