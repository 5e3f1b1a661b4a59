package recycle

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// Standby puts the instance on standby and waits until a specific newer member of its group is in service and its Node
// Ready.
func (r *Recycle) Standby(ctx context.Context) error {
	target, n, err := r.lookup(ctx)
	if err != nil {
		return err
	}
	if retired(target, n) {
		return r.resumeRetired(target)
	}
	if r.Fleet != "" && n != nil && node.FactOf(n, nil).Skip && !node.IsLeaving(n) { // it may have been queued for hours
		return fmt.Errorf("node %q is annotated %s since fleet %s asked for it", n.Name, node.AnnotationSkip, r.Fleet)
	}
	if err := r.preflight(ctx, target, n); err != nil {
		return err
	}
	if r.DryRun {
		return r.planStandby(ctx, target, n)
	}
	return r.claimed(ctx, n, func(ctx context.Context) error {
		if n, err = r.forget(ctx, target, n); err != nil {
			return err
		}
		if err := r.suspendRebalance(ctx, *target.Group); err != nil {
			return err
		}
		baseline, err := r.baseline(ctx, target, n)
		if err != nil {
			return err
		}
		first := !node.IsLeaving(n)
		if n, err = r.nodes.Apply(ctx, n, node.Leaving(r.claims.Workflow, baseline, time.Now())); err != nil {
			return err
		}
		if first {
			r.nodes.Event(ctx, n, "RecycleStarted", fmt.Sprintf("%s recycles this node", r.claims.Workflow))
		}
		return r.handOver(ctx, target, n, baseline)
	})
}

// forget drops what an earlier recycle wrote down and what holds no more: everything if the instance is back in service,
// else the time by which its replacement was due.
func (r *Recycle) forget(ctx context.Context, t asg.Target, n *corev1.Node) (*corev1.Node, error) {
	if err := r.callOff(ctx, t); err != nil {
		return nil, err
	}
	switch {
	case !r.held.Fresh:
		return n, nil
	case t.Lifecycle() != asg.InService:
		return r.nodes.Apply(ctx, n, node.Patient)
	}
	if err := r.forgetRetirement(ctx, t); err != nil {
		return nil, err
	}
	if !node.IsLeaving(n) {
		return n, nil
	}
	return r.nodes.Apply(ctx, n, node.Anew)
}

// forgetRetirement takes the tags of a retirement that was given up off the instance, and says what it leaves.
func (r *Recycle) forgetRetirement(ctx context.Context, t asg.Target) error {
	if !t.Instance.Retiring() {
		return nil
	}
	if err := r.sayWhatIsLeft(ctx, t.Instance); err != nil {
		return err
	}
	return r.asg.UnmarkRetiring(ctx, t.Instance.ID)
}

// retired reports that a former run began to take the instance out of its group for good: from there it goes forward only.
// The tags alone do not say so: someone may have started and attached the instance again. A terminated instance that its
// group still lists on standby has nowhere to go back to either.
func retired(t asg.Target, n *corev1.Node) bool {
	if t.Instance.Gone() && t.Lifecycle() == asg.Standby {
		return true
	}
	if n != nil && node.IsClosed(n) && (node.IsRetiring(n) || t.Instance.Retiring()) {
		return true
	}
	return t.Instance.Retiring() && (t.Group == nil || t.Lifecycle() == asg.Detaching)
}

func (r *Recycle) resumeRetired(t asg.Target) error {
	tags := t.Instance.Tags
	r.report.ASGName, r.report.NodeName, r.report.ReplacementInstance = tags[asg.TagGroup], tags[asg.TagNode], tags[asg.TagReplacement]
	if tags[asg.TagRetiredAt] == "" {
		return r.report.Done("instance %s is %s: nothing to do here", t.Instance.ID, t.Instance.State)
	}
	return r.report.Done("instance %s is being retired since %s by %s: nothing to do here", t.Instance.ID, tags[asg.TagRetiredAt], tags[asg.TagWorkflow])
}

