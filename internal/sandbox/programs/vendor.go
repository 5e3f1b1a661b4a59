package programs

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
)

// fixesVersion is part of the cache key: raise it when mend or the folders of manifests change.
const fixesVersion = 3

// prepare lays out the folder that a module is built in: its packages in a vendor folder, in which what the published zips
// lack is added.
func (b Builder) prepare(ctx context.Context, gc toolchain, m module, work string) error {
	if err := os.MkdirAll(work, 0o755); err != nil {
		return fmt.Errorf("creating the work folder: %w", err)
	}
	for _, name := range m.inputs() {
		// The modules of Argo Events are many: they are downloaded only for those who build it.
		if name == "events.go" && !m.withEvents() {
			continue
		}
		if err := copyFile(filepath.Join(b.Source, m.name, name), filepath.Join(work, name)); err != nil {
			return err
		}
	}
	b.Progress("downloading the modules")
	// go mod vendor complains of Argo's missing user interface and yet writes everything else; what is really
	// missing shows when the build does not find it.
	if output, err := gc.run(ctx, work, "mod", "vendor", "-e"); err != nil {
		return fmt.Errorf("vendoring: %w\n%s", err, output)
	}
	if err := mend(filepath.Join(work, "vendor"), m.release.argoModule()); err != nil {
		return fmt.Errorf("mending the vendored packages: %w", err)
	}
	if m.withEvents() {
		err := copyManifests(ctx, gc, manifests{
			work: work, module: eventsModule, to: b.EventsManifests(),
			folders: []string{"base", "base/crds", "base/controller-manager", "cluster-install/rbac"},
		})
		if err != nil {
			return err
		}
	}
	return copyManifests(ctx, gc, manifests{
		work: work, module: m.release.argoModule(), to: b.ArgoManifests(),
		folders: []string{"base/crds/minimal", "base/workflow-controller", "cluster-install-no-crds/workflow-controller-rbac"},
	})
}

// mend adds to a vendor folder what the module zip of Argo Workflows lacks (module zips carry neither symbolic links nor the
// built user interface) and what programs miss in Kubernetes libraries of another version than they ask for.
func mend(vendor, argo string) error {
	link := filepath.Join(vendor, filepath.FromSlash(argo), "workflow", "executor", "osspecific", "signal_linux.go")
	if err := os.Symlink("signal_darwin.go", link); err != nil {
		return err
	}
	for name, content := range additions(argo) {
		file := filepath.Join(vendor, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// additions are the files that the release with this module of Argo Workflows needs, by their paths in the vendor folder.
func additions(argo string) map[string]string {
	out := map[string]string{argo + "/ui/dist/app/index.html": "<!doctype html><title>built without the user interface</title>\n"}
	switch path.Base(argo) {
	case "v3":
		// For labels.Labels of apimachinery 0.34; Argo Workflows 4 has the same.
		out[argo+"/workflow/executor/lookup.go"] = `package executor

import "github.com/tidwall/gjson"

func (g gjsonLabels) Lookup(label string) (string, bool) {
	result := gjson.GetBytes(g.json, label)
	return result.String(), result.Exists()
}
`
		// For kwok 0.7: a constant of apimachinery 0.33, for a way of watching that is off.
		out["k8s.io/apimachinery/pkg/apis/meta/v1/blueprint.go"] = `package v1

const InitialEventsListBlueprintAnnotationKey = "kubernetes.io/initial-events-list-blueprint"
`
	case "v4":
		// For cache.Store of client-go 0.36. This store keeps no resource version that could be asked for.
		out[argo+"/server/workflow/store/bookmark.go"] = `package store

func (s *SQLiteStore) Bookmark(string) {}

func (s *SQLiteStore) LastStoreSyncResourceVersion() string { return "" }
`
	}
	return out
}

// manifests are folders of a module's manifests, and where to keep them.
type manifests struct {
	work, module, to string
	folders          []string
}

// copyManifests keeps a program's manifests beside it: vendor folders hold Go packages only.
func copyManifests(ctx context.Context, gc toolchain, m manifests) error {
	from, err := gc.run(ctx, m.work, "list", "-mod=mod", "-m", "-f", "{{.Dir}}", m.module)
	if err != nil {
		return fmt.Errorf("finding the manifests of %s: %w\n%s", m.module, err, from)
	}
	if err := os.RemoveAll(m.to); err != nil {
		return fmt.Errorf("removing the old manifests: %w", err)
	}
	for _, folder := range m.folders {
		target := filepath.Join(m.to, filepath.FromSlash(folder))
		if err := copyFiles(filepath.Join(from, "manifests", filepath.FromSlash(folder)), target); err != nil {
			return fmt.Errorf("copying the manifests of %s: %w", m.module, err)
		}
	}
	return nil
}

func copyFiles(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		if err := copyFile(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// copyFile makes a writable copy; files of the module cache are read-only.
func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("copying %q: %w", from, err)
	}
	return os.WriteFile(to, content, 0o644)
}
