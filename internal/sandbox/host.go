package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// hostState is what the sandbox's programs change on the machine outside their own folders, and have no setting to prevent:
// the kubelet and the bridge plugin set kernel settings and create folders at fixed places.
type hostState struct {
	Sysctls map[string]string `json:"sysctls"`
	// Absent are the folders that were not there before.
	Absent []string `json:"absent"`
}

func changedSysctls() []string {
	return []string{
		"kernel/keys/root_maxbytes", "kernel/keys/root_maxkeys", "kernel/panic", "kernel/panic_on_oops",
		"net/ipv4/ip_forward", "vm/overcommit_memory", "vm/panic_on_oom",
	}
}

// createdFolders are parents first.
func createdFolders() []string {
	return []string{
		"/run/containerd", "/run/containerd/s", "/var/lib/cni", "/var/lib/cni/results", "/var/lib/kubelet",
		"/var/lib/kubelet/device-plugins", "/var/log/containers",
	}
}

// machine is where the kernel's settings and the fixed folders are; tests put others in their place.
type machineFiles struct{ root string }

func (m machineFiles) path(p string) string { return filepath.Join(m.root, p) }

func (m machineFiles) sysctl(name string) string { return m.path("/proc/sys/" + name) }

// record reads the state before anything is started. Settings that this kernel lacks are left out.
func (m machineFiles) record() hostState {
	s := hostState{Sysctls: map[string]string{}}
	for _, name := range changedSysctls() {
		if content, err := os.ReadFile(m.sysctl(name)); err == nil {
			s.Sysctls[name] = strings.TrimSpace(string(content))
		}
	}
	for _, dir := range createdFolders() {
		if _, err := os.Stat(m.path(dir)); errors.Is(err, fs.ErrNotExist) {
			s.Absent = append(s.Absent, dir)
		}
	}
	return s
}

// restore puts the settings back and removes the folders that were created, if they are empty now.
func (m machineFiles) restore(s hostState) error {
	var errs []error
	for name, value := range s.Sysctls {
		content, err := os.ReadFile(m.sysctl(name))
		if err != nil || strings.TrimSpace(string(content)) == value {
			continue
		}
		if err := os.WriteFile(m.sysctl(name), []byte(value), 0o644); err != nil {
			errs = append(errs, fmt.Errorf("restoring the kernel setting %q: %w", name, err))
		}
	}
	for _, dir := range slices.Backward(s.Absent) {
		removeLeftovers(m.path(dir))
		os.Remove(m.path(dir))
	}
	return errors.Join(errs...)
}

// removeLeftovers empties the kubelet's folder for device plugins, whose files it does not remove when it ends.
func removeLeftovers(dir string) {
	if filepath.Base(dir) != "device-plugins" {
		return
	}
	for _, name := range []string{"kubelet.sock", "kubelet_internal_checkpoint", "DEPRECATION"} {
		os.Remove(filepath.Join(dir, name))
	}
}

func writeHostState(path string, s hostState) error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("recording the machine's state: %w", err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return fmt.Errorf("recording the machine's state: %w", err)
	}
	return nil
}

func readHostState(path string) (hostState, error) {
	var s hostState
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("reading the machine's former state: %w", err)
	}
	if err := json.Unmarshal(content, &s); err != nil {
		return s, fmt.Errorf("reading the machine's former state: %w", err)
	}
	return s, nil
}
