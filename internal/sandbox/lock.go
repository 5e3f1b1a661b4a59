package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/progress"
)

// open finds the sandbox and keeps other commands from working on it until unlock is called. The kernel frees the lock
// of a command that dies.
func open(o Options) (sandbox, func(), error) {
	l, err := newLayout(o)
	if err != nil {
		return sandbox{}, nil, err
	}
	show := o.Progress
	if show == nil {
		show = func(progress.Line) {}
	}
	if err := os.MkdirAll(l.state, 0o755); err != nil {
		return sandbox{}, nil, fmt.Errorf("creating the state folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(l.state, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return sandbox{}, nil, fmt.Errorf("locking the sandbox: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return sandbox{}, nil, hint.Errorf("wait until it is done", "locking the sandbox: another command is bringing it up or down")
	}
	if err != nil {
		f.Close()
		return sandbox{}, nil, fmt.Errorf("locking the sandbox: %w", err)
	}
	return sandbox{layout: l, progress: show, died: func(error) {}}, func() { f.Close() }, nil
}

// claimMachine marks the machine as used by this sandbox: it has one address and one bridge, and so room for one.
func (l layout) claimMachine() error {
	if err := os.MkdirAll(l.machine, 0o755); err != nil {
		return fmt.Errorf("creating %q: %w", l.machine, err)
	}
	if err := os.WriteFile(l.short("owner"), []byte(l.state), 0o644); err != nil {
		return fmt.Errorf("claiming the machine: %w", err)
	}
	return nil
}

// otherOwner is the state folder of another sandbox that is up on this machine. One that left files but no process
// counts for nothing, and so does one whose folder was deleted: this sandbox clears up after it.
func (l layout) otherOwner() (string, error) {
	content, err := os.ReadFile(l.short("owner"))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("asking who uses the machine: %w", err)
	}
	owner := strings.TrimSpace(string(content))
	if _, err := os.Stat(owner); owner == l.state || errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	records, err := l.processes().List()
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(records, proc.Record.Alive) {
		return "", nil
	}
	return owner, nil
}

// requireMachine refuses to start beside another sandbox.
func (l layout) requireMachine() error {
	owner, err := l.otherOwner()
	if err == nil && owner != "" {
		return hint.Errorf("end that one first: make sandbox-down in its checkout",
			"starting the sandbox: another one is up on this machine, with its state in %q", owner)
	}
	return err
}
