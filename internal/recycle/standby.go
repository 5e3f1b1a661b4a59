package recycle

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
	"github.com/eks-recycle/eks-recycle/internal/report"
)

// Standby puts the instance on standby and waits until a specific newer member of its group serves in its place.
func (r *Recycle) Standby(ctx context.Context) error {
	s, err := r.lookup(ctx)
	if err != nil {
		return err
	}
	if s.stage.forward() {
		return r.sayRetired(s)
	}
	if r.Fleet != "" && s.node != nil && node.InfoOf(s.node, nil).Skip && s.stage == Serving { // it may have been queued for hours
		r.report.Reason = report.Skipped
		return fmt.Errorf("node %q is annotated %s since fleet %s asked for it", s.node.Name, node.AnnotationSkip, r.Fleet)
	}
	if err := r.preflight(ctx, s); err != nil {
		return err
	}
	if r.DryRun {
		return r.planStandby(ctx, s)
	}
	if s.stage == Serving {
		if err := r.foresee(ctx, s.node); err != nil {
			return err
		}
	}
	return r.claimed(ctx, s, func(ctx context.Context) error {
		if err := r.begin(ctx, s); err != nil {
			return err
		}
		if err := r.suspendRebalance(ctx, *s.Group); err != nil {
			return err
		}
		first := !node.IsLeaving(s.node)
		if s.node, err = r.nodes.Apply(ctx, s.node, node.Leaving(r.claims.Workflow)); err != nil {
			return err
		}
		if first {
			r.nodes.Event(ctx, s.node, "RecycleStarted", fmt.Sprintf("%s recycles this node", r.claims.Workflow))
		}
		return r.awaitReplacement(ctx, s)
	})
}

// begin writes down what the recycle is about. One in service begins anew, whatever an earlier recycle had written; one on
// standby goes on, and the waits for its replacement and for the evictions begin again if another workflow began it.
func (r *Recycle) begin(ctx context.Context, s subject) error {
	if err := r.cancelReturn(ctx, s.Target); err != nil {
		return err
	}
	record := r.held.Record()
	if s.stage == Serving && s.Instance.Retiring() {
		if err := r.asg.UnmarkRetiring(ctx, s.Instance.ID); err != nil {
			return err
		}
	}
	anew := s.Lifecycle() == asg.InService && (r.held.Taken || record.Replaced || !record.RetiringSince.IsZero())
	members := record.Members
	if anew || len(members) == 0 {
		var err error
		if members, err = r.asg.Baseline(ctx, s.Target); err != nil {
			return err
		}
	}
	return r.held.Update(ctx, func(record *claim.Record) {
		if anew {
			record.Progress = claim.Progress{}
		}
		record.Members = members
		if record.WaitingSince.IsZero() || r.held.Taken {
			record.WaitingSince, record.EvictedLast = time.Now().UTC().Truncate(time.Second), time.Time{}
		}
		record.Node, record.NodeUID = s.node.Name, string(s.node.UID)
		r.Request.write(record)
	})
}

// write keeps what the recycle is asked for, for a run that has to finish what the workflow began, and for people.
func (r Request) write(record *claim.Record) {
	record.ReplacementTimeout, record.MaxWait, record.EvictTimeout = metav1.Duration{Duration: r.ReplacementTimeout}, metav1.Duration{Duration: r.MaxWait}, metav1.Duration{Duration: r.EvictTimeout}
	record.Window = r.Maintenance.String()
	record.Disruptable = r.Pods.Disruptable
	record.LabelSelector, record.Namespaces, record.OnTimeout = r.Pods.Labels(), strings.Join(r.Pods.Namespaces, ","), "fail"
	if r.EvictOnTimeout {
		record.OnTimeout = "evict"
	}
	if r.Action != "" {
		record.Action = string(r.Action)
	}
}

func (r *Recycle) sayRetired(s subject) error {
	tags := s.Instance.Tags
	r.report.ASGName, r.report.NodeName = cmp.Or(s.OwnGroup(), r.report.ASGName), cmp.Or(r.report.NodeName, tags[asg.TagNode])
	r.report.ReplacementInstance = tags[asg.TagReplacement]
	if s.record != nil && len(s.record.Replacements) > 0 {
		r.report.ReplacementInstance = s.record.Replacements[0]
	}
	if tags[asg.TagRetiredAt] == "" {
		return r.report.Done("instance %s is %s: nothing to do here", s.Instance.ID, s.Instance.State)
	}
	return r.report.Done("instance %s is being retired since %s by %s: nothing to do here", s.Instance.ID, tags[asg.TagRetiredAt], tags[asg.TagWorkflow])
}

func (r *Recycle) preflight(ctx context.Context, s subject) error {
	if s.node == nil && !s.Instance.Gone() {
		return r.foreign(s.Instance)
	}
	if other := asg.OtherCluster(s.Instance, r.Cluster); r.Cluster != "" && other != "" {
		return hint.Errorf("name that cluster with --cluster", "instance %q is tagged for cluster %q, not for %q", s.Instance.ID, other, r.Cluster)
	}
	if s.node != nil && s.Group == nil {
		if pool := node.KarpenterPool(s.node); pool != "" {
			return hint.Errorf("let Karpenter replace it: delete its NodeClaim, or set expireAfter on the NodePool",
				"node %q is managed by Karpenter (NodePool %q) and belongs to no Auto Scaling group", s.node.Name, pool)
		}
	}
	refresh := ""
	if s.Group != nil {
		var err error
		if refresh, err = r.asg.RefreshInProgress(ctx, s.Group.Name); err != nil {
			return err
		}
	}
	warnings, err := asg.Preflight(s.Target, r.Action, refresh)
	for _, warning := range warnings {
		r.report.Warn(ctx, warning)
	}
	if err != nil {
		return err
	}
	if err := r.asg.MayRetire(ctx, s.Instance.ID, r.Action); err != nil {
		return err
	}
	return r.checkProtection(ctx, s.Instance.ID)
}

