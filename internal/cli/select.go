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

// SelectOptions say which nodes are to be recycled: where from, and why. Sources that are given must all fit, of the
// reasons one suffices, and with no reason asked for every node of the sources is selected.
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

// Candidate is a node that is to be recycled.
type Candidate struct {
	InstanceID string    `json:"instanceId"`
	NodeName   string    `json:"nodeName"`
	ASGName    string    `json:"asgName"`
	Zone       string    `json:"zone"`
	LaunchTime time.Time `json:"launchTime"`
	Age        string    `json:"age"`
	Reasons    []string  `json:"reasons"`
}

func selectFlags() []cli.Flag {
	return []cli.Flag{
		text("asg", "", "comma-separated `NAMES` of Auto Scaling groups"),
		text("nodegroup", "", "comma-separated `NAMES` of EKS managed node groups, by the tag that EKS puts on their groups"),
		text("node-selector", "", "label `SELECTOR` of Nodes"),
		text("tag", "", "comma-separated `KEY=VALUE` or KEY that the Auto Scaling group carries"),
		text("min-age", "", "reason: the instance was launched so long ago (a `DURATION` like 14d, 36h or 14d12h)"),
		&cli.BoolFlag{Name: "drifted", EnvVars: env("drifted"), Usage: "reason: launch template version, AMI or instance type are not what the group would launch now"},
		&cli.BoolFlag{Name: "kubelet-older-than-control-plane", EnvVars: env("kubelet-older-than-control-plane"), Usage: "reason: the kubelet's minor version is older than the API server's"},
		text("condition", "", "reason: comma-separated node conditions, `TYPE` or TYPE=STATUS, such as MemoryPressure or Ready=Unknown"),
		&cli.BoolFlag{Name: "requested", EnvVars: env("requested"), Usage: "reason: the Node is annotated " + node.AnnotationRecycle + "=requested"},
		text("launched-before", "", "only instances launched before this `TIME`, RFC 3339"),
		&cli.IntFlag{Name: "limit", EnvVars: env("limit"), Usage: "at most this `NUMBER` of nodes; 0 means all"},
		text("output", "json", "json, or table for people"),
	}
}

func readSelect(c *cli.Context, o *Options) (err error) {
	s := SelectOptions{
		ASGs: words(c, "asg"), NodeGroups: words(c, "nodegroup"), Tags: words(c, "tag"), NodeSelector: set(c, "node-selector"),
		Drifted: c.Bool("drifted"), KubeletOlder: c.Bool("kubelet-older-than-control-plane"), Requested: c.Bool("requested"),
		Conditions: words(c, "condition"), Limit: c.Int("limit"), Output: c.String("output"),
	}
	if len(s.ASGs)+len(s.NodeGroups)+len(s.Tags) == 0 && s.NodeSelector == "" && !c.Bool("finish") {
		return hint.Errorf("the whole cluster is --tag kubernetes.io/cluster/NAME=owned", "say where to select from: --asg, --nodegroup, --node-selector or --tag")
	}
	if _, err := labels.Parse(s.NodeSelector); err != nil {
		return fmt.Errorf("--node-selector %q is malformed: %w", s.NodeSelector, err)
	}
	for _, tag := range s.Tags {
		if _, err := asg.ParseTag(tag); err != nil {
			return fmt.Errorf("--tag: %w", err)
		}
	}
	if s.MinAge, err = days(set(c, "min-age")); err != nil {
		return fmt.Errorf("--min-age: %w", err)
	}
	if before := set(c, "launched-before"); before != "" {
		if s.LaunchedBefore, err = time.Parse(time.RFC3339, before); err != nil {
			return hint.Errorf("for example 2026-01-31T22:00:00Z", "--launched-before %q is malformed", before)
		}
	}
	if s.Limit < 0 {
		return fmt.Errorf("--limit must not be negative")
	}
	if !slices.Contains([]string{"json", "table"}, s.Output) {
		return fmt.Errorf("--output %q is not one of: json, table", s.Output)
	}
	o.Select = s
	return nil
}

// words splits a flag at its commas.
func words(c *cli.Context, name string) (all []string) {
	for _, word := range strings.Split(set(c, name), ",") {
		if word = strings.TrimSpace(word); word != "" {
			all = append(all, word)
		}
	}
	return all
}

// days reads a duration that may begin with days, which Go's own do not have.
func days(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	var n int
	number, rest, found := strings.Cut(text, "d")
	if !found {
		number, rest = "0", text
	}
	if _, err := fmt.Sscanf(number, "%d", &n); err != nil || fmt.Sprint(n) != number || n > 36500 {
		return 0, hint.Errorf("for example 14d, 36h or 14d12h", "duration %q is malformed", text)
	}
	length := time.Duration(0)
	if rest != "" {
		var err error
		if length, err = time.ParseDuration(rest); err != nil {
			return 0, hint.Errorf("for example 14d, 36h or 14d12h", "duration %q is malformed", text)
		}
	}
	if length += time.Duration(n) * 24 * time.Hour; length < 0 {
		return 0, fmt.Errorf("duration %q is negative", text)
	}
	return length, nil
}

