package recycle

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// Taint cordons the Node and puts the hard taint on it.
func (r *Recycle) Taint(ctx context.Context) error {
	n, err := r.locate(ctx)
	if errors.Is(err, errGone) {
		return r.report.Done("%v", errGone)
	}
	if err != nil {
		return err
	}
	closed := node.Closed(r.claims.Workflow)
	if r.Hook.Name != "" { // the first heartbeat has said that its group is terminating it
		closed = node.Noticed(r.claims.Workflow, r.Hook.Began)
	}
	if node.Changes(n, closed) {
		r.report.Change("node %s: cordon, taint %s:NoSchedule", n.Name, node.TaintLeaving)
	}
	return r.claimed(ctx, n, func(ctx context.Context) error {
		if r.DryRun {
			return r.report.Done("would cordon and taint node %s", n.Name)
		}
		if r.Hook.Name == "" {
			if n, err = r.replaced(ctx, n); err != nil {
				return err
			}
		}
		after, err := r.nodes.Apply(ctx, n, closed)
		if err != nil {
			return err
		}
		if !node.IsClosed(after) {
			return fmt.Errorf("tainting node %q: the API server kept it open", n.Name)
		}
		if r.held.Reborn(after) {
			if err := r.held.Remember(ctx, after); err != nil {
				return err
			}
		}
		return r.report.Done("node %s is cordoned and tainted", n.Name)
	})
}

// replaced returns the Node if something took its place, so that it may be closed. A claim that was not this recycle's all
// the time means that another one may have brought the node back since: then the Node is read anew, and what standby wrote
// on it must still be there.
func (r *Recycle) replaced(ctx context.Context, n *corev1.Node) (*corev1.Node, error) {
	if r.held.Fresh {
		var err error
		if n, err = r.nodes.Get(ctx, n.Name); err != nil {
			return nil, err
		}
	}
	if node.IsReplaced(n) || node.IsClosed(n) || r.held.Reborn(n) {
		return n, nil
	}
	target, err := r.asg.Lookup(ctx, r.report.InstanceID)
	if err != nil || retired(target, n) {
		return n, err
	}
	if target.Lifecycle() == asg.Standby {
		return nil, hint.Errorf("run step standby first", "node %q may not be closed: nothing says which instance took its place", n.Name)
	}
	return nil, hint.Errorf("submit again, or run step standby first", "node %q may not be closed: instance %q is not on standby, it never was or somebody brought it back", n.Name, target.Instance.ID)
}
