package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func newMachine(t *testing.T) machineFiles {
	t.Helper()
	m := machineFiles{root: t.TempDir()}
	for name, value := range map[string]string{"vm/overcommit_memory": "0\n", "net/ipv4/ip_forward": "0\n", "kernel/panic": "1\n"} {
		writeFile(t, m.sysctl(name), value)
	}
	makeDir(t, m.path("/var/lib/cni"))
	return m
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	makeDir(t, filepath.Dir(path))
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func makeDir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestMachineIsAsBefore(t *testing.T) {
	m := newMachine(t)
	path := filepath.Join(t.TempDir(), "host.json")
	before := m.record()
	if err := writeHostState(path, before); err != nil {
		t.Fatal(err)
	}

	writeFile(t, m.sysctl("vm/overcommit_memory"), "1\n")
	writeFile(t, m.path("/var/lib/kubelet/device-plugins/kubelet.sock"), "")
	makeDir(t, m.path("/var/log/containers"))

	read, err := readHostState(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.restore(read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, m.record()); diff != "" {
		t.Error(diff)
	}
	for _, dir := range []string{"/var/lib/kubelet", "/var/log/containers"} {
		if exists(m.path(dir)) {
			t.Errorf("%s is left", dir)
		}
	}
	if !exists(m.path("/var/lib/cni")) {
		t.Error("/var/lib/cni was there before and is gone")
	}
}

func TestFoldersThatOthersUseByNowStay(t *testing.T) {
	m := newMachine(t)
	before := m.record()
	theirs := m.path("/var/lib/kubelet/device-plugins/theirs.sock")
	writeFile(t, theirs, "")
	if err := m.restore(before); err != nil {
		t.Fatal(err)
	}
	if !exists(theirs) {
		t.Error("a file of another program is gone")
	}
}

func TestNothingIsRestoredWithoutARecord(t *testing.T) {
	state, err := readHostState(filepath.Join(t.TempDir(), "none"))
	if err != nil {
		t.Fatal(err)
	}
	if err := newMachine(t).restore(state); err != nil {
		t.Error(err)
	}
}

func TestMountsUnder(t *testing.T) {
	const table = `22 1 0:20 / /proc rw - proc proc rw
30 1 8:1 / /run/machine/containerd/a/rootfs rw - overlay overlay rw
31 1 8:1 / /run/machine-of-another/x rw - overlay overlay rw
32 30 8:1 / /run/machine/kubelet/with\040space rw - tmpfs tmpfs rw
`
	want := []string{"/run/machine/containerd/a/rootfs", "/run/machine/kubelet/with space"}
	if diff := cmp.Diff(want, mountsUnder(table, "/run/machine")); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyOwnShimsAreEnded(t *testing.T) {
	shim := func(args ...string) []byte { return []byte(strings.Join(args, "\x00") + "\x00") }
	const own = "/run/machine/containerd.sock"
	for _, tt := range []struct {
		name    string
		cmdline []byte
		want    bool
	}{
		{"a shim of our containerd", shim("/usr/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", "a", "-address", own), true},
		{"a shim of another", shim("/usr/bin/containerd-shim-runc-v2", "-address", "/run/containerd/containerd.sock"), false},
		{"an editor that was given the same words", shim("vi", "-address", own), false},
		{"a zombie, whose command line is empty", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := isShim(tt.cmdline, own); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
