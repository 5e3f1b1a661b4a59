package recycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// errChanged ends act when the group has retained the instance, so that no hook's time counts any more, or when its policy has changed.
var errChanged = errors.New("what its group retains has changed")

// WithHeartbeat runs act while heartbeats keep the lifecycle action waiting, if one is given. It refuses an instance that does not
// wait before act touches anything, and ends act when the action is over. Where the group retains instances, it abandons the action
// before the hook's time is over, and act goes on.
func (r *Recycle) WithHeartbeat(ctx context.Context, act func(context.Context) error) (err error) {
	if r.Hook.Name == "" || r.DryRun {
		return act(ctx)
	}
	for {
		retained, err := r.waits(ctx)
		if err != nil {
			return err
		}
		if retained {
			r.hook = nil
			return act(ctx)
		}
		if err = r.beating(ctx, act); !errors.Is(err, errChanged) {
			return err
		}
		r.hook = nil
	}
}

// waits reads the hook, and says whether the instance waits for it or is retained already. Anything else is an error.
func (r *Recycle) waits(ctx context.Context) (retained bool, err error) {
	target, err := r.hooked(ctx)
	if err != nil {
		return false, err
	}
	switch state := target.Lifecycle(); state {
	case asg.Retained:
		return true, nil
	case asg.TerminatingWait:
	default:
		return false, hint.Errorf("the event is over, or was about another instance",
			"instance %q does not wait for a lifecycle hook in Auto Scaling group %q: %w", r.InstanceID, r.Hook.Group, asg.ErrNoAction)
	}
	if r.hook != nil {
		return false, nil
	}
	hook, err := r.asg.Hook(ctx, r.Hook.Group, r.Hook.Name)
	if err != nil {
		return false, err
	}
	if target.Group.Reuses || r.Hook.Began.IsZero() {
		if err := r.sinceWhen(ctx, target.Group); err != nil {
			return false, err
		}
	}
	r.hook, r.retains = &hook, target.Group.Retains
	return false, nil
}

// clocks is how far those of AWS and of an event may differ.
const clocks = time.Minute

// sinceWhen reads since when the instance has been terminating. If it came back from a warm pool since this workflow began, it waits
// for somebody else: a lifecycle action is addressed by its instance, and the next one looks the same.
func (r *Recycle) sinceWhen(ctx context.Context, group *asg.Group) error {
	since, found, err := r.asg.TerminatingSince(ctx, group.Name, r.InstanceID)
	switch {
	case err != nil || !found:
		return err
	case r.Hook.Began.IsZero():
		r.Hook.Began = since
	case group.Reuses && since.After(r.Hook.Began.Add(clocks)):
		return hint.Errorf("the event of that termination starts a workflow of its own",
			"instance %q came back into service after %s and is being terminated again since %s: %w", r.InstanceID, r.Hook.Began.UTC().Format(time.RFC3339), since.UTC().Format(time.RFC3339), asg.ErrNoAction)
	}
	return nil
}

// beating runs act while heartbeats keep the action waiting.
func (r *Recycle) beating(ctx context.Context, act func(context.Context) error) error {
	if !time.Now().Before(r.due()) {
		if err := r.keepOrAbandon(ctx); err != nil {
			return err
		}
	}
	alive, end := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); end(r.beat(alive)) }()
	err := act(alive)
	end(nil)
	<-ended
	if cause := context.Cause(alive); err != nil && cause != nil && ctx.Err() == nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// actionUnknownFor is how long Auto Scaling may know no lifecycle action while the group says that the instance waits: right
// after the event it sometimes does.
const actionUnknownFor = 3 * time.Minute

