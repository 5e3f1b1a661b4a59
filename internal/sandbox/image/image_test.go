package image

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestWrittenImageHoldsFilesAndConfig(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("binary"), 0o600); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(dir, "image.tar")
	err := Image{
		Reference: "ghcr.io/eks-recycle/step:sandbox", Architecture: "amd64", User: "65532", Entrypoint: []string{"/step"},
		Files: []File{{Path: "/step", From: program, Mode: 0o755}, {Path: "/etc/ssl/ca.crt", From: program, Mode: 0o644}},
	}.Write(archive)
	if err != nil {
		t.Fatal(err)
	}

	img, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v1.Config{User: "65532", Entrypoint: []string{"/step"}}, file.Config); diff != "" {
		t.Error(diff)
	}
	if file.OS != "linux" || file.Architecture != "amd64" {
		t.Errorf("platform is %s/%s", file.OS, file.Architecture)
	}
	want := []string{"-rwxr-xr-x step", "drwxr-xr-x etc/", "drwxr-xr-x etc/ssl/", "-rw-r--r-- etc/ssl/ca.crt"}
	if diff := cmp.Diff(want, listing(t, img)); diff != "" {
		t.Error(diff)
	}
}

func listing(t *testing.T, img v1.Image) []string {
	t.Helper()
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, h.FileInfo().Mode().String()+" "+h.Name)
	}
}

func TestSameContentGivesTheSameArchive(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("binary"), 0o600); err != nil {
		t.Fatal(err)
	}
	var archives []string
	for _, name := range []string{"a.tar", "b.tar"} {
		path := filepath.Join(dir, name)
		i := Image{Reference: "example.com/program:v1", Architecture: "amd64", Files: []File{{Path: "/p", From: program, Mode: 0o755}}}
		if err := i.Write(path); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, string(content))
	}
	if archives[0] != archives[1] {
		t.Error("archives differ")
	}
}
