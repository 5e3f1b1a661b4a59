package argo_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/argo"
)

// content maps the files of a folder to what is in them.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(data)
	}
	return files
}

func TestWriteOutputs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	if err := argo.WriteOutputs(dir, map[string]string{"message": "long ago, at length", "region": ""}); err != nil {
		t.Fatal(err)
	}
	if err := argo.WriteOutputs(dir, map[string]string{"message": "now"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"message": "now", "region": ""}, content(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	info, err := os.Stat(filepath.Join(dir, "message"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v: Argo's own container is another user", info.Mode())
	}
}

func TestWriteOutputsWhereItCannot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := argo.WriteOutputs(filepath.Join(file, "dir"), nil); err == nil {
		t.Error("a folder in a file is no error")
	}
	if err := argo.Progress(filepath.Join(file, "progress"), 1, 2); err == nil {
		t.Error("a progress file in a file is no error")
	}
}

func TestProgressIsWhatArgoTakes(t *testing.T) {
	for name, c := range map[string]struct {
		done, total int
		want        string
	}{
		"some":                {3, 7, "3/7"},
		"none yet":            {0, 7, "0/7"},
		"all":                 {7, 7, "7/7"},
		"more than there are": {8, 7, "7/7"},
		"fewer than none":     {-1, 7, "0/7"},
		"nothing to do":       {0, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := argo.Progress(filepath.Join(dir, "progress"), c.done, c.total); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{}
			if c.want != "" {
				want["progress"] = c.want
			}
			if diff := cmp.Diff(want, content(t, dir)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
	if err := argo.Progress("", 1, 2); err != nil {
		t.Errorf("outside of Argo: %v", err)
	}
}
