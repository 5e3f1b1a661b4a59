package claim

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Annotations on the Lease. What people look for has one of its own; the rest is one JSON object.
const (
	annotationNode     = "eks-recycle.io/node"
	annotationNodeUID  = "eks-recycle.io/node-uid"
	annotationWorkflow = "eks-recycle.io/workflow"
	annotationGroup    = "eks-recycle.io/asg"
	annotationSuspends = "eks-recycle.io/suspends" // processes of the group, comma-separated
	annotationRecord   = "eks-recycle.io/record"
)

// Record is what is known of the recycle of an instance: who works on it, and how far it is. Anyone who may write Leases in the
// namespace could have forged it: what follows from it for an instance or a group is checked against AWS first.
type Record struct {
	InstanceID       string
	Holder, Workflow string    // of the claim; without a holder the recycle is parked
	Until            time.Time // the claim lasts
	Renewed          time.Time // last; of a parked recycle, since when it is
	Node, NodeUID    string    // of the instance, as verified when the recycle began
	Group            string    // of the instance
	Suspends         []string  // processes of the group
	Progress
}

// Progress is how far a recycle is, and what for. Each part is written before what it announces is done.
type Progress struct {
	Members       []string  `json:"members,omitempty"`       // of the group before the instance went on standby: none replaces it
	WaitingSince  time.Time `json:"waitingSince,omitzero"`   // for a replacement
	Replacements  []string  `json:"replacements,omitempty"`  // instances that take its place
	Replaced      bool      `json:"replaced,omitempty"`      // they serve
	DrainingSince time.Time `json:"drainingSince,omitzero"`  // the wait for pods began
	EvictedLast   time.Time `json:"evictedLast,omitzero"`    // a pod went, to the minute; or the eviction began
	LabelSelector string    `json:"labelSelector,omitempty"` // of the pods waited for
	Disruptable   bool      `json:"disruptable,omitempty"`   // whether pods that ask not to be disrupted are evicted all the same
	Namespaces    string    `json:"namespaces,omitempty"`    // of the pods waited for
	Action        string    `json:"action,omitempty"`
	OnTimeout     string    `json:"onTimeout,omitempty"`
	RetiringSince time.Time `json:"retiringSince,omitzero"` // from here it goes forward only
	Return        string    `json:"return,omitempty"`       // how far the return of the instance to service is
	Hook          string    `json:"hook,omitempty"`         // lifecycle hook that began it: the group terminates the instance itself

	// What its waits are bounded by, for people who ask how far it is. A run goes by its own request.
	ReplacementTimeout metav1.Duration `json:"replacementTimeout,omitzero"`
	MaxWait            metav1.Duration `json:"maxWait,omitzero"`
	EvictTimeout       metav1.Duration `json:"evictTimeout,omitzero"`
	Window             string          `json:"window,omitempty"` // maintenance window
}

// Live reports that the claim has a holder and has not expired.
func (r Record) Live() bool { return r.Holder != "" && time.Now().Before(r.Until) }

// Began is when the recycle began, or zero if nothing says so yet.
func (r Record) Began() (began time.Time) {
	for _, at := range []time.Time{r.WaitingSince, r.DrainingSince, r.RetiringSince} {
		if !at.IsZero() && (began.IsZero() || at.Before(began)) {
			began = at
		}
	}
	return began
}

// Parked reports that nobody holds the recycle: any later submit may take it up.
func (r Record) Parked() bool { return r.Holder == "" }

// maxDuration bounds how long a claim can outlive its last renewal, whatever its Lease says.
const maxDuration = time.Hour

// expiry is when a claim ends. Lasting decades, or renewed in the future, it ends after its longest time from now.
func expiry(lease *coordinationv1.Lease, longest time.Duration) time.Time {
	if lease.Spec.RenewTime == nil || lease.Spec.LeaseDurationSeconds == nil {
		return time.Time{}
	}
	until := lease.Spec.RenewTime.Add(time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second)
	if latest := time.Now().Add(longest); until.After(latest) {
		return latest
	}
	return until
}

func holder(lease *coordinationv1.Lease) string { return ptr.Deref(lease.Spec.HolderIdentity, "") }

func recordOf(lease *coordinationv1.Lease) (Record, error) {
	a := lease.Annotations
	r := Record{
		InstanceID: strings.TrimPrefix(lease.Name, prefix), Holder: holder(lease), Workflow: a[annotationWorkflow], Until: expiry(lease, maxDuration),
		Node: a[annotationNode], NodeUID: a[annotationNodeUID], Group: a[annotationGroup],
	}
	if lease.Spec.RenewTime != nil {
		r.Renewed = lease.Spec.RenewTime.Time
	}
	if all := a[annotationSuspends]; all != "" {
		r.Suspends = strings.Split(all, ",")
	}
	if text := a[annotationRecord]; text != "" {
		if err := json.Unmarshal([]byte(text), &r.Progress); err != nil {
			return r, hint.Errorf("see the state of the instance in its group, then delete the Lease: kubectl delete lease "+lease.Name,
				"annotation %s of Lease %q is malformed: %w", annotationRecord, lease.Name, err)
		}
	}
	return r, nil
}

// write puts a record into a Lease, all but who holds it.
func (r Record) write(lease *coordinationv1.Lease) {
	progress, _ := json.Marshal(r.Progress) // strings and times always marshal
	for key, value := range map[string]string{
		annotationNode: r.Node, annotationNodeUID: r.NodeUID, annotationGroup: r.Group, annotationSuspends: strings.Join(r.Suspends, ","), annotationRecord: string(progress),
	} {
		metav1.SetMetaDataAnnotation(&lease.ObjectMeta, key, value)
	}
	maps.DeleteFunc(lease.Annotations, func(_, value string) bool { return value == "" || value == "{}" })
}

// Record reads the record of an instance's recycle, or nil if there is none.
func (c Claims) Record(ctx context.Context, instanceID string) (*Record, error) {
	lease, err := c.Leases.Get(ctx, Name(instanceID), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // no recycle is an answer, not an error
	}
	if err != nil {
		return nil, fmt.Errorf("reading the claim on instance %q: %w", instanceID, err)
	}
	record, err := recordOf(lease)
	return &record, err
}

// Records reads those of all recycles, by instance. Those that cannot be read come with their errors, by the name of the
// Lease.
func (c Claims) Records(ctx context.Context) (records []Record, unreadable map[string]error, err error) {
	leases, err := c.Leases.List(ctx, metav1.ListOptions{LabelSelector: labels.Set(own()).String()})
	if err != nil {
		return nil, nil, fmt.Errorf("listing the claims: %w", err)
	}
	unreadable = map[string]error{}
	for i := range leases.Items {
		name := leases.Items[i].Name
		if !isOfInstance(name) {
			continue
		}
		record, err := recordOf(&leases.Items[i])
		if err != nil {
			unreadable[name] = err
			continue
		}
		records = append(records, record)
	}
	slices.SortFunc(records, func(a, b Record) int { return cmp.Compare(a.InstanceID, b.InstanceID) })
	return records, unreadable, nil
}

// Mine finds the record that this holder holds, by the name of its Node, or nil.
func (c Claims) Mine(ctx context.Context, node string) (*Record, error) {
	records, _, err := c.Records(ctx)
	for _, r := range records {
		if r.Holder == c.Holder && r.Node == node {
			return &r, err
		}
	}
	return nil, err
}
