package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// LifecycleOptions say which lifecycle action keeps the instance waiting, since when, and what becomes of it.
type LifecycleOptions struct {
	asg.LifecycleAction
	Began             time.Time // zero: not known
	Result, OnFailure string
}

// leaveIt is the OnFailure that completes nothing: the hook waits on until its heartbeat timeout.
const leaveIt = "wait"

// lifecycleFlags name the lifecycle action that the steps of drain-terminating keep waiting.
func lifecycleFlags() []cli.Flag {
	return []cli.Flag{
		text("asg-name", "", "`NAME` of the Auto Scaling group that terminates the instance"),
		text("lifecycle-hook", "", "`NAME` of the lifecycle hook that keeps it waiting; heartbeats are recorded while the step runs"),
		text("lifecycle-token", "", "`TOKEN` of the lifecycle action, from the event"),
		text("lifecycle-began", "", "`TIME` of the event, RFC 3339; the hook's global timeout is counted from it, or else from the first attempt"),
	}
}

// actionFlags are those of the subcommands of lifecycle.
func actionFlags() []cli.Flag {
	return append([]cli.Flag{text("instance-id", "", "EC2 `ID` of the instance that waits")}, lifecycleFlags()...)
}

func completeFlags() []cli.Flag {
	return append(append(actionFlags(), podFlags()...),
		text("result", asg.Continue, "CONTINUE, or ABANDON, which ends the group's other hooks for the instance too"),
		text("workflow-status", "", "how the workflow ended; empty means that it succeeded"),
		text("on-failure", leaveIt, "the result if it did not succeed: CONTINUE, ABANDON, or wait, which leaves it to the hook's heartbeat timeout"),
	)
}

const (
	hookForm   = `^[A-Za-z0-9_/-]{1,255}$` // https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutLifecycleHook.html
	actionForm = `^[0-9A-Za-z-]{1,36}$`    // https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_RecordLifecycleActionHeartbeat.html
	groupForm  = `^[^\x00-\x1f\x7f:]{1,255}$`
)

func readLifecycle(c *cli.Context, o *Options) (err error) {
	l := LifecycleOptions{
		LifecycleAction: asg.LifecycleAction{Group: set(c, "asg-name"), Hook: set(c, "lifecycle-hook"), Token: set(c, "lifecycle-token"), Instance: o.InstanceID},
		Result:          c.String("result"), OnFailure: c.String("on-failure"),
	}
	began := set(c, "lifecycle-began")
	if l.Hook+l.Group+l.Token+began == "" && has(c, "workflow-uid") && has(c, "max-wait") {
		return nil // a step of a recycle that no hook began
	}
	switch {
	case o.InstanceID == "":
		return hint.Errorf("the event says it: EC2InstanceId", "give --instance-id with a lifecycle action")
	case !matches(groupForm, l.Group):
		return hint.Errorf("the event says it: AutoScalingGroupName", "--asg-name %q is missing or malformed", l.Group)
	case !matches(hookForm, l.Hook):
		return hint.Errorf("the event says it: LifecycleHookName", "--lifecycle-hook %q is missing or malformed", l.Hook)
	case !matches(actionForm, l.Token):
		return hint.Errorf("the event says it: LifecycleActionToken", "--lifecycle-token %q is missing or malformed", l.Token)
	case began != "":
		if l.Began, err = time.Parse(time.RFC3339, began); err != nil {
			return hint.Errorf("the event's time, for example 2026-01-31T22:00:00Z", "--lifecycle-began %q is malformed", began)
		}
	}
	o.Lifecycle = l
	return nil
}

// heartbeat records one, for those who wait by their own means.
func heartbeat(ctx context.Context, r *session) error {
	r.result.InstanceID, r.result.ASGName = r.InstanceID, r.Lifecycle.Group
	if r.DryRun {
		return r.done("would record a heartbeat of instance %s", r.InstanceID)
	}
	hook, err := r.asg.Hook(ctx, r.Lifecycle.Group, r.Lifecycle.Hook)
	if err != nil {
		return err
	}
	if err := r.asg.Heartbeat(ctx, r.Lifecycle.LifecycleAction); err != nil {
		return err
	}
	return r.done("hook %s waits for instance %s for another %s, if not beyond %s in all", r.Lifecycle.Hook, r.InstanceID, hook.Heartbeat, hook.Global)
}

