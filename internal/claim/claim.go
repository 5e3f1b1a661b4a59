// Package claim keeps two recycles from acting on one instance. A claim is a Lease named after the instance; its holder
// is the workflow's uid, so all steps and attempts of one workflow share it. It is renewed while a step works and taken
// over only once it has expired. A step that loses its claim must stop acting: its context ends with ErrLost.
//
// A workflow's mutex is not enough: a controller restart could forget one, and a laptop does not know it.
package claim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/hint"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// own is the label of every claim.
func own() map[string]string { return map[string]string{"app.kubernetes.io/name": "eks-recycle"} }

// ErrLost is the cause of a context that ended because another recycle took the claim over.
var ErrLost = errors.New("the claim on the instance was lost to another recycle")

// ErrNotRenewed is the cause of a context that ended because the claim could not be renewed in time, for example while
// the API server was away. Nobody else need have taken it: running the step again settles that.
var ErrNotRenewed = errors.New("the claim on the instance could not be renewed in time")

// HeldError says who else holds the claim and until when. Why says what keeps it from expiring.
type HeldError struct {
	What, Holder, Workflow string
	Until                  time.Time
	Why                    string
}

func (e *HeldError) Error() string {
	who := cmp.Or(e.Workflow, e.Holder)
	if e.Why != "" {
		return fmt.Sprintf("%s is claimed by %s: %s", e.What, who, e.Why)
	}
	return fmt.Sprintf("%s is claimed by %s until %s", e.What, who, e.Until.UTC().Format(time.RFC3339))
}

// API is what is asked of the API server about the Leases of a namespace.
type API interface {
	Get(context.Context, string, metav1.GetOptions) (*coordinationv1.Lease, error)
	List(context.Context, metav1.ListOptions) (*coordinationv1.LeaseList, error)
	Create(context.Context, *coordinationv1.Lease, metav1.CreateOptions) (*coordinationv1.Lease, error)
	Update(context.Context, *coordinationv1.Lease, metav1.UpdateOptions) (*coordinationv1.Lease, error)
	Delete(context.Context, string, metav1.DeleteOptions) error
}

// Claims makes claims for one holder. Duration is how long a claim outlives its last renewal. Ended is asked about the holder
// of an expired claim: whether nothing of it will come back. Its pod may only be Pending. Nil means that nobody can say, which
// leaves the claim with its holder.
type Claims struct {
	Namespace        string // of the Leases
	Leases           API
	Holder, Workflow string
	Duration         time.Duration
	Ended            func(context.Context, Record) (bool, error)
	Log              *slog.Logger
}

// Claim is a claim that is held. From names who held it before, if anybody did; Taken says that it was not this holder's until
// now.
type Claim struct {
	From    string
	Taken   bool
	claims  Claims
	writing chan struct{} // of one at a time: Keep does in the background
	mu      sync.Mutex    // guards lease
	lease   *coordinationv1.Lease
}

// Name is that of an instance's Lease.
func Name(instanceID string) string { return prefix + instanceID }

const prefix = "eks-recycle-"

// isOfInstance tells the claims on instances from the locks.
func isOfInstance(name string) bool { return strings.HasPrefix(name, prefix+"i-") }

// Held returns a *HeldError if somebody else works on the instance that a record is about.
func (c Claims) Held(ctx context.Context, r Record) error {
	return c.held(ctx, r, "instance "+r.InstanceID)
}

// held is nil if the claim is this holder's, nobody's, or orphaned.
func (c Claims) held(ctx context.Context, r Record, what string) error {
	held := &HeldError{What: what, Holder: r.Holder, Workflow: r.Workflow, Until: r.Until}
	switch {
	case r.Parked(), r.Holder == c.Holder:
		return nil
	case r.Live():
		return held
	case c.Ended == nil:
		held.Why = "nobody here can say whether that has ended"
		return held
	}
	ended, err := c.Ended(ctx, r)
	switch {
	case err != nil:
		held.Why = "cannot find out whether that has ended: " + err.Error()
		return held
	case !ended:
		held.Why = "its claim has expired, but it has not ended"
		return held
	}
	return nil
}

// Acquire claims an instance, and changes its record by the same call. Its error is a *HeldError if somebody else works on it.
func (c Claims) Acquire(ctx context.Context, instanceID string, change func(*Record)) (*Claim, error) {
	what := "instance " + instanceID
	held := func(lease *coordinationv1.Lease) error {
		record, err := recordOf(lease)
		if err != nil {
			return err
		}
		return c.held(ctx, record, what)
	}
	return c.acquire(ctx, Name(instanceID), what, held, func(lease *coordinationv1.Lease) {
		record, _ := recordOf(lease) // held has read it
		change(&record)
		record.write(lease)
	})
}

