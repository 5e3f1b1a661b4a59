package proc

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func newSet(t *testing.T) Set {
	t.Helper()
	dir := t.TempDir()
	return Set{Records: filepath.Join(dir, "pids"), Logs: filepath.Join(dir, "logs")}
}

func shell(name, script string) Process {
	return Process{Name: name, Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"WORD=hello"}}
}

func start(t *testing.T, s Set, p Process) *Running {
	t.Helper()
	r, err := s.Start(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(context.Background(), r.Record, time.Millisecond) })
	return r
}

func ready(s Set, name string) Check {
	return func(context.Context) error {
		if strings.Contains(s.Tail(name, 1), "hello") {
			return nil
		}
		return errors.New("no word yet")
	}
}

func TestStartedProcessIsFoundAndStopped(t *testing.T) {
	s := newSet(t)
	r := start(t, s, shell("polite", `trap 'echo bye; exit 0' TERM; echo $WORD; while :; do sleep 0.05; done`))
	if err := s.AwaitReady(t.Context(), r, 10*time.Second, ready(s, "polite")); err != nil {
		t.Fatal(err)
	}
	records, err := s.List()
	if err != nil || len(records) != 1 || !records[0].Alive() {
		t.Fatalf("listing: %+v, %v", records, err)
	}
	if err := s.Stop(t.Context(), records[0], 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if records[0].Alive() {
		t.Error("the process still runs")
	}
	if got := s.Tail("polite", 1); got != "bye" {
		t.Errorf("last line is %q, want the trap's: it was not asked politely", got)
	}
	if records, _ := s.List(); len(records) != 0 {
		t.Errorf("still recorded: %+v", records)
	}
}

func TestStopEndsAProcessThatDoesNotListenAndItsChildren(t *testing.T) {
	s := newSet(t)
	r := start(t, s, shell("deaf", `trap '' TERM; sleep 1000 & echo child $! hello; wait; wait`))
	if err := s.AwaitReady(t.Context(), r, 10*time.Second, ready(s, "deaf")); err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.Fields(s.Tail("deaf", 1))[1])
	if err != nil {
		t.Fatal(err)
	}
	child, err := readStat(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context(), r.Record, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	// It was killed together with its parent, which alone is waited for.
	if !gone(t.Context(), Record{PID: pid, Ticks: child.startTicks}, killed) {
		t.Errorf("child %d still runs", pid)
	}
}

func TestAnotherProcessUnderTheSameIDIsLeftAlone(t *testing.T) {
	s := newSet(t)
	r := start(t, s, shell("other", `echo $WORD; sleep 1000`))
	mistaken := r.Record
	mistaken.Ticks--
	if mistaken.Alive() {
		t.Error("a process with another start time counts as ours")
	}
	if err := s.Stop(t.Context(), mistaken, time.Second); err != nil {
		t.Fatal(err)
	}
	if !r.Alive() {
		t.Error("a process that is not ours was stopped")
	}
}

func TestAwaitReadyShowsTheLogOfAProcessThatEnded(t *testing.T) {
	s := newSet(t)
	r := start(t, s, shell("broken", `echo cannot read my config >&2; exit 3`))
	err := s.AwaitReady(t.Context(), r, 10*time.Second, ready(s, "broken"))
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "cannot read my config") {
		t.Errorf("got %v", err)
	}
}

func TestAwaitReadyNamesWhatItWaitedFor(t *testing.T) {
	s := newSet(t)
	r := start(t, s, shell("slow", `sleep 1000`))
	err := s.AwaitReady(t.Context(), r, 50*time.Millisecond, ready(s, "slow"))
	if err == nil || !strings.Contains(err.Error(), "no word yet") {
		t.Errorf("got %v", err)
	}
}

func TestParseStat(t *testing.T) {
	const line = "42 (a (b) c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 8 9 10"
	got, err := parseStat(line)
	if err != nil || got != (stat{state: 'S', startTicks: 4711}) {
		t.Errorf("got %+v, %v", got, err)
	}
}