// complete is the exit handler of drain-terminating: it ends the wait, after a last look, and gives up the claim. The Node
// stays closed and goes with its instance.
func complete(ctx context.Context, r *session) error {
	r.result.InstanceID, r.result.ASGName = r.InstanceID, r.Lifecycle.Group
	result, good := r.Lifecycle.Result, r.WorkflowStatus == "" || r.WorkflowStatus == "Succeeded"
	if !good {
		result = r.Lifecycle.OnFailure
	}
	switch {
	case r.DryRun:
		return r.done("would complete the lifecycle action of instance %s: %s", r.InstanceID, result)
	case result == leaveIt:
		return errors.Join(r.letGo(ctx, r.InstanceID), r.done("the workflow %s: hook %s waits for instance %s until its heartbeat timeout, unless drain-terminating is submitted again", strings.ToLower(r.WorkflowStatus), r.Lifecycle.Hook, r.InstanceID))
	}
	if good {
		err := r.beating(ctx, r.lookOnce)
		switch {
		case errors.Is(err, asg.ErrNoAction):
			return r.completedBefore(ctx, err)
		case err != nil && !errors.Is(err, errGone) && !errors.Is(err, asg.ErrUnknown):
			return err
		}
	}
	err := r.asg.Complete(ctx, r.Lifecycle.LifecycleAction, result)
	if errors.Is(err, asg.ErrNoAction) {
		return r.completedBefore(ctx, err)
	}
	if err != nil {
		return err
	}
	r.change("instance %s: lifecycle action of hook %s completed: %s", r.InstanceID, r.Lifecycle.Hook, result)
	return errors.Join(r.letGo(ctx, r.InstanceID), r.done("lifecycle action of instance %s is completed: %s", r.InstanceID, result))
}

// lookOnce waits for pods that matter and came late.
func (r *session) lookOnce(ctx context.Context) error {
	n, err := r.locate(ctx)
	if err != nil {
		return err
	}
	return r.lastLook(ctx, n)
}

// completedBefore tells an action that is over, by an earlier attempt or by the hook's timeout, from a token that was never
// that of the waiting one.
func (r *session) completedBefore(ctx context.Context, none error) error {
	target, err := r.asg.Lookup(ctx, r.InstanceID)
	switch {
	case err != nil && !errors.Is(err, asg.ErrUnknown):
		return err
	case err == nil && target.Lifecycle() == asg.TerminatingWait:
		return none
	}
	return errors.Join(r.letGo(ctx, r.InstanceID), r.done("lifecycle action of instance %s was over already", r.InstanceID))
}

// beating runs act while heartbeats keep the lifecycle action waiting, if one is given. It refuses a stale token before act
// touches anything, and ends act when the action is over.
func (r *session) beating(ctx context.Context, act func(context.Context) error) (err error) {
	if r.Lifecycle.Hook == "" || r.DryRun {
		return act(ctx)
	}
	if r.hook == nil {
		hook, err := r.asg.Hook(ctx, r.Lifecycle.Group, r.Lifecycle.Hook)
		if err != nil {
			return err
		}
		r.hook = &hook
	}
	if !time.Now().Before(r.nextBeat) {
		if err := r.asg.Heartbeat(ctx, r.Lifecycle.LifecycleAction); err != nil {
			return err
		}
		r.nextBeat = time.Now().Add(r.betweenBeats())
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

// betweenBeats leaves two more tries before the heartbeat timeout, and time for the next pod of a step to start.
func (r *session) betweenBeats() time.Duration { return r.hook.Heartbeat / 3 }

// beat records heartbeats until ctx ends, or the hook's global timeout, beyond which they are of no use. Its error says why
// the action waits no longer.
func (r *session) beat(ctx context.Context) error {
	for {
		if !r.Lifecycle.Began.IsZero() && r.nextBeat.After(r.hookEnds(r.Lifecycle.Began)) {
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
		err := r.asg.Heartbeat(ctx, r.Lifecycle.LifecycleAction)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the step is over, whatever became of this one
		case err == nil:
			r.nextBeat = time.Now().Add(r.betweenBeats())
		case transient(err):
			r.log.WarnContext(ctx, "heartbeat failed, trying again", "err", err)
			r.nextBeat = time.Now().Add(min(r.betweenBeats()/8, time.Minute))
		default:
			return err
		}
	}
}

// hookEnds is when the hook waits no longer, whatever its heartbeats. Without the event's time it is counted from otherwise.
func (r *session) hookEnds(otherwise time.Time) time.Time {
	if !r.Lifecycle.Began.IsZero() {
		otherwise = r.Lifecycle.Began
	}
	return otherwise.Add(r.hook.Global)
}

// awaitPods waits for the pods that matter. If the lifecycle hook ends the wait before max-wait does, it warns while there is
// still time to do something.
func (r *session) awaitPods(ctx context.Context, n *corev1.Node, end ending) (drain.Result, error) {
	if end.hook {
		early := end.at.Add(-r.hook.Global / 8)
		onTime := time.Now().Before(early)
		if onTime {
			result, err := r.pods.Await(ctx, n.Name, r.Selection, early, r.reportPods(ctx, n))
			if err != nil || !result.TimedOut {
				return result, err
			}
		}
		left, err := r.pods.Left(ctx, n.Name, r.Selection)
		if err != nil {
			return drain.Result{}, err
		}
		if len(left) > 0 {
			r.warn(ctx, fmt.Sprintf("lifecycle hook %s lets node %s wait until %s, and %d pod(s) still run: %s", r.Lifecycle.Hook, n.Name, end.at.UTC().Format(time.RFC3339), len(left), drain.Describe(left)))
			if onTime {
				r.nodes.Event(ctx, n, "RecycleHookEnds", fmt.Sprintf("the wait for pods ends at %s: %s", end.at.UTC().Format(time.RFC3339), drain.Describe(left)))
			}
		}
	}
	return r.pods.Await(ctx, n.Name, r.Selection, end.at, r.reportPods(ctx, n))
}
