package recycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/node"
	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// Restore brings back on request what a recycle left on standby.
func (r *Recycle) Restore(ctx context.Context) error {
	s, err := r.lookup(ctx)
	if err != nil {
		return err
	}
	outside := fmt.Errorf("instance %q belongs to no Auto Scaling group any more: it cannot be brought back", s.Instance.ID)
	switch {
	case s.Group == nil && s.record != nil && !s.stage.forward() && !r.DryRun:
		return errors.Join(outside, r.claimed(ctx, s, func(ctx context.Context) error { return r.lost(ctx, s) }))
	case s.Group == nil:
		return outside
	case s.stage == Terminating, s.stage == Kept, s.stage == Unclear, s.stage == Retiring && s.Lifecycle() != asg.Standby, s.Instance.Gone():
		return fmt.Errorf("instance %q is %s in Auto Scaling group %q, and %s: it cannot be brought back", s.Instance.ID, s.Lifecycle(), s.Group.Name, s.Instance.State)
	case r.DryRun:
		if s.Lifecycle() != asg.InService {
			r.report.Change("instance %s: ExitStandby in Auto Scaling group %s", s.Instance.ID, s.Group.Name)
		}
		if s.node != nil && node.Changes(s.node, node.Restored) {
			r.report.Change("node %s: taints, cordon and annotations as before", s.node.Name)
		}
		return r.report.Done("would bring instance %s back into service", s.Instance.ID)
	}
	return r.claimed(ctx, s, func(ctx context.Context) error {
		if err := r.remember(ctx, s); err != nil {
			return err
		}
		err := r.bringBack(ctx, s)
		if errors.Is(err, asg.ErrLeft) {
			return errors.Join(err, r.lost(ctx, s))
		}
		return err
	})
}

// bringBack returns the instance to service and the Node to how it was, and ends the recycle.
func (r *Recycle) bringBack(ctx context.Context, s subject) error {
	reason, err := r.asg.FailedLaunch(ctx, s.Group.Name)
	if err != nil {
		return err
	}
	err = r.held.Update(ctx, func(record *claim.Record) { // neither goes on from here
		record.Replaced, record.RetiringSince = false, time.Time{}
	})
	if err != nil {
		return err
	}
	if err := r.exitStandby(ctx, r.theReturn(s.Target)); err != nil {
		return err
	}
	r.report.Change("instance %s: back in service", s.Instance.ID)
	message := fmt.Sprintf("instance %s is back in service", s.Instance.ID)
	if s.node == nil {
		message += "; it has no Node"
	} else {
		message += fmt.Sprintf(", node %s is as before", s.node.Name)
	}
	if reason != "" {
		message += "; the newest launch of the group failed: " + reason
	}
	if err := r.undo(ctx, s); err != nil {
		return err
	}
	return r.report.Done("%s", message)
}

// undo ends a recycle whose instance serves: its tags and the marks on its Node go, and all that is held.
func (r *Recycle) undo(ctx context.Context, s subject) error {
	if s.Instance.Retiring() {
		if err := r.asg.UnmarkRetiring(ctx, s.Instance.ID); err != nil {
			return err
		}
	}
	if s.node != nil && node.Changes(s.node, node.Restored) {
		restored, err := r.nodes.Apply(ctx, s.node, node.Restored)
		if err != nil {
			return err
		}
		r.nodes.Event(ctx, restored, "RecycleUndone", fmt.Sprintf("instance %s is in service, the node is as before", s.Instance.ID))
	}
	if err := r.end(ctx, s.Target); err != nil {
		return err
	}
	return r.report.Done("instance %s is in service, and its node is as it was", s.Instance.ID)
}

// cancelReturn ends what a killed settle or restore had begun, for a recycle that goes on after all or is lost.
func (r *Recycle) cancelReturn(ctx context.Context, t asg.Target) error {
	record := r.held.Record()
	checkpoint := returning(&record)
	if checkpoint.Stage == "" {
		return nil
	}
	if t.IsServing() {
		return r.exitStandby(ctx, r.theReturn(t))
	}
	trusted, err := r.trusted(ctx, t, record)
	if err != nil {
		return err
	}
	if trusted {
		note, err := r.asg.CancelReturn(ctx, record.Group, record.InstanceID, checkpoint)
		if note != "" {
			r.report.Warn(ctx, note)
		}
		if err != nil {
			return err
		}
		if err := r.resume(ctx, record.Group, asg.ScaleIn); err != nil {
			return err
		}
	}
	return r.held.Update(ctx, func(record *claim.Record) { record.Return = "" })
}

// theReturn is how far the return of the instance to service is, as the record has it.
func (r *Recycle) theReturn(t asg.Target) *asg.Return {
	record := r.held.Record()
	return &asg.Return{
		Group: t.Group.Name, ID: t.Instance.ID, Baseline: record.Members, Checkpoint: returning(&record),
		Keep: func(ctx context.Context, checkpoint asg.Checkpoint) error {
			text := ""
			if checkpoint.Stage != "" {
				encoded, err := json.Marshal(checkpoint)
				if err != nil {
					return err
				}
				text = string(encoded)
			}
			return r.held.Update(ctx, func(record *claim.Record) { record.Return = text })
		},
	}
}

// exitStandby brings the instance back. Scale-in of the group is suspended for as long: were its launch to succeed while the
// desired capacity is lowered, it could terminate any other instance. After a failure in between that stays so.
func (r *Recycle) exitStandby(ctx context.Context, back *asg.Return) error {
	if err := r.suspend(ctx, asg.Group{Name: back.Group}, asg.ScaleIn); err != nil {
		return err
	}
	note, err := r.asg.BringBack(ctx, back)
	if note != "" {
		r.report.Warn(ctx, note)
	}
	var notDone *poll.NotDoneError
	if errors.As(err, &notDone) || (err != nil && back.Checkpoint.IsUnreconciled()) {
		return err
	}
	if err := errors.Join(err, r.resume(ctx, back.Group, asg.ScaleIn)); err != nil {
		return err
	}
	return r.held.Update(ctx, func(record *claim.Record) { record.Return = "" })
}
