// Package proc starts programs that outlive the command that started them, and finds them again later to look after or
// stop them. A program is known by its process id and its start time, so that a process id which the kernel gave to
// another program since is never signalled. It restarts nothing: a component that dies is to be seen, not hidden.
package proc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Process is a program to run: a value, so that what is run can be tested without running it.
type Process struct {
	Name string
	Path string
	Args []string
	Env  []string
}

// Set is a group of processes, recorded in Records and logging into Logs.
type Set struct {
	Records string
	Logs    string
}

// Record is what is kept of a started process.
type Record struct {
	Name    string    `json:"name"`
	PID     int       `json:"pid"`
	Ticks   uint64    `json:"ticks"`
	Started time.Time `json:"started"`
	Path    string    `json:"path"`
}

// Running is a process started by this program.
type Running struct {
	Record
	// Done is closed when the process has ended; Err then tells how.
	Done <-chan struct{}
	err  error
}

// Err is the process's exit error. It may be read after Done is closed.
func (r *Running) Err() error { return r.err }

// Start runs a process in a session of its own: signals of the terminal do not reach it, and it can be stopped with
// all its children.
func (s Set) Start(p Process) (*Running, error) {
	for _, dir := range []string{s.Records, s.Logs} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("starting %q: %w", p.Name, err)
		}
	}
	log, err := os.OpenFile(s.LogPath(p.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("starting %q: %w", p.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(p.Path, p.Args...)
	// A root shell may lack the folders in which Debian puts what root needs, runc among them.
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "HOME=/nonexistent"}, p.Env...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %q: %w", p.Name, err)
	}
	done := make(chan struct{})
	r := &Running{Record: Record{Name: p.Name, PID: cmd.Process.Pid, Started: time.Now(), Path: p.Path}, Done: done}
	stat, err := readStat(r.PID)
	r.Ticks = stat.startTicks
	if err == nil {
		err = s.write(r.Record)
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, fmt.Errorf("recording %q: %w", p.Name, err)
	}
	go func() {
		r.err = cmd.Wait()
		close(done)
	}()
	return r, nil
}

// LogPath is where a process's output goes.
func (s Set) LogPath(name string) string { return filepath.Join(s.Logs, name+".log") }

// List returns the recorded processes in the order of their start.
func (s Set) List() ([]Record, error) {
	files, err := os.ReadDir(s.Records)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var out []Record
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(s.Records, f.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading the record of a process: %w", err)
		}
		var r Record
		if err := json.Unmarshal(content, &r); err != nil {
			return nil, fmt.Errorf("reading the record %q: %w", f.Name(), err)
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Record) int { return a.Started.Compare(b.Started) })
	return out, nil
}

// Tail is the last lines of a process's log.
func (s Set) Tail(name string, lines int) string {
	content, err := os.ReadFile(s.LogPath(name))
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func (s Set) recordPath(name string) string { return filepath.Join(s.Records, name+".json") }

func (s Set) write(r Record) error {
	content, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(s.recordPath(r.Name), content, 0o644)
}
