package recycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// Evict takes the Node out of service load balancers and evicts what is left on it.
func (r *Recycle) Evict(ctx context.Context) error {
	if r.KeepPods {
		return r.report.Done("evict=false: what is left goes down with the instance")
	}
	s, err := r.locate(ctx)
	if errors.Is(err, errGone) {
		return r.report.Done("%v", errGone)
	}
	if err != nil {
		return err
	}
	eviction := drain.Eviction{Selection: r.Pods, Everything: r.mayEvictAll(s.record), StillHere: r.stillHere(s.node)}
	if r.DryRun {
		return r.planEvict(ctx, s.node, eviction)
	}
	if err := checkCordoned(s); err != nil {
		return err
	}
	return r.claimed(ctx, s, func(ctx context.Context) error {
		n, err := r.requireCordoned(ctx, s)
		if err != nil {
			return err
		}
		if n, err = r.nodes.Apply(ctx, n, node.OutOfBalancers); err != nil {
			return err
		}
		evicted, err := r.pods.Evict(ctx, n.Name, eviction)
		if evicted > 0 {
			r.report.Change("node %s: %d pod(s) evicted", n.Name, evicted)
		}
		if err != nil {
			return err
		}
		r.waiting(nil)
		r.nodes.Event(ctx, n, "RecycleEmptied", fmt.Sprintf("%d pod(s) evicted, none left", evicted))
		return r.report.Done("node %s is empty", n.Name)
	})
}

// stillHere asks whether the Node is still the one that is meant.
func (r *Recycle) stillHere(n *corev1.Node) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		now, err := r.nodes.Find(ctx, r.report.InstanceID, []string{n.Name})
		return now != nil && now.UID == n.UID, err
	}
}

// mayEvictAll reports that the wait for the pods that matter is over and the user chose to evict them then.
func (r *Recycle) mayEvictAll(record *claim.Record) bool {
	return r.EvictOnTimeout && record != nil && !record.DrainingSince.IsZero() && !time.Now().Before(r.drainEnds(*record).at)
}

func (r *Recycle) planEvict(ctx context.Context, n *corev1.Node, e drain.Eviction) error {
	left, err := r.pods.Evictees(ctx, n.Name, e)
	if err != nil {
		return err
	}
	r.waiting(left)
	return r.report.Done("would evict %d pod(s) from node %s", len(left), n.Name)
}
