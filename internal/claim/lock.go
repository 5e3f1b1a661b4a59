package claim

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/poll"
	coordinationv1 "k8s.io/api/coordination/v1"
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

// GroupName is that of an Auto Scaling group's lock.
func GroupName(group string) string { return prefix + "asg-" + hash(group) }

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:16]
}

// WithGroupLock runs act while no other recycle changes the group, and waits for the lock as wait says. The lock is held by
// the instance: a workflow that takes its recycle over has it too.
func (c Claims) WithGroupLock(ctx context.Context, wait poll.Loop, group, instanceID string, act func(context.Context) error) error {
	c.Holder = instanceID
	return c.withLock(ctx, wait, GroupName(group), "Auto Scaling group "+group, group, act)
}

// ReleaseGroupLock gives up the lock of a run that was killed while it had it.
func (c Claims) ReleaseGroupLock(ctx context.Context, group, instanceID string) error {
	c.Holder = instanceID
	return c.release(ctx, GroupName(group), "Auto Scaling group "+group)
}

// WithFleetLock runs act while no other fleet starts recycles, so that two do not spend one budget twice. It waits for the lock
// as wait says.
func (c Claims) WithFleetLock(ctx context.Context, wait poll.Loop, act func(context.Context) error) error {
	return c.withLock(ctx, wait, prefix+"fleets", "the right to start recycles", "", act)
}

// CoolDown claims the time for which no other alarm starts a recycle in the group. It is never released: it expires. Its error
// is a *HeldError while an earlier one lasts.
func (c Claims) CoolDown(ctx context.Context, group string, lasts time.Duration) error {
	c.Duration = lasts
	what := "the time to cool down of Auto Scaling group " + group
	_, err := c.acquire(ctx, prefix+"cool-down-"+hash(group), what, c.unexpired(what, lasts), naming(group))
	return err
}

// naming writes on a lock which group it is about.
func naming(group string) func(*coordinationv1.Lease) {
	return func(lease *coordinationv1.Lease) {
		if group != "" {
			metav1.SetMetaDataAnnotation(&lease.ObjectMeta, annotationGroup, group)
		}
	}
}

// unexpired says who holds a lock. One that has expired is free.
func (c Claims) unexpired(what string, longest time.Duration) func(*coordinationv1.Lease) error {
	return func(lease *coordinationv1.Lease) error {
		if until := expiry(lease, longest); holder(lease) != c.Holder && time.Now().Before(until) {
			return &HeldError{What: what, Holder: holder(lease), Workflow: lease.Annotations[annotationWorkflow], Until: until}
		}
		return nil
	}
}

func (c Claims) withLock(ctx context.Context, wait poll.Loop, name, what, group string, act func(context.Context) error) error {
	wait.Interval, wait.Wake = min(lockInterval, wait.Interval), nil
	var held *Claim
	err := wait.Until(ctx, func(ctx context.Context) (done bool, status string, err error) {
		held, err = c.acquire(ctx, name, what, c.unexpired(what, maxDuration), naming(group))
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
		return err // it may be half done: the next attempt for this holder goes on before another one gets the lock
	}
	return c.release(ctx, name, what)
}
