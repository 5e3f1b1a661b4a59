package workflows_test

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files")

func TestRender(t *testing.T) {
	for _, folder := range append(kustomizations(), "overlays/another-cluster") {
		t.Run(folder, func(t *testing.T) {
			got := render(t, folder)
			golden := filepath.Join("testdata", filepath.Base(folder)+".yaml")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("rendered (-want +got), -update accepts it:\n%s", diff)
			}
		})
	}
}

// Kustomize's own list of images leaves a WorkflowTemplate's alone, silently.
func TestImagesReachesTheTemplate(t *testing.T) {
	tests := map[string]string{
		"base":             "ghcr.io/eks-recycle/step:v0.1.0",
		"overlays/example": "ghcr.io/eks-recycle/step:v0.1.0",
		"overlays/sandbox": "ghcr.io/eks-recycle/step:sandbox",
	}
	for folder, want := range tests {
		t.Run(folder, func(t *testing.T) {
			for _, wt := range parse(t, render(t, folder)) {
				for _, step := range steps(t, &wt) {
					if step.Container.Image != want {
						t.Errorf("%s, %s: image %q, want %q", wt.Name, step.Name, step.Container.Image, want)
					}
				}
			}
			if diff := cmp.Diff(read(t, "base", "kustomizeconfig.yaml"), read(t, folder, "kustomizeconfig.yaml")); diff != "" {
				t.Errorf("kustomizeconfig.yaml differs from the base's (-base +this):\n%s", diff)
			}
		})
	}
}

// The bindings must follow the service account when a user chooses another namespace.
func TestAnotherNamespace(t *testing.T) {
	disk := filesys.MakeFsInMemory()
	for _, file := range append(manifests(t), "base/kustomization.yaml", "base/kustomizeconfig.yaml", "base/accounts/kustomization.yaml") {
		if err := disk.WriteFile(file, read(t, file)); err != nil {
			t.Fatal(err)
		}
	}
	if err := disk.WriteFile("mine/kustomization.yaml", []byte("namespace: argo\nresources: [../base]\n")); err != nil {
		t.Fatal(err)
	}
	out := renderFrom(t, disk, "mine")
	if bytes.Contains(out, []byte("namespace: eks-recycle\n")) {
		t.Errorf("something stayed in the old namespace:\n%s", out)
	}
	for doc := range bytes.SplitSeq(out, []byte("\n---\n")) {
		var binding rbacv1.ClusterRoleBinding
		if err := yaml.Unmarshal(doc, &binding); err != nil {
			t.Fatal(err)
		}
		for _, s := range binding.Subjects {
			if s.Namespace != "argo" {
				t.Errorf("%s %q binds a subject of namespace %q", binding.Kind, binding.Name, s.Namespace)
			}
		}
	}
}

// manifests are the YAML files that hold objects for a cluster, relative to the shipped folder.
func manifests(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(shipped, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" || strings.HasPrefix(d.Name(), "kustomiz") {
			return err
		}
		rel, err := filepath.Rel(shipped, path)
		out = append(out, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
