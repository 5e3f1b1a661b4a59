package recycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// Settle is the exit handler. After a success it has nothing to do but to see that nothing is held. After a failure it
// goes back to the start while there is no replacement, forward once the instance has left its group, and leaves the node
// on standby in between, where capacity is whole and the same submit goes on.
func (r *Recycle) Settle(ctx context.Context) error {
	target, n, err := r.lookup(ctx)
	switch {
	case r.Node != "" && apierrors.IsNotFound(err):
		return errors.Join(r.letGoOfNode(ctx), r.report.Done("node %s is gone: nothing to settle", r.Node))
	case errors.Is(err, asg.ErrUnknown):
		return errors.Join(r.nothingLeft(ctx, r.InstanceID), r.report.Done("nothing to settle: %v", err))
	case err != nil:
		return err // it cannot look, so it cannot say that nothing is left
	}
	if r.DryRun {
		return r.report.Done("dry run: nothing to settle")
	}
	id := target.Instance.ID
	if n == nil && target.Instance.Gone() && target.Lifecycle() != asg.Standby { // by another hand, or by spot reclaim
		return errors.Join(r.nothingLeft(ctx, id), r.sayWhatIsLeft(ctx, target.Instance), r.report.Done("instance %s is %s, nothing is left of it", id, target.Instance.State))
	}
	if taken(target, n) {
		return errors.Join(r.nothingLeft(ctx, id), r.report.Done("AWS takes instance %s: its node stays closed and goes with it", id))
	}
	begun, err := r.begun(ctx, target, n)
	switch {
	case err != nil:
		return err
	case !begun && target.Instance.Retiring() && target.IsServing():
		return r.giveUp(ctx, target, n)
	case !begun:
		return errors.Join(r.nothingLeft(ctx, id), r.report.Done("nothing was changed: instance %s is as it was", id))
	case r.WorkflowStatus == "Succeeded" && n == nil:
		return errors.Join(r.letGo(ctx, id), r.report.Done("recycled: instance %s is %s", id, target.Instance.State))
	}
	err = r.claimed(ctx, n, func(ctx context.Context) error { return r.putRight(ctx, target, n) })
	var held *claim.HeldError
	if errors.As(err, &held) {
		return r.report.Done("left alone: %v", held)
	}
	switch {
	case errors.Is(err, asg.ErrDead):
		return r.Settle(ctx) // it does not go back, then
	case errors.Is(err, asg.ErrLeft):
		return errors.Join(r.nothingLeft(ctx, id), r.report.Done("nothing is left to bring back: %v", err))
	case err != nil:
		return err
	case retired(target, n):
		return r.leave(ctx, id, n)
	default:
		return r.letGo(ctx, id)
	}
}

// taken reports that AWS takes the instance, whatever a recycle does about it. One on standby has been a recycle's before.
func taken(t asg.Target, n *corev1.Node) bool {
	state := t.Lifecycle()
	return t.IsTerminating() || (n != nil && node.IsNoticed(n) && state != asg.Standby && state != asg.EnteringStandby)
}

// giveUp ends a retirement whose instance is in service, on a Node without the marks that would say why: either the slow
// way round brought it there, and the Node has registered anew since, or somebody else did.
func (r *Recycle) giveUp(ctx context.Context, t asg.Target, n *corev1.Node) error {
	id := t.Instance.ID
	err := r.claimed(ctx, n, func(ctx context.Context) error { return r.forgetRetirement(ctx, t) })
	var held *claim.HeldError
	switch {
	case errors.As(err, &held):
		return r.report.Done("left alone: %v", held)
	case err != nil:
		return err
	}
	return errors.Join(r.nothingLeft(ctx, id), r.report.Done("instance %s is in service again, and its node open: submit again, if it is still to go", id))
}

// begun reports whether a recycle has changed anything. The Node says so, unless it was deleted in the meantime; then the
// claim does.
func (r *Recycle) begun(ctx context.Context, t asg.Target, n *corev1.Node) (bool, error) {
	if retired(t, n) || (n != nil && node.IsLeaving(n)) {
		return true, nil
	}
	if state := t.Lifecycle(); state != asg.Standby && state != asg.EnteringStandby {
		return false, nil
	}
	record, err := r.claims.Record(ctx, t.Instance.ID)
	return record != nil && record.Holder == r.claims.Holder, err
}

// nothingLeft gives back what the recycle of an instance held that is no more, and says if the instance was lost on its
// way back into service, for which the desired capacity had been raised.
func (r *Recycle) nothingLeft(ctx context.Context, id string) error {
	if err := r.releaseReplacements(ctx, id); err != nil {
		return err
	}
	if err := r.endReturn(ctx, id); err != nil {
		return err
	}
	return r.letGo(ctx, id)
}

