package components

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

// Builder builds into Cache what the modules under Source pin, and the project's own programs from the checkout at Root.
type Builder struct {
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
	return filepath.Join(b.Cache, "bin", program)
}

// ArgoManifests are Argo Workflows' own manifests of the version that is built.
func (b Builder) ArgoManifests() string { return filepath.Join(b.Cache, "argo-manifests") }

// EventsManifests are those of Argo Events.
func (b Builder) EventsManifests() string { return filepath.Join(b.Cache, "argo-events-manifests") }

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
	for _, dir := range []string{"bin", "own", "keys"} {
		if err := os.MkdirAll(filepath.Join(b.Cache, dir), 0o755); err != nil {
			return nil, fmt.Errorf("creating the cache of components: %w", err)
		}
	}
	build := &Build{Builder: b, keys: map[string]string{}, gates: map[string]chan struct{}{}}
	ctx, build.stop = context.WithCancel(ctx)
	build.group, build.ctx = errgroup.WithContext(ctx)
	var published []module
	for _, m := range modules() {
		if m = m.only(programs); len(m.programs) == 0 {
			continue
		}
		key, err := b.key(gc, m)
		if err != nil {
			return nil, err
		}
		for _, p := range m.programs {
			build.keys[p.Name], build.gates[p.Name] = key, make(chan struct{})
		}
		published = append(published, m)
	}
	for _, p := range own().programs {
		build.gates[p.Name] = make(chan struct{})
	}
	meter := &meter{show: b.Progress}
	build.group.Go(func() error { return build.published(gc, published, meter.lane()) })
	build.group.Go(func() error { return build.own(gc, meter.lane()) })
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

// published builds what is stale of the modules that others publish. All are laid out first: how much there is to
// compile is known from then on.
func (b *Build) published(gc toolchain, modules []module, lane *lane) error {
	var stale []module
	for _, m := range modules {
		var names []string
		for _, p := range m.programs {
			if b.fresh(p) {
				b.open(p)
				continue
			}
			names = append(names, p.Name)
		}
		if m = m.only(names); len(names) > 0 {
			stale = append(stale, m)
		}
	}
	for _, m := range stale {
		defer os.RemoveAll(b.workDir(m))
		if err := b.layOut(gc, m, lane); err != nil {
			return fmt.Errorf("preparing to build the %s components: %w", m.name, err)
		}
	}
	for _, m := range stale {
		for _, batch := range m.batches() {
			if err := b.buildBatch(gc, batch, lane); err != nil {
				return fmt.Errorf("building the %s components: %w", m.name, err)
			}
		}
	}
	return nil
}

func (b *Build) workDir(m module) string { return filepath.Join(b.Cache, "work-"+m.name) }

func (b *Build) layOut(gc toolchain, m module, lane *lane) error {
	work := b.workDir(m)
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("removing the last work folder: %w", err)
	}
	if err := b.prepare(b.ctx, gc, m, work); err != nil {
		return err
	}
	for _, batch := range m.batches() {
		if err := lane.expect(b.ctx, gc, batch, work); err != nil {
			return err
		}
	}
	return nil
}

// buildBatch builds programs of one module. A key is written last and removed first: an interrupted build is never taken
// for a finished one.
func (b *Build) buildBatch(gc toolchain, m module, lane *lane) error {
	for _, p := range m.programs {
		if err := os.RemoveAll(b.keyFile(p)); err != nil {
			return fmt.Errorf("removing the old key: %w", err)
		}
	}
	bin := filepath.Join(b.workDir(m), "bin")
	if err := gc.build(b.ctx, buildRun{module: m, dir: b.workDir(m), out: bin, compiled: lane.compiled}); err != nil {
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
func (b *Build) own(gc toolchain, lane *lane) error {
	for _, batch := range own().batches() {
		if err := lane.expect(b.ctx, gc, batch, b.Root); err != nil {
			return fmt.Errorf("building the project's programs: %w", err)
		}
		if err := gc.build(b.ctx, buildRun{module: batch, dir: b.Root, out: filepath.Join(b.Cache, "own"), compiled: lane.compiled}); err != nil {
			return fmt.Errorf("building the project's programs: %w", err)
		}
		for _, p := range batch.programs {
			b.open(p)
		}
	}
	return nil
}

func (b Builder) keyFile(p Program) string { return filepath.Join(b.Cache, "keys", p.Name) }

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
	for _, name := range inputs() {
		content, err := os.ReadFile(filepath.Join(b.Source, m.name, name))
		if err != nil {
			return "", fmt.Errorf("reading %q: %w", name, err)
		}
		fmt.Fprintln(h, name, len(content))
		h.Write(content)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func inputs() []string { return []string{"go.mod", "go.sum", "programs.go"} }

// builtName is the file name that go build gives a main package: the last part of its path that is no major version.
func builtName(pkg string) string {
	base := path.Base(pkg)
	if len(base) > 1 && base[0] == 'v' && strings.Trim(base[1:], "0123456789") == "" {
		return path.Base(path.Dir(pkg))
	}
	return base
}
