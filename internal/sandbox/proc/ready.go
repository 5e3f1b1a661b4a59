package proc

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// tailLines is how much of a log an error shows.
const tailLines = 15

// Check returns nil when a process does its work.
type Check func(ctx context.Context) error

// AwaitReady waits until the check passes. It does not wait for a process that has ended.
func (s Set) AwaitReady(ctx context.Context, r *Running, within time.Duration, check Check) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	loop := poll.Loop{Interval: 100 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
	err := loop.Until(ctx, func(ctx context.Context) (bool, string, error) {
		select {
		case <-r.Done:
			return false, "", fmt.Errorf("it ended: %w", exitError(r.Err()))
		default:
		}
		if err := check(ctx); err != nil {
			return false, err.Error(), nil
		}
		return true, "", nil
	})
	if err != nil {
		return fmt.Errorf("waiting for %q to be ready: %w\nlast lines of %s:\n%s",
			r.Name, err, s.LogPath(r.Name), s.Tail(r.Name, tailLines))
	}
	return nil
}

func exitError(err error) error {
	if err == nil {
		return fmt.Errorf("exit status 0")
	}
	return err
}
