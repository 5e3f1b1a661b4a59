package recycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// Interruption says when EC2 gave notice, and how long the instance has from then. No notice means that nobody knows: EC2
// recommends only that it be replaced.
type Interruption struct {
	NoticedAt time.Time
	Notice    time.Duration
}

// errTaken ends a leave when the instance is taken.
var errTaken = errors.New("the notice is over")

// lateNotice is how long a leave goes on whose notice is over before it began: the instance is still there, after all.
const lateNotice = 30 * time.Second

// Interrupt cordons a Node at once and evicts what can move. It takes no claim: the instance goes, even if others work on it. With
// a deadline it tells the pods that matter when their grace period just fits, and without one it leaves them to finish.
func (r *Recycle) Interrupt(ctx context.Context) error {
	s, err := r.locate(ctx)
	if errors.Is(err, errGone) {
		return r.report.Done("%v", errGone)
	}
	if err != nil {
		return err
	}
	n := s.node
	eviction := drain.Eviction{Selection: r.Pods, Unwaited: r.Notice.Notice == 0}
	if r.Notice.Notice == 0 {
		if err := r.willBeReplaced(ctx, n); err != nil {
			return err
		}
	} else {
		eviction.By = r.Notice.NoticedAt.Add(r.Notice.Notice)
		if late := time.Since(eviction.By); late > 0 {
			r.report.Warn(ctx, fmt.Sprintf("the notice for instance %s was over %s ago", r.report.InstanceID, late.Round(time.Second)))
			eviction.By = time.Now().Add(lateNotice)
		}
	}
	if r.DryRun {
		r.report.Change("node %s: cordon, taint %s:NoSchedule, take out of load balancers", n.Name, node.TaintLeaving)
		return r.planEvict(ctx, n, eviction)
	}
	n, err = r.nodes.Apply(ctx, n, func(n *corev1.Node) {
		node.Interrupted(r.claims.Workflow, r.Notice.NoticedAt)(n)
		node.OutOfBalancers(n)
	})
	if err != nil {
		return err
	}
	r.report.Change("node %s: cordoned, tainted, out of load balancers", n.Name)
	return r.empty(ctx, n, eviction)
}

func (r *Recycle) empty(ctx context.Context, n *corev1.Node, e drain.Eviction) error {
	until := ctx
	if !e.By.IsZero() {
		var cancel context.CancelFunc
		until, cancel = context.WithDeadlineCause(ctx, e.By, errTaken)
		defer cancel()
	}
	out, err := r.pods.Evict(until, r.host(n), e)
	evicted := out.Evicted
	r.sayEvicted(ctx, n, out)
	switch {
	case errors.Is(err, errTaken) && ctx.Err() == nil:
		return hint.Errorf("a PodDisruptionBudget or a long grace period kept them; on Spot Instances leave room for both within two minutes",
			"the notice for instance %q is over with pods on node %q: %s", r.report.InstanceID, n.Name, err)
	case err != nil:
		return err
	}
	now, err := r.pods.Left(ctx, r.host(n), r.Pods)
	if err != nil {
		return err
	}
	r.waiting(now.Left)
	if left := now.Left; len(left) > 0 {
		return r.report.Done("node %s is closed and %d pod(s) evicted; %d pod(s) finish by themselves: %s", n.Name, evicted, len(left), drain.Describe(left))
	}
	return r.report.Done("node %s is closed and empty, %d pod(s) evicted", n.Name, evicted)
}

// willBeReplaced refuses a node that nobody replaces: closing it without a deadline would cost its group capacity for as long as
// EC2 leaves the instance running.
func (r *Recycle) willBeReplaced(ctx context.Context, n *corev1.Node) error {
	target, err := r.asg.Lookup(ctx, r.report.InstanceID, "")
	if err != nil {
		return err
	}
	if target.Group == nil || target.Group.Rebalances || !target.IsServing() {
		return nil
	}
	return hint.Errorf("turn Capacity Rebalancing on, or have the Sensor start recycle-node for recommendations",
		"node %q is left open: EC2 recommends to replace it, but Auto Scaling group %q would not", n.Name, target.Group.Name)
}
