package recycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// Retire takes the instance out of its group, stops or terminates it, and deletes its Node. It begins inside of the maintenance
// window. What has begun is brought to its end.
func (r *Recycle) Retire(ctx context.Context) error {
	s, err := r.lookup(ctx)
	if err != nil {
		return err
	}
	if r.DryRun {
		return r.planRetire(ctx, s)
	}
	if err := mayRetire(s); err != nil {
		return err
	}
	if !s.stage.forward() && r.closed() {
		if err := r.goesOn(ctx, s, r.awaitWindow); err != nil {
			return err
		}
		return r.Retire(ctx)
	}
	err = r.goesOn(ctx, s, func(ctx context.Context) error {
		if !s.stage.forward() {
			if s.node, err = r.requireCordoned(ctx, s); err != nil {
				return err
			}
		}
		return r.finish(ctx, s)
	})
	if errors.Is(err, errClosed) {
		return r.Retire(ctx)
	}
	return err
}

// mayRetire refuses what no standby step has prepared.
func mayRetire(s subject) error {
	id := s.Instance.ID
	switch {
	case s.stage.forward():
		return nil
	case s.Group == nil:
		return hint.Errorf("stop or terminate it by hand if nobody needs it", "instance %q belongs to no Auto Scaling group, and no recycle took it out", id)
	case s.node == nil:
		return fmt.Errorf("instance %q has no Node in this cluster", id)
	case s.stage == Waiting, s.stage == Returning:
		return hint.Errorf("run step standby first", "instance %q may not be retired: nothing says which instance took its place", id)
	case s.stage != Replaced:
		return hint.Errorf("run step standby first", "instance %q is %s, not on standby: stopping it now would cost the group capacity", id, s.Lifecycle())
	default:
		return checkCordoned(s)
	}
}

// finish brings a recycle to its end, from wherever it is: it goes forward only once the detach is announced. The record goes
// last: as long as it is there, it says what is left to do.
func (r *Recycle) finish(ctx context.Context, s subject) error {
	id := s.Instance.ID
	replacement := s.Instance.Tags[asg.TagReplacement]
	if all := r.held.Record().Replacements; len(all) > 0 {
		replacement = all[0]
	}
	r.report.ReplacementInstance = replacement
	runs := s.Group != nil && s.Instance.State == "running" // until a moment ago
	if s.Group != nil {
		if err := r.finalPodCheck(ctx, s.node); err != nil {
			return err
		}
		if !s.stage.forward() && r.closed() { // pods were waited for
			return errClosed
		}
		terminates, err := r.detach(ctx, s, replacement)
		if err != nil {
			return err
		}
		runs = runs && !terminates
	}
	if s.Instance.State != asg.Unknown {
		if err := r.asg.ShutDown(ctx, id, r.Action, runs, r.podCheck(s.node)); err != nil {
			return err
		}
	}
	r.report.Change("instance %s: %s", id, r.Action.Past())
	if s.node != nil {
		r.nodes.Event(ctx, s.node, "RecycleDone", fmt.Sprintf("instance %s is %s", id, r.Action.Past()))
		if err := r.nodes.Delete(ctx, s.node); err != nil {
			return err
		}
		r.report.Change("node %s: deleted", s.node.Name)
	}
	if err := r.end(ctx, s.Target); err != nil {
		return err
	}
	return r.report.Done("instance %s is %s, its Node is deleted", id, r.Action.Past())
}

func (r *Recycle) podCheck(n *corev1.Node) func(context.Context) error {
	return func(ctx context.Context) error { return r.finalPodCheck(ctx, n) }
}

// finalPodCheck makes sure that no pod that matters runs on the node. One that tolerates every taint may have come late; it is
// waited for like the others, and as long.
func (r *Recycle) finalPodCheck(ctx context.Context, n *corev1.Node) error {
	if n == nil {
		return nil
	}
	if record := r.held.Record(); r.mayEvictAll(&record) {
		return nil
	}
	now, err := r.pods.Left(ctx, r.host(n), r.Pods)
	if err != nil || now.Drained() {
		return err
	}
	r.waiting(now.Left)
	if err := r.draining(ctx); err != nil {
		return err
	}
	end := r.drainEnds(r.held.Record())
	result, err := r.pods.Await(ctx, r.host(n), r.Pods, end.at, r.reportPods(ctx, n))
	if err == nil && !result.Drained() && !r.EvictOnTimeout { // which goes on as it would have at the beginning
		return stillRun(n.Name, result.Left, end)
	}
	return err
}