// foresee says, before the node is touched, which pods will be waited for and which evictions would be refused now: a budget that
// never allows one is better mended now than in the night.
func (r *Recycle) foresee(ctx context.Context, n *corev1.Node) error {
	now, err := r.pods.Left(ctx, r.host(n), r.Pods)
	if err != nil {
		return err
	}
	r.waiting(now.Left)
	if len(now.Left) > 0 {
		r.log.InfoContext(ctx, "pods will be waited for", "node", n.Name, "pods", drain.Describe(now.Left))
	}
	if r.KeepPods {
		return nil
	}
	_, blocked, err := r.pods.Evictees(ctx, r.host(n), drain.Eviction{Selection: r.Pods})
	for i, why := range blocked {
		if i == maxForeseen {
			r.report.Warn(ctx, fmt.Sprintf("evictions of %d more pod(s) would be refused now", len(blocked)-i))
			break
		}
		r.report.Warn(ctx, "eviction of pod "+why)
	}
	return err
}

// maxForeseen is how many refused evictions a result names.
const maxForeseen = 10

func (r *Recycle) planStandby(ctx context.Context, s subject) error {
	if node.Changes(s.node, node.Leaving(r.claims.Workflow)) {
		r.report.Change("node %s: taint %s:PreferNoSchedule, keep cluster-autoscaler off it", s.node.Name, node.TaintLeaving)
	}
	if s.Lifecycle() == asg.InService {
		r.report.Change("instance %s: EnterStandby in Auto Scaling group %s without decrementing its desired capacity %d", s.Instance.ID, s.Group.Name, s.Group.Desired)
	}
	if !s.Group.Suspends(asg.AZRebalance) {
		r.report.Change("Auto Scaling group %s: suspend AZRebalance until the recycle ends", s.Group.Name)
	}
	return r.claimed(ctx, s, func(context.Context) error {
		return r.report.Done("would put instance %s on standby", s.Instance.ID)
	})
}

// awaitReplacement waits for Standby and for the replacement.
func (r *Recycle) awaitReplacement(ctx context.Context, s subject) error {
	id, group, known := s.Instance.ID, s.Group.Name, *s.Group
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	candidates := r.candidates(s)
	wait := r.wait
	wait.Wake = candidates.wake
	err := wait.Until(ctx, func(ctx context.Context) (bool, string, error) {
		h, err := r.asg.Advance(ctx, known, id, r.held.Record().Members)
		if r.wait.Transient(err) { // a group that is busy for ever ends the wait like one that launches nothing
			if over := r.timeout(err.Error()); over != nil {
				return false, "", over
			}
		}
		again := !known.Fresh()
		known = asg.Group{Name: group}
		if err == nil && again {
			err = r.suspendRebalance(ctx, h.Group) // a read may have been stale, or somebody resumed it
		}
		if err != nil {
			return false, "", err
		}
		var failure string
		if len(h.Candidates) == 0 && len(h.Booting) == 0 && time.Since(r.held.Record().WaitingSince) > launchesWithin {
			if failure, err = r.asg.FailedLaunch(ctx, group); err != nil {
				return false, "", err
			}
		}
		status := h.Describe(id, failure)
		came, err := candidates.find(ctx, h)
		if err == nil && came.serves == nil {
			err = candidates.follow(watching, ctx, h)
		}
		if err != nil {
			return false, status, err
		}
		if came.serves != nil && h.Stands() && !came.short {
			r.report.ReplacementInstance, r.report.ReplacementNode = node.InstanceID(came.serves.Spec.ProviderID), came.serves.Name
			return true, "", nil
		}
		if came.status != "" {
			status += ", " + came.status
		}
		if came.serves != nil && !came.short {
			return false, status, r.leavesInTime(h, status)
		}
		return false, status, r.timeout(status)
	})
	if err != nil {
		return err
	}
	r.report.Change("instance %s: on standby", id)
	if err := r.held.Update(ctx, func(record *claim.Record) { record.Replaced = true }); err != nil {
		return err
	}
	r.nodes.Event(ctx, s.node, "RecycleReplaced", fmt.Sprintf("instance %s is on standby, node %s took its place", id, r.report.ReplacementNode))
	return r.report.Done("instance %s is on standby, replaced by %s (node %s)", id, r.report.ReplacementInstance, r.report.ReplacementNode)
}

// leavesWithin is how long an instance whose replacement serves may take to leave service: load balancers let go of it, which
// takes an hour at most (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-target-group-attributes.html).
const leavesWithin = 2 * time.Hour

// leavesInTime ends the wait for an instance that does not leave service.
func (r *Recycle) leavesInTime(h asg.Handover, status string) error {
	if time.Since(r.held.Record().WaitingSince) < leavesWithin {
		return nil
	}
	return hint.Errorf("see the deregistration delay of the group's target groups, and the group's activities",
		"instance %q is still %s after %s: %s", r.report.InstanceID, h.Lifecycle, leavesWithin, status)
}

// launchesWithin is how soon a launch shows in its group; only then its activities are asked for a failure.
const launchesWithin = 20 * time.Second

// timeout ends the wait for a replacement, counted over all attempts of a workflow.
func (r *Recycle) timeout(status string) error {
	if time.Since(r.held.Record().WaitingSince) < r.ReplacementTimeout {
		return nil
	}
	return hint.Errorf("see the group's activities: aws autoscaling describe-scaling-activities --auto-scaling-group-name "+r.report.ASGName,
		"no replacement in service after %s: %s", r.ReplacementTimeout, status)
}
