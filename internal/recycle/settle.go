package recycle

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// Settle is the exit handler. It works on the recycle of its own workflow, or on one whose workflow has ended: back to the start
// while there is no replacement, forward once the detach is announced, and in between it parks the recycle: capacity is whole,
// and the same submit goes on.
func (r *Recycle) Settle(ctx context.Context) error {
	if r.WorkflowStatus == "Succeeded" && r.InstanceID != "" && !r.DryRun {
		r.report.InstanceID = r.InstanceID
		if record, err := r.claims.Record(ctx, r.InstanceID); err == nil && record == nil {
			return r.report.Done("instance %s: the workflow has succeeded, and nothing is held", r.InstanceID)
		}
	}
	s, err := r.lookup(ctx)
	var held *claim.HeldError
	switch {
	case errors.As(err, &held):
		return r.report.Done("left alone: %v", held)
	case r.Node != "" && apierrors.IsNotFound(err):
		return r.report.Done("node %s is gone, and this workflow has claimed no instance by that name: nothing to settle", r.Node)
	case errors.Is(err, asg.ErrUnknown) && !errors.Is(err, ErrUncertain):
		return r.report.Done("nothing to settle: %v", err)
	case err != nil:
		return err // it cannot look, so it cannot say that nothing is left
	case r.DryRun:
		return r.report.Done("dry run: nothing to settle")
	case s.record == nil && s.stage == Detached && s.node == nil && (s.Instance.Gone() || s.Instance.State == "stopped"):
		return r.report.Done("recycled: instance %s is %s", s.Instance.ID, s.Instance.State)
	case s.record == nil && (s.stage != Detached || s.Instance.Tags[asg.TagWorkflow] != r.claims.Workflow):
		return r.report.Done("nothing was begun: instance %s is %s", s.Instance.ID, cmp.Or(s.Lifecycle(), s.Instance.State))
	case s.record != nil && s.record.Parked():
		return r.report.Done("the recycle of instance %s is parked: submit it again to go on, or bring the node back: step restore --instance-id %s", s.Instance.ID, s.Instance.ID)
	}
	err = r.claimed(ctx, s, func(ctx context.Context) error { return r.settle(ctx, s) })
	if errors.As(err, &held) {
		return r.report.Done("left alone: %v", held)
	}
	return err
}

// settle decides by the stage.
func (r *Recycle) settle(ctx context.Context, s subject) error {
	id := s.Instance.ID
	switch s.stage {
	case Serving:
		return r.undo(ctx, s)
	case Returning:
		if s.IsServing() {
			return r.bringBack(ctx, s)
		}
		return r.settleOnStandby(ctx, s)
	case Waiting, Replaced:
		return r.settleOnStandby(ctx, s)
	case Retiring, Detached:
		err := r.finish(ctx, s)
		if err != nil && !r.wait.Transient(err) && ctx.Err() == nil {
			return errors.Join(err, r.release(ctx, s.Target)) // what cannot be finished holds up nobody else
		}
		return err
	case Terminating:
		return errors.Join(r.lost(ctx, s), r.report.Done("AWS takes instance %s: its node stays cordoned and goes with it", id))
	case Kept:
		return errors.Join(r.lost(ctx, s), r.report.Done("instance %s is retained by its group: terminate it with aws autoscaling terminate-instance-in-auto-scaling-group once nobody needs it", id))
	case Gone:
		return errors.Join(r.lost(ctx, s), r.report.Done("instance %s is %s, nothing is left of it", id, s.Instance.State))
	case Released:
		return errors.Join(r.lost(ctx, s), r.report.Done("instance %s left its group by another hand; its node stays as it is", id))
	default:
		return errors.Join(r.lost(ctx, s), r.report.Done("instance %s is %s: no recycle does that, it is left alone", id, s.Lifecycle()))
	}
}

// lost ends the recycle of an instance that nothing can be done for any more. If it was lost on its way back into service,
// the desired capacity is seen to.
func (r *Recycle) lost(ctx context.Context, s subject) error {
	if err := r.cancelReturn(ctx, s.Target); err != nil {
		return err
	}
	return r.end(ctx, s.Target)
}

