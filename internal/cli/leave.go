package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// LeaveOptions say when EC2 gave notice, and how long the instance has from then. No notice means that nobody knows: EC2
// recommends only that it be replaced.
type LeaveOptions struct {
	NoticedAt time.Time
	Notice    time.Duration
}

func leaveFlags() []cli.Flag {
	return append([]cli.Flag{
		text("instance-id", "", "EC2 `ID` of the instance, or …"),
		text("node", "", "… `NAME` of its Node; exactly one of the two"),
		text("noticed-at", "", "`TIME` of the event, RFC 3339"),
		length("notice", 2*time.Minute, "how long after that the instance is taken; 0 means that nobody knows, as with a rebalance recommendation"),
	}, podFlags()...)
}

func readLeave(c *cli.Context, o *Options) (err error) {
	o.Leave.Notice = duration(c, "notice")
	if o.Leave.NoticedAt, err = time.Parse(time.RFC3339, set(c, "noticed-at")); err != nil {
		return hint.Errorf("the event's time, for example 2026-01-31T22:00:00Z", "--noticed-at %q is malformed", c.String("noticed-at"))
	}
	return nil
}

// errTaken ends a leave when the instance is taken.
var errTaken = errors.New("the notice is over")

// lateNotice is how long a leave goes on whose notice is over before it began: the instance is still there, after all.
const lateNotice = 30 * time.Second

// leave closes a Node at once and evicts what can move. It takes no claim: the instance goes whoever else works on it. With
// a deadline it tells the pods that matter when their grace period just fits, and without one it leaves them to finish.
func leave(ctx context.Context, r *session) error {
	n, err := r.locate(ctx)
	if errors.Is(err, errGone) {
		return r.done("%v", errGone)
	}
	if err != nil {
		return err
	}
	eviction := drain.Eviction{Selection: r.Selection, Unwaited: r.Leave.Notice == 0, StillHere: r.stillHere(n)}
	if r.Leave.Notice == 0 {
		if err := r.isReplaced(ctx, n); err != nil {
			return err
		}
	} else {
		eviction.By = r.Leave.NoticedAt.Add(r.Leave.Notice)
		if late := time.Since(eviction.By); late > 0 {
			r.warn(ctx, fmt.Sprintf("the notice for instance %s was over %s ago", r.result.InstanceID, late.Round(time.Second)))
			eviction.By = time.Now().Add(lateNotice)
		}
	}
	if r.DryRun {
		r.change("node %s: cordon, taint %s:NoSchedule, take out of load balancers", n.Name, node.TaintLeaving)
		return r.planEvict(ctx, n, eviction)
	}
	n, err = r.nodes.Apply(ctx, n, func(n *corev1.Node) {
		node.Noticed(r.Workflow, r.Leave.NoticedAt)(n)
		node.OutOfBalancers(n)
	})
	if err != nil {
		return err
	}
	r.change("node %s: cordoned, tainted, out of load balancers", n.Name)
	return r.empty(ctx, n, eviction)
}

func (r *session) empty(ctx context.Context, n *corev1.Node, e drain.Eviction) error {
	until := ctx
	if !e.By.IsZero() {
		var cancel context.CancelFunc
		until, cancel = context.WithDeadlineCause(ctx, e.By, errTaken)
		defer cancel()
	}
	evicted, err := r.pods.Evict(until, n.Name, e)
	if evicted > 0 {
		r.change("node %s: %d pod(s) evicted", n.Name, evicted)
	}
	switch {
	case errors.Is(err, errTaken) && ctx.Err() == nil:
		return hint.Errorf("a PodDisruptionBudget or a long grace period kept them; on Spot Instances leave room for both within two minutes",
			"the notice for instance %q is over with pods on node %q: %s", r.result.InstanceID, n.Name, err)
	case err != nil:
		return err
	}
	left, err := r.pods.Left(ctx, n.Name, r.Selection)
	if err != nil {
		return err
	}
	r.waiting(left)
	if len(left) > 0 {
		return r.done("node %s is closed and %d pod(s) evicted; %d pod(s) finish by themselves: %s", n.Name, evicted, len(left), drain.Describe(left))
	}
	return r.done("node %s is closed and empty, %d pod(s) evicted", n.Name, evicted)
}

// isReplaced refuses a node that nobody replaces: closing it without a deadline would cost its group capacity for as long as
// EC2 leaves the instance running.
func (r *session) isReplaced(ctx context.Context, n *corev1.Node) error {
	target, err := r.asg.Lookup(ctx, r.result.InstanceID)
	if err != nil {
		return err
	}
	if target.Group == nil || target.Group.Rebalances || !target.IsServing() {
		return nil
	}
	return hint.Errorf("turn Capacity Rebalancing on, or have the Sensor start recycle-node for recommendations",
		"node %q is left open: EC2 recommends to replace it, but Auto Scaling group %q would not", n.Name, target.Group.Name)
}
