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
