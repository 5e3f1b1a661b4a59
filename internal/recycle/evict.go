package recycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// Evict takes the Node out of service load balancers, evicts what is left on it, and waits until the volumes of what went are
// free. It does so inside of the maintenance window; when that closes it waits for the next one.
func (r *Recycle) Evict(ctx context.Context) error {
	if r.KeepPods {
		return r.report.Done("evict=false: what is left goes down with the instance")
	}
	s, err := r.locate(ctx)
	if err != nil {
		return r.doneIfGone(err)
	}
	eviction := drain.Eviction{Selection: r.Pods, ThenEvict: r.EvictOnTimeout, Timeout: r.EvictTimeout}
	if r.DryRun {
		if s.record != nil {
			eviction.Until = r.drainEnds(*s.record).at
		}
		return r.planEvict(ctx, s.node, eviction)
	}
	if err := checkCordoned(s); err != nil {
		return err
	}
	if r.closed() {
		err := r.goesOn(ctx, s, func(ctx context.Context) error {
			if err := r.evicting(ctx, r.held.Taken); err != nil {
				return err
			}
			return r.awaitWindow(ctx)
		})
		if err != nil {
			return err
		}
		return r.Evict(ctx)
	}
	err = r.goesOn(ctx, s, func(ctx context.Context) error {
		n, err := r.requireCordoned(ctx, s)
		if err != nil {
			return err
		}
		if n, err = r.nodes.Apply(ctx, n, node.OutOfBalancers); err != nil {
			return err
		}
		return r.evict(ctx, n, eviction)
	})
	if errors.Is(err, errClosed) {
		return r.Evict(ctx)
	}
	return err
}

func (r *Recycle) evict(ctx context.Context, n *corev1.Node, e drain.Eviction) error {
	if err := errors.Join(r.draining(ctx), r.evicting(ctx, r.held.Taken)); err != nil {
		return err
	}
	end := r.drainEnds(r.held.Record())
	e.Until = end.at
	e.Since, e.Closed = r.idleSince(), r.closed
	e.Progress = func(ctx context.Context) error {
		return r.evicting(ctx, time.Since(r.held.Record().EvictedLast) >= time.Minute)
	}
	e.Stalled = func(ctx context.Context, status string, blocked []drain.Blocked) {
		r.warnPods(ctx, n, blocked)
		r.nodes.WarningEvent(ctx, n, "RecycleBlocked", fmt.Sprintf("no pod has gone for half of the evict-timeout of %s; then the recycle fails: %s", r.EvictTimeout, status))
	}
	out, err := r.pods.Evict(ctx, r.host(n), e)
	r.sayEvicted(ctx, n, out)
	switch {
	case err != nil:
		return err
	case out.Closed:
		return errClosed
	case len(out.Late) > 0:
		return stillRun(n.Name, out.Late, end)
	case out.TimedOut:
		r.warnPods(ctx, n, out.Blocking)
		r.nodes.WarningEvent(ctx, n, "RecycleBlocked", "no pod has gone for "+r.EvictTimeout.String()+": "+out.Blocked)
		return hint.Errorf("let the budget or the webhook allow it, delete the pods, or choose evict=false, then submit again; step restore brings the node back",
			"evicting the pods of node %q: none has gone for %s: %s", n.Name, r.EvictTimeout, out.Blocked)
	}
	r.waiting(nil)
	if err := r.awaitVolumes(ctx, n); err != nil {
		return err
	}
	r.nodes.Event(ctx, n, "RecycleEmptied", fmt.Sprintf("%d pod(s) evicted, none left", out.Evicted))
	return r.report.Done("node %s is empty", n.Name)
}

// warnPods warns on the pods that hold up an eviction: their owners look at pods, not at Nodes.
func (r *Recycle) warnPods(ctx context.Context, n *corev1.Node, blocked []drain.Blocked) {
	for _, b := range blocked {
		r.nodes.PodWarning(ctx, b.Pod, "RecycleBlocked", fmt.Sprintf("node %s is being recycled, and this pod %s", n.Name, b.Why))
	}
}