// settleOnStandby parks the recycle if another instance serves in the target's place, and brings the target back if not.
func (r *Recycle) settleOnStandby(ctx context.Context, s subject) error {
	id := s.Instance.ID
	if err := r.remember(ctx, s); err != nil {
		return err
	}
	if s.node != nil {
		var err error
		if s.node, err = r.nodes.Apply(ctx, s.node, node.Leaving(r.claims.Workflow)); err != nil {
			return err
		}
	}
	replaced, err := r.settled(ctx, s)
	switch {
	case err != nil:
		return err
	case replaced && s.Lifecycle() != asg.InService:
	case s.node != nil:
		err := r.bringBack(ctx, s)
		if errors.Is(err, asg.ErrDead) || errors.Is(err, asg.ErrLeft) { // it does not go back, then
			return fmt.Errorf("%w: %w", err, ErrUncertain)
		}
		if !errors.Is(err, asg.ErrNotRunning) {
			return err
		}
	}
	if err := r.cancelReturn(ctx, s.Target); err != nil {
		return err
	}
	if replaced {
		if err := r.held.Update(ctx, func(record *claim.Record) { record.Replaced = true }); err != nil {
			return err
		}
	}
	if err := r.park(ctx, s.Target); err != nil {
		return err
	}
	if s.node == nil {
		r.report.Warn(ctx, fmt.Sprintf("instance %s stays on standby without a Node", id))
		return r.report.Done("instance %s is on standby and its Node was deleted: bring it back with step restore --instance-id %s, or submit again once its kubelet has registered", id, id)
	}
	if !replaced {
		r.warnOf(ctx, s.node, "RecycleStopped", fmt.Sprintf("instance %s is %s on standby, and nothing has taken its place", id, s.Instance.State))
		return r.report.Done("instance %s is %s on standby: start it, then step restore --instance-id %s; or submit the same workflow again to go on", id, s.Instance.State, id)
	}
	state := "tainted"
	if node.IsCordoned(s.node) {
		state = "cordoned"
	}
	r.nodes.WarningEvent(ctx, s.node, "RecycleStopped", fmt.Sprintf("%s ended early; the node stays on standby, capacity is whole", r.claims.Workflow))
	r.report.Warn(ctx, fmt.Sprintf("node %s stays %s on standby: its replacement is in service, so capacity is whole", s.node.Name, state))
	return r.report.Done("node %s stays on standby: submit the same workflow again to go on, or bring the node back: step restore --instance-id %s", s.node.Name, id)
}

// remember finds out which members cannot be the replacement, if a run was killed before it wrote that down.
func (r *Recycle) remember(ctx context.Context, s subject) error {
	if len(r.held.Record().Members) > 0 {
		return nil
	}
	members, err := r.asg.Baseline(ctx, s.Target)
	if err != nil {
		return err
	}
	return r.held.Update(ctx, func(record *claim.Record) { record.Members = members })
}

// settled reports whether another instance serves in the target's place. One that is booting is waited for, and one that is
// in service but cannot serve yet as long as standby would have waited: going back while it is on its way leaves the group with
// one instance too many. Nor is anything decided while the target is still entering standby, because the group may launch the
// replacement meanwhile.
func (r *Recycle) settled(ctx context.Context, s subject) (replaced bool, err error) {
	candidates := r.candidates(s)
	err = r.wait.Until(ctx, func(ctx context.Context) (bool, string, error) {
		h, err := r.asg.Handover(ctx, s.Group.Name, s.Instance.ID, r.held.Record().Members)
		if err != nil {
			return false, "", err
		}
		came, err := candidates.find(ctx, h)
		if err != nil {
			return false, "", err
		}
		replaced = came.serves != nil && !came.short
		coming := len(h.Booting) > 0 || h.Lifecycle == asg.EnteringStandby || (len(h.Candidates) > 0 && r.timeout("") == nil)
		return replaced || !coming, h.Describe(s.Instance.ID, ""), nil
	})
	return replaced, err
}
