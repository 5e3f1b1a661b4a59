package recycle

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
)

// suspendable are the processes that a recycle suspends. No other one is resumed, whatever a record says.
var suspendable = []string{asg.AZRebalance, asg.ScaleIn}

// suspendRebalance sees to it that the group does not rebalance its zones while a recycle is in progress: an instance on
// standby or detached can set that off, and it may terminate any other.
func (r *Recycle) suspendRebalance(ctx context.Context, g asg.Group) error {
	if g.Suspends(asg.AZRebalance) && (r.rebalanceSuspended || slices.Contains(r.held.Record().Suspends, asg.AZRebalance)) {
		return nil
	}
	err := r.suspend(ctx, g, asg.AZRebalance)
	r.rebalanceSuspended = err == nil
	return err
}

// goesOn is claimed, for the steps after standby. A recycle that was parked since, and that argo retry takes up at the step that
// failed, has the rebalancing of its group suspended again.
func (r *Recycle) goesOn(ctx context.Context, s subject, act func(context.Context) error) error {
	return r.claimed(ctx, s, func(ctx context.Context) error {
		if record := r.held.Record(); r.held.Taken && record.Replaced && r.Hook.Name == "" {
			target, err := r.asg.Lookup(ctx, r.report.InstanceID, record.Group) // a record may name any group
			if err != nil {
				return err
			}
			if StateOf(target, &record) == Replaced {
				if err := r.suspendRebalance(ctx, *target.Group); err != nil {
					return err
				}
			}
		}
		return act(ctx)
	})
}

// suspend suspends a process of the group for as long as any recycle wants it. Which recycles do is written in their
// records, before it is done; a suspension that nobody wrote down is another hand's and stays as it is.
//
// now is the group as it was read last; a read of a moment ago is not repeated before.
func (r *Recycle) suspend(ctx context.Context, now asg.Group, process string) error {
	group := now.Name
	return r.withGroupLock(ctx, group, func(ctx context.Context) error {
		mine := slices.Contains(r.held.Record().Suspends, process)
		others, err := r.othersSuspend(ctx, group, process)
		if err != nil {
			return err
		}
		if !now.Fresh() || now.Suspends(process) {
			if now, err = r.asg.Group(ctx, group); err != nil {
				return err
			}
		}
		if now.Suspends(process) && !mine && !others {
			return nil
		}
		err = r.held.Update(ctx, func(record *claim.Record) {
			if !slices.Contains(record.Suspends, process) {
				record.Group, record.Suspends = group, append(record.Suspends, process)
			}
		})
		if err != nil {
			return err
		}
		now, err = r.asg.Group(ctx, group)
		switch suspended := now.Suspends(process); {
		case err != nil, suspended && (mine || others):
			return err
		case suspended: // by somebody else, in this very moment
			return r.forgetSuspension(ctx, process)
		}
		r.report.Change("Auto Scaling group %s: %s suspended", group, process)
		return r.asg.Suspend(ctx, group, process)
	})
}

// othersSuspend reports whether another recycle of the group has the process suspended.
func (r *Recycle) othersSuspend(ctx context.Context, group, process string) (bool, error) {
	records, _, err := r.claims.Records(ctx)
	return slices.ContainsFunc(records, func(record claim.Record) bool {
		return slices.Contains(record.Suspends, process) && record.Group == group && record.InstanceID != r.report.InstanceID
	}), err
}

// resume ends this recycle's share in a suspension, and with the last share the suspension.
func (r *Recycle) resume(ctx context.Context, group, process string) error {
	if !slices.Contains(r.held.Record().Suspends, process) {
		return nil
	}
	return r.withGroupLock(ctx, group, func(ctx context.Context) error {
		others, err := r.othersSuspend(ctx, group, process)
		if err != nil {
			return err
		}
		if !others && slices.Contains(suspendable, process) {
			if err := r.asg.Resume(ctx, group, process); err != nil {
				return err
			}
			r.report.Change("Auto Scaling group %s: %s resumed", group, process)
		}
		return r.forgetSuspension(ctx, process)
	})
}

func (r *Recycle) forgetSuspension(ctx context.Context, process string) error {
	return r.held.Update(ctx, func(record *claim.Record) {
		record.Suspends = slices.DeleteFunc(slices.Clone(record.Suspends), func(p string) bool { return p == process })
	})
}

// trusted reports whether the record's group is the instance's own, so that something may follow from it for the group. Where AWS
// says which group that is, claimed has seen to it.
func (r *Recycle) trusted(ctx context.Context, t asg.Target, record claim.Record) (bool, error) {
	if t.OwnGroup() != "" || record.Group == "" {
		return record.Group != "", nil
	}
	return r.asg.WasMember(ctx, record.Group, record.InstanceID) // EC2 knows nothing of the instance any more
}

// release gives back all that the recycle holds and shares with others. The record itself stays.
func (r *Recycle) release(ctx context.Context, t asg.Target) error {
	record := r.held.Record()
	trusted, err := r.trusted(ctx, t, record)
	if err != nil {
		return err
	}
	if trusted {
		for _, process := range record.Suspends {
			if err := r.resume(ctx, record.Group, process); err != nil {
				return err
			}
		}
	}
	if group := cmp.Or(t.OwnGroup(), record.Group); group != "" { // a run that was killed may hold its lock
		return r.claims.ReleaseGroupLock(ctx, group, record.InstanceID)
	}
	return nil
}

// end gives back all that the recycle holds, the record last: it says what there is to give back to a run that comes after a
// crash.
func (r *Recycle) end(ctx context.Context, t asg.Target) error {
	if err := r.releaseReplacements(ctx, t.Instance.ID); err != nil {
		return err
	}
	if err := r.release(ctx, t); err != nil {
		return err
	}
	return r.claims.End(ctx, t.Instance.ID)
}

// park gives back what is shared with others, and keeps the record, so that the recycle can be taken up again.
func (r *Recycle) park(ctx context.Context, t asg.Target) error {
	return errors.Join(r.release(ctx, t), r.held.Park(ctx))
}
