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
	"maps"
	"math"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Annotations on the Lease: what later steps of the same recycle, and a sweep, want to know without asking AWS.
const (
	annotationNode     = "eks-recycle.io/node"
	annotationNodeUID  = "eks-recycle.io/node-uid"
	annotationWorkflow = "eks-recycle.io/workflow"
	annotationGroup    = "eks-recycle.io/asg"
	annotationSuspends = "eks-recycle.io/suspends" // processes of the group, comma-separated
	annotationReturn   = "eks-recycle.io/return"   // how far the instance's return to service has come
)

// own is the label of every claim.
func own() map[string]string { return map[string]string{"app.kubernetes.io/name": "eks-recycle"} }

// ErrLost is the cause of a context that ended because another recycle took the claim over.
var ErrLost = errors.New("the claim on the instance was lost to another recycle")

// ErrNotRenewed is the cause of a context that ended because the claim could not be renewed in time, for example while
// the API server was away. Nobody else need have taken it: running the step again settles that.
var ErrNotRenewed = errors.New("the claim on the instance could not be renewed in time")

// HeldError says who else holds the claim and until when.
type HeldError struct {
	What, Holder, Workflow string
	Until                  time.Time
}

func (e *HeldError) Error() string {
	who := e.Workflow
	if who == "" {
		who = e.Holder
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

// Claims makes claims for one holder. Duration is how long a claim outlives its last renewal.
type Claims struct {
	Namespace        string // of the Leases
	Leases           API
	Holder, Workflow string
	Duration         time.Duration
	Log              *slog.Logger
}

// Claim is a held Lease. Fresh says that the holder did not have it a moment ago: it is new, taken over, or had expired.
// From is the recycle that it was taken over from, or "".
type Claim struct {
	Fresh  bool
	From   string
	claims Claims
	turn   chan struct{} // of who updates the Lease; Keep does in the background
	mu     sync.Mutex    // guards lease
	lease  *coordinationv1.Lease
}

// Name returns the name of an instance's Lease.
func Name(instanceID string) string { return prefix + instanceID }

const prefix = "eks-recycle-"

// Free returns a *HeldError if another recycle holds an unexpired claim on the instance, and nil if the way is free.
func (c Claims) Free(ctx context.Context, instanceID string) error {
	record, err := c.Record(ctx, instanceID)
	if err != nil || record == nil || record.Holder == c.Holder || !record.Live() {
		return err
	}
	return &HeldError{What: "instance " + instanceID, Holder: record.Holder, Workflow: record.Workflow, Until: record.Until}
}

// Acquire claims the instance or renews the holder's own claim. It returns a *HeldError while another holder's claim has
// not expired. The Node and the group are remembered in the claim; nil and "" keep what is there.
func (c Claims) Acquire(ctx context.Context, instanceID string, n *corev1.Node, group string) (*Claim, error) {
	about := map[string]string{}
	if group != "" {
		about[annotationGroup] = group
	}
	if n != nil {
		about[annotationNode], about[annotationNodeUID] = n.Name, string(n.UID)
	}
	return c.acquire(ctx, Name(instanceID), "instance "+instanceID, about)
}

func (c Claims) acquire(ctx context.Context, name, what string, about map[string]string) (*Claim, error) {
	lease, err := c.Leases.Get(ctx, name, metav1.GetOptions{})
	claim := &Claim{Fresh: true, claims: c, turn: make(chan struct{}, 1)}
	switch {
	case apierrors.IsNotFound(err):
		lease, err = c.Leases.Create(ctx, c.stamp(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: own(), Annotations: about}}), metav1.CreateOptions{})
	case err == nil:
		if held := c.heldByOther(lease, what); held != nil {
			return nil, held
		}
		lease = lease.DeepCopy()
		previous := holder(lease)
		claim.Fresh = previous != c.Holder || !time.Now().Before(expiry(lease))
		if previous != c.Holder {
			claim.From = cmp.Or(lease.Annotations[annotationWorkflow], previous)
			c.Log.WarnContext(ctx, "taking over an expired claim", "of", what, "from", previous, "workflow", lease.Annotations[annotationWorkflow])
		} else if lease.Annotations[annotationNodeUID] != "" {
			delete(about, annotationNodeUID) // Reborn compares with the one it began with
		}
		note(lease, about)
		lease, err = c.Leases.Update(ctx, c.stamp(lease), metav1.UpdateOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("claiming %s: %w", what, err)
	}
	claim.lease = lease
	return claim, nil
}

func note(lease *coordinationv1.Lease, about map[string]string) {
	if lease.Annotations == nil {
		lease.Annotations = map[string]string{}
	}
	maps.Copy(lease.Annotations, about)
}

func (c Claims) heldByOther(lease *coordinationv1.Lease, what string) *HeldError {
	until := expiry(lease)
	if holder(lease) == c.Holder || !time.Now().Before(until) {
		return nil
	}
	return &HeldError{What: what, Holder: holder(lease), Workflow: lease.Annotations[annotationWorkflow], Until: until}
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
	note(lease, map[string]string{annotationWorkflow: c.Workflow})
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

// Release deletes the holder's claim. A claim that is gone or somebody else's by now is left alone.
func (c Claims) Release(ctx context.Context, instanceID string) error {
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
