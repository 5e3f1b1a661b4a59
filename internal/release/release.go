// Package release writes what a user installs: plain manifests, a Helm chart and a Terraform module, with checksums. All of it is
// made from workflows/, chart/ and terraform/ of one checkout, and the same checkout gives the same bytes.
package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const image = "ghcr.io/eks-recycle/step"

// Helm asks for semantic versions, and so does Terraform's registry: https://semver.org/#semantic-versioning-200
var semver = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`)

// Write makes the files of a release, such as v0.1.0, of the checkout at root in the folder dist, which is made anew.
func Write(root, version, dist string) error {
	if !semver.MatchString(version) {
		return fmt.Errorf("version %q is not of the form v1.2.3", version)
	}
	if err := os.RemoveAll(dist); err != nil {
		return fmt.Errorf("emptying %s: %w", dist, err)
	}
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return fmt.Errorf("making %s: %w", dist, err)
	}
	manifests, err := Render(root, version)
	if err != nil {
		return err
	}
	number := strings.TrimPrefix(version, "v")
	chart, err := chartFiles(root, number, version, manifests)
	if err != nil {
		return err
	}
	module, err := moduleFiles(root)
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"install.yaml":            manifests.base.text(),
		"install-events.yaml":     manifests.events.text(),
		"install-monitoring.yaml": manifests.monitoring.text(),
	}
	if files["eks-recycle-"+number+".tgz"], err = archive("eks-recycle", chart); err != nil {
		return err
	}
	if files["eks-recycle-terraform-"+number+".tgz"], err = archive("eks-recycle-terraform-"+number, module); err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, name := range sortedKeys(files) {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	files["SHA256SUMS"] = sums.Bytes()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dist, name), content, 0o644); err != nil {
			return fmt.Errorf("writing a file of the release: %w", err)
		}
	}
	return nil
}

// objects are manifests, each with the name of its file in the chart.
type objects []object

type object struct {
	id, file string
	yaml     []byte
}

func (all objects) text() []byte {
	var b bytes.Buffer
	for i, o := range all {
		if i > 0 {
			b.WriteString("---\n")
		}
		b.Write(o.yaml)
	}
	return b.Bytes()
}

// Manifests are what the example overlays apply, with the image of one version.
type Manifests struct {
	base, events, monitoring, report objects
}

// Render renders the example overlays. The objects of the others are those that the first lacks or has otherwise.
func Render(root, version string) (m Manifests, err error) {
	if m.base, err = render(root, "example", version); err != nil {
		return m, err
	}
	for overlay, more := range map[string]*objects{"example-events": &m.events, "example-monitoring": &m.monitoring, "example-report": &m.report} {
		all, err := render(root, overlay, version)
		if err != nil {
			return m, err
		}
		*more = slices.DeleteFunc(all, func(o object) bool {
			return slices.ContainsFunc(m.base, func(b object) bool { return b.id == o.id && bytes.Equal(b.yaml, o.yaml) })
		})
	}
	return m, nil
}

func render(root, overlay, version string) (objects, error) {
	folder := filepath.Join(root, "workflows", "overlays", overlay)
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", folder, err)
	}
	return split(rendered, version)
}

var tag = regexp.MustCompile(regexp.QuoteMeta(image) + `:\S+`)

func split(rendered resmap.ResMap, version string) (all objects, err error) {
	for _, r := range rendered.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			return nil, fmt.Errorf("writing %s: %w", r.CurId(), err)
		}
		all = append(all, object{
			id:   r.CurId().String(),
			file: strings.ToLower(r.GetKind()) + "-" + r.GetName() + ".yaml",
			yaml: tag.ReplaceAll(text, []byte(image+":"+version)),
		})
	}
	return all, nil
}

// chartFiles are chart/ and the objects that its template sets values in. The namespace is Helm's to make, and the settings of
// the events come from the values.
func chartFiles(root, number, version string, m Manifests) (map[string][]byte, error) {
	files, err := tree(root, "chart")
	if err != nil {
		return nil, err
	}
	files = renamed(files, func(name string) string { return strings.TrimPrefix(name, "chart/") })
	var chart map[string]any
	if err := yaml.Unmarshal(files["Chart.yaml"], &chart); err != nil {
		return nil, fmt.Errorf("reading chart/Chart.yaml: %w", err)
	}
	chart["version"], chart["appVersion"] = number, version
	if files["Chart.yaml"], err = yaml.Marshal(chart); err != nil {
		return nil, fmt.Errorf("writing Chart.yaml: %w", err)
	}
	for folder, all := range map[string]objects{"base": m.base, "events": m.events, "monitoring": m.monitoring, "report": m.report} {
		for _, o := range all {
			settings := strings.HasPrefix(o.file, "configmap-") && folder != "monitoring"
			if !strings.HasPrefix(o.file, "namespace-") && !settings {
				files["files/"+folder+"/"+o.file] = o.yaml
			}
		}
	}
	return files, nil
}

// moduleFiles are terraform/ and the policies that it reads, where it looks for them.
func moduleFiles(root string) (map[string][]byte, error) {
	files, err := tree(root, "terraform")
	if err != nil {
		return nil, err
	}
	policies, err := tree(root, "workflows/base/accounts")
	if err != nil {
		return nil, err
	}
	for name, content := range policies {
		if strings.HasSuffix(name, ".json") {
			files[name] = content
		}
	}
	return files, nil
}

// tree reads a folder of root. Names are relative to root. What Terraform leaves behind is not read.
func tree(root, folder string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(root), folder, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".terraform":
			return fs.SkipDir
		case d.IsDir() || strings.HasPrefix(d.Name(), ".terraform.") || strings.Contains(d.Name(), ".tfstate"):
			return nil
		}
		files[name], err = os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is no checkout of eks-recycle: it has no %s", root, folder)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", folder, err)
	}
	return files, nil
}

func renamed(files map[string][]byte, to func(string) string) map[string][]byte {
	out := make(map[string][]byte, len(files))
	for name, content := range files {
		out[to(name)] = content
	}
	return out
}

// archive packs files under a folder. Neither times nor owners are in it.
func archive(folder string, files map[string][]byte) ([]byte, error) {
	var packed bytes.Buffer
	compressed := gzip.NewWriter(&packed)
	w := tar.NewWriter(compressed)
	for _, name := range sortedKeys(files) {
		header := &tar.Header{Name: folder + "/" + name, Mode: 0o644, Size: int64(len(files[name])), Format: tar.FormatPAX}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("packing %s: %w", name, err)
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, fmt.Errorf("packing %s: %w", name, err)
		}
	}
	if err := errors.Join(w.Close(), compressed.Close()); err != nil {
		return nil, fmt.Errorf("packing %s: %w", folder, err)
	}
	return packed.Bytes(), nil
}

func sortedKeys(files map[string][]byte) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
