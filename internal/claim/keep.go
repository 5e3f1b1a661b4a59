package claim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Keep renews the claim in the background until stop is called. The returned context ends with ErrLost when another
// recycle has the claim, and with ErrNotRenewed before it expires: nobody acts on a claim that somebody else may take.
func (c *Claim) Keep(ctx context.Context) (kept context.Context, stop func()) {
	kept, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		every := time.NewTicker(c.claims.Duration / 3)
		defer every.Stop()
		for {
			select {
			case <-kept.Done():
				return
			case <-every.C:
			}
			until, err := c.renew(kept)
			if errors.Is(err, ErrLost) || (err != nil && !time.Now().Add(c.claims.Duration/3).Before(until)) {
				cancel(err)
				return
			}
			if err != nil {
				c.claims.Log.WarnContext(ctx, "renewing the claim", "err", err)
			}
		}
	}()
	return kept, func() { cancel(context.Canceled); <-done }
}

func (c *Claim) renew(ctx context.Context) (until time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.claims.Duration/3) // an API server that does not answer is as bad as one that refuses
	defer cancel()
	return c.update(ctx, nil)
}

// Suspends writes down, before it is done, that the recycle suspends a process of the group.
func (c *Claim) Suspends(ctx context.Context, group, process string) error {
	if c.Suspended(process) {
		return nil
	}
	all := append(suspends(c.current()), process)
	_, err := c.update(ctx, map[string]string{annotationGroup: group, annotationSuspends: strings.Join(all, ",")})
	return err
}

// Resumed forgets that the recycle suspends a process. It is the last recycle's word on the suspension.
func (c *Claim) Resumed(ctx context.Context, process string) error {
	rest := slices.DeleteFunc(suspends(c.current()), func(p string) bool { return p == process })
	_, err := c.update(ctx, map[string]string{annotationSuspends: strings.Join(rest, ",")})
	return err
}

// Returning writes down how far the return of the instance to service has come, in words of the caller.
func (c *Claim) Returning(ctx context.Context, how string) error {
	_, err := c.update(ctx, map[string]string{annotationReturn: how})
	return err
}

// Return is what Returning wrote down last, this holder or one that it took the claim over from.
func (c *Claim) Return() string { return c.current().Annotations[annotationReturn] }

// Suspended reports whether the recycle, or one that it took the claim over from, has suspended the process of its group.
func (c *Claim) Suspended(process string) bool {
	return slices.Contains(suspends(c.current()), process)
}

func suspends(lease *coordinationv1.Lease) (processes []string) {
	if all := lease.Annotations[annotationSuspends]; all != "" {
		processes = strings.Split(all, ",")
	}
	return processes
}

// Reborn reports that a Node of the same name is another one than when this holder's claim began.
func (c *Claim) Reborn(n *corev1.Node) bool {
	uid := c.current().Annotations[annotationNodeUID]
	return !c.Fresh && uid != "" && uid != string(n.UID)
}

// Remember writes down which Node the claim is about from now on.
func (c *Claim) Remember(ctx context.Context, n *corev1.Node) error {
	_, err := c.update(ctx, map[string]string{annotationNode: n.Name, annotationNodeUID: string(n.UID)})
	return err
}

// update stamps the Lease and adds annotations; it costs one call while nobody else writes the Lease. It returns when the
// claim now expires.
func (c *Claim) update(ctx context.Context, about map[string]string) (time.Time, error) {
	last := c.current()
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return expiry(last), fmt.Errorf("%w: %w", ErrNotRenewed, ctx.Err())
	}
	last = c.current()
	stamped := func(lease *coordinationv1.Lease) *coordinationv1.Lease {
		lease = lease.DeepCopy()
		note(lease, about)
		return c.claims.stamp(lease)
	}
	lease, err := c.claims.Leases.Update(ctx, stamped(last), metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		if lease, err = c.claims.Leases.Get(ctx, last.Name, metav1.GetOptions{}); err == nil && holder(lease) == c.claims.Holder {
			lease, err = c.claims.Leases.Update(ctx, stamped(lease), metav1.UpdateOptions{})
		}
	}
	until := expiry(last)
	switch {
	case apierrors.IsNotFound(err):
		return until, fmt.Errorf("%w: its Lease was deleted", ErrLost)
	case err != nil:
		return until, fmt.Errorf("%w: %w", ErrNotRenewed, err)
	case holder(lease) != c.claims.Holder:
		return until, fmt.Errorf("%w: %s holds it now", ErrLost, holder(lease))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lease = lease
	return expiry(lease), nil
}

func (c *Claim) current() *coordinationv1.Lease {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lease
}
