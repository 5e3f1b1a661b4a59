package components

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVersionsAreThoseOfTheModules(t *testing.T) {
	for _, tt := range []struct{ module, path, want string }{
		{"cluster", "k8s.io/kubernetes", KubernetesVersion},
		{"cluster", "github.com/argoproj/argo-workflows/v3", ArgoVersion},
		{"cluster", "sigs.k8s.io/kwok", KwokVersion},
		{"etcd", "go.etcd.io/etcd/server/v3", EtcdVersion},
		{"events", "github.com/argoproj/argo-events", EventsVersion},
		{"nats", "github.com/nats-io/nats-server/v2", NATSVersion},
	} {
		content, err := os.ReadFile(filepath.Join(tt.module, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`(?m)^(?:require)?\s+` + regexp.QuoteMeta(tt.path) + ` (v\S+)$`).FindSubmatch(content)
		if found == nil || string(found[1]) != tt.want {
			t.Errorf("%s/go.mod requires %s %q, the constant says %q", tt.module, tt.path, found, tt.want)
		}
	}
}

func TestEveryProgramIsImportedByItsModule(t *testing.T) {
	for _, m := range modules() {
		content, err := os.ReadFile(filepath.Join(m.name, "programs.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, pkg := range m.packages() {
			if !strings.Contains(string(content), `_ "`+pkg+`"`) {
				t.Errorf("%s/programs.go does not import %s: its packages would be missing from the vendor folder", m.name, pkg)
			}
		}
	}
}

func TestAnyChangeOfAnInputChangesTheKey(t *testing.T) {
	source := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(source, "etcd"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(source, "etcd", name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range inputs() {
		write(name, "same")
	}
	b := Builder{Source: source}
	m := module{name: "etcd"}
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
	note("another stamp", gc, module{name: "etcd", stamps: []string{"a.b=c"}})
	for _, name := range inputs() {
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
