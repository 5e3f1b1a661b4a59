package programs

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

func TestVersionsAreThoseOfTheModules(t *testing.T) {
	for _, r := range releases() {
		versions := map[string]string{
			kubeModule: r.Kubernetes, r.argoModule(): r.Argo, kwokModule: r.Kwok, etcdModule: r.Etcd,
			eventsModule: r.Events, natsModule: r.NATS,
		}
		content, err := os.ReadFile(filepath.Join(r.Name, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range versions {
			found := regexp.MustCompile(`(?m)^\s+` + regexp.QuoteMeta(path) + ` (v\S+)$`).FindSubmatch(content)
			if want == "" && found == nil {
				continue
			}
			if found == nil || string(found[1]) != want {
				t.Errorf("%s/go.mod requires %s %q, the release says %q", r.Name, path, found, want)
			}
		}
	}
}

// What this project and its sandbox have in common compiles once only if it is of one version.
func TestTheCurrentReleaseSharesThePackagesOfThisProject(t *testing.T) {
	own, release := requirements(t, "../../../go.mod"), requirements(t, filepath.Join(Current().Name, "go.mod"))
	for path, version := range own {
		if other, ok := release[path]; ok && other != version {
			t.Errorf("%s is %s here and %s in the sandbox", path, version, other)
		}
	}
}

func requirements(t *testing.T, file string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\s+(\S+) (v\S+)(?: // indirect)?$`).FindAllStringSubmatch(string(content), -1) {
		out[m[1]] = m[2]
	}
	if len(out) < 20 {
		t.Fatalf("found %d requirements in %s", len(out), file)
	}
	return out
}

func TestEveryProgramIsImportedByItsModule(t *testing.T) {
	for _, r := range releases() {
		m := moduleOf(r)
		var content []byte
		for _, name := range m.inputs() {
			part, err := os.ReadFile(filepath.Join(m.name, name))
			if err != nil {
				t.Fatal(err)
			}
			content = append(content, part...)
		}
		for _, pkg := range m.packages() {
			if !strings.Contains(string(content), `_ "`+pkg+`"`) {
				t.Errorf("nothing in %s imports %s: its packages would be missing from the vendor folder", m.name, pkg)
			}
		}
	}
}

func TestReleasesAreFoundByTheirNames(t *testing.T) {
	for _, r := range append(releases(), Release{}) {
		want := r
		if r.Name == "" {
			want = Current()
		}
		if got, err := ReleaseOf(r.Name); err != nil || got != want {
			t.Errorf("%q: got %v, %v", r.Name, got, err)
		}
	}
	if _, err := ReleaseOf("newest"); hint.Of(err) == "" {
		t.Errorf("an unknown name: got %v, want a hint", err)
	}
}

func TestAnyChangeOfAnInputChangesTheKey(t *testing.T) {
	source := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(source, "some"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(source, "some", name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m := module{name: "some", release: Release{Events: "v1"}}
	for _, name := range m.inputs() {
		write(name, "same")
	}
	b := Builder{Source: source}
	gc := toolchain{version: "go1", platform: "linux"}
	seen := map[string]string{}
	note := func(what string, gc toolchain, m module) {
		t.Helper()
		key, err := b.key(gc, m)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[key]; ok {
			t.Errorf("the key is the same for %q and %q", what, other)
		}
		seen[key] = what
	}
	note("the start", gc, m)
	note("another Go version", toolchain{version: "go2", platform: "linux"}, m)
	note("another stamp", gc, module{name: "some", release: m.release, stamps: []string{"a.b=c"}})
	for _, name := range m.inputs() {
		write(name, "changed")
		note("another "+name, gc, m)
		write(name, "same")
	}
}

func TestBuiltName(t *testing.T) {
	got := []string{builtName("k8s.io/kubernetes/cmd/kubelet"), builtName("go.etcd.io/etcd/server/v3"), builtName("a/version")}
	if diff := cmp.Diff([]string{"kubelet", "server", "version"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestCompiledPackagesAreNamedAndErrorsKept(t *testing.T) {
	var compiled []string
	said := follow(strings.NewReader("a/b\nc.d/e-f_g\n# a/b\na/b/x.go:1:2: undefined: y\n"), func(pkg string) { compiled = append(compiled, pkg) })
	if diff := cmp.Diff([]string{"a/b", "c.d/e-f_g"}, compiled); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("# a/b\na/b/x.go:1:2: undefined: y\n", said); diff != "" {
		t.Error(diff)
	}
}

func TestBatchesKeepTheOrderInWhichAClusterComesUp(t *testing.T) {
	m := module{programs: []Program{{"a", ""}, {"b", ""}, {"c", ""}, {"d", ""}}, untilBatch: []string{"b"}}
	for _, tt := range []struct {
		name string
		want [][]string
		only []string
	}{
		{"all", [][]string{{"a", "b"}, {"c", "d"}}, []string{"a", "b", "c", "d"}},
		{"the first batch alone", [][]string{{"b"}}, []string{"b"}},
		{"without the end of a batch", [][]string{{"a", "d"}}, []string{"a", "d"}},
		{"none", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got [][]string
			for _, batch := range m.only(tt.only).batches() {
				var names []string
				for _, p := range batch.programs {
					names = append(names, p.Name)
				}
				got = append(got, names)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsAddedToAReleaseIsGo(t *testing.T) {
	for _, r := range releases() {
		files := additions(r.argoModule())
		if len(files) < 2 {
			t.Errorf("%s: additions %v, want the page and code", r.Name, files)
		}
		for name, content := range files {
			if !strings.HasSuffix(name, ".go") {
				continue
			}
			if _, err := parser.ParseFile(token.NewFileSet(), name, content, parser.AllErrors); err != nil {
				t.Errorf("%s: %v", r.Name, err)
			}
		}
	}
}
