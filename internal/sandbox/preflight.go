package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// requireRootOnLinux refuses with one line what would fail much later and less clearly.
func requireRootOnLinux(goos string, uid int) error {
	if goos != "linux" {
		return hint.Errorf("use a Linux machine, or give --kubeconfig to use a cluster that runs elsewhere",
			"starting the sandbox: it runs containers, which needs Linux, and this is %q", goos)
	}
	if uid != 0 {
		return hint.Errorf("run it with sudo, or give --kubeconfig to use a cluster that runs elsewhere",
			"starting the sandbox: it runs containers, which needs root")
	}
	return nil
}

// requirement is a program that the machine has to have.
type requirement struct {
	program string
	folders []string
	pkg     string
}

func requirements() []requirement {
	return []requirement{
		{"containerd", nil, "containerd"},
		{"ctr", nil, "containerd"},
		{"runc", nil, "runc"},
		{"bridge", cniFolders(), "containernetworking-plugins"},
		{"host-local", cniFolders(), "containernetworking-plugins"},
		{"ip", nil, "iproute2"},
	}
}

func cniFolders() []string { return []string{"/usr/lib/cni", "/opt/cni/bin"} }

// find looks for a program in its folders, or else on the PATH and where Debian puts the programs of root.
func (r requirement) find() (string, error) {
	for _, dir := range r.folders {
		if path := filepath.Join(dir, r.program); isProgram(path) {
			return path, nil
		}
	}
	if r.folders != nil {
		return "", fmt.Errorf("finding %q: it is in none of %s", r.program, strings.Join(r.folders, ", "))
	}
	if path, err := exec.LookPath(r.program); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path := filepath.Join(dir, r.program); isProgram(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("finding %q: it is not installed", r.program)
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func missingPackages() []string {
	var out []string
	for _, r := range requirements() {
		if _, err := r.find(); err != nil && !slices.Contains(out, r.pkg) {
			out = append(out, r.pkg)
		}
	}
	return out
}

// installPackages installs with apt-get what is missing. A package list that is not there or too old is fetched first.
func installPackages(ctx context.Context, progress func(string)) error {
	missing := missingPackages()
	if len(missing) == 0 {
		return nil
	}
	names := strings.Join(missing, " ")
	advice := "install these packages, or what your system calls them: " + names
	if _, err := exec.LookPath("apt-get"); err != nil {
		return hint.Errorf(advice, "installing %s: this machine has no apt-get", names)
	}
	progress("installing " + names)
	install := append([]string{"install", "--yes", "--no-install-recommends"}, missing...)
	if _, err := aptGet(ctx, install...); err == nil {
		return nil
	}
	if output, err := aptGet(ctx, "update"); err != nil {
		return hint.Errorf(advice, "updating the package lists: %w: %s", err, lastLine(output))
	}
	if output, err := aptGet(ctx, install...); err != nil {
		return hint.Errorf(advice, "installing %s: %w: %s", names, err, lastLine(output))
	}
	return nil
}

func aptGet(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"--quiet"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	output, err := cmd.CombinedOutput()
	return string(output), err
}

// overlayMagic is the file system type of an overlay (statfs(2)), on which an overlay cannot be stacked.
const overlayMagic = 0x794c7630

// findRuntime says how containers run on this machine.
func findRuntime(l layout) (runtime, error) {
	r := runtime{snapshotter: "overlayfs"}
	for _, req := range requirements() {
		path, err := req.find()
		if err != nil {
			return r, err
		}
		switch req.program {
		case "containerd":
			r.containerd = path
		case "bridge":
			r.cniPlugins = filepath.Dir(path)
		}
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(l.state, &fs); err != nil {
		return r, fmt.Errorf("asking for the file system of %q: %w", l.state, err)
	}
	if fs.Type == overlayMagic {
		r.snapshotter = "native"
	}
	return r, nil
}

// awaitPorts waits until nobody listens on the sandbox's ports: those of an earlier run take a moment to close.
func awaitPorts(ctx context.Context, within time.Duration, addresses []string) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var listen net.ListenConfig
	for _, a := range addresses {
		err := quickly().Until(ctx, func(ctx context.Context) (bool, string, error) {
			l, err := listen.Listen(ctx, "tcp", a)
			if err != nil {
				return false, err.Error(), nil
			}
			return true, "", l.Close()
		})
		if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
			return hint.Errorf("end the program that listens there (ss -ltnp shows it)", "waiting for %s to be free: %w", a, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func platform() (string, int) { return goruntime.GOOS, os.Getuid() }
