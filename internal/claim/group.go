package claim

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// GroupName returns the name of the Lease of whoever changes a group's desired capacity or its suspended processes. A
// group's own name can have 255 characters of any kind.
func GroupName(group string) string {
	sum := sha256.Sum256([]byte(group))
	return prefix + "asg-" + hex.EncodeToString(sum[:])[:16]
}

// AcquireGroup claims a group for the moment in which it is changed. AWS offers no condition on these changes, so two
// recycles of one group must not make them at the same time. It returns a *HeldError while another one does. The holder is
// the instance, whose own claim says who acts for it: the next workflow takes up what a killed one held.
func (c Claims) AcquireGroup(ctx context.Context, group, instanceID string) (*Claim, error) {
	c.Holder = instanceID
	return c.acquire(ctx, GroupName(group), "Auto Scaling group "+group, map[string]string{annotationGroup: group})
}

// ReleaseGroup ends what AcquireGroup began.
func (c Claims) ReleaseGroup(ctx context.Context, group, instanceID string) error {
	c.Holder = instanceID
	return c.release(ctx, GroupName(group), "Auto Scaling group "+group)
}

// Record is a claim as it stands in the cluster, whoever holds it. Group and Suspends say which processes of which group the
// recycle has suspended.
type Record struct {
	InstanceID       string
	OnGroup          bool // the instance's recycle is just changing its group
	Holder, Workflow string
	Node, NodeUID    string
	Group            string
	Suspends         []string
	Return           string // how far the instance's return to service has come
	Until            time.Time
}

// Live reports that the claim has not expired.
func (r Record) Live() bool { return time.Now().Before(r.Until) }

// Record reads the claim on an instance, or nil if there is none.
func (c Claims) Record(ctx context.Context, instanceID string) (*Record, error) {
	lease, err := c.Leases.Get(ctx, Name(instanceID), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // no claim is an answer, not an error
	}
	if err != nil {
		return nil, fmt.Errorf("reading the claim on instance %q: %w", instanceID, err)
	}
	record := recordOf(lease)
	return &record, nil
}

// Records lists all claims of the namespace, those on groups too, by instance.
func (c Claims) Records(ctx context.Context) ([]Record, error) {
	leases, err := c.Leases.List(ctx, metav1.ListOptions{LabelSelector: labels.Set(own()).String()})
	if err != nil {
		return nil, fmt.Errorf("listing the claims: %w", err)
	}
	records := make([]Record, 0, len(leases.Items))
	for i := range leases.Items {
		if isOfInstance(leases.Items[i].Name) {
			records = append(records, recordOf(&leases.Items[i]))
		}
	}
	slices.SortFunc(records, func(a, b Record) int {
		return cmp.Or(strings.Compare(a.InstanceID, b.InstanceID), strings.Compare(b.Node, a.Node))
	})
	return records, nil
}

func recordOf(lease *coordinationv1.Lease) Record {
	r := Record{
		Holder: holder(lease), Workflow: lease.Annotations[annotationWorkflow], Node: lease.Annotations[annotationNode], NodeUID: lease.Annotations[annotationNodeUID],
		Group: lease.Annotations[annotationGroup], Suspends: suspends(lease), Return: lease.Annotations[annotationReturn], Until: expiry(lease),
	}
	r.InstanceID = strings.TrimPrefix(lease.Name, prefix)
	if r.OnGroup = strings.HasPrefix(lease.Name, prefix+"asg-"); r.OnGroup {
		r.InstanceID = r.Holder
	}
	return r
}
