package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/fleet"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/labels"
)

func selectFlags() []cli.Flag {
	return []cli.Flag{
		text("asg", "", "nodes of these Auto Scaling groups, comma-separated `NAMES`, with \\, for a comma in a name"),
		text("nodegroup", "", "nodes of these EKS managed node groups, comma-separated `NAMES`"),
		text("node-selector", "", "nodes that match a label `SELECTOR`"),
		text("tag", "", "nodes of the Auto Scaling groups with these tags, comma-separated `KEY=VALUE` or KEY"),
		length("min-age", 0, "select those launched at least so long ago"),
		&cli.BoolFlag{Name: "drifted", EnvVars: env("drifted"), Usage: "select those that their group would launch otherwise now"},
		&cli.BoolFlag{Name: "kubelet-older-than-control-plane", EnvVars: env("kubelet-older-than-control-plane"), Usage: "select those whose kubelet is of an older minor version than the control plane"},
		text("condition", "", "select those with one of these conditions, comma-separated `TYPE` or TYPE=STATUS"),
		&cli.BoolFlag{Name: "requested", EnvVars: env("requested"), Usage: "select those annotated " + node.AnnotationRecycle + "=requested"},
		text("launched-before", "", "of all these, only those launched before this `TIME`, RFC 3339"),
		&cli.IntFlag{Name: "limit", EnvVars: env("limit"), Usage: "at most this `NUMBER` of nodes; 0 means all"},
		text("output", "json", "json or table"),
	}
}

// readSelect reads which nodes are meant.
func readSelect(c *cli.Context, o *Options) (err error) {
	s := fleet.Criteria{
		ASGs: names(set(c, "asg")), NodeGroups: names(set(c, "nodegroup")), MinAge: duration(c, "min-age"),
		Drifted: c.Bool("drifted"), KubeletOlder: c.Bool("kubelet-older-than-control-plane"), Requested: c.Bool("requested"), Limit: c.Int("limit"),
	}
	for _, tag := range names(set(c, "tag")) {
		key, value, given := strings.Cut(tag, "=")
		s.Tags = append(s.Tags, asg.TagMatch{Key: key, Value: value, Any: !given})
	}
	nodes := set(c, "node-selector")
	if len(s.ASGs)+len(s.NodeGroups)+len(s.Tags) == 0 && nodes == "" && !c.Bool("finish") {
		return hint.Errorf("for a whole cluster: --tag kubernetes.io/cluster/NAME=owned", "give at least one of --asg, --nodegroup, --tag and --node-selector")
	}
	if s.NodeSelector, err = labels.Parse(nodes); err != nil {
		return hint.Errorf(`for example "team=a,tier in (gold, silver),!preemptible"`, "node selector %q is malformed: %w", nodes, err)
	}
	if s.MinAge == 0 && set(c, "min-age") != "" {
		return notALength(c, "min-age")
	}
	for _, text := range names(set(c, "condition")) {
		condition, err := node.ParseCondition(text)
		if err != nil {
			return err
		}
		s.Conditions = append(s.Conditions, condition)
	}
	if before := set(c, "launched-before"); before != "" {
		if s.LaunchedBefore, err = time.Parse(time.RFC3339, before); err != nil {
			return hint.Errorf("for example 2026-01-31T00:00:00Z", "--launched-before %q is no RFC 3339 time", before)
		}
	}
	if s.Limit < 0 {
		return fmt.Errorf("--limit must not be negative")
	}
	o.Fleet.Criteria = s
	return nil
}

// names splits a comma-separated list. A comma that belongs to a name is written \,: names of groups and values of tags may
// have some.
func names(text string) (all []string) {
	const comma = "\x00" // is in no flag
	for part := range strings.SplitSeq(strings.ReplaceAll(text, `\,`, comma), ",") {
		if part = strings.ReplaceAll(strings.TrimSpace(part), comma, ","); part != "" && !slices.Contains(all, part) {
			all = append(all, part)
		}
	}
	return all
}

func runSelect(ctx context.Context, i *invocation) (err error) {
	i.nodes, err = i.manyNodes().Select(ctx)
	return err
}
