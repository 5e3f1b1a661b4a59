package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// Queued is one recycle that waits until its group's budget has room: of an instance, of a Node, or of the oldest node of a
// group.
type Queued struct {
	InstanceID, Node, Group string
	Reason                  string        // for people
	Since                   time.Time     // of the reason; zero: not known
	CoolDown                time.Duration // after which the reason counts no more, and for which no other one starts a recycle; 0: none
	Scheduled               bool          // the reason is a scheduled event of EC2
}

// Admit waits for room, as a fleet of one would, starts the recycle, and does not wait for its end. One whose reason no longer
// holds when its turn comes is no failure: the result says why nothing is started.
func (r *Fleet) Admit(ctx context.Context, q Queued) error {
	if !argo.IsWorkflow(r.claims.Workflow) && !r.DryRun {
		return hint.Errorf("argo submit --from workflowtemplate/recycle-queued; with --dry-run it works anywhere", "step admit runs in a workflow")
	}
	if !r.DryRun { // an earlier attempt may have started it
		begun, err := r.argo.Children(ctx, r.claims.Namespace, r.claims.Holder)
		if err != nil {
			return err
		}
		if len(begun) > 0 {
			c := begun[0]
			r.report.InstanceID, r.report.NodeName, r.report.ASGName = c.Instance, c.Node, c.Group
			return r.report.Done("workflow %s recycles node %s already", c.Name, c.Node)
		}
	}
	loop := r.wait
	loop.Interval = fleetLook
	var seen *selection // while it waits for room, neither AWS nor the Nodes are asked
	return loop.Until(ctx, func(ctx context.Context) (done bool, status string, err error) {
		if text := r.Window.Closed(time.Now()); text != "" && !r.DryRun {
			return false, text, nil
		} else if text != "" {
			r.report.Warn(ctx, text)
		}
		if seen != nil {
			full, _, err := r.full(ctx, seen)
			if err != nil || full != "" {
				return false, full, err
			}
		}
		chosen, because, err := r.needed(ctx, q)
		if err != nil || because != "" {
			return because != "", "", r.notStarted(err, because)
		}
		seen = chosen
		c := chosen.nodes[0]
		r.report.InstanceID, r.report.NodeName, r.report.ASGName = c.InstanceID, c.NodeName, c.ASGName
		if r.DryRun {
			r.report.Change("workflow %s: create, for instance %s (node %s)", argo.ChildName(c.InstanceID), c.InstanceID, c.NodeName)
			return true, "", r.report.Done("would recycle node %s", c.NodeName)
		}
		err = r.claims.WithFleetLock(ctx, r.wait, func(ctx context.Context) error {
			done, status, err = r.admit(ctx, q, chosen)
			return err
		})
		return done, status, err
	})
}

// full says why the budget has no room for the first of a selection, or "". busy says that somebody recycles it already.
func (r *Fleet) full(ctx context.Context, chosen *selection) (because string, busy bool, err error) {
	inProgress, err := r.inProgress(ctx)
	if err != nil {
		return "", false, err
	}
	c := chosen.nodes[0]
	sizes := map[string]int{}
	for _, i := range chosen.inventories {
		sizes[i.Name] = i.Size
	}
	busy = slices.ContainsFunc(inProgress, func(n argo.Child) bool { return n.Instance == c.InstanceID })
	if busy || len(Next([]argo.Child{r.child(c)}, inProgress, sizes, r.Limits)) > 0 {
		return "", busy, nil
	}
	return fmt.Sprintf("node %s waits: Auto Scaling group %s has as many nodes in progress as its budget allows, %d", c.NodeName, c.ASGName, r.MaxUnavailable.Of(sizes[c.ASGName])), false, nil
}

func (r *Fleet) notStarted(err error, because string) error {
	if err != nil {
		return err
	}
	r.report.NothingStarted = true
	return r.report.Done("no recycle is started: %s", because)
}

