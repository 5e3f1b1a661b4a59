package proc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// killed is how long a process may take to vanish after SIGKILL: the kernel has to tear it down.
const killed = 10 * time.Second

// Alive tells whether the recorded process still runs.
func (r Record) Alive() bool {
	stat, err := readStat(r.PID)
	return err == nil && stat.startTicks == r.Ticks && stat.state != 'Z'
}

// Stop ends a process and what it started in its session: politely, and after the grace period for good.
func (s Set) Stop(ctx context.Context, r Record, grace time.Duration) error {
	for _, try := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGTERM, grace}, {syscall.SIGKILL, killed}} {
		if !r.Alive() {
			break
		}
		if err := syscall.Kill(-r.PID, try.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stopping %q (process %d): %w", r.Name, r.PID, err)
		}
		if gone(ctx, r, try.wait) {
			break
		}
	}
	if r.Alive() {
		return fmt.Errorf("stopping %q: process %d does not end", r.Name, r.PID)
	}
	if err := os.Remove(s.recordPath(r.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the record of %q: %w", r.Name, err)
	}
	return nil
}

// gone waits also when ctx has ended already: stopping is what is left to do then.
func gone(ctx context.Context, r Record, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	loop := poll.Loop{Interval: 20 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
	return loop.Until(ctx, func(context.Context) (bool, string, error) { return !r.Alive(), "", nil }) == nil
}

type stat struct {
	state      byte
	startTicks uint64
}

// readStat reads /proc/PID/stat; the program's name in it may hold spaces and parentheses, so fields count from the
// last parenthesis (proc(5)).
func readStat(pid int) (stat, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(content))
}

func parseStat(line string) (stat, error) {
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		return stat{}, fmt.Errorf("reading process status: unexpected %q", line)
	}
	const startTime = 22 - 3
	fields := strings.Fields(line[end+1:])
	if len(fields) <= startTime {
		return stat{}, fmt.Errorf("reading process status: %d fields", len(fields))
	}
	ticks, err := strconv.ParseUint(fields[startTime], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("reading process status: %w", err)
	}
	return stat{state: fields[0][0], startTicks: ticks}, nil
}
