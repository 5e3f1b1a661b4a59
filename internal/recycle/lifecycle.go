package recycle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Hook says which lifecycle action keeps the instance waiting, since when, and what becomes of it. Without a name there is
// none.
type Hook struct {
	asg.LifecycleAction
	Began             time.Time // zero: not known
	Result, OnFailure string
}

// WaitOn is the OnFailure that completes nothing: the hook waits on until its heartbeat timeout.
const WaitOn = "wait"

// Complete is the exit handler of drain-terminating: it ends the wait, after a last look, and gives up the claim. The Node
// stays closed and goes with its instance.
func (r *Recycle) Complete(ctx context.Context) error {
	r.report.InstanceID, r.report.ASGName = r.InstanceID, r.Hook.Group
	result, good := r.Hook.Result, r.WorkflowStatus == "" || r.WorkflowStatus == "Succeeded"
	if !good {
		result = r.Hook.OnFailure
	}
	switch {
	case r.DryRun:
		return r.report.Done("would complete the lifecycle action of instance %s: %s", r.InstanceID, result)
	case result == WaitOn:
		return errors.Join(r.endMine(ctx), r.report.Done("the workflow %s: hook %s waits for instance %s until its heartbeat timeout, unless drain-terminating is submitted again", strings.ToLower(r.WorkflowStatus), r.Hook.Name, r.InstanceID))
	}
	if good {
		err := r.WithHeartbeat(ctx, r.lookOnce)
		switch {
		case errors.Is(err, asg.ErrNoAction):
			return r.completedBefore(ctx, err)
		case err != nil && !errors.Is(err, errGone) && !errors.Is(err, asg.ErrUnknown):
			return err
		}
	}
	err := r.asg.Complete(ctx, r.Hook.LifecycleAction, result)
	if errors.Is(err, asg.ErrNoAction) {
		return r.completedBefore(ctx, err)
	}
	if err != nil {
		return err
	}
	r.report.Change("instance %s: lifecycle action of hook %s completed: %s", r.InstanceID, r.Hook.Name, result)
	return errors.Join(r.endMine(ctx), r.report.Done("lifecycle action of instance %s is completed: %s", r.InstanceID, result))
}

// endMine ends the record of this workflow. Nothing but the claim is held by it.
func (r *Recycle) endMine(ctx context.Context) error { return r.claims.End(ctx, r.InstanceID) }

// lookOnce waits for pods that matter and came late.
func (r *Recycle) lookOnce(ctx context.Context) error {
	s, err := r.locate(ctx)
	if err != nil {
		return err
	}
	return r.claimed(ctx, s, func(ctx context.Context) error { return r.finalPodCheck(ctx, s.node) })
}

// completedBefore tells an action that is over, by an earlier attempt or by the hook's timeout, from a token that was never
// that of the waiting one.
func (r *Recycle) completedBefore(ctx context.Context, none error) error {
	waits, err := r.stillWaits(ctx)
	switch {
	case err != nil:
		return err
	case waits:
		return none
	}
	return errors.Join(r.endMine(ctx), r.report.Done("lifecycle action of instance %s was over already", r.InstanceID))
}

// stillWaits reports whether the group says that the instance waits for a hook.
func (r *Recycle) stillWaits(ctx context.Context) (bool, error) {
	target, err := r.asg.Lookup(ctx, r.InstanceID, r.Hook.Group)
	if errors.Is(err, asg.ErrUnknown) {
		return false, nil
	}
	return err == nil && target.Group != nil && target.Group.Name == r.Hook.Group && target.Lifecycle() == asg.TerminatingWait, err
}

// WithHeartbeat runs act while heartbeats keep the lifecycle action waiting, if one is given. It refuses a stale token before
// act touches anything, and ends act when the action is over.
func (r *Recycle) WithHeartbeat(ctx context.Context, act func(context.Context) error) (err error) {
	if r.Hook.Name == "" || r.DryRun {
		return act(ctx)
	}
	if r.hook == nil {
		hook, err := r.asg.Hook(ctx, r.Hook.Group, r.Hook.Name)
		if err != nil {
			return err
		}
		if waits, err := r.stillWaits(ctx); err != nil || !waits { // the token may be another instance's
			return errors.Join(err, hint.Errorf("the event is over, or was about another instance",
				"instance %q does not wait for a lifecycle hook in Auto Scaling group %q: %w", r.InstanceID, r.Hook.Group, asg.ErrNoAction))
		}
		r.hook = &hook
	}
	if !time.Now().Before(r.nextBeat) {
		if err := r.heartbeat(ctx); err != nil {
			return err
		}
	}
	alive, end := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); end(r.beat(alive)) }()
	err = act(alive)
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
	if waits, lookErr := r.stillWaits(ctx); lookErr != nil || !waits {
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

// beat records heartbeats until ctx ends, or the hook's global timeout, beyond which they are of no use. Its error says why
// the action waits no longer.
func (r *Recycle) beat(ctx context.Context) error {
	for {
		if !r.Hook.Began.IsZero() && r.nextBeat.After(r.hookEnds(r.Hook.Began)) {
			<-ctx.Done()
			return nil
		}
		timer := time.NewTimer(time.Until(r.nextBeat))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		err := r.heartbeat(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the step is over, whatever became of this one
		case err == nil:
		case r.wait.Transient(err):
			r.log.WarnContext(ctx, "heartbeat failed, trying again", "err", err)
			r.nextBeat = time.Now().Add(min(r.betweenBeats()/8, 20*time.Second))
		default:
			return err
		}
	}
}

// hookEnds is when the hook waits no longer, whatever its heartbeats. Without the event's time it is counted from otherwise.
func (r *Recycle) hookEnds(otherwise time.Time) time.Time {
	if !r.Hook.Began.IsZero() {
		otherwise = r.Hook.Began
	}
	return otherwise.Add(r.hook.Global)
}

// awaitPods waits for the pods that matter. If the lifecycle hook ends the wait before max-wait does, it warns while there is
// still time to do something.
func (r *Recycle) awaitPods(ctx context.Context, n *corev1.Node, end ending) (drain.Result, error) {
	if end.hook {
		early := end.at.Add(-r.hook.Global / 8)
		onTime := time.Now().Before(early)
		if onTime {
			result, err := r.pods.Await(ctx, r.host(n), r.Pods, early, r.reportPods(ctx, n))
			if err != nil || !result.TimedOut {
				return result, err
			}
		}
		now, err := r.pods.Left(ctx, r.host(n), r.Pods)
		if err != nil {
			return drain.Result{}, err
		}
		if left := now.Left; len(left) > 0 {
			r.report.Warn(ctx, fmt.Sprintf("lifecycle hook %s lets node %s wait until %s, and %d pod(s) still run: %s", r.Hook.Name, n.Name, end.at.UTC().Format(time.RFC3339), len(left), drain.Describe(left)))
			if onTime {
				r.nodes.Event(ctx, n, "RecycleHookEnds", fmt.Sprintf("the wait for pods ends at %s: %s", end.at.UTC().Format(time.RFC3339), drain.Describe(left)))
			}
		}
	}
	return r.pods.Await(ctx, r.host(n), r.Pods, end.at, r.reportPods(ctx, n))
}