// evicting writes down when a pod went last, or that the eviction begins, or begins anew after it was parked.
func (r *Recycle) evicting(ctx context.Context, anew bool) error {
	return r.held.Update(ctx, func(record *claim.Record) {
		if anew || record.EvictedLast.IsZero() {
			record.EvictedLast = time.Now().UTC().Truncate(time.Second)
		}
	})
}

// idleSince is when a pod went last, as if the maintenance window had been open ever since: only time inside of it counts.
func (r *Recycle) idleSince() time.Time {
	now, last := time.Now(), r.held.Record().EvictedLast
	if oldest := now.Add(-2 * LongestWait); last.Before(oldest) { // a record may say anything
		last = oldest
	}
	return now.Add(-r.Maintenance.Within(last, now))
}

// sayEvicted says what came of an eviction, and which pods it passed over.
func (r *Recycle) sayEvicted(ctx context.Context, n *corev1.Node, out drain.Outcome) {
	if out.Evicted > 0 {
		r.report.Change("node %s: %d pod(s) evicted", n.Name, out.Evicted)
	}
	if len(out.Tolerating) > 0 {
		r.warnOf(ctx, n, "RecycleTolerated", fmt.Sprintf("%d pod(s) tolerate the taint of node %s and go down with its instance: %s", len(out.Tolerating), n.Name, drain.Describe(out.Tolerating)))
	}
	if len(out.Lost) > 0 {
		r.warnOf(ctx, n, "RecycleLostPods", fmt.Sprintf("%d pod(s) on node %s are lost, as their deletion is overdue and the Node is not Ready: %s", len(out.Lost), n.Name, drain.Describe(out.Lost)))
	}
}

// warnOf warns in the result and in an Event of the Node.
func (r *Recycle) warnOf(ctx context.Context, n *corev1.Node, reason, text string) {
	r.report.Warn(ctx, text)
	r.nodes.WarningEvent(ctx, n, reason, text)
}

// detachesWithin is how long volumes may take to be detached; Kubernetes detaches by force after that
// (https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/).
const detachesWithin = 6 * time.Minute

var errStillAttached = errors.New("volumes took too long to be detached")

// awaitVolumes waits until the volumes of evicted pods are detached. After a while it goes on all the same, and says so.
func (r *Recycle) awaitVolumes(ctx context.Context, n *corev1.Node) error {
	bounded, cancel := context.WithTimeoutCause(ctx, detachesWithin, errStillAttached)
	defer cancel()
	err := r.pods.AwaitDetached(bounded, r.host(n))
	var notDone *poll.NotDoneError
	if errors.As(err, &notDone) && errors.Is(err, errStillAttached) && ctx.Err() == nil {
		r.report.Warn(ctx, fmt.Sprintf("after %s %s: pods that need them start later", detachesWithin, notDone.Status))
		return nil
	}
	return err
}

// host is the Node as the pods' client needs it.
func (r *Recycle) host(n *corev1.Node) drain.Host {
	return drain.Host{
		Name: n.Name, Taint: node.Taint(corev1.TaintEffectNoSchedule),
		Here: func(ctx context.Context) (bool, error) {
			now, err := r.nodes.Find(ctx, r.report.InstanceID, []string{n.Name})
			return now != nil && now.UID == n.UID, err
		},
		Ready: func(ctx context.Context) (bool, error) {
			now, err := r.nodes.Get(ctx, n.Name)
			if apierrors.IsNotFound(err) {
				return false, nil
			}
			return err == nil && node.Ready(now), err
		},
	}
}

// mayEvictAll reports that the wait for the pods that matter is over and the user chose to evict them then.
func (r *Recycle) mayEvictAll(record *claim.Record) bool {
	return r.EvictOnTimeout && record != nil && !record.DrainingSince.IsZero() && !time.Now().Before(r.drainEnds(*record).at)
}

func (r *Recycle) planEvict(ctx context.Context, n *corev1.Node, e drain.Eviction) error {
	r.warnClosed(ctx)
	left, blocked, err := r.pods.Evictees(ctx, r.host(n), e)
	if err != nil {
		return err
	}
	for _, why := range blocked {
		r.report.Warn(ctx, "eviction of pod "+why)
	}
	r.waiting(left)
	return r.report.Done("would evict %d pod(s) from node %s", len(left), n.Name)
}