// detach announces the detach in the record and in tags, which outlive Node and record, and makes it.
func (r *Recycle) detach(ctx context.Context, s subject, replacement string) (terminates bool, err error) {
	id, before := s.Instance.ID, *s.Group
	now := time.Now().UTC().Truncate(time.Second)
	if r.held.Record().RetiringSince.IsZero() && !s.Instance.Gone() { // the last moment at which it may stay
		if err := r.checkProtection(ctx, id); err != nil {
			return false, err
		}
	}
	err = r.held.Update(ctx, func(record *claim.Record) {
		if record.RetiringSince.IsZero() {
			record.RetiringSince, record.Action = now, string(r.Action)
		}
	})
	if err != nil {
		return false, err
	}
	if !s.Instance.Retiring() && s.Instance.State != asg.Unknown {
		mark := asg.Retirement{At: now, Workflow: r.claims.Workflow, Group: before.Name, Node: r.report.NodeName, Replacement: replacement, Action: r.Action}
		if err := r.asg.MarkRetiring(ctx, id, mark); err != nil {
			return false, err
		}
	}
	after, terminates, err := r.asg.Detach(ctx, before, id, r.Action == asg.Terminate || s.Instance.Gone(), r.podCheck(s.node))
	if err != nil {
		return false, err
	}
	r.report.Change("instance %s: detached from Auto Scaling group %s", id, before.Name)
	for _, difference := range asg.Compare(before, after, id) {
		r.report.Warn(ctx, difference)
	}
	return terminates, nil
}

// checkProtection refuses an instance that may not be shut down.
func (r *Recycle) checkProtection(ctx context.Context, id string) error {
	unknown, err := r.asg.CheckProtection(ctx, id, r.Action)
	if unknown != "" {
		r.report.Warn(ctx, unknown)
	}
	return err
}

// releaseReplacements takes the marks off Nodes that took the instance's place: cluster-autoscaler may remove them again.
func (r *Recycle) releaseReplacements(ctx context.Context, id string) error {
	nodes, err := r.nodes.ReplacementsOf(ctx, id)
	if err != nil {
		return err
	}
	for i := range nodes {
		if r.report.ReplacementInstance == node.InstanceID(nodes[i].Spec.ProviderID) {
			r.report.ReplacementNode = nodes[i].Name
		}
		if _, err := r.nodes.Apply(ctx, &nodes[i], node.Released(id)); err != nil {
			return err
		}
	}
	return nil
}

func (r *Recycle) planRetire(ctx context.Context, s subject) error {
	r.warnClosed(ctx)
	if s.Group != nil {
		r.report.Change("instance %s: tag %s, detach from Auto Scaling group %s without decrementing its desired capacity %d", s.Instance.ID, asg.TagRetiredAt, s.Group.Name, s.Group.Desired)
	}
	r.report.Change("instance %s: %s", s.Instance.ID, r.Action)
	if s.node != nil {
		r.report.Change("node %s: delete", s.node.Name)
	}
	return r.report.Done("would retire instance %s", s.Instance.ID)
}

// asRecorded takes over what the recycle was asked for from its record, for a run that finishes what another one began. A
// record that says nothing leaves the run's own request.
func (r *Recycle) asRecorded(record claim.Record) error {
	if action, err := asg.ParseAction(record.Action); err == nil {
		r.Action = action
	}
	if slices.Contains([]string{"fail", "evict"}, record.OnTimeout) {
		r.EvictOnTimeout = record.OnTimeout == "evict"
	}
	pods, err := drain.ParseSelection(record.LabelSelector, record.Namespaces)
	pods.Disruptable, pods.Own = record.Disruptable, r.Pods.Own
	if err != nil {
		return err
	}
	r.Pods = pods
	return nil
}