func (r *Recycle) preflight(ctx context.Context, t asg.Target, n *corev1.Node) error {
	if n == nil && !t.Instance.Gone() {
		return r.foreign(t.Instance)
	}
	if other := asg.OtherCluster(t.Instance, r.Cluster); r.Cluster != "" && other != "" {
		return hint.Errorf("name that cluster with --cluster", "instance %q is tagged for cluster %q, not for %q", t.Instance.ID, other, r.Cluster)
	}
	if n != nil && t.Group == nil {
		if pool := node.KarpenterPool(n); pool != "" {
			return hint.Errorf("let Karpenter replace it: delete its NodeClaim, or set expireAfter on the NodePool",
				"node %q is managed by Karpenter (NodePool %q) and belongs to no Auto Scaling group", n.Name, pool)
		}
	}
	refresh := ""
	if t.Group != nil {
		var err error
		if refresh, err = r.asg.RefreshInProgress(ctx, t.Group.Name); err != nil {
			return err
		}
	}
	warnings, err := asg.Preflight(t, r.Action, refresh)
	for _, warning := range warnings {
		r.report.Warn(ctx, warning)
	}
	if err != nil {
		return err
	}
	return r.asg.MayRetire(ctx, t.Instance.ID, r.Action)
}

func (r *Recycle) planStandby(ctx context.Context, t asg.Target, n *corev1.Node) error {
	if node.Changes(n, node.Leaving(r.claims.Workflow, nil, time.Now())) {
		r.report.Change("node %s: taint %s:PreferNoSchedule, keep cluster-autoscaler off it", n.Name, node.TaintLeaving)
	}
	if t.Lifecycle() == asg.InService {
		r.report.Change("instance %s: EnterStandby in Auto Scaling group %s without decrementing its desired capacity %d", t.Instance.ID, t.Group.Name, t.Group.Desired)
	}
	if r.SuspendAZRebalance && !t.Group.Suspends(asg.AZRebalance) {
		r.report.Change("Auto Scaling group %s: suspend AZRebalance until the recycle ends", t.Group.Name)
	}
	return r.claimed(ctx, n, func(context.Context) error { return r.report.Done("would put instance %s on standby", t.Instance.ID) })
}

// baseline is what the first attempt wrote down, or the group's members now.
func (r *Recycle) baseline(ctx context.Context, t asg.Target, n *corev1.Node) ([]string, error) {
	if n != nil && n.Annotations[node.AnnotationMembers] != "" {
		return strings.Split(n.Annotations[node.AnnotationMembers], ","), nil
	}
	return r.asg.Baseline(ctx, t)
}

// findAllEvery is how many looks at AWS pass between two searches through all Nodes for one with an unusual name.
const findAllEvery = 6

// handOver waits for Standby and for the replacement.
func (r *Recycle) handOver(ctx context.Context, t asg.Target, n *corev1.Node, baseline []string) error {
	id, group := t.Instance.ID, t.Group.Name
	looks := 0
	newcomer := newcomers{Recycle: r, names: map[string][]string{}, target: id}
	err := r.wait.Until(ctx, func(ctx context.Context) (bool, string, error) {
		looks++
		h, err := r.asg.Advance(ctx, group, id, baseline)
		if err == nil {
			err = r.suspendRebalance(ctx, h.Group) // a read may have been stale, or somebody resumed it
		}
		if err != nil {
			return false, "", err
		}
		var failure string
		if len(h.Candidates) == 0 && h.Booting == 0 {
			if failure, err = r.asg.FailedLaunch(ctx, group); err != nil {
				return false, "", err
			}
		}
		status := h.Describe(id, failure)
		came, err := newcomer.find(ctx, h, looks%findAllEvery == 1)
		if err != nil {
			return false, status, err
		}
		if came.taken != nil && h.Stands() && !came.short {
			r.report.ReplacementInstance, r.report.ReplacementNode = node.InstanceID(came.taken.Spec.ProviderID), came.taken.Name
			return true, "", nil
		}
		if came.status != "" {
			status += ", " + came.status
		}
		return false, status, r.patience(n, status)
	})
	if err != nil {
		return err
	}
	r.report.Change("instance %s: on standby", id)
	if n, err = r.nodes.Apply(ctx, n, node.Replaced(r.report.ReplacementInstance)); err != nil {
		return err
	}
	r.nodes.Event(ctx, n, "RecycleReplaced", fmt.Sprintf("instance %s is on standby, node %s took its place", id, r.report.ReplacementNode))
	return r.report.Done("instance %s is on standby, replaced by %s (node %s)", id, r.report.ReplacementInstance, r.report.ReplacementNode)
}

