package sandbox

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/programs"
)

var update = flag.Bool("update", false, "write the golden files anew")

func testLayout() layout {
	return layout{root: "/checkout", state: "/checkout/.sandbox", machine: "/run/machine", release: programs.Current()}
}

func TestComponentsAreRunAsRecorded(t *testing.T) {
	l := testLayout()
	r := runtime{containerd: "/usr/bin/containerd", cniPlugins: "/usr/lib/cni", snapshotter: "overlayfs"}
	for _, c := range []component{
		etcd(l), apiserver(l), controllerManager(l), scheduler(l), containerd(l, r), kubelet(l), ownAWS(l),
		kwok(l, l.kubeconfig("kwok")), nats(l),
	} {
		t.Run(c.Name, func(t *testing.T) {
			if c.ready == nil {
				t.Error("nothing tells when it is ready")
			}
			golden(t, c.Name+".txt", describe(c))
		})
	}
}

func describe(c component) string {
	var b strings.Builder
	fmt.Fprintln(&b, c.Path)
	for _, a := range c.Args {
		fmt.Fprintln(&b, "  "+a)
	}
	for _, path := range slices.Sorted(maps.Keys(c.files)) {
		// kwok's configuration is a file of this package already.
		if c.Name != "kwok" {
			fmt.Fprintf(&b, "\n-- %s --\n%s", path, c.files[path])
		}
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s (write it anew with -update):\n%s", path, diff)
	}
}

func TestUnixSocketsHaveShortPaths(t *testing.T) {
	l := layout{state: "/" + strings.Repeat("deep/", 40), machine: machineDir}
	// sockaddr_un holds 108 bytes, the last of them zero.
	for _, path := range []string{l.containerdSocket(), l.short("kubelet", "pod-resources", "kubelet.sock")} {
		if len(path) > 107 {
			t.Errorf("path %q is too long for a socket", path)
		}
	}
}

func TestEveryPortIsWaitedFor(t *testing.T) {
	free := ports()
	l := testLayout()
	var used []string
	for _, c := range []component{etcd(l), ownAWS(l), kwok(l, "")} {
		for _, a := range c.Args {
			for _, flag := range []string{"--listen=", "--listen-client-urls=https://", "--listen-peer-urls=http://", "--server-address="} {
				if v, ok := strings.CutPrefix(a, flag); ok {
					used = append(used, v)
				}
			}
		}
	}
	if len(used) != 5 {
		t.Errorf("found the addresses %q, want five", used)
	}
	for _, u := range used {
		if !slices.Contains(free, u) {
			t.Errorf("%s is listened on, and not waited for", u)
		}
	}
}

func TestStagesReadTheAnnotationsThatTheSandboxPromises(t *testing.T) {
	for _, a := range []string{AnnotationRunFor, AnnotationStopsIn} {
		if !strings.Contains(kwokConfig, `annotations["`+a+`"]`) {
			t.Errorf("no stage reads %q", a)
		}
	}
	for i, document := range strings.Split(kwokConfig, "\n---\n") {
		var v struct {
			APIVersion, Kind string
			Metadata         struct{ Name string }
		}
		if err := yaml.Unmarshal([]byte(document), &v); err != nil {
			t.Errorf("document %d: %v", i, err)
		}
		if v.Kind != "Stage" && v.Kind != "KwokConfiguration" {
			t.Errorf("document %d is a %q", i, v.Kind)
		}
	}
}
