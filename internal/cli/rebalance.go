package cli

import (
	"cmp"
	"context"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
)

// suspendRebalance sees to it that the group does not even out its zones while a recycle is under way: an instance on
// standby or detached can set that off, and it may terminate any other. Which recycles have it suspended is written on
// their claims, before it is done; a suspension that nobody wrote down is another hand's and stays as it is.
func (r *session) suspendRebalance(ctx context.Context, g asg.Group) error {
	if !r.SuspendAZRebalance || (g.Suspends(asg.AZRebalance) && (r.even || r.held.Suspended() != "")) {
		return nil
	}
	err := r.alone(ctx, g.Name, func(ctx context.Context) error {
		mine := r.held.Suspended() != ""
		others, err := r.othersSuspend(ctx, g.Name)
		if err != nil {
			return err
		}
		now, err := r.asg.Group(ctx, g.Name)
		if err != nil || (!mine && !others && now.Suspends(asg.AZRebalance)) {
			return err
		}
		if err := r.held.Suspends(ctx, g.Name, asg.AZRebalance); err != nil {
			return err
		}
		now, err = r.asg.Group(ctx, g.Name)
		switch suspended := now.Suspends(asg.AZRebalance); {
		case err != nil, suspended && (mine || others):
			return err
		case suspended: // by somebody else, in this very moment
			return r.claims.Resumed(ctx, r.result.InstanceID)
		}
		r.change("Auto Scaling group %s: AZRebalance suspended", g.Name)
		return r.asg.Suspend(ctx, g.Name, asg.AZRebalance)
	})
	r.even = err == nil
	return err
}

// othersSuspend reports whether another recycle of the group has AZRebalance suspended.
func (r *session) othersSuspend(ctx context.Context, group string) (bool, error) {
	records, err := r.claims.Records(ctx)
	for _, record := range records {
		if record.Suspends != "" && record.Group == group && record.InstanceID != r.result.InstanceID {
			return true, nil
		}
	}
	return false, err
}

// letGo gives back all that this workflow's recycle of the instance holds, or one that died before it. The claim goes last:
// it says what there is to give back to a run that comes after a crash.
func (r *session) letGo(ctx context.Context, id string) error {
	r.result.InstanceID = id
	record, err := r.claims.Record(ctx, id)
	if err != nil || record == nil || (record.Holder != r.WorkflowUID && record.Live()) {
		return err
	}
	if record.Suspends != "" || record.Holder != r.WorkflowUID {
		held, err := r.claims.Acquire(ctx, id, nil, "")
		if err != nil {
			return err
		}
		if err := keeping(ctx, held, func(ctx context.Context) error { return r.resume(ctx, *record) }); err != nil {
			return err
		}
	}
	if group := cmp.Or(record.Group, r.result.ASGName); group != "" { // a run that was killed may hold it
		if err := r.claims.ReleaseGroup(ctx, group, id); err != nil {
			return err
		}
	}
	return r.claims.Release(ctx, id)
}

// resume ends this recycle's share in a suspension, and with the last share the suspension.
func (r *session) resume(ctx context.Context, mine claim.Record) error {
	if mine.Suspends == "" {
		return nil
	}
	return r.alone(ctx, mine.Group, func(ctx context.Context) error {
		others, err := r.othersSuspend(ctx, mine.Group)
		if err != nil {
			return err
		}
		if !others {
			if err := r.asg.Resume(ctx, mine.Group, mine.Suspends); err != nil {
				return err
			}
			r.change("Auto Scaling group %s: %s resumed", mine.Group, mine.Suspends)
		}
		return r.claims.Resumed(ctx, mine.InstanceID)
	})
}
