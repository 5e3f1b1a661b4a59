package sandbox

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestAccessIsForTheGroupsOfAccessEntries(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	objects, err := sandbox{layout: layout{root: root}}.renderAccess()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range objects {
		subjects, _, err := unstructured.NestedSlice(o.Object, "subjects")
		if err != nil || len(subjects) != 1 {
			t.Fatalf("subjects of %s: %v, %v", o.GetKind(), subjects, err)
		}
		subject, ok := subjects[0].(map[string]any)
		if !ok {
			t.Fatalf("subject of %s is %v", o.GetKind(), subjects[0])
		}
		got = append(got, o.GetKind()+" "+o.GetNamespace()+"/"+o.GetName()+": "+subject["kind"].(string)+" "+subject["name"].(string))
	}
	slices.Sort(got)
	var want []string
	for _, kind := range []string{"ClusterRoleBinding ", "RoleBinding eks-recycle"} {
		for _, group := range []string{"eks-recycle", "eks-recycle-fleet", "eks-recycle-sweep"} {
			want = append(want, kind+"/"+group+"-token: Group "+group)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatOthersNeedIsAppliedFirst(t *testing.T) {
	object := func(kind string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{"kind": kind}}
	}
	objects := []*unstructured.Unstructured{
		object("WorkflowTemplate"), object("ConfigMap"), object("CustomResourceDefinition"), object("Namespace"),
	}
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	var got []string
	for _, o := range objects {
		got = append(got, o.GetKind())
	}
	if diff := cmp.Diff([]string{"Namespace", "CustomResourceDefinition", "ConfigMap", "WorkflowTemplate"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestOverlayFitsAnExistingCluster(t *testing.T) {
	template := &unstructured.Unstructured{Object: map[string]any{
		"kind": "WorkflowTemplate",
		"spec": map[string]any{"entrypoint": "recycle", "nodeSelector": map[string]any{"kubernetes.io/hostname": controlNode}},
	}}
	env := &unstructured.Unstructured{Object: map[string]any{
		"kind": "ConfigMap", "data": map[string]any{"AWS_ENDPOINT_URL": awsURL(), "AWS_REGION": region},
	}}
	home := &unstructured.Unstructured{Object: map[string]any{
		"kind": "Namespace", "metadata": map[string]any{"labels": map[string]any{"pod-security.kubernetes.io/enforce": "restricted", "other": "x"}},
	}}
	adaptToExisting([]*unstructured.Unstructured{template, env, home}, "http://172.18.0.1:4566")
	if diff := cmp.Diff(map[string]string{"other": "x"}, home.GetLabels()); diff != "" {
		t.Error(diff)
	}

	want := map[string]any{"entrypoint": "recycle", "nodeSelector": map[string]any{controlLabel: "true"}}
	if diff := cmp.Diff(want, template.Object["spec"]); diff != "" {
		t.Error(diff)
	}
	wantData := map[string]any{"AWS_ENDPOINT_URL": "http://172.18.0.1:4566", "AWS_REGION": region}
	if diff := cmp.Diff(wantData, env.Object["data"]); diff != "" {
		t.Error(diff)
	}
}

func TestAddressOfAWSMustBeOneForPods(t *testing.T) {
	for address, ok := range map[string]bool{
		"172.18.0.1:4566": true, "[fd00::1]:4566": true, "": false, "172.18.0.1": false, ":4566": false, "172.18.0.1:80": false,
	} {
		if err := checkAWSAddress(address); (err == nil) != ok {
			t.Errorf("%q: got %v", address, err)
		}
	}
}
