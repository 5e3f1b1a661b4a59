package fleet

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// inspected is all that a selection knows of one node.
type inspected struct {
	node      node.Info
	serving   asg.Serving
	launched  asg.Launched
	inventory *asg.Inventory
	drift     []string
}

// selection is what was chosen, in the order in which to recycle it, and what a later look at one of these compares with.
type selection struct {
	nodes        []Candidate
	inventories  []asg.Inventory
	inspected    map[string]inspected // by instance
	controlPlane string               // its version, if it was asked for
}

// skipped counts what a selection passes over, by why.
type skipped map[string]int

func (s skipped) String() string {
	parts := make([]string, 0, len(s))
	for _, why := range slices.Sorted(maps.Keys(s)) {
		parts = append(parts, fmt.Sprintf("%d %s", s[why], why))
	}
	return strings.Join(parts, ", ")
}

// Select lists the nodes to recycle, in the order in which to recycle them. It changes nothing.
func (r *Fleet) Select(ctx context.Context) ([]Candidate, error) {
	s, err := r.selectNodes(ctx, r.Criteria)
	if err != nil {
		return nil, err
	}
	return s.nodes, r.report.Done("%d node(s) selected", len(s.nodes))
}

// selectNodes finds the nodes to recycle.
func (r *Fleet) selectNodes(ctx context.Context, o Criteria) (*selection, error) {
	skip := skipped{}
	var inventories []asg.Inventory
	var err error
	if !o.byNodeOnly() {
		if inventories, err = r.asg.Inventories(ctx, o.source(r.Cluster)); err != nil {
			return nil, err
		}
		if len(inventories) == 0 {
			r.log.InfoContext(ctx, "no Auto Scaling group matches")
			return &selection{}, nil
		}
	}
	infos, err := r.nodes.Infos(ctx, o.NodeSelector.String(), o.Conditions)
	if err != nil {
		return nil, err
	}
	var known map[string]asg.Launched
	if o.byNodeOnly() {
		if known, inventories, err = r.inventoriesOf(ctx, infos); err != nil {
			return nil, err
		}
	}
	all := join(infos, inventories, o, skip)
	if known == nil {
		ids := make([]string, 0, len(all))
		for i := range all {
			ids = append(ids, all[i].serving.ID)
		}
		if known, err = r.asg.Launched(ctx, ids); err != nil {
			return nil, err
		}
	}
	all = r.running(all, known, skip)
	if o.Drifted {
		if err := r.compare(ctx, all); err != nil {
			return nil, err
		}
	}
	controlPlane := ""
	if o.KubeletOlder {
		if controlPlane, err = r.nodes.ControlPlane(ctx); err != nil {
			return nil, err
		}
	}
	chosen := spread(candidates(all, o, controlPlane, time.Now()))
	r.report.Begun = true
	s := &selection{inventories: inventories, inspected: make(map[string]inspected, len(all)), controlPlane: controlPlane}
	for _, i := range all {
		s.inspected[i.serving.ID] = i
	}
	r.log.InfoContext(ctx, "nodes selected", "chosen", len(chosen), "of", len(all), "limit", o.Limit, "skipped", skip.String())
	if o.Limit > 0 && len(chosen) > o.Limit {
		chosen = chosen[:o.Limit]
	}
	s.nodes = chosen
	return s, nil
}

// inventoriesOf finds the groups by the instances behind the Nodes.
func (r *Fleet) inventoriesOf(ctx context.Context, infos []node.Info) (known map[string]asg.Launched, inventories []asg.Inventory, err error) {
	var ids, groups []string
	for _, f := range infos {
		if f.InstanceID != "" && !f.Karpenter {
			ids = append(ids, f.InstanceID)
		}
	}
	if known, err = r.asg.Launched(ctx, ids); err != nil {
		return nil, nil, err
	}
	seen := map[string]bool{"": true}
	for _, l := range known {
		if !seen[l.Group] {
			seen[l.Group], groups = true, append(groups, l.Group)
		}
	}
	if len(groups) > 0 {
		inventories, err = r.asg.Inventories(ctx, asg.Source{Names: groups})
	}
	return known, inventories, err
}

// join brings together Nodes and members of groups, and passes over what is not to be recycled whatever its age. Nodes of
// other groups and members that the label selector leaves out are not in the sources: they are not counted.
func join(infos []node.Info, inventories []asg.Inventory, o Criteria, skip skipped) (all []inspected) {
	members := map[string]inspected{}
	for i := range inventories {
		for _, m := range inventories[i].Members {
			members[m.ID] = inspected{serving: m, inventory: &inventories[i]}
		}
	}
	for _, f := range infos {
		i, member := members[f.InstanceID]
		delete(members, f.InstanceID)
		var why string
		switch {
		case f.Karpenter:
			why = "Karpenter's"
		case f.InstanceID == "":
			why = "without an EC2 instance"
		case !member:
			why = "in no group"
		case i.serving.Lifecycle != asg.InService:
			why = "not in service"
		case f.Skip:
			why = "to be left alone"
		case f.Leaving:
			why = "in progress"
		default:
			i.node = f
			all = append(all, i)
			continue
		}
		if member || o.byNodeOnly() {
			skip[why]++
		}
	}
	for _, i := range members {
		switch {
		case !o.NodeSelector.Empty():
		case i.serving.Lifecycle != asg.InService:
			skip["not in service"]++
		default:
			skip["without a Node"]++
		}
	}
	return all
}

// running adds what EC2 knows, and passes over instances that a recycle is taking out or that do not run.
func (r *Fleet) running(all []inspected, known map[string]asg.Launched, skip skipped) []inspected {
	kept := all[:0]
	for _, i := range all {
		launched, found := known[i.serving.ID]
		switch {
		case launched.Retiring:
			skip["in progress"]++
		case !r.nodes.IsCalled(i.node.Name, node.NamesOf(launched.ID, launched.PrivateDNSName, r.report.Region)):
			skip["named unlike their instances"]++
		case !found || launched.State != "running":
			skip["not running"]++
		default:
			i.launched = launched
			kept = append(kept, i)
		}
	}
	return kept
}

// compare finds out in what the nodes differ from what their groups would launch now.
func (r *Fleet) compare(ctx context.Context, all []inspected) error {
	now := r.launching()
	for i := range all {
		specs, err := now.of(ctx, all[i].inventory)
		if err != nil {
			return err
		}
		all[i].drift = asg.Drift(all[i].serving, all[i].launched.Image, specs)
	}
	return nil
}

// launching knows what groups would launch now. It asks for each once.
type launching struct {
	*Fleet
	templates asg.Templates
	specs     map[*asg.Inventory][]asg.LaunchSpec
}

func (r *Fleet) launching() *launching {
	return &launching{Fleet: r, templates: asg.Templates{Describe: r.asg.Instances.DescribeLaunchTemplateVersions}, specs: map[*asg.Inventory][]asg.LaunchSpec{}}
}

func (l *launching) of(ctx context.Context, inventory *asg.Inventory) ([]asg.LaunchSpec, error) {
	if specs, known := l.specs[inventory]; known {
		return specs, nil
	}
	specs, gone, err := l.templates.Launches(ctx, inventory.Launches)
	if err != nil {
		return nil, err
	}
	if gone != "" {
		specs = nil
		l.report.Warn(ctx, fmt.Sprintf("launch template %s of Auto Scaling group %s does not exist in the version that the group names: cannot check its nodes for drift, and the group cannot replace any", gone, inventory.Name))
	}
	l.specs[inventory] = specs
	return specs, nil
}