// heartbeat records one. Its error is uncertain for a while if the group contradicts it.
func (r *Recycle) heartbeat(ctx context.Context) error {
	err := r.asg.Heartbeat(ctx, r.Hook.LifecycleAction)
	if err == nil {
		r.noAction, r.nextBeat = time.Time{}, time.Now().Add(r.betweenBeats())
		return nil
	}
	if !errors.Is(err, asg.ErrNoAction) {
		return err
	}
	target, lookErr := r.hooked(ctx)
	switch {
	case lookErr == nil && target.Lifecycle() == asg.Retained: // its time ran out, with the default result ABANDON
		return errChanged
	case lookErr != nil || target.Lifecycle() != asg.TerminatingWait:
		return errors.Join(err, lookErr)
	}
	if r.noAction.IsZero() {
		r.noAction = time.Now()
	}
	if time.Since(r.noAction) < actionUnknownFor {
		return fmt.Errorf("%w: %w", err, ErrUncertain)
	}
	return err
}

// betweenBeats leaves two more tries before the heartbeat timeout, and time for the next pod of a step to start.
func (r *Recycle) betweenBeats() time.Duration { return r.hook.Heartbeat / 3 }

// due is when the action needs the next heartbeat or, where the group retains the instance, has to be abandoned.
func (r *Recycle) due() time.Time {
	if last := r.hookGivenUp(r.Hook.Began); r.retains && !r.Hook.Began.IsZero() && r.nextBeat.After(last) {
		return last
	}
	return r.nextBeat
}

// beat records heartbeats until ctx ends, or the hook's global timeout, beyond which they are of no use. Its error says why
// the action waits no longer.
func (r *Recycle) beat(ctx context.Context) error {
	for pause := time.Duration(0); ; {
		due := r.due()
		if !r.Hook.Began.IsZero() && due.After(r.hookEnds(r.Hook.Began)) {
			<-ctx.Done()
			return nil
		}
		timer := time.NewTimer(max(time.Until(due), pause))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		err := r.keepOrAbandon(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the step is over, whatever became of this one
		case err == nil:
			pause = 0
		case r.wait.Transient(err):
			r.log.WarnContext(ctx, "heartbeat failed, trying again", "err", err)
			pause = min(r.betweenBeats()/8, 20*time.Second)
		default:
			return err
		}
	}
}

// keepOrAbandon records a heartbeat or, once the hook's time is nearly over and the group retains the instance, abandons the action.
// That the group retains it is read again before: without the policy the instance would be terminated.
func (r *Recycle) keepOrAbandon(ctx context.Context) error {
	if !r.retains || r.Hook.Began.IsZero() || time.Now().Before(r.hookGivenUp(r.Hook.Began)) {
		return r.heartbeat(ctx)
	}
	target, err := r.hooked(ctx)
	if err != nil {
		return err
	}
	if target.Lifecycle() == asg.TerminatingWait {
		if !target.Group.Retains {
			return errChanged
		}
		switch err := r.asg.Complete(ctx, r.Hook.LifecycleAction, asg.Abandon); {
		case err == nil:
			r.report.Change("instance %s: lifecycle action of hook %s abandoned: its group retains it", r.InstanceID, r.Hook.Name)
		case !errors.Is(err, asg.ErrNoAction):
			return err
		}
		if target, err = r.hooked(ctx); err != nil {
			return err
		}
	}
	if target.Lifecycle() != asg.Retained {
		return fmt.Errorf("instance %q is %s after its lifecycle action was abandoned: %w", r.InstanceID, target.Lifecycle(), ErrUncertain)
	}
	return errChanged
}

// hookEnds is when the hook waits no longer, whatever its heartbeats. Without the event's time it is counted from otherwise.
func (r *Recycle) hookEnds(otherwise time.Time) time.Time {
	if !r.Hook.Began.IsZero() {
		otherwise = r.Hook.Began
	}
	return otherwise.Add(r.hook.Global)
}

// hookGivenUp is when the hook's time is used no longer: a tenth before its end, 15 minutes at most.
func (r *Recycle) hookGivenUp(otherwise time.Time) time.Time {
	return r.hookEnds(otherwise).Add(-min(r.hook.Global/10, 15*time.Minute))
}
