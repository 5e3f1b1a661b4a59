package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
)

func TestOneCommandAtATime(t *testing.T) {
	o := Options{Root: t.TempDir(), State: filepath.Join(t.TempDir(), "state")}
	_, unlock, err := open(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := open(o); err == nil || !strings.Contains(err.Error(), "another command") {
		t.Errorf("got %v, want that another command works on it", err)
	}
	unlock()
	_, unlock, err = open(o)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestOneSandboxOnAMachine(t *testing.T) {
	machine := t.TempDir()
	theirs := layout{state: t.TempDir(), machine: machine}
	ours := layout{state: t.TempDir(), machine: machine}
	if err := theirs.claimMachine(); err != nil {
		t.Fatal(err)
	}
	if err := ours.requireMachine(); err != nil {
		t.Errorf("a sandbox without a process is in the way: %v", err)
	}
	process, err := theirs.processes().Start(proc.Process{Name: "one", Path: "/bin/sleep", Args: []string{"1000"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.processes().Stop(t.Context(), process.Record, time.Millisecond) })

	if err := theirs.requireMachine(); err != nil {
		t.Errorf("the sandbox is in its own way: %v", err)
	}
	if err := ours.requireMachine(); err == nil || !strings.Contains(err.Error(), theirs.state) {
		t.Errorf("got %v, want the other's folder", err)
	}
	if err := os.RemoveAll(theirs.state); err != nil {
		t.Fatal(err)
	}
	if err := ours.requireMachine(); err != nil {
		t.Errorf("a sandbox whose folder was deleted is in the way: %v", err)
	}
}
