package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/programs"
)

// machineDir holds what must have a short path (Unix sockets) or be found by every checkout on the machine: there is
// one address and one bridge, so there is one sandbox.
const machineDir = "/run/eks-recycle-sandbox"

const modulePath = "github.com/eks-recycle/eks-recycle"

// layout says where everything is. All of it is under the state folder and the machine folder.
type layout struct {
	root    string
	state   string
	machine string
	release programs.Release
}

func newLayout(o Options) (layout, error) {
	root := o.Root
	if root == "" {
		dir, err := os.Getwd()
		if err != nil {
			return layout{}, fmt.Errorf("finding the checkout: %w", err)
		}
		if root, err = findRoot(dir); err != nil {
			return layout{}, err
		}
	}
	state := o.State
	if state == "" {
		state = filepath.Join(root, ".sandbox")
	}
	state, err := filepath.Abs(state)
	if err != nil {
		return layout{}, fmt.Errorf("finding the state folder: %w", err)
	}
	release, err := programs.ReleaseOf(o.Release)
	if err != nil {
		return layout{}, err
	}
	return layout{root: root, state: state, machine: machineDir, release: release}, nil
}

// findRoot goes up from dir to the folder of this project's go.mod.
func findRoot(dir string) (string, error) {
	for at := dir; ; at = filepath.Dir(at) {
		content, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if line, _, _ := strings.Cut(string(content), "\n"); err == nil && line == "module "+modulePath {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", hint.Errorf("run it in a checkout: the sandbox builds its programs from source",
				"finding the checkout: no folder above %q holds the project's go.mod", dir)
		}
	}
}

func (l layout) cache(parts ...string) string { return l.join("cache", parts) }

// run holds what one run of the sandbox leaves behind; `down` removes all of it but the logs.
func (l layout) run(parts ...string) string { return l.join("run", parts) }

func (l layout) join(first string, parts []string) string {
	return filepath.Join(append([]string{l.state, first}, parts...)...)
}

func (l layout) pki() string                    { return l.run("pki") }
func (l layout) auditLog() string               { return l.run("audit.log") }
func (l layout) logs() string                   { return l.run("logs") }
func (l layout) kubeconfig(who string) string   { return l.run("kubeconfig", who) }
func (l layout) certificate(name string) string { return filepath.Join(l.pki(), name+".crt") }
func (l layout) key(name string) string         { return filepath.Join(l.pki(), name+".key") }
func (l layout) program(name string) string     { return l.cache(l.release.Name, "bin", name) }
func (l layout) own(name string) string         { return l.cache("own", name) }
func (l layout) short(parts ...string) string {
	return filepath.Join(append([]string{l.machine}, parts...)...)
}

// processes are recorded with the machine, not with the checkout: they are found, and stopped, even after the checkout's
// state folder was deleted under them. An existing cluster is used without root, and so without the machine folder.
func (l layout) processes() proc.Set { return proc.Set{Records: l.short("processes"), Logs: l.logs()} }

func (l layout) processesForExisting() proc.Set {
	return proc.Set{Records: l.run("processes"), Logs: l.logs()}
}
