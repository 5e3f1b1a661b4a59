package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Alarm say what an alarm is about: an instance, or a group.
type Alarm struct {
	Name       string
	InstanceID string
	At         time.Time // when it went off; zero: not known
	Group      string
	CoolDown   time.Duration
}

// StartForAlarm starts one recycle, as a fleet of one would, and does not wait for it. An alarm that is to start none is no failure:
// the result says why.
func (r *Fleet) StartForAlarm(ctx context.Context, a Alarm) error {
	if !argo.IsWorkflow(r.claims.Workflow) && !r.DryRun {
		return hint.Errorf("argo submit --from workflowtemplate/recycle-alarm; with --dry-run it works anywhere", "step alarm runs in a workflow")
	}
	if age := time.Since(a.At); !a.At.IsZero() && age > a.CoolDown {
		return r.report.Done("no recycle is started: alarm %q went off %s ago", a.Name, age.Round(time.Second))
	}
	chosen, because, err := r.alarmed(ctx, a)
	switch {
	case err != nil:
		return err
	case because != "":
		return r.report.Done("no recycle is started: %s", because)
	}
	r.report.InstanceID, r.report.NodeName, r.report.ASGName = chosen.InstanceID, chosen.NodeName, chosen.ASGName
	name := argo.ChildName(chosen.InstanceID)
	if r.DryRun {
		r.report.Change("workflow %s: create, for instance %s (node %s)", name, chosen.InstanceID, chosen.NodeName)
		return r.report.Done("would recycle node %s", chosen.NodeName)
	}
	err = r.claims.CoolDown(ctx, chosen.ASGName, a.CoolDown)
	var cools *claim.HeldError
	if errors.As(err, &cools) {
		return r.report.Done("no recycle is started: %v", cools)
	}
	if err != nil {
		return err
	}
	started, err := r.argo.Start(ctx, argo.Submission{
		Namespace: r.claims.Namespace, Template: r.Template, Fleet: r.claims.Holder, Parameters: r.parameters(chosen),
		Child: argo.Child{Name: name, Instance: chosen.InstanceID, Node: chosen.NodeName, Group: chosen.ASGName, Zone: chosen.Zone},
	})
	switch {
	case errors.Is(err, argo.ErrTaken):
		return r.report.Done("no recycle is started: %v", err)
	case err != nil:
		return err
	case !started:
		return r.report.Done("workflow %s recycles node %s already", name, chosen.NodeName)
	}
	r.report.Change("workflow %s: created, for instance %s (node %s)", name, chosen.InstanceID, chosen.NodeName)
	return r.report.Done("workflow %s recycles node %s because of alarm %q", name, chosen.NodeName, a.Name)
}

// alarmed finds the node to recycle: the instance's, or the oldest of the group. because says why there is none.
func (r *Fleet) alarmed(ctx context.Context, a Alarm) (chosen Candidate, because string, err error) {
	group := a.Group
	if a.InstanceID != "" {
		target, err := r.asg.Lookup(ctx, a.InstanceID, "")
		switch {
		case errors.Is(err, asg.ErrUnknown):
			return chosen, err.Error(), nil
		case err != nil:
			return chosen, "", err
		case target.Group == nil:
			return chosen, fmt.Sprintf("instance %s belongs to no Auto Scaling group", a.InstanceID), nil
		case target.Lifecycle() != asg.InService:
			return chosen, fmt.Sprintf("instance %s is %s", a.InstanceID, target.Lifecycle()), nil
		case group != "" && group != target.Group.Name:
			return chosen, fmt.Sprintf("instance %s is in Auto Scaling group %s, not in %s", a.InstanceID, target.Group.Name, group), nil
		}
		group = target.Group.Name
	}
	all, err := r.selectNodes(ctx, Criteria{ASGs: []string{group}, NodeSelector: labels.Everything()})
	if err != nil {
		return chosen, "", err
	}
	for _, c := range all.nodes {
		if a.InstanceID == "" || c.InstanceID == a.InstanceID {
			return c, "", nil
		}
	}
	if a.InstanceID != "" {
		return chosen, fmt.Sprintf("instance %s has no Node, is being recycled, or is to be left alone", a.InstanceID), nil
	}
	return chosen, strings.TrimSpace(fmt.Sprintf("Auto Scaling group %s has no node in service that may be recycled", group)), nil
}
