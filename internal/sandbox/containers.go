package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// endContainers ends what containerd leaves running when it stops: containers, found by the cgroups that are named after
// them, and their shims, found by the address of the sandbox's own containerd. Asking containerd or runc would be more
// polite, and of no use after a crash.
func (s sandbox) endContainers(ctx context.Context) error {
	bundles, err := filepath.Glob(s.layout.short("containerd", "io.containerd.runtime.v2.task", containerdNames, "*"))
	if err != nil {
		return fmt.Errorf("listing containers: %w", err)
	}
	groups := cgroupsOf(bundles)
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := quickly().Until(ctx, func(context.Context) (bool, string, error) {
		pids := append(processesIn(groups), shims(s.layout.containerdSocket())...)
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return false, "", fmt.Errorf("ending container process %d: %w", pid, err)
			}
		}
		return len(pids) == 0, fmt.Sprintf("%d container processes", len(pids)), nil
	}); err != nil {
		return fmt.Errorf("ending containers: %w", err)
	}
	s.removeContainerFiles(bundles)
	for _, g := range groups {
		if err := removeCgroup(g); err != nil {
			return err
		}
		// The folder of all containers is somebody else's too if it is not empty.
		_ = syscall.Rmdir(filepath.Dir(g))
	}
	return nil
}

// cgroupsOf are the containers' folders in every hierarchy: one with cgroup v2, one per controller with v1. The kubelet
// names no parent, as it keeps no groups for qualities of service; containerd then puts them under its namespace.
func cgroupsOf(bundles []string) []string {
	var out []string
	for _, b := range bundles {
		for _, hierarchy := range []string{"", "*"} {
			found, err := filepath.Glob(filepath.Join("/sys/fs/cgroup", hierarchy, containerdNames, filepath.Base(b)))
			if err == nil {
				out = append(out, found...)
			}
		}
	}
	return out
}

func processesIn(groups []string) []int {
	var out []int
	for _, g := range groups {
		_ = filepath.WalkDir(g, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "cgroup.procs" {
				return nil
			}
			content, _ := os.ReadFile(path)
			for _, field := range strings.Fields(string(content)) {
				if pid, err := strconv.Atoi(field); err == nil && !slices.Contains(out, pid) {
					out = append(out, pid)
				}
			}
			return nil
		})
	}
	return out
}

// shims are the containerd shims that serve the containerd at the socket.
func shims(socket string) []int {
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil
	}
	var out []int
	for _, path := range found {
		content, err := os.ReadFile(path)
		if err != nil || !isShim(content, socket) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

func isShim(cmdline []byte, socket string) bool {
	args := bytes.Split(cmdline, []byte{0})
	if !strings.HasPrefix(filepath.Base(string(args[0])), "containerd-shim") {
		return false
	}
	for i := range len(args) - 1 {
		if string(args[i]) == "-address" && string(args[i+1]) == socket {
			return true
		}
	}
	return false
}

// removeContainerFiles removes what shims and network plugins keep at fixed places outside the sandbox's folders: a
// shim's socket, whose path its bundle holds, the results of the network plugins, and the kubelet's links to logs.
func (s sandbox) removeContainerFiles(bundles []string) {
	for _, b := range bundles {
		content, err := os.ReadFile(filepath.Join(b, "address"))
		if socket, ok := strings.CutPrefix(strings.TrimSpace(string(content)), "unix://"); err == nil && ok {
			os.Remove(socket)
		}
		removeAll("/var/lib/cni/results/*" + filepath.Base(b) + "*")
	}
	removeAll("/var/lib/cni/results/" + cniNetwork + "-*")
	links, _ := filepath.Glob("/var/log/containers/*")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, s.layout.run()) {
			os.Remove(link)
		}
	}
}

func removeAll(pattern string) {
	found, _ := filepath.Glob(pattern)
	for _, path := range found {
		os.Remove(path)
	}
}

// removeCgroup removes a cgroup's folders from the inside out; the files in them are the kernel's.
func removeCgroup(dir string) error {
	var folders []string
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			folders = append(folders, path)
		}
		return nil
	})
	for _, f := range slices.Backward(folders) {
		if err := syscall.Rmdir(f); err != nil && !errors.Is(err, syscall.ENOENT) {
			return fmt.Errorf("removing cgroup %q: %w", f, err)
		}
	}
	return nil
}
