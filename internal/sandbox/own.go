package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	goruntime "runtime"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/image"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/programs"
)

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading %q: %w", path, err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("reading %q: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// fingerprint tells one make of the sandbox from another: a running one of another make is replaced.
func (s sandbox) fingerprint(ctx context.Context, build *programs.Build) (string, error) {
	if err := build.Await(ctx, "sandbox"); err != nil {
		return "", err
	}
	own, err := digest(s.layout.own("sandbox"))
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, own)
	for _, program := range programs.Cluster() {
		fmt.Fprintln(h, program, build.Key(program))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// stepImageOf is the step as the Dockerfile packs it.
func stepImageOf(l layout) image.Image {
	step := image.Image{
		Reference: stepImage, Architecture: goruntime.GOARCH, User: "65532", Entrypoint: []string{"/step"},
		Files: []image.File{{Path: "/step", From: l.own("step"), Mode: 0o755}},
	}
	// Without certificates the step works too: it speaks plain HTTP to awssim and trusts the cluster's own authority.
	const certificates = "/etc/ssl/certs/ca-certificates.crt"
	if _, err := os.Stat(certificates); err == nil {
		step.Files = append(step.Files, image.File{Path: certificates, From: certificates, Mode: 0o644})
	}
	return step
}

// clusterImages are the other images that the sandbox's own cluster runs, under the names that Argo's manifests use.
func clusterImages(l layout) []image.Image {
	return []image.Image{
		programImage(pauseImage, l.own("pause"), "/pause", "65532"),
		programImage(executorImage(l), l.program("argoexec"), "/bin/argoexec", "8737"),
		programImage(controllerImage(), l.program("workflow-controller"), "/bin/workflow-controller", "8737"),
	}
}

// programImage holds one static program.
func programImage(reference, from, to, user string) image.Image {
	return image.Image{
		Reference: reference, Architecture: goruntime.GOARCH, User: user, Entrypoint: []string{to},
		Files: []image.File{{Path: to, From: from, Mode: 0o755}},
		Env:   []string{"PATH=/bin"},
	}
}