// patience ends the wait for a replacement, counted over all attempts.
func (r *Recycle) patience(n *corev1.Node, status string) error {
	started, err := time.Parse(time.RFC3339, n.Annotations[node.AnnotationStartedAt])
	if err != nil {
		return hint.Errorf("remove the annotation to start the wait anew", "node %q has a malformed annotation %s: %w", n.Name, node.AnnotationStartedAt, err)
	}
	if time.Since(started) < r.ReplacementTimeout {
		return nil
	}
	return hint.Errorf("see the group's activities: aws autoscaling describe-scaling-activities --auto-scaling-group-name "+r.report.ASGName,
		"no replacement in service after %s: %s", r.ReplacementTimeout, status)
}

// newcomers looks for the replacement's Node among the instances that joined the group.
type newcomers struct {
	*Recycle
	target string
	names  map[string][]string // of the Nodes, by instance
}

// arrival is what find found: a newcomer that takes the target's place, or what it waits for. short says that the group is
// not whole without the target all the same. Others may have been lost, or the desired capacity raised; or another recycle
// that began earlier had this newcomer for its own: once that is over, nothing tells it from a free one.
type arrival struct {
	taken  *corev1.Node
	status string
	short  bool
}

// find takes newcomers whose Nodes are Ready until they weigh enough. It marks no Node before that one can serve: another
// recycle of the group may be waiting for a newcomer too.
func (f *newcomers) find(ctx context.Context, h asg.Handover, searchAll bool) (arrival, error) {
	var free []*corev1.Node
	var came arrival
	var taken, ready int32
	weights := map[string]int32{}
	for _, candidate := range h.Candidates {
		n, err := f.nodeOf(ctx, candidate.ID, searchAll)
		weights[candidate.ID] = candidate.Weight
		if err != nil {
			return came, err
		}
		if n != nil && node.Ready(n) {
			ready += candidate.Weight
		}
		switch {
		case n == nil:
			came.status = fmt.Sprintf("replacement %s is in service but its Node has not joined", candidate.ID)
		case node.ReplacementFor(n) == f.target && node.Ready(n):
			came.taken, taken = n, taken+candidate.Weight
		case node.ReplacementFor(n) == f.target, node.ReplacementFor(n) == "" && node.Ready(n):
			free = append([]*corev1.Node{n}, free...)
		case node.ReplacementFor(n) == "":
			free = append(free, n)
		}
	}
	if !h.Enough(taken) && len(free) > 0 {
		n, status, err := f.take(ctx, free[0])
		if n == nil || err != nil {
			return arrival{status: status}, err
		}
		weight := weights[node.InstanceID(n.Spec.ProviderID)]
		if came.taken, taken = n, taken+weight; !node.Ready(free[0]) {
			ready += weight
		}
	}
	switch {
	case came.taken == nil:
		return came, nil
	case !h.Enough(taken):
		came.status = fmt.Sprintf("replacement %s (node %s) is Ready, but weighs less than the instance", node.InstanceID(came.taken.Spec.ProviderID), came.taken.Name)
		came.taken = nil
		return came, nil
	}
	came.short = !h.Whole(ready)
	came.status = fmt.Sprintf("replacement %s (node %s) is Ready", node.InstanceID(came.taken.Spec.ProviderID), came.taken.Name)
	if came.short {
		came.status += ", but the group is short of its desired capacity without the instance"
	}
	return came, nil
}

// take waits a little until a newcomer is Ready, and marks it as the replacement.
func (f *newcomers) take(ctx context.Context, n *corev1.Node) (taken *corev1.Node, status string, err error) {
	id := node.InstanceID(n.Spec.ProviderID)
	ready, err := f.nodes.AwaitReady(ctx, n, f.wait.Interval)
	if ready == nil || err != nil {
		return nil, fmt.Sprintf("replacement %s (node %s) is not Ready", id, n.Name), err
	}
	ready, err = f.nodes.Apply(ctx, ready, node.Replaces(f.target))
	if err != nil {
		return nil, "", err
	}
	if node.ReplacementFor(ready) != f.target {
		return nil, fmt.Sprintf("node %s is the replacement of %s", ready.Name, node.ReplacementFor(ready)), nil
	}
	return ready, "", nil
}

func (f *newcomers) nodeOf(ctx context.Context, id string, searchAll bool) (*corev1.Node, error) {
	if f.names[id] == nil {
		instance, err := f.asg.Instance(ctx, id)
		if err != nil {
			return nil, err
		}
		f.names[id] = node.NamesOf(id, instance.PrivateDNSName, f.report.Region)
	}
	if searchAll {
		return f.nodes.Find(ctx, id, f.names[id])
	}
	return f.nodes.FindNamed(ctx, id, f.names[id])
}
