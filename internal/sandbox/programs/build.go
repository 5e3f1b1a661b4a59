package programs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Builder builds into Cache what the module of a release under Source pins, and the project's own programs from the checkout at Root.
type Builder struct {
	Release  Release
	Root     string
	Source   string
	Cache    string
	Progress func(line string)
}

// Path is where a program is put.
func (b Builder) Path(program string) string {
	if isOwn(program) {
		return filepath.Join(b.Cache, "own", program)
	}
	return b.of("bin", program)
}

// of is where a release has its own: going to another release and back builds nothing anew.
func (b Builder) of(parts ...string) string {
	return filepath.Join(append([]string{b.Cache, b.Release.Name}, parts...)...)
}

// ArgoManifests are Argo Workflows' own manifests of the version that is built.
func (b Builder) ArgoManifests() string { return b.of("argo-manifests") }

// EventsManifests are those of Argo Events.
func (b Builder) EventsManifests() string { return b.of("argo-events-manifests") }

// Build is a build in the background. A program can be used as soon as it is there, while others still compile.
type Build struct {
	Builder
	keys  map[string]string
	gates map[string]chan struct{}
	ctx   context.Context
	stop  context.CancelFunc
	group *errgroup.Group
}

// Start begins to build the named programs, in the order in which a cluster needs them: those whose inputs changed since
// the last time, and in any case the project's own. It fails if the Go toolchain is missing. Stop must be called.
func (b Builder) Start(ctx context.Context, programs ...string) (*Build, error) {
	gc, err := newToolchain(ctx)
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{filepath.Join(b.Cache, "own"), b.of("bin"), b.of("keys")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("creating the cache of programs: %w", err)
		}
	}
	build := &Build{Builder: b, keys: map[string]string{}, gates: map[string]chan struct{}{}}
	ctx, build.stop = context.WithCancel(ctx)
	build.group, build.ctx = errgroup.WithContext(ctx)
	published := moduleOf(b.Release).only(programs)
	if len(published.programs) > 0 {
		key, err := b.key(gc, published)
		if err != nil {
			return nil, err
		}
		for _, p := range published.programs {
			build.keys[p.Name], build.gates[p.Name] = key, make(chan struct{})
		}
	}
	for _, p := range own().programs {
		build.gates[p.Name] = make(chan struct{})
	}
	meter := newMeter(b.Progress)
	build.group.Go(func() error { return build.published(gc, published, meter) })
	build.group.Go(func() error { return build.own(gc, meter) })
	return build, nil
}

// Command builds the sandbox's command alone, and returns its path.
func (b Builder) Command(ctx context.Context) (string, error) {
	build, err := b.Start(ctx)
	if err != nil {
		return "", err
	}
	defer build.Stop()
	return b.Path("sandbox"), build.Await(ctx, "sandbox")
}

// Key changes with everything that decides what a published program is built from.
func (b *Build) Key(program string) string { return b.keys[program] }

// Await returns when the programs are there, or when ctx ends or the build fails.
func (b *Build) Await(ctx context.Context, programs ...string) error {
	for _, p := range programs {
		gate, ok := b.gates[p]
		if !ok {
			return fmt.Errorf("waiting for %q: it is not being built", p)
		}
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		case <-b.ctx.Done():
			return b.Wait()
		}
	}
	return nil
}

// Wait returns when all programs are there, or the reason why they are not.
func (b *Build) Wait() error { return b.group.Wait() }

// Stop ends the build if it is not complete.
func (b *Build) Stop() {
	b.stop()
	_ = b.group.Wait()
}

func (b *Build) open(p Program) { close(b.gates[p.Name]) }

// published builds what is stale of the module that pins what others publish.
func (b *Build) published(gc toolchain, m module, meter *meter) error {
	var stale []string
	for _, p := range m.programs {
		if b.fresh(p) {
			b.open(p)
			continue
		}
		stale = append(stale, p.Name)
	}
	if m = m.only(stale); len(stale) == 0 {
		return nil
	}
	defer os.RemoveAll(b.workDir())
	if err := os.RemoveAll(b.workDir()); err != nil {
		return fmt.Errorf("removing the last work folder: %w", err)
	}
	if err := b.prepare(b.ctx, gc, m, b.workDir()); err != nil {
		return fmt.Errorf("preparing to build the programs: %w", err)
	}
	meter.expect(b.ctx, gc, m, b.workDir())
	for _, batch := range m.batches() {
		if err := b.buildBatch(gc, batch, meter); err != nil {
			return fmt.Errorf("building the programs: %w", err)
		}
	}
	return nil
}

func (b *Build) workDir() string { return b.of("work") }

// buildBatch builds programs of one module. A key is written last and removed first: an interrupted build is never taken
// for a finished one.
func (b *Build) buildBatch(gc toolchain, m module, meter *meter) error {
	for _, p := range m.programs {
		if err := os.RemoveAll(b.keyFile(p)); err != nil {
			return fmt.Errorf("removing the old key: %w", err)
		}
	}
	bin := filepath.Join(b.workDir(), "bin")
	if err := gc.build(b.ctx, buildRun{module: m, dir: b.workDir(), out: bin, compiled: meter.compiled}); err != nil {
		return err
	}
	for _, p := range m.programs {
		if err := os.Rename(filepath.Join(bin, builtName(p.Package)), b.Path(p.Name)); err != nil {
			return fmt.Errorf("keeping %q: %w", p.Name, err)
		}
		if err := os.WriteFile(b.keyFile(p), []byte(b.keys[p.Name]), 0o644); err != nil {
			return fmt.Errorf("writing the key: %w", err)
		}
		b.open(p)
	}
	return nil
}

// own builds the project's programs; what is unchanged costs the go command a moment.
func (b *Build) own(gc toolchain, meter *meter) error {
	b.group.Go(func() error {
		meter.expect(b.ctx, gc, own(), b.Root)
		return nil
	})
	for _, batch := range own().batches() {
		if err := gc.build(b.ctx, buildRun{module: batch, dir: b.Root, out: filepath.Join(b.Cache, "own"), compiled: meter.compiled}); err != nil {
			return fmt.Errorf("building the project's programs: %w", err)
		}
		for _, p := range batch.programs {
			b.open(p)
		}
	}
	return nil
}

func (b Builder) keyFile(p Program) string { return b.of("keys", p.Name) }

func (b *Build) fresh(p Program) bool {
	have, err := os.ReadFile(b.keyFile(p))
	if err != nil || string(have) != b.keys[p.Name] {
		return false
	}
	_, err = os.Stat(b.Path(p.Name))
	return !errors.Is(err, os.ErrNotExist)
}

// key changes with everything that decides what is built.
func (b Builder) key(gc toolchain, m module) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, gc.version, gc.platform, m.ldflags(), fixesVersion)
	for _, name := range m.inputs() {
		content, err := os.ReadFile(filepath.Join(b.Source, m.name, name))
		if err != nil {
			return "", fmt.Errorf("reading %q: %w", name, err)
		}
		fmt.Fprintln(h, name, len(content))
		h.Write(content)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// inputs are the files of a module.
func (m module) inputs() []string {
	out := []string{"go.mod", "go.sum", "programs.go"}
	if m.release.Events != "" {
		out = append(out, "events.go")
	}
	return out
}

// builtName is the file name that go build gives a main package: the last part of its path that is no major version.
func builtName(pkg string) string {
	base := path.Base(pkg)
	if len(base) > 1 && base[0] == 'v' && strings.Trim(base[1:], "0123456789") == "" {
		return path.Base(path.Dir(pkg))
	}
	return base
}
