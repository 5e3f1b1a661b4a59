package recycle

import (
	"cmp"
	"context"
	"slices"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
)

// suspendRebalance sees to it that the group does not even out its zones while a recycle is under way: an instance on
// standby or detached can set that off, and it may terminate any other.
func (r *Recycle) suspendRebalance(ctx context.Context, g asg.Group) error {
	if g.Suspends(asg.AZRebalance) && (r.even || r.held.Suspended(asg.AZRebalance)) {
		return nil
	}
	err := r.suspend(ctx, g.Name, asg.AZRebalance)
	r.even = err == nil
	return err
}

// suspend suspends a process of the group for as long as any recycle wants it. Which recycles do is written on their
// claims, before it is done; a suspension that nobody wrote down is another hand's and stays as it is.
func (r *Recycle) suspend(ctx context.Context, group, process string) error {
	if !r.SuspendAZRebalance {
		return nil
	}
	return r.alone(ctx, group, func(ctx context.Context) error {
		mine := r.held.Suspended(process)
		others, err := r.othersSuspend(ctx, group, process)
		if err != nil {
			return err
		}
		now, err := r.asg.Group(ctx, group)
		if err != nil || (!mine && !others && now.Suspends(process)) {
			return err
		}
		if err := r.held.Suspends(ctx, group, process); err != nil {
			return err
		}
		now, err = r.asg.Group(ctx, group)
		switch suspended := now.Suspends(process); {
		case err != nil, suspended && (mine || others):
			return err
		case suspended: // by somebody else, in this very moment
			return r.held.Resumed(ctx, process)
		}
		r.report.Change("Auto Scaling group %s: %s suspended", group, process)
		return r.asg.Suspend(ctx, group, process)
	})
}

// othersSuspend reports whether another recycle of the group has the process suspended.
func (r *Recycle) othersSuspend(ctx context.Context, group, process string) (bool, error) {
	records, err := r.claims.Records(ctx)
	for _, record := range records {
		if slices.Contains(record.Suspends, process) && record.Group == group && record.InstanceID != r.report.InstanceID {
			return true, nil
		}
	}
	return false, err
}

// resume ends this recycle's share in a suspension, and with the last share the suspension.
func (r *Recycle) resume(ctx context.Context, held *claim.Claim, group, process string) error {
	if !held.Suspended(process) {
		return nil
	}
	return r.alone(ctx, group, func(ctx context.Context) error {
		others, err := r.othersSuspend(ctx, group, process)
		if err != nil {
			return err
		}
		if !others {
			if err := r.asg.Resume(ctx, group, process); err != nil {
				return err
			}
			r.report.Change("Auto Scaling group %s: %s resumed", group, process)
		}
		return held.Resumed(ctx, process)
	})
}

// letGo gives back all that this workflow's recycle of the instance holds, or one that died before it. The claim goes last:
// it says what there is to give back to a run that comes after a crash.
func (r *Recycle) letGo(ctx context.Context, id string) error {
	r.report.InstanceID = id
	record, err := r.claims.Record(ctx, id)
	if err != nil || record == nil || (record.Holder != r.claims.Holder && record.Live()) {
		return err
	}
	if len(record.Suspends) > 0 || record.Holder != r.claims.Holder {
		held, err := r.claims.Acquire(ctx, id, nil, "")
		if err != nil {
			return err
		}
		err = held.Hold(ctx, func(ctx context.Context) error {
			for _, process := range record.Suspends {
				if err := r.resume(ctx, held, record.Group, process); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if group := cmp.Or(record.Group, r.report.ASGName); group != "" { // a run that was killed may hold it
		if err := r.claims.ReleaseGroup(ctx, group, id); err != nil {
			return err
		}
	}
	return r.claims.Release(ctx, id)
}
