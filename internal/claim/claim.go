// Package claim keeps two recycles from acting on one instance. A claim is a Lease named after the instance; its holder
// is the workflow's uid, so all steps and attempts of one workflow share it. It is renewed while a step works and taken
// over only once it has expired. A step that loses its claim must stop acting: its context ends with ErrLost.
//
// A workflow's mutex is not enough: a controller restart could forget one, and a laptop does not know it.
package claim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
)

// Annotations on the Lease: what later steps of the same recycle want to know without asking AWS.
const (
	annotationNode     = "eks-recycle.io/node"
	annotationWorkflow = "eks-recycle.io/workflow"
)

// ErrLost is the cause of a context that ended because another recycle took the claim over.
var ErrLost = errors.New("the claim on the instance was lost to another recycle")

// ErrNotRenewed is the cause of a context that ended because the claim could not be renewed in time, for example while
// the API server was away. Nobody else need have taken it: running the step again settles that.
var ErrNotRenewed = errors.New("the claim on the instance could not be renewed in time")

// HeldError says who else holds the claim and until when.
type HeldError struct {
	Instance, Holder, Workflow string
	Until                      time.Time
}

func (e *HeldError) Error() string {
	who := e.Workflow
	if who == "" {
		who = e.Holder
	}
	return fmt.Sprintf("instance %s is claimed by %s until %s", e.Instance, who, e.Until.UTC().Format(time.RFC3339))
}

// Claims makes claims for one holder. Duration is how long a claim outlives its last renewal.
type Claims struct {
	Leases           coordinationclient.LeaseInterface
	Holder, Workflow string
	Duration         time.Duration
	Log              *slog.Logger
}

// Claim is a held Lease. Fresh says that the holder did not have it a moment ago: it is new, taken over, or had expired.
type Claim struct {
	Fresh  bool
	claims Claims
	lease  *coordinationv1.Lease
}

// Name returns the name of an instance's Lease.
func Name(instanceID string) string { return "eks-recycle-" + instanceID }

// Node returns the node name that the claim remembers for an instance, whoever holds it, or "".
func (c Claims) Node(ctx context.Context, instanceID string) (string, error) {
	lease, err := c.Leases.Get(ctx, Name(instanceID), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the claim on instance %q: %w", instanceID, err)
	}
	return lease.Annotations[annotationNode], nil
}

// Free returns a *HeldError if another recycle holds an unexpired claim on the instance, and nil if the way is free.
func (c Claims) Free(ctx context.Context, instanceID string) error {
	lease, err := c.Leases.Get(ctx, Name(instanceID), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the claim on instance %q: %w", instanceID, err)
	}
	if held := c.heldByOther(lease, instanceID); held != nil {
		return held
	}
	return nil
}

// Acquire claims the instance or renews the holder's own claim. It returns a *HeldError while another holder's claim has
// not expired. nodeName is remembered in the claim; empty keeps what is there.
func (c Claims) Acquire(ctx context.Context, instanceID, nodeName string) (*Claim, error) {
	lease, err := c.Leases.Get(ctx, Name(instanceID), metav1.GetOptions{})
	fresh := true
	switch {
	case apierrors.IsNotFound(err):
		lease, err = c.Leases.Create(ctx, c.stamp(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Name: Name(instanceID), Labels: map[string]string{"app.kubernetes.io/name": "eks-recycle"},
		}}, nodeName), metav1.CreateOptions{})
	case err == nil:
		if held := c.heldByOther(lease, instanceID); held != nil {
			return nil, held
		}
		previous := holder(lease)
		fresh = previous != c.Holder || !time.Now().Before(expiry(lease))
		if previous != c.Holder {
			c.Log.WarnContext(ctx, "taking over an expired claim", "instance", instanceID, "from", previous, "workflow", lease.Annotations[annotationWorkflow])
		}
		lease, err = c.Leases.Update(ctx, c.stamp(lease.DeepCopy(), nodeName), metav1.UpdateOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("claiming instance %q: %w", instanceID, err)
	}
	return &Claim{Fresh: fresh, claims: c, lease: lease}, nil
}

func (c Claims) heldByOther(lease *coordinationv1.Lease, instanceID string) *HeldError {
	until := expiry(lease)
	if holder(lease) == c.Holder || !time.Now().Before(until) {
		return nil
	}
	return &HeldError{Instance: instanceID, Holder: holder(lease), Workflow: lease.Annotations[annotationWorkflow], Until: until}
}

func (c Claims) stamp(lease *coordinationv1.Lease, nodeName string) *coordinationv1.Lease {
	now := metav1.NewMicroTime(time.Now())
	seconds := int32(min(max(c.Duration.Seconds(), 1), math.MaxInt32))
	if holder(lease) != c.Holder {
		transitions := int32(0)
		if lease.Spec.LeaseTransitions != nil {
			transitions = *lease.Spec.LeaseTransitions + 1
		}
		lease.Spec.LeaseTransitions, lease.Spec.AcquireTime = &transitions, &now
	}
	lease.Spec.HolderIdentity, lease.Spec.RenewTime, lease.Spec.LeaseDurationSeconds = &c.Holder, &now, &seconds
	if lease.Annotations == nil {
		lease.Annotations = map[string]string{}
	}
	lease.Annotations[annotationWorkflow] = c.Workflow
	if nodeName != "" {
		lease.Annotations[annotationNode] = nodeName
	}
	return lease
}

func holder(lease *coordinationv1.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

func expiry(lease *coordinationv1.Lease) time.Time {
	if lease.Spec.RenewTime == nil || lease.Spec.LeaseDurationSeconds == nil {
		return time.Time{}
	}
	return lease.Spec.RenewTime.Add(time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second)
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
			err := c.renew(kept)
			if errors.Is(err, ErrLost) || (err != nil && !time.Now().Add(c.claims.Duration/3).Before(expiry(c.lease))) {
				cancel(err)
				return
			}
			if err != nil {
				c.claims.Log.WarnContext(ctx, "renewing the claim", "lease", c.lease.Name, "err", err)
			}
		}
	}()
	return kept, func() { cancel(context.Canceled); <-done }
}

// renew costs one call while nobody else writes the Lease.
func (c *Claim) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.claims.Duration/3) // an API server that does not answer is as bad as one that refuses
	defer cancel()
	lease, err := c.claims.Leases.Update(ctx, c.claims.stamp(c.lease.DeepCopy(), ""), metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		if lease, err = c.claims.Leases.Get(ctx, c.lease.Name, metav1.GetOptions{}); err == nil && holder(lease) == c.claims.Holder {
			lease, err = c.claims.Leases.Update(ctx, c.claims.stamp(lease.DeepCopy(), ""), metav1.UpdateOptions{})
		}
	}
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%w: its Lease was deleted", ErrLost)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNotRenewed, err)
	case holder(lease) != c.claims.Holder:
		return fmt.Errorf("%w: %s holds it now", ErrLost, holder(lease))
	}
	c.lease = lease
	return nil
}

// Release deletes the holder's claim. A claim that is gone or somebody else's by now is left alone.
func (c Claims) Release(ctx context.Context, instanceID string) error {
	lease, err := c.Leases.Get(ctx, Name(instanceID), metav1.GetOptions{})
	if apierrors.IsNotFound(err) || (err == nil && holder(lease) != c.Holder) {
		return nil
	}
	if err == nil {
		version := lease.ResourceVersion
		err = c.Leases.Delete(ctx, lease.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &lease.UID, ResourceVersion: &version}})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("releasing the claim on instance %q: %w", instanceID, err)
	}
	return nil
}