// selectStep prints the nodes that are to be recycled.
func selectStep(ctx context.Context, r *session) error {
	nodes, err := r.selectNodes(ctx)
	if err != nil {
		return err
	}
	if r.result.Nodes = nodes; nodes == nil {
		r.result.Nodes = []Candidate{}
	}
	return r.done("%d node(s) selected", len(nodes))
}

// selectNodes reads what is needed to choose, in pages, and returns the chosen in the order of their turn. It makes no call
// for a single node: 5,000 nodes take as many calls as there are pages.
func (r *session) selectNodes(ctx context.Context) ([]Candidate, error) {
	nodes := map[string]nodeFacts{}
	err := r.nodes.Each(ctx, r.Select.NodeSelector, func(n *corev1.Node) {
		if id := node.InstanceID(n.Spec.ProviderID); id != "" {
			nodes[id] = r.Select.factsOf(n)
		}
	})
	if err != nil {
		return nil, err
	}
	groups, instances, err := r.selectGroups(ctx, nodes)
	if err != nil {
		return nil, err
	}
	newest := ""
	if r.Select.KubeletOlder {
		if newest, err = r.nodes.ServerVersion(); err != nil {
			return nil, err
		}
	}
	choice := choice{SelectOptions: r.Select, now: time.Now(), newest: newest, skipped: map[string]int{}}
	var chosen []Candidate
	templates := map[asg.TemplateRef]asg.Template{}
	for _, g := range groups {
		for _, m := range g.Members {
			drift := ""
			i, known := instances[m.ID]
			if known && r.Select.Drifted {
				if drift, err = r.drift(ctx, g, m, i, templates); err != nil {
					return nil, err
				}
			}
			n, joined := nodes[m.ID]
			if c, ok := choice.of(g, m, i, n, joined, drift); ok {
				chosen = append(chosen, c)
			}
		}
	}
	r.log.InfoContext(ctx, "nodes selected", "selected", len(chosen), "groups", len(groups), "skipped", choice.skipped)
	chosen = spread(chosen)
	if limit := r.Select.Limit; limit > 0 && len(chosen) > limit {
		chosen = chosen[:limit]
	}
	return chosen, nil
}

// selectGroups reads the groups that are asked for, and their instances. If only Nodes are asked for, their instances say
// which groups that are.
func (r *session) selectGroups(ctx context.Context, nodes map[string]nodeFacts) ([]asg.Group, map[string]asg.Instance, error) {
	s := r.Select
	var tags []asg.Tag
	for _, text := range s.Tags {
		tag, err := asg.ParseTag(text)
		if err != nil {
			return nil, nil, err
		}
		tags = append(tags, tag)
	}
	if len(s.NodeGroups) > 0 {
		tags = append(tags, asg.Tag{Key: "eks:nodegroup-name", Values: s.NodeGroups})
		if r.Cluster != "" {
			tags = append(tags, asg.Tag{Key: "eks:cluster-name", Values: []string{r.Cluster}})
		}
	}
	ids := make([]string, 0, len(nodes))
	if len(s.ASGs) == 0 && len(tags) == 0 {
		for id := range nodes {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		instances, err := r.asg.InstancesOf(ctx, ids)
		if err != nil {
			return nil, nil, err
		}
		var names []string
		for _, i := range instances {
			if name := i.GroupOf(); name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return nil, instances, nil
		}
		slices.Sort(names)
		groups, err := r.asg.Groups(ctx, names, nil)
		return groups, instances, err
	}
	groups, err := r.asg.Groups(ctx, s.ASGs, tags)
	if err != nil {
		return nil, nil, err
	}
	for _, g := range groups {
		ids = append(ids, g.MemberIDs()...)
	}
	instances, err := r.asg.InstancesOf(ctx, ids)
	return groups, instances, err
}

// drift says in what a member differs from what its group would launch now. Each template is asked for once.
func (r *session) drift(ctx context.Context, g asg.Group, m asg.Member, i asg.Instance, known map[asg.TemplateRef]asg.Template) (string, error) {
	if g.Launch.Configuration != "" {
		return asg.Drift(m, i, g.Launch, asg.Template{}), nil
	}
	ref := g.Launch.TemplateFor(i.Type)
	now, ok := known[ref]
	if !ok {
		var err error
		if now, err = r.asg.Resolve(ctx, ref); err != nil {
			return "", err
		}
		known[ref] = now
	}
	return asg.Drift(m, i, g.Launch, now), nil
}

// candidateTable prints candidates as people read them.
func candidateTable(w io.Writer, all []Candidate) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "INSTANCE\tNODE\tGROUP\tZONE\tAGE\tREASONS")
	for _, c := range all {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", c.InstanceID, c.NodeName, c.ASGName, c.Zone, c.Age, strings.Join(c.Reasons, ", "))
	}
	return t.Flush()
}
