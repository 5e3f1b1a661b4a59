package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// evict takes the Node out of service load balancers and evicts what is left on it.
func evict(ctx context.Context, r *session) error {
	if !r.Evict {
		return r.done("evict=false: what is left goes down with the instance")
	}
	n, err := r.locate(ctx)
	if errors.Is(err, errGone) {
		return r.done("%v", errGone)
	}
	if err != nil {
		return err
	}
	eviction := drain.Eviction{Selection: r.Selection, Everything: r.mayEvictAll(n), StillHere: r.stillHere(n)}
	if r.DryRun {
		return r.planEvict(ctx, n, eviction)
	}
	if err := r.mayBeClosed(ctx, n); err != nil {
		return err
	}
	return r.claimed(ctx, n, func(ctx context.Context) error {
		if n, err = r.closed(ctx, n); err != nil {
			return err
		}
		if n, err = r.nodes.Apply(ctx, n, node.OutOfBalancers); err != nil {
			return err
		}
		evicted, err := r.pods.Evict(ctx, n.Name, eviction)
		if evicted > 0 {
			r.change("node %s: %d pod(s) evicted", n.Name, evicted)
		}
		if err != nil {
			return err
		}
		r.waiting(nil)
		r.nodes.Event(ctx, n, "RecycleEmptied", fmt.Sprintf("%d pod(s) evicted, none left", evicted))
		return r.done("node %s is empty", n.Name)
	})
}

// stillHere asks whether the Node is still the one that is meant.
func (r *session) stillHere(n *corev1.Node) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		now, err := r.nodes.FindNamed(ctx, r.result.InstanceID, []string{n.Name})
		return now != nil && now.UID == n.UID, err
	}
}

// mayEvictAll reports that the wait for the pods that matter is over and the user chose to evict them then.
func (r *session) mayEvictAll(n *corev1.Node) bool {
	if !r.EvictOnTimeout {
		return false
	}
	end, err := r.waitEnds(n)
	return err == nil && !time.Now().Before(end.at)
}

func (r *session) planEvict(ctx context.Context, n *corev1.Node, e drain.Eviction) error {
	left, err := r.pods.Evictees(ctx, n.Name, e)
	if err != nil {
		return err
	}
	r.waiting(left)
	return r.done("would evict %d pod(s) from node %s", len(left), n.Name)
}
