package claim

import (
	"context"
	"errors"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// Hold runs act while the claim is renewed. When the claim is lost, act's context ends and the error says why.
func (c *Claim) Hold(ctx context.Context, act func(context.Context) error) error {
	kept, stop := c.Keep(ctx)
	defer stop()
	err := act(kept)
	var notDone *poll.NotDoneError
	if err != nil && kept.Err() != nil && !errors.As(err, &notDone) {
		return poll.NotDone(kept, err.Error())
	}
	return err
}

// lockInterval is the longest pause between two attempts to acquire a lock, which nobody holds for long.
const lockInterval = time.Second

// WithGroupLock runs act while no other recycle changes the group, and waits for its turn as wait says.
func (c Claims) WithGroupLock(ctx context.Context, wait poll.Loop, group, instanceID string, act func(context.Context) error) error {
	acquire := func(ctx context.Context) (*Claim, error) { return c.AcquireGroup(ctx, group, instanceID) }
	return withLock(ctx, wait, acquire, func(ctx context.Context) error { return c.ReleaseGroup(ctx, group, instanceID) }, act)
}

// WithFleetLock runs act while no other fleet starts recycles, and waits for its turn as wait says.
func (c Claims) WithFleetLock(ctx context.Context, wait poll.Loop, act func(context.Context) error) error {
	return withLock(ctx, wait, c.AcquireTurn, c.ReleaseTurn, act)
}

func withLock(ctx context.Context, wait poll.Loop, acquire func(context.Context) (*Claim, error), release, act func(context.Context) error) error {
	wait.Interval, wait.Wake = min(lockInterval, wait.Interval), nil
	var held *Claim
	err := wait.Until(ctx, func(ctx context.Context) (done bool, status string, err error) {
		held, err = acquire(ctx)
		var other *HeldError
		if errors.As(err, &other) {
			return false, other.Error(), nil
		}
		return err == nil, "", err
	})
	if err != nil {
		return err
	}
	if err := held.Hold(ctx, act); err != nil {
		return err // it may be half done: the next attempt for this instance goes on before another one's turn
	}
	return release(ctx)
}
