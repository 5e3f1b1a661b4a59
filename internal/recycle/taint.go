package recycle

import (
	"context"
	"fmt"

	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// Taint cordons the Node and puts the hard taint on it.
func (r *Recycle) Taint(ctx context.Context) error {
	s, err := r.locate(ctx)
	if err != nil {
		return r.doneIfGone(err)
	}
	mark := node.Cordoned(r.claims.Workflow)
	if r.Hook.Name != "" { // its group is terminating it
		mark = node.Interrupted(r.claims.Workflow, r.Hook.Began)
	}
	if node.Changes(s.node, mark) {
		r.report.Change("node %s: cordon, taint %s:NoSchedule", s.node.Name, node.TaintLeaving)
	}
	if r.DryRun {
		return r.claimed(ctx, s, func(context.Context) error { return r.report.Done("would cordon and taint node %s", s.node.Name) })
	}
	return r.goesOn(ctx, s, func(ctx context.Context) error {
		if r.Hook.Name == "" {
			if err := r.checkReplaced(ctx); err != nil {
				return err
			}
		} else if err := r.held.Update(ctx, func(record *claim.Record) { record.Hook = r.Hook.Name }); err != nil {
			return err
		}
		after, err := r.cordon(ctx, s.node, mark)
		if err != nil {
			return err
		}
		if !node.IsCordoned(after) {
			return fmt.Errorf("tainting node %q: the API server kept it open", s.node.Name)
		}
		return r.report.Done("node %s is cordoned and tainted", s.node.Name)
	})
}

// checkReplaced refuses to cordon a node that nothing took the place of. A claim that was not this recycle's all the time
// means that another one may have brought the node back since: then AWS is asked.
func (r *Recycle) checkReplaced(ctx context.Context) error {
	record := r.held.Record()
	if record.Replaced && !r.held.Taken {
		return nil
	}
	target, err := r.asg.Lookup(ctx, r.report.InstanceID, record.Group)
	if err != nil {
		return err
	}
	switch stage := StateOf(target, &record); {
	case stage == Replaced, stage.forward():
		return nil
	case stage == Waiting, stage == Returning:
		return hint.Errorf("run step standby first", "node %q may not be cordoned: nothing says which instance took its place", r.report.NodeName)
	default:
		return hint.Errorf("submit again, or run step standby first", "node %q may not be cordoned: instance %q is not on standby, it never was or somebody brought it back", r.report.NodeName, target.Instance.ID)
	}
}