// admit starts the recycle if the budget has room. It runs while nobody else starts any.
func (r *Fleet) admit(ctx context.Context, q Queued, chosen *selection) (done bool, status string, err error) {
	c := chosen.nodes[0]
	full, busy, err := r.full(ctx, chosen)
	switch {
	case err != nil || full != "":
		return false, full, err
	case busy:
		return true, "", r.notStarted(nil, fmt.Sprintf("instance %s is being recycled", c.InstanceID))
	}
	child := r.child(c)
	if q.CoolDown > 0 {
		err := r.claims.CoolDown(ctx, c.ASGName, q.CoolDown)
		var cools *claim.HeldError
		if errors.As(err, &cools) {
			return true, "", r.notStarted(nil, cools.Error())
		}
		if err != nil {
			return false, "", err
		}
	}
	started, err := r.argo.Start(ctx, argo.Submission{
		Namespace: r.claims.Namespace, Template: r.Template, Fleet: r.claims.Holder, Parameters: r.parameters(c), Child: child,
	})
	switch {
	case errors.Is(err, argo.ErrTaken):
		return true, "", r.notStarted(nil, err.Error())
	case err != nil:
		return false, "", err
	case !started:
		return true, "", r.report.Done("workflow %s recycles node %s already", child.Name, c.NodeName)
	}
	r.report.Change("workflow %s: created, for instance %s (node %s)", child.Name, c.InstanceID, c.NodeName)
	if q.Reason == "" {
		return true, "", r.report.Done("workflow %s recycles node %s", child.Name, c.NodeName)
	}
	return true, "", r.report.Done("workflow %s recycles node %s: %s", child.Name, c.NodeName, q.Reason)
}

// needed finds the node to recycle, the first of the selection. because says why there is none, or none any more.
func (r *Fleet) needed(ctx context.Context, q Queued) (all *selection, because string, err error) {
	if age := time.Since(q.Since); !q.Since.IsZero() && q.CoolDown > 0 && age > q.CoolDown {
		return nil, fmt.Sprintf("its reason, %s, is %s old", q.Reason, age.Round(time.Second)), nil
	}
	group := q.Group
	id, err := r.instance(ctx, q)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Sprintf("node %s does not exist in this cluster", q.Node), nil
	}
	if err != nil {
		return nil, "", err
	}
	if id != "" {
		target, err := r.asg.Lookup(ctx, id, "")
		switch {
		case errors.Is(err, asg.ErrUnknown):
			return nil, err.Error(), nil
		case err != nil:
			return nil, "", err
		case q.Node != "" && !r.nodes.IsCalled(q.Node, node.NamesOf(id, target.Instance.PrivateDNSName, r.report.Region)):
			return nil, fmt.Sprintf("node %s says that it is instance %s, which EC2 calls otherwise", q.Node, id), nil
		case target.Group == nil:
			return nil, fmt.Sprintf("instance %s belongs to no Auto Scaling group", id), nil
		case target.Lifecycle() != asg.InService:
			return nil, fmt.Sprintf("instance %s is %s", id, target.Lifecycle()), nil
		case group != "" && group != target.Group.Name:
			return nil, fmt.Sprintf("instance %s is in Auto Scaling group %s, not in %s", id, target.Group.Name, group), nil
		}
		group = target.Group.Name
	}
	if q.Scheduled {
		scheduled, err := r.asg.ScheduledEvents(ctx, id)
		if err != nil {
			return nil, "", err
		}
		if len(scheduled) == 0 {
			return nil, fmt.Sprintf("EC2 has no scheduled event for instance %s any more", id), nil
		}
	}
	if all, err = r.selectNodes(ctx, Criteria{ASGs: []string{group}, NodeSelector: labels.Everything()}); err != nil {
		return nil, "", err
	}
	for i, c := range all.nodes {
		if id == "" || c.InstanceID == id {
			all.nodes = all.nodes[i : i+1]
			return all, "", nil
		}
	}
	if id != "" {
		return nil, fmt.Sprintf("instance %s has no Node, is being recycled, or is to be left alone", id), nil
	}
	return nil, fmt.Sprintf("Auto Scaling group %s has no node in service that may be recycled", group), nil
}

// instance is the one that is meant, or "" if a group is.
func (r *Fleet) instance(ctx context.Context, q Queued) (string, error) {
	if q.Node == "" {
		return q.InstanceID, nil
	}
	n, err := r.nodes.Get(ctx, q.Node)
	if err != nil {
		return "", err
	}
	id := node.InstanceID(n.Spec.ProviderID)
	if id == "" {
		return "", fmt.Errorf("node %q has providerID %q, which names no EC2 instance", n.Name, n.Spec.ProviderID)
	}
	return id, nil
}
