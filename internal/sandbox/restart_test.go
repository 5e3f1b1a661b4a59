package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/progress"
)

func TestRestart(t *testing.T) {
	errWhile := errors.New("something else broke")
	for _, tt := range []struct {
		name  string
		while error
	}{
		{"a program is another process afterwards", nil},
		{"it comes back although what was done meanwhile failed", errWhile},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			set := proc.Set{Records: filepath.Join(dir, "processes"), Logs: filepath.Join(dir, "logs")}
			s := sandbox{progress: func(progress.Line) {}, died: func(error) {}}
			program := component{
				Process: proc.Process{Name: "program", Path: "/bin/sh", Args: []string{"-c", "echo started; exec sleep 1000"}},
				ready: func(context.Context) error {
					if !strings.Contains(set.Tail("program", 1), "started") {
						return errors.New("no word yet")
					}
					return nil
				},
			}
			if err := s.run(t.Context(), set, program); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.stopProcesses(context.Background(), set) })
			before := only(t, set)

			ctx, cancel := context.WithCancel(t.Context())
			err := s.restart(ctx, set, program, func(context.Context) error {
				if before.Alive() {
					t.Error("the program still runs while it is meant to be away")
				}
				cancel()
				return tt.while
			})
			if !errors.Is(err, tt.while) {
				t.Errorf("got error %v, want %v", err, tt.while)
			}
			if after := only(t, set); after.PID == before.PID || !after.Alive() {
				t.Errorf("process %d is now %d, alive: %v", before.PID, after.PID, after.Alive())
			}
		})
	}
}

func TestPause(t *testing.T) {
	dir := t.TempDir()
	set := proc.Set{Records: filepath.Join(dir, "processes"), Logs: filepath.Join(dir, "logs")}
	for _, name := range []string{"one", "other"} {
		if _, err := set.Start(proc.Process{Name: name, Path: "/bin/sleep", Args: []string{"1000"}}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = sandbox{progress: func(progress.Line) {}}.stopProcesses(context.Background(), set) })
	states := func() (all string) {
		records, err := set.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.PID))
			if err != nil {
				t.Fatal(err)
			}
			_, after, _ := strings.Cut(string(status), "State:")
			all += r.Name + " " + strings.Fields(after)[0] + " "
		}
		return all
	}
	await := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); states() != want; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the programs are %q, want %q", states(), want)
			}
		}
	}
	resume, err := pause(set, []string{"other"})
	if err != nil {
		t.Fatal(err)
	}
	await("one S other T ")
	if _, err := pause(set, []string{"one", "third"}); err == nil {
		t.Error("a program that does not run can be paused")
	}
	await("one S other T ")
	if err := resume(); err != nil {
		t.Fatal(err)
	}
	await("one S other S ")
}

func TestRestartRefusesWhatWouldNotComeBackAsItWas(t *testing.T) {
	c := &Cluster{layout: testLayout()}
	for _, program := range []string{"awssim", "containerd", "etc"} {
		if err := c.Restart(t.Context(), program, nil); err == nil || !strings.Contains(err.Error(), "can be restarted") {
			t.Errorf("%s: got %v", program, err)
		}
	}
	c.Existing = true
	if err := c.Restart(t.Context(), "etcd", nil); err == nil || !strings.Contains(err.Error(), "not the sandbox's own") {
		t.Errorf("another's cluster: got %v", err)
	}
}

func only(t *testing.T, set proc.Set) proc.Record {
	t.Helper()
	records, err := set.List()
	if err != nil || len(records) != 1 {
		t.Fatalf("processes: %+v, %v", records, err)
	}
	return records[0]
}
