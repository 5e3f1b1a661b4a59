package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
)

// down takes everything back, in the order in which one thing holds another: programs, containers, mounts, network,
// kernel settings, files. It goes on after an error, and can be run again.
func (s sandbox) down(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	l := s.layout
	errs := []error{s.leaveExisting(ctx)}
	owner, err := l.otherOwner()
	if err != nil {
		return err
	}
	if _, err := os.Stat(l.machine); err == nil && owner == "" {
		errs = append(errs, s.stopOwn(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stopping the sandbox: %w", err)
	}
	return s.removeRun()
}

// stopOwn stops the programs in the reverse order of their start, and then what they leave: containers outlive containerd.
func (s sandbox) stopOwn(ctx context.Context) error {
	l := s.layout
	state, err := readHostState(l.short("host.json"))
	errs := []error{err, s.stopProcesses(ctx, l.processes())}
	if err := s.endContainers(ctx); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, unmountUnder(l.machine), unmountUnder(l.run()), removeNetwork(ctx))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := (machineFiles{root: "/"}).restore(state); err != nil {
		return err
	}
	if err := os.RemoveAll(l.machine); err != nil {
		return fmt.Errorf("removing %q: %w", l.machine, err)
	}
	s.say("the cluster is stopped")
	return nil
}

// grace is how long a program may take to end. What it does at its end is of no use to anybody here: state is thrown
// away, and connections end with it.
const grace = 2 * time.Second

func (s sandbox) stopProcesses(ctx context.Context, set proc.Set) error {
	records, err := set.List()
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range slices.Backward(records) {
		errs = append(errs, set.Stop(ctx, r, grace))
	}
	return errors.Join(errs...)
}

// removeRun deletes what the run left in the state folder, all but the logs.
func (s sandbox) removeRun() error {
	entries, err := os.ReadDir(s.layout.run())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("removing the run's files: %w", err)
	}
	var errs []error
	for _, e := range entries {
		path := filepath.Join(s.layout.run(), e.Name())
		if path == s.layout.logs() {
			continue
		}
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}