// endReturn ends what an attempt to bring the instance back had begun, when nothing is brought back after all.
func (r *Recycle) endReturn(ctx context.Context, id string) error {
	record, err := r.claims.Record(ctx, id)
	if err != nil || record == nil {
		return err
	}
	memo, err := memoOf(record.Return)
	if err != nil {
		return err
	}
	note, err := r.asg.LeftOver(ctx, record.Group, memo)
	if note != "" {
		r.report.Warn(ctx, note)
	}
	return err
}

// sayWhatIsLeft warns of a desired capacity that the slow way round had raised for an instance which was lost before it
// could be lowered again. To lower it now would let some instance go.
func (r *Recycle) sayWhatIsLeft(ctx context.Context, i asg.Instance) error {
	note, err := r.asg.Raised(ctx, i)
	if note != "" {
		r.report.Warn(ctx, note)
	}
	return err
}

// letGoOfNode does the same for a recycle that knows only the name of a Node that is gone.
func (r *Recycle) letGoOfNode(ctx context.Context) error {
	records, err := r.claims.Records(ctx)
	for _, record := range records {
		if record.Node == r.Node && record.Holder == r.claims.Holder {
			err = errors.Join(err, r.nothingLeft(ctx, record.InstanceID))
		}
	}
	return err
}

func (r *Recycle) putRight(ctx context.Context, t asg.Target, n *corev1.Node) error {
	switch {
	case retired(t, n):
		return r.takeOut(ctx, t, n)
	case n == nil:
		r.report.Warn(ctx, fmt.Sprintf("instance %s stays on standby without a Node", t.Instance.ID))
		return r.report.Done("instance %s is on standby and its Node was deleted: bring it back with step restore --instance-id %s, or submit again once its kubelet has registered", t.Instance.ID, t.Instance.ID)
	case t.Group == nil:
		return r.report.Done("instance %s left its group by another hand; node %s stays tainted", t.Instance.ID, n.Name)
	}
	n, err := r.marked(ctx, t, n)
	if err != nil {
		return err
	}
	replaced, err := r.awaitNewcomer(ctx, t, n)
	if err != nil {
		return err
	}
	if replaced && t.Lifecycle() != asg.InService {
		if err := r.endReturn(ctx, t.Instance.ID); err != nil {
			return err
		}
		r.nodes.Event(ctx, n, "RecycleStopped", fmt.Sprintf("%s ended early; the node stays on standby, capacity is whole", r.claims.Workflow))
		r.report.Warn(ctx, fmt.Sprintf("node %s stays cordoned on standby: its replacement is in service, so capacity is whole", n.Name))
		return r.report.Done("node %s stays on standby: submit the same workflow again to go on, or bring the node back: step restore --instance-id %s", n.Name, t.Instance.ID)
	}
	return r.bringBack(ctx, t, n)
}

// marked puts the marks back on a Node that was deleted in mid-recycle and has registered again.
func (r *Recycle) marked(ctx context.Context, t asg.Target, n *corev1.Node) (*corev1.Node, error) {
	if node.IsLeaving(n) {
		return n, nil
	}
	baseline, err := r.baseline(ctx, t, n)
	if err != nil {
		return nil, err
	}
	return r.nodes.Apply(ctx, n, node.Leaving(r.claims.Workflow, baseline, time.Now()))
}

// awaitNewcomer reports whether the target has a replacement whose Node is Ready. One that is booting is waited for, and
// one that is in service but not Ready as long as standby would have waited: going back while it is on its way leaves the
// group with one instance too many. Nor is anything decided while the target is still entering standby, because the group
// may launch the replacement meanwhile.
func (r *Recycle) awaitNewcomer(ctx context.Context, t asg.Target, n *corev1.Node) (replaced bool, err error) {
	baseline, err := r.baseline(ctx, t, n)
	if err != nil {
		return false, err
	}
	newcomer := newcomers{Recycle: r, names: map[string][]string{}, target: t.Instance.ID}
	looks := 0
	err = r.wait.Until(ctx, func(ctx context.Context) (bool, string, error) {
		looks++
		h, err := r.asg.Handover(ctx, t.Group.Name, t.Instance.ID, baseline)
		if err != nil {
			return false, "", err
		}
		came, err := newcomer.find(ctx, h, looks%findAllEvery == 1)
		if err != nil {
			return false, "", err
		}
		replaced = came.taken != nil && !came.short
		coming := h.Booting > 0 || h.Lifecycle == asg.EnteringStandby || (len(h.Candidates) > 0 && r.patience(n, "") == nil)
		return replaced || !coming, h.Describe(t.Instance.ID, ""), nil
	})
	return replaced, err
}

