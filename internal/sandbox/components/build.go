package components

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Builder builds into Cache what the modules under Source pin.
type Builder struct {
	Source   string
	Cache    string
	Progress func(line string)
}

// Built tells where the programs are.
type Built struct {
	// Bin holds the programs of every module.
	Bin string
	// ArgoManifests are Argo Workflows' own manifests of the version that was built.
	ArgoManifests string
	// EventsManifests are those of Argo Events, if it was built.
	EventsManifests string
}

// Path is the path of a program.
func (b Built) Path(program string) string { return filepath.Join(b.Bin, program) }

// Build returns the named programs, building those whose inputs changed since the last time.
func (b Builder) Build(ctx context.Context, programs ...string) (Built, error) {
	gc, err := newToolchain(ctx)
	if err != nil {
		return Built{}, err
	}
	out := Built{Bin: filepath.Join(b.Cache, "bin"), ArgoManifests: filepath.Join(b.Cache, "argo-manifests"),
		EventsManifests: filepath.Join(b.Cache, "argo-events-manifests")}
	for _, dir := range []string{out.Bin, filepath.Join(b.Cache, "keys")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return Built{}, fmt.Errorf("creating the cache of components: %w", err)
		}
	}
	for _, m := range modules() {
		if err := b.ensure(ctx, gc, m.only(programs), out); err != nil {
			return Built{}, fmt.Errorf("building the %s components: %w", m.name, err)
		}
	}
	return out, nil
}

// ensure builds the programs of one module whose key files do not say that they come from the present inputs. A key is
// written last and removed first: an interrupted build is never taken for a finished one.
func (b Builder) ensure(ctx context.Context, gc toolchain, m module, out Built) error {
	key, err := b.key(gc, m)
	if err != nil {
		return err
	}
	var stale []string
	for _, p := range m.programs {
		if !b.fresh(p, key, out) {
			stale = append(stale, p.Name)
		}
	}
	if len(stale) == 0 {
		return nil
	}
	m = m.only(stale)
	for _, p := range m.programs {
		if err := os.RemoveAll(b.keyFile(p)); err != nil {
			return fmt.Errorf("removing the old key: %w", err)
		}
	}
	work := filepath.Join(b.Cache, "work-"+m.name)
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("removing the last work folder: %w", err)
	}
	defer os.RemoveAll(work)
	if err := b.prepare(ctx, gc, m, work, out); err != nil {
		return err
	}
	bin := filepath.Join(work, "bin")
	if err := gc.build(ctx, buildRun{module: m, dir: work, out: bin, progress: b.Progress}); err != nil {
		return err
	}
	for _, p := range m.programs {
		if err := os.Rename(filepath.Join(bin, builtName(p.Package)), out.Path(p.Name)); err != nil {
			return fmt.Errorf("keeping %q: %w", p.Name, err)
		}
		if err := os.WriteFile(b.keyFile(p), []byte(key), 0o644); err != nil {
			return fmt.Errorf("writing the key: %w", err)
		}
	}
	return nil
}

func (b Builder) keyFile(p Program) string { return filepath.Join(b.Cache, "keys", p.Name) }

func (b Builder) fresh(p Program, key string, out Built) bool {
	have, err := os.ReadFile(b.keyFile(p))
	if err != nil || string(have) != key {
		return false
	}
	_, err = os.Stat(out.Path(p.Name))
	return err == nil
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
