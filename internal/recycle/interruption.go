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

// notice is how long before an interruption EC2 tells of it
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html).
const notice = 2 * time.Minute

// errTaken ends the step when the instance is taken.
var errTaken = errors.New("the notice is over")

// lateNotice is how long the step goes on whose notice is over before it began: the instance is still there, after all.
const lateNotice = 30 * time.Second

// Interrupt cordons a Node at once and evicts what can move. It takes no claim: the instance goes, even if others work on it. The
// pods that matter are told when their grace period just fits into the rest of the notice.
func (r *Recycle) Interrupt(ctx context.Context) error {
	s, err := r.locate(ctx)
	if err != nil {
		return r.doneIfGone(err)
	}
	n := s.node
	eviction := drain.Eviction{Selection: r.Pods, By: r.NoticedAt.Add(notice)}
	if late := time.Since(eviction.By); late > 0 {
		r.report.Warn(ctx, fmt.Sprintf("the notice for instance %s was over %s ago", r.report.InstanceID, late.Round(time.Second)))
		eviction.By = time.Now().Add(lateNotice)
	}
	if r.DryRun {
		r.report.Change("node %s: cordon, taint %s:NoSchedule, take out of load balancers", n.Name, node.TaintLeaving)
		return r.planEvict(ctx, n, eviction)
	}
	n, err = r.nodes.Apply(ctx, n, func(n *corev1.Node) {
		node.Interrupted(r.claims.Workflow, r.NoticedAt)(n)
		node.OutOfBalancers(n)
	})
	if err != nil {
		return err
	}
	r.report.Change("node %s: cordoned, tainted, out of load balancers", n.Name)
	return r.empty(ctx, n, eviction)
}

func (r *Recycle) empty(ctx context.Context, n *corev1.Node, e drain.Eviction) error {
	until, cancel := context.WithDeadlineCause(ctx, e.By, errTaken)
	defer cancel()
	out, err := r.pods.Evict(until, r.host(n), e)
	r.sayEvicted(ctx, n, out)
	switch {
	case errors.Is(err, errTaken) && ctx.Err() == nil:
		return hint.Errorf("a PodDisruptionBudget or a long grace period kept them; on Spot Instances leave room for both within two minutes",
			"the notice for instance %q is over with pods on node %q: %s", r.report.InstanceID, n.Name, err)
	case err != nil:
		return err
	}
	r.waiting(nil)
	return r.report.Done("node %s is cordoned and empty, %d pod(s) evicted", n.Name, out.Evicted)
}