// callOff ends what a killed settle or restore had begun, for a recycle that goes on after all.
func (r *Recycle) callOff(ctx context.Context, t asg.Target) error {
	back, err := r.comeback(t)
	switch {
	case err != nil:
		return err
	case back.Memo.Stage == "": // killed before it changed the capacity, if at all
	case t.Lifecycle() == asg.Standby:
		err = r.asg.CallOff(ctx, back)
	default:
		err = r.returned(ctx, back)
	}
	if err == nil && back.Memo.Stage != "" {
		err = r.held.Returning(ctx, "")
	}
	if err != nil {
		return err
	}
	return r.resume(ctx, r.held, back.Group, asg.ScaleIn)
}

// comeback is how far the return of the instance to service has come. The claim keeps it: a Node can be gone meanwhile.
func (r *Recycle) comeback(t asg.Target) (*asg.Return, error) {
	memo, err := memoOf(r.held.Return())
	return &asg.Return{Group: t.Group.Name, ID: t.Instance.ID, Memo: memo, Keep: func(ctx context.Context, memo asg.Memo) error {
		text, err := json.Marshal(memo)
		if err != nil {
			return err
		}
		return r.held.Returning(ctx, string(text))
	}}, err
}

func memoOf(text string) (memo asg.Memo, err error) {
	if text == "" {
		return memo, nil
	}
	if err := json.Unmarshal([]byte(text), &memo); err != nil {
		return memo, hint.Errorf("set the desired capacity of the group by hand, then delete the Lease", "the claim's annotation %q is malformed: %w", text, err)
	}
	return memo, nil
}

// returned brings the instance back. Scale-in of the group is suspended for as long: were its launch to succeed while the
// desired capacity is lowered, it would let any instance go. After a failure in between that stays so.
func (r *Recycle) returned(ctx context.Context, back *asg.Return) error {
	if err := r.suspend(ctx, back.Group, asg.ScaleIn); err != nil {
		return err
	}
	note, err := r.asg.BringBack(ctx, back)
	if note != "" {
		r.report.Warn(ctx, note)
	}
	var notDone *poll.NotDoneError
	if errors.As(err, &notDone) || (err != nil && back.Memo.IsUneven()) {
		return err
	}
	return errors.Join(err, r.resume(ctx, r.held, back.Group, asg.ScaleIn))
}

// bringBack returns the instance to service and the Node to how it was.
func (r *Recycle) bringBack(ctx context.Context, t asg.Target, n *corev1.Node) error {
	back, err := r.comeback(t)
	if err != nil {
		return err
	}
	if back.Baseline, err = r.baseline(ctx, t, n); err != nil {
		return err
	}
	reason, err := r.asg.FailedLaunch(ctx, t.Group.Name)
	if err != nil {
		return err
	}
	if err := r.returned(ctx, back); err != nil {
		return err
	}
	if t.Instance.Retiring() {
		if err := r.asg.UnmarkRetiring(ctx, t.Instance.ID); err != nil {
			return err
		}
	}
	if err := r.releaseReplacements(ctx, t.Instance.ID); err != nil {
		return err
	}
	r.report.Change("instance %s: back in service", t.Instance.ID)
	if n == nil {
		return r.report.Done("instance %s is back in service; it has no Node", t.Instance.ID)
	}
	if n, err = r.nodes.Apply(ctx, n, node.Restored); err != nil {
		return err
	}
	message := fmt.Sprintf("instance %s is back in service, node %s is as before", t.Instance.ID, n.Name)
	if reason != "" {
		message += "; the newest launch of the group failed: " + reason
	}
	r.nodes.Event(ctx, n, "RecycleUndone", message)
	return r.report.Done("%s", message)
}

// Restore brings back on request what settle left on standby.
func (r *Recycle) Restore(ctx context.Context) error {
	target, n, err := r.lookup(ctx)
	switch {
	case err != nil:
		return err
	case target.Group == nil && !r.DryRun:
		return errors.Join(fmt.Errorf("instance %q belongs to no Auto Scaling group any more: it cannot be brought back", target.Instance.ID), r.nothingLeft(ctx, target.Instance.ID))
	case target.Group == nil:
		return fmt.Errorf("instance %q belongs to no Auto Scaling group any more: it cannot be brought back", target.Instance.ID)
	case r.DryRun:
		if target.Lifecycle() != asg.InService {
			r.report.Change("instance %s: ExitStandby in Auto Scaling group %s", target.Instance.ID, target.Group.Name)
		}
		if n != nil && node.Changes(n, node.Restored) {
			r.report.Change("node %s: taints, cordon and annotations as before", n.Name)
		}
		return r.report.Done("would bring instance %s back into service", target.Instance.ID)
	}
	err = r.claimed(ctx, n, func(ctx context.Context) error { return r.bringBack(ctx, target, n) })
	if errors.Is(err, asg.ErrLeft) {
		return errors.Join(err, r.nothingLeft(ctx, target.Instance.ID))
	}
	if err != nil {
		return err
	}
	return r.letGo(ctx, target.Instance.ID)
}
