package cli

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// settle is the exit handler. After a success it has nothing to do but to see that nothing is held. After a failure it
// goes back to the start while there is no replacement, forward once the instance has left its group, and leaves the node
// on standby in between, where capacity is whole and the same submit goes on.
func settle(ctx context.Context, r *session) error {
	target, n, err := r.lookup(ctx)
	switch {
	case r.Node != "" && apierrors.IsNotFound(err):
		return r.done("node %s is gone: nothing to settle", r.Node)
	case errors.Is(err, asg.ErrUnknown):
		return r.done("nothing to settle: %v", err)
	case err != nil:
		return err // it cannot look, so it cannot say that nothing is left
	}
	if r.DryRun {
		return r.done("dry run: nothing to settle")
	}
	if n == nil && target.Instance.Gone() && target.Group == nil { // by another hand, or by spot reclaim
		return errors.Join(r.releaseReplacements(ctx, target.Instance.ID), r.claims.Release(ctx, target.Instance.ID), r.done("instance %s is %s, nothing is left of it", target.Instance.ID, target.Instance.State))
	}
	if !retired(target, n) && (n == nil || !node.IsLeaving(n)) {
		return errors.Join(r.claims.Release(ctx, target.Instance.ID), r.done("nothing was changed: instance %s is as it was", target.Instance.ID))
	}
	if r.WorkflowStatus == "Succeeded" && n == nil {
		return errors.Join(r.claims.Release(ctx, target.Instance.ID), r.done("recycled: instance %s is %s", target.Instance.ID, target.Instance.State))
	}
	err = r.claimed(ctx, r.result.NodeName, func(ctx context.Context) error { return r.putRight(ctx, target, n) })
	var held *claim.HeldError
	if errors.As(err, &held) {
		return r.done("left alone: %v", held)
	}
	if err != nil {
		return err
	}
	return r.claims.Release(ctx, target.Instance.ID)
}

func (r *session) putRight(ctx context.Context, t asg.Target, n *corev1.Node) error {
	switch {
	case retired(t, n):
		return r.takeOut(ctx, t, n)
	case t.Group == nil:
		return r.done("instance %s left its group by another hand; node %s stays tainted", t.Instance.ID, n.Name)
	}
	replaced, err := r.awaitNewcomer(ctx, t, n)
	if err != nil {
		return err
	}
	if replaced && t.Lifecycle() != asg.InService {
		r.nodes.Event(ctx, n, "RecycleStopped", fmt.Sprintf("%s ended early; the node stays on standby, capacity is whole", r.Workflow))
		r.warn(ctx, fmt.Sprintf("node %s stays cordoned on standby: its replacement is in service, so capacity is whole", n.Name))
		return r.done("node %s stays on standby: submit the same workflow again to go on, or bring the node back: step restore --instance-id %s", n.Name, t.Instance.ID)
	}
	return r.bringBack(ctx, t, n)
}

// awaitNewcomer reports whether the target has a replacement whose Node is Ready. One that is booting is waited for, and
// one that is in service but not Ready as long as standby would have waited: going back while it is on its way leaves the
// group with one instance too many. Nor is anything decided while the target is still entering standby, because the group
// may launch the replacement meanwhile.
func (r *session) awaitNewcomer(ctx context.Context, t asg.Target, n *corev1.Node) (replaced bool, err error) {
	baseline, err := r.baseline(ctx, t, n)
	if err != nil {
		return false, err
	}
	newcomer := newcomers{session: r, names: map[string][]string{}, target: t.Instance.ID}
	looks := 0
	err = r.wait.Until(ctx, func(ctx context.Context) (bool, string, error) {
		looks++
		h, err := r.asg.Handover(ctx, t.Group.Name, t.Instance.ID, baseline)
		if err != nil {
			return false, "", err
		}
		ready, _, err := newcomer.find(ctx, h.Candidates, looks%findAllEvery == 1)
		if err != nil {
			return false, "", err
		}
		replaced = ready != nil
		coming := h.Booting > 0 || h.Lifecycle == asg.EnteringStandby || (len(h.Candidates) > 0 && r.patience(n, "") == nil)
		return replaced || !coming, h.Describe(t.Instance.ID, ""), nil
	})
	return replaced, err
}

// bringBack returns the instance to service and the Node to how it was.
func (r *session) bringBack(ctx context.Context, t asg.Target, n *corev1.Node) error {
	baseline, err := r.baseline(ctx, t, n)
	if err != nil {
		return err
	}
	reason, err := r.asg.FailedLaunch(ctx, t.Group.Name)
	if err != nil {
		return err
	}
	note, err := r.asg.BringBack(ctx, t.Group.Name, t.Instance.ID, baseline)
	if err != nil {
		return err
	}
	if note != "" {
		r.warn(ctx, note)
	}
	if t.Instance.Retiring() {
		if err := r.asg.UnmarkRetiring(ctx, t.Instance.ID); err != nil {
			return err
		}
	}
	if err := r.releaseReplacements(ctx, t.Instance.ID); err != nil {
		return err
	}
	if n, err = r.nodes.Apply(ctx, n, node.Restored); err != nil {
		return err
	}
	r.change("instance %s: back in service", t.Instance.ID)
	message := fmt.Sprintf("instance %s is back in service, node %s is as before", t.Instance.ID, n.Name)
	if reason != "" {
		message += "; the newest launch of the group failed: " + reason
	}
	r.nodes.Event(ctx, n, "RecycleUndone", message)
	return r.done("%s", message)
}

// restore brings back on request what settle left on standby.
func restore(ctx context.Context, r *session) error {
	target, n, err := r.lookup(ctx)
	switch {
	case err != nil:
		return err
	case n == nil:
		return r.foreign(target.Instance)
	case target.Group == nil:
		return fmt.Errorf("instance %q belongs to no Auto Scaling group any more: it cannot be brought back", target.Instance.ID)
	case r.DryRun:
		if target.Lifecycle() != asg.InService {
			r.change("instance %s: ExitStandby in Auto Scaling group %s", target.Instance.ID, target.Group.Name)
		}
		if node.Changes(n, node.Restored) {
			r.change("node %s: taints, cordon and annotations as before", n.Name)
		}
		return r.done("would bring instance %s back into service", target.Instance.ID)
	}
	err = r.claimed(ctx, n.Name, func(ctx context.Context) error { return r.bringBack(ctx, target, n) })
	if err != nil {
		return err
	}
	return r.claims.Release(ctx, target.Instance.ID)
}
