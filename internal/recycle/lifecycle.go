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
	"github.com/eks-recycle/eks-recycle/internal/node"
	"github.com/eks-recycle/eks-recycle/internal/poll"
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

// Complete is the exit handler of drain-terminating: after a last look it ends the wait, or the instance if that is retained, and
// gives up the claim. The Node stays cordoned and goes with its instance, unless that goes to a warm pool.
func (r *Recycle) Complete(ctx context.Context) error {
	r.report.InstanceID, r.report.ASGName = r.InstanceID, r.Hook.Group
	result, good := r.Hook.Result, r.WorkflowStatus == "" || r.WorkflowStatus == "Succeeded"
	if !good {
		result = r.Hook.OnFailure
	}
	if r.DryRun {
		return r.report.Done("would complete the lifecycle action of instance %s: %s", r.InstanceID, result)
	}
	target, err := r.hooked(ctx)
	if err != nil {
		return err
	}
	retained := target.Lifecycle() == asg.Retained
	switch {
	case result == WaitOn && retained:
		return errors.Join(r.endMine(ctx), r.report.Done("the workflow %s: its group retains instance %s until drain-terminating is submitted again, or: aws autoscaling terminate-instance-in-auto-scaling-group --no-should-decrement-desired-capacity --instance-id %s", strings.ToLower(r.WorkflowStatus), r.InstanceID, r.InstanceID))
	case result == WaitOn:
		return errors.Join(r.endMine(ctx), r.report.Done("the workflow %s: hook %s waits for instance %s until its heartbeat timeout, unless drain-terminating is submitted again", strings.ToLower(r.WorkflowStatus), r.Hook.Name, r.InstanceID))
	}
	if good {
		if err := r.WithHeartbeat(ctx, r.lookOnce); err != nil && !errors.Is(err, errGone) && !errors.Is(err, asg.ErrUnknown) {
			return r.orOver(ctx, err)
		}
	}
	if retained, err = r.waits(ctx); err != nil { // it may have been retained meanwhile, or wait for another workflow
		return r.orOver(ctx, err)
	}
	if retained {
		if err := r.asg.TerminateRetained(ctx, r.InstanceID); err != nil {
			return err
		}
		r.report.Change("instance %s: terminated by its group, which had retained it", r.InstanceID)
		return errors.Join(r.endMine(ctx), r.report.Done("instance %s, which its group had retained, is being terminated", r.InstanceID))
	}
	if err := r.asg.Complete(ctx, r.Hook.LifecycleAction, result); err != nil {
		return r.orOver(ctx, err)
	}
	r.report.Change("instance %s: lifecycle action of hook %s completed: %s", r.InstanceID, r.Hook.Name, result)
	if result == asg.Abandon && r.retains {
		return fmt.Errorf("instance %q is retained by its group, and not terminated yet: %w", r.InstanceID, ErrUncertain)
	}
	return errors.Join(r.returnToPool(ctx), r.endMine(ctx), r.report.Done("lifecycle action of instance %s is completed: %s", r.InstanceID, result))
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

// orOver is about an action that may be over, by an earlier attempt or by the hook's timeout. If the group goes on saying that the
// instance waits, it waits for another hook, or another workflow.
func (r *Recycle) orOver(ctx context.Context, none error) error {
	if !errors.Is(none, asg.ErrNoAction) {
		return none
	}
	target, err := r.hooked(ctx)
	if err != nil {
		return err
	}
	switch target.Lifecycle() {
	case asg.Retained: // since then: it has to be terminated
		return fmt.Errorf("%w: %w", none, ErrUncertain)
	case asg.TerminatingWait:
		if err := r.doubt(theAction, actionUnknownFor, none); errors.Is(err, ErrUncertain) {
			return err
		}
	}
	return errors.Join(r.returnToPool(ctx), r.endMine(ctx), r.report.Done("lifecycle action of instance %s was over already", r.InstanceID))
}

// hooked reads what the group says of the instance: no group if it is no member of this one, or not any more.
func (r *Recycle) hooked(ctx context.Context) (asg.Target, error) {
	target, err := r.asg.Lookup(ctx, r.InstanceID, r.Hook.Group)
	if errors.Is(err, asg.ErrUnknown) {
		return asg.Target{}, nil
	}
	if target.Group != nil && target.Group.Name != r.Hook.Group {
		target.Group = nil
	}
	return target, err
}

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
	result, err := r.pods.Await(ctx, r.host(n), r.Pods, end.at, r.reportPods(ctx, n))
	if err == nil && result.TimedOut && end.hook {
		err = r.retainsNow(ctx)
	}
	return result, err
}

// retainsNow returns errChanged if the group has been given the policy since the hook was read: an attempt can take a day, and people act
// on its warning.
func (r *Recycle) retainsNow(ctx context.Context) error {
	target, err := r.hooked(ctx)
	if err == nil && target.Group != nil && target.Group.Retains {
		return errChanged
	}
	return err
}

// pooledWithin is how long an instance may take to its warm pool: it is stopped or hibernated first.
const pooledWithin = 15 * time.Minute

var errNotPooled = errors.New("it took too long")

// returnToPool makes the Node of an instance that goes back to its warm pool good for its return. A stopped one registers its Node
// anew when it starts, so the old one is deleted. One that runs on or hibernates keeps it, so the marks are taken off
// (https://docs.aws.amazon.com/autoscaling/ec2/userguide/warm-pool-instance-lifecycle.html).
func (r *Recycle) returnToPool(ctx context.Context) error {
	group, err := r.asg.Group(ctx, r.Hook.Group)
	if errors.Is(err, asg.ErrNoGroup) || (err == nil && !group.Reuses) {
		return nil
	}
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeoutCause(ctx, pooledWithin, errNotPooled)
	defer cancel()
	err = r.wait.Until(bounded, func(ctx context.Context) (bool, string, error) {
		state, err := r.asg.StateInPool(ctx, r.InstanceID)
		if err != nil || state == "" {
			return err == nil, "", err
		}
		instance, err := r.asg.Instance(ctx, r.InstanceID)
		if err != nil {
			return false, "", err
		}
		n, err := r.nodes.Find(ctx, r.InstanceID, node.NamesOf(r.InstanceID, instance.PrivateDNSName, r.report.Region))
		if err != nil || n == nil || !node.IsInterrupted(n) {
			return err == nil, "", err
		}
		record, err := r.claims.Record(ctx, r.InstanceID)
		if err != nil || (record != nil && r.claims.Held(ctx, *record) != nil) { // it is another recycle's by now
			return err == nil, "", err
		}
		switch state {
		case asg.WarmedStopped:
			r.report.Change("node %s: deleted, its instance %s is in the warm pool", n.Name, r.InstanceID)
			return true, "", r.nodes.Delete(ctx, n)
		case asg.WarmedRunning, asg.WarmedHibernated, asg.InService:
			if _, err := r.nodes.Apply(ctx, n, node.Restored); err != nil {
				return false, "", err
			}
			r.report.Change("node %s: marks taken off, its instance %s is %s", n.Name, r.InstanceID, state)
			return true, "", nil
		default:
			return false, fmt.Sprintf("instance %s is on its way to the warm pool: %s", r.InstanceID, state), nil
		}
	})
	var notDone *poll.NotDoneError
	if errors.As(err, &notDone) && errors.Is(err, errNotPooled) && ctx.Err() == nil {
		r.report.Warn(ctx, fmt.Sprintf("after %s %s: a sweep takes the marks off its node when it is in service again", pooledWithin, notDone.Status))
		return nil
	}
	return err
}
