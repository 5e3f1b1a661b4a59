package programs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// toolchain runs the go command with settings of our own, so that the caller's GOFLAGS do not change what is built. The
// flags are those that `make` uses for the main module too: its tests then find these packages compiled.
type toolchain struct {
	version  string
	platform string
}

func newToolchain(ctx context.Context) (toolchain, error) {
	var gc toolchain
	output, err := gc.run(ctx, "", "env", "GOVERSION", "GOOS", "GOARCH")
	if errors.Is(err, exec.ErrNotFound) {
		return gc, hint.Wrap(err, "install Go (https://go.dev/dl): the sandbox is built from source")
	}
	if err != nil {
		return gc, fmt.Errorf("asking for the Go version: %w\n%s", err, output)
	}
	version, platform, _ := strings.Cut(output, "\n")
	gc.version, gc.platform = version, platform
	return gc, nil
}

// run returns what a go command prints on stdout, or on failure what it says on stderr.
func (toolchain) run(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := command(ctx, dir, args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return strings.TrimSpace(stderr.String()), fmt.Errorf("running %q: %w", cmd, err)
	}
	return strings.TrimSpace(stdout.String()), nil
}

func command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-trimpath", "CGO_ENABLED=0", "GOWORK=off")
	// An interrupted go command stops its compilers; a killed one leaves them behind.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

type buildRun struct {
	module   module
	dir, out string
	compiled func(pkg string)
}

// build compiles all programs of a module in one run and names each package that it has compiled.
func (gc toolchain) build(ctx context.Context, r buildRun) error {
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return fmt.Errorf("creating %q: %w", r.out, err)
	}
	args := []string{"build", "-v", r.module.mode(), "-buildvcs=false", "-ldflags", r.module.ldflags(), "-o", r.out + "/"}
	cmd := command(ctx, r.dir, append(args, r.module.packages()...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("reading the build's progress: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the build: %w", err)
	}
	said := follow(stderr, r.compiled)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("running go build in %q: %w\n%s", r.dir, err, said)
	}
	return nil
}

// follow passes on the packages that go build -v names, and returns everything else that it says.
func follow(stderr io.Reader, compiled func(pkg string)) string {
	var said strings.Builder
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || strings.ContainsAny(line, " :#\t") {
			said.WriteString(line + "\n")
			continue
		}
		compiled(line)
	}
	return said.String()
}
