package recycle

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// Retire takes the instance out of its group, stops or terminates it, and deletes its Node.
func (r *Recycle) Retire(ctx context.Context) error {
	target, n, err := r.lookup(ctx)
	if err != nil {
		return err
	}
	forward := retired(target, n)
	if r.DryRun {
		return r.planRetire(target)
	}
	if !forward {
		if err := mayRetire(target, n); err != nil {
			return err
		}
		if err := r.mayBeClosed(ctx, n); err != nil {
			return err
		}
	}
	err = r.claimed(ctx, n, func(ctx context.Context) error {
		if !forward {
			if n, err = r.closed(ctx, n); err != nil {
				return err
			}
		}
		return r.takeOut(ctx, target, n)
	})
	if err != nil {
		return err
	}
	return r.leave(ctx, target.Instance.ID, n)
}

// mayRetire refuses targets that no standby step has prepared.
func mayRetire(t asg.Target, n *corev1.Node) error {
	switch {
	case t.Group == nil:
		return hint.Errorf("stop or terminate it by hand if nobody needs it", "instance %q belongs to no Auto Scaling group, and no recycle took it out", t.Instance.ID)
	case n == nil:
		return fmt.Errorf("instance %q has no Node in this cluster", t.Instance.ID)
	case t.Lifecycle() != asg.Standby:
		return hint.Errorf("run step standby first", "instance %q is %s, not on standby: stopping it now would cost the group capacity", t.Instance.ID, t.Lifecycle())
	default:
		return nil
	}
}

// lastLook makes sure that no pod that matters runs on the node. One that tolerates every taint may have come late; it is
// waited for like the others.
func (r *Recycle) lastLook(ctx context.Context, n *corev1.Node) error {
	if n == nil || r.mayEvictAll(n) {
		return nil
	}
	left, err := r.pods.Left(ctx, n.Name, r.Pods)
	if err != nil || len(left) == 0 {
		return err
	}
	r.waiting(left)
	result, err := r.pods.Await(ctx, n.Name, r.Pods, time.Now().Add(r.Window), r.reportPods(ctx, n))
	if err == nil && !result.Drained() {
		return &poll.NotDoneError{Status: "pods that matter run on the node: " + drain.Describe(result.Left), Cause: ErrWindow}
	}
	return err
}

// takeOut goes forward only once the detach is made.
func (r *Recycle) takeOut(ctx context.Context, t asg.Target, n *corev1.Node) error {
	id := t.Instance.ID
	replacement := t.Instance.Tags[asg.TagReplacement]
	if n != nil && n.Annotations[node.AnnotationReplacement] != "" {
		replacement = n.Annotations[node.AnnotationReplacement]
	}
	r.report.ReplacementInstance = replacement
	if t.Group != nil {
		if err := r.lastLook(ctx, n); err != nil {
			return err
		}
		if err := r.detach(ctx, t, n, replacement); err != nil {
			return err
		}
	}
	if t.Instance.Gone() {
		if err := r.sayWhatIsLeft(ctx, t.Instance); err != nil {
			return err
		}
	}
	if err := r.asg.ShutDown(ctx, id, r.Action, func(ctx context.Context) error { return r.lastLook(ctx, n) }); err != nil {
		return err
	}
	r.report.Change("instance %s: %s", id, r.Action.Past())
	return r.releaseReplacements(ctx, id)
}

// leave gives back all that the recycle held. The Node goes last: as long as it is there, its name leads to the instance.
func (r *Recycle) leave(ctx context.Context, id string, n *corev1.Node) error {
	if err := r.letGo(ctx, id); err != nil {
		return err
	}
	if n != nil {
		r.nodes.Event(ctx, n, "RecycleDone", fmt.Sprintf("instance %s is %s", id, r.Action.Past()))
		if err := r.nodes.Delete(ctx, n); err != nil {
			return err
		}
		r.report.Change("node %s: deleted", n.Name)
	}
	return r.report.Done("instance %s is %s, its Node is deleted", id, r.Action.Past())
}

func (r *Recycle) detach(ctx context.Context, t asg.Target, n *corev1.Node, replacement string) error {
	id, before := t.Instance.ID, *t.Group
	if n != nil {
		if _, err := r.nodes.Apply(ctx, n, node.Retiring(time.Now())); err != nil {
			return err
		}
	}
	if !t.Instance.Retiring() {
		mark := asg.Retirement{At: time.Now(), Workflow: r.claims.Workflow, Group: before.Name, Node: r.report.NodeName, Replacement: replacement, Action: r.Action}
		if err := r.asg.MarkRetiring(ctx, id, mark); err != nil {
			return err
		}
	}
	after, err := r.asg.Detach(ctx, before.Name, id)
	if err != nil {
		return err
	}
	r.report.Change("instance %s: detached from Auto Scaling group %s", id, before.Name)
	differences := asg.Compare(before, after, id)
	for _, difference := range differences {
		r.report.Warn(ctx, difference)
	}
	if len(differences) == 0 {
		return nil
	}
	now, err := r.asg.Instance(ctx, id)
	if err != nil || !now.Gone() {
		return err
	}
	return r.sayWhatIsLeft(ctx, now)
}

// releaseReplacements gives newcomers that took the instance's place back to cluster-autoscaler.
func (r *Recycle) releaseReplacements(ctx context.Context, id string) error {
	replacements, err := r.nodes.ReplacementsOf(ctx, id)
	if err != nil {
		return err
	}
	for i := range replacements {
		if r.report.ReplacementInstance == node.InstanceID(replacements[i].Spec.ProviderID) {
			r.report.ReplacementNode = replacements[i].Name
		}
		if _, err := r.nodes.Apply(ctx, &replacements[i], node.Released(id)); err != nil {
			return err
		}
	}
	return nil
}

func (r *Recycle) planRetire(t asg.Target) error {
	if t.Group != nil {
		r.report.Change("instance %s: tag %s, detach from Auto Scaling group %s without decrementing its desired capacity %d", t.Instance.ID, asg.TagRetiredAt, t.Group.Name, t.Group.Desired)
	}
	r.report.Change("instance %s: %s", t.Instance.ID, r.Action)
	if r.report.NodeName != "" {
		r.report.Change("node %s: delete", r.report.NodeName)
	}
	return r.report.Done("would retire instance %s", t.Instance.ID)
}