// acquire creates the Lease, or takes it once held says that nobody has it.
func (c Claims) acquire(ctx context.Context, name, what string, held func(*coordinationv1.Lease) error, note func(*coordinationv1.Lease)) (*Claim, error) {
	lease, err := c.Leases.Get(ctx, name, metav1.GetOptions{})
	claim := &Claim{Taken: true, claims: c, writing: make(chan struct{}, 1)}
	switch {
	case apierrors.IsNotFound(err):
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: own()}}
		note(lease)
		lease, err = c.Leases.Create(ctx, c.stamp(lease), metav1.CreateOptions{})
	case err == nil:
		if err := held(lease); err != nil {
			return nil, err
		}
		lease = lease.DeepCopy()
		if previous := holder(lease); previous != "" && previous != c.Holder {
			claim.From = cmp.Or(lease.Annotations[annotationWorkflow], previous)
			c.Log.WarnContext(ctx, "taking over an expired claim", "of", what, "from", previous, "workflow", lease.Annotations[annotationWorkflow])
		} else {
			claim.Taken = previous == ""
		}
		note(lease)
		lease, err = c.Leases.Update(ctx, c.stamp(lease), metav1.UpdateOptions{})
	}
	switch {
	case isGone(err):
		return nil, fmt.Errorf("claiming %s: %w", what, &releasedError{err})
	case apierrors.IsNotFound(err):
		return nil, hint.Errorf("create it, or name another with --lease-namespace", "claiming %s: namespace %q does not exist in the cluster", what, c.Namespace)
	case err != nil:
		return nil, fmt.Errorf("claiming %s: %w", what, err)
	}
	claim.lease = lease
	return claim, nil
}

// releasedError is that of a Lease which somebody released between a read and a write: claiming it again settles that.
type releasedError struct{ error }

func (e *releasedError) Unwrap() error { return ErrNotRenewed }

// isGone tells a Lease that is not there from a namespace that is not.
func isGone(err error) bool {
	var status apierrors.APIStatus
	return apierrors.IsNotFound(err) && errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Kind == "leases"
}

func (c Claims) stamp(lease *coordinationv1.Lease) *coordinationv1.Lease {
	now := metav1.NewMicroTime(time.Now())
	seconds := int32(min(max(c.Duration.Seconds(), 1), math.MaxInt32))
	if holder(lease) != c.Holder {
		transitions := int32(0)
		if lease.Spec.LeaseTransitions != nil {
			transitions = min(max(*lease.Spec.LeaseTransitions, 0), math.MaxInt32-1) + 1
		}
		lease.Spec.LeaseTransitions, lease.Spec.AcquireTime = &transitions, &now
	}
	lease.Spec.HolderIdentity, lease.Spec.RenewTime, lease.Spec.LeaseDurationSeconds = &c.Holder, &now, &seconds
	metav1.SetMetaDataAnnotation(&lease.ObjectMeta, annotationWorkflow, c.Workflow)
	return lease
}

// End deletes the record of a recycle that has ended, if this holder holds it.
func (c Claims) End(ctx context.Context, instanceID string) error {
	return c.release(ctx, Name(instanceID), "instance "+instanceID)
}

func (c Claims) release(ctx context.Context, name, what string) error {
	lease, err := c.Leases.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || (err == nil && holder(lease) != c.Holder) {
		return nil
	}
	if err == nil {
		version := lease.ResourceVersion
		err = c.Leases.Delete(ctx, lease.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &lease.UID, ResourceVersion: &version}})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("releasing the claim on %s: %w", what, err)
	}
	return nil
}

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
	return c.write(ctx, c.claims.stamp)
}

// Record is what the Lease says.
func (c *Claim) Record() Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	record, _ := recordOf(c.lease) // it could be read when it was claimed
	return record
}

// Update changes the record, if the change is one, and returns when it is stored.
func (c *Claim) Update(ctx context.Context, change func(*Record)) error {
	before := c.Record()
	after := c.Record()
	if change(&after); reflect.DeepEqual(before, after) {
		return nil
	}
	_, err := c.write(ctx, func(lease *coordinationv1.Lease) *coordinationv1.Lease {
		record, _ := recordOf(lease)
		change(&record)
		record.write(lease)
		return c.claims.stamp(lease)
	})
	return err
}

// Park gives the claim up and keeps the record, so that the recycle can be taken up again.
func (c *Claim) Park(ctx context.Context) error {
	_, err := c.write(ctx, func(lease *coordinationv1.Lease) *coordinationv1.Lease {
		lease = c.claims.stamp(lease)
		lease.Spec.HolderIdentity = nil
		return lease
	})
	return err
}

// write changes the Lease; it costs one call while nobody else writes it. It returns when the claim now expires.
func (c *Claim) write(ctx context.Context, change func(*coordinationv1.Lease) *coordinationv1.Lease) (time.Time, error) {
	select {
	case c.writing <- struct{}{}:
		defer func() { <-c.writing }()
	case <-ctx.Done():
		return expiry(c.current(), maxDuration), fmt.Errorf("%w: %w", ErrNotRenewed, ctx.Err())
	}
	last := c.current()
	lease, err := c.claims.Leases.Update(ctx, change(last.DeepCopy()), metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		if lease, err = c.claims.Leases.Get(ctx, last.Name, metav1.GetOptions{}); err == nil && holder(lease) == c.claims.Holder {
			lease, err = c.claims.Leases.Update(ctx, change(lease.DeepCopy()), metav1.UpdateOptions{})
		} else if err == nil {
			return expiry(last, maxDuration), fmt.Errorf("%w: %s holds it now", ErrLost, cmp.Or(holder(lease), "nobody"))
		}
	}
	switch {
	case apierrors.IsNotFound(err):
		return expiry(last, maxDuration), fmt.Errorf("%w: its Lease was deleted", ErrLost)
	case err != nil:
		return expiry(last, maxDuration), fmt.Errorf("%w: %w", ErrNotRenewed, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lease = lease
	return expiry(lease, maxDuration), nil
}

func (c *Claim) current() *coordinationv1.Lease {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lease
}
