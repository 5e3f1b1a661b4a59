package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// SelectOptions say where to look for nodes, which of them to recycle, and how many. They are checked by readSelect.
type SelectOptions struct {
	ASGs, NodeGroups, Tags           []string
	NodeSelector                     string
	MinAge                           time.Duration
	Drifted, KubeletOlder, Requested bool
	Conditions                       []string
	LaunchedBefore                   time.Time
	Limit                            int
	Output                           string
}

func selectFlags() []cli.Flag {
	return []cli.Flag{
		text("asg", "", "nodes of these Auto Scaling groups, comma-separated `NAMES`"),
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

func readSelect(c *cli.Context, o *Options) (err error) {
	s := SelectOptions{
		ASGs: names(set(c, "asg")), NodeGroups: names(set(c, "nodegroup")), Tags: names(set(c, "tag")), NodeSelector: set(c, "node-selector"),
		Drifted: c.Bool("drifted"), KubeletOlder: c.Bool("kubelet-older-than-control-plane"), Requested: c.Bool("requested"),
		Conditions: names(set(c, "condition")), Limit: c.Int("limit"), Output: c.String("output"),
	}
	if len(s.ASGs)+len(s.NodeGroups)+len(s.Tags) == 0 && s.NodeSelector == "" && !c.Bool("finish") {
		return hint.Errorf("for a whole cluster: --tag kubernetes.io/cluster/NAME=owned", "give at least one of --asg, --nodegroup, --tag and --node-selector")
	}
	if _, err := labels.Parse(s.NodeSelector); err != nil {
		return hint.Errorf(`for example "team=a,tier in (gold, silver),!preemptible"`, "node selector %q is malformed: %w", s.NodeSelector, err)
	}
	if s.MinAge = duration(c, "min-age"); s.MinAge == 0 && set(c, "min-age") != "" {
		return notALength(c, "min-age")
	}
	if _, err := parseConditions(s.Conditions); err != nil {
		return err
	}
	if before := set(c, "launched-before"); before != "" {
		if s.LaunchedBefore, err = time.Parse(time.RFC3339, before); err != nil {
			return hint.Errorf("for example 2026-01-31T00:00:00Z", "--launched-before %q is no RFC 3339 time", before)
		}
	}
	if s.Limit < 0 {
		return fmt.Errorf("--limit must not be negative")
	}
	o.Select = s
	return nil
}

// names splits a comma-separated list.
func names(text string) (all []string) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" && !slices.Contains(all, part) {
			all = append(all, part)
		}
	}
	return all
}

func parseConditions(all []string) (conditions []node.Condition, err error) {
	for _, text := range all {
		kind, status, given := strings.Cut(text, "=")
		if !given {
			status = string(corev1.ConditionTrue)
		}
		if kind == "" || !slices.Contains([]string{"True", "False", "Unknown"}, status) {
			return nil, hint.Errorf("for example MemoryPressure, or Ready=Unknown", "condition %q is malformed: it is TYPE, or TYPE=STATUS with the status True, False or Unknown", text)
		}
		conditions = append(conditions, node.Condition{Type: corev1.NodeConditionType(kind), Status: corev1.ConditionStatus(status)})
	}
	return conditions, nil
}

// source is what of the options says which groups to read.
func (o SelectOptions) source(cluster string) asg.Source {
	s := asg.Source{Names: o.ASGs, NodeGroups: o.NodeGroups, Cluster: cluster}
	for _, tag := range o.Tags {
		key, value, given := strings.Cut(tag, "=")
		s.Tags = append(s.Tags, asg.TagMatch{Key: key, Value: value, Any: !given})
	}
	return s
}

// byNodeOnly says that no group is named: they are those of the instances behind the Nodes.
func (o SelectOptions) byNodeOnly() bool { return len(o.ASGs)+len(o.NodeGroups)+len(o.Tags) == 0 }

// selectStep lists the nodes to recycle. It changes nothing.
func selectStep(ctx context.Context, r *session) error {
	s, err := r.selectNodes(ctx)
	if err != nil {
		return err
	}
	r.result.Nodes = s.nodes
	return r.done("%d node(s) selected", len(r.result.Nodes))
}

// table is the result for people.
func table(out io.Writer, nodes []Candidate) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "INSTANCE\tNODE\tGROUP\tZONE\tAGE\tREASONS") // Flush says what went wrong
	for _, c := range nodes {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", c.InstanceID, c.NodeName, c.ASGName, c.Zone, c.Age, strings.Join(c.Reasons, "; "))
	}
	return w.Flush()
}
