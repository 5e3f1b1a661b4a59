package sandbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	goruntime "runtime"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/components"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/image"
)

// buildOwn builds this project's programs. The sandbox starts awssim from a program of its own and not from the running
// one: that may be a test, or a file that `go run` deletes.
func (s sandbox) buildOwn(ctx context.Context) error {
	out := s.layout.cache("own")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("building the project's programs: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", out+"/",
		"./cmd/step", "./internal/sandbox/cmd/pause", "./internal/sandbox/cmd/sandbox")
	cmd.Dir = s.layout.root
	// As the components are built: packages in common compile once.
	cmd.Env = append(os.Environ(), "GOFLAGS=-trimpath", "CGO_ENABLED=0", "GOWORK=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building the project's programs: %w\n%s", err, output.String())
	}
	return nil
}

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
func (s sandbox) fingerprint() (string, error) {
	own, err := digest(s.layout.own("sandbox"))
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, own)
	for _, program := range components.Cluster() {
		content, err := os.ReadFile(s.layout.cache("keys", program))
		if err != nil {
			return "", fmt.Errorf("reading a component's key: %w", err)
		}
		fmt.Fprintln(h, program, string(content))
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
		programImage(executorImage(), l.program("argoexec"), "/bin/argoexec", "8737"),
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
