package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"sigs.k8s.io/yaml"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/event"
	"github.com/eks-recycle/eks-recycle/internal/fleet"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Result is what a step prints as its one JSON object on stdout.
type Result struct {
	Step                string            `json:"step"`
	Status              string            `json:"status"` // Done, NotYet or Failed
	Message             string            `json:"message"`
	DryRun              bool              `json:"dryRun,omitempty"`
	InstanceID          string            `json:"instanceId,omitempty"`
	NodeName            string            `json:"nodeName,omitempty"`
	ASGName             string            `json:"asgName,omitempty"`
	Region              string            `json:"region,omitempty"`
	ReplacementInstance string            `json:"replacementInstanceId,omitempty"`
	ReplacementNode     string            `json:"replacementNode,omitempty"`
	PodsWaiting         *int              `json:"podsWaiting,omitempty"`
	Pods                []string          `json:"pods,omitempty"`
	Left                []Left            `json:"left,omitempty"`  // found by a sweep
	Nodes               []fleet.Candidate `json:"nodes,omitempty"` // selected
	Reaped              []fleet.Reaped    `json:"reaped,omitempty"`
	Fleet               *fleet.Summary    `json:"fleet,omitempty"`
	Event               *event.Decision   `json:"event,omitempty"`   // what an event starts
	Changes             []string          `json:"changes,omitempty"` // made, or with --dry-run: that would be made
	Warnings            []string          `json:"warnings,omitempty"`
	Reason              string            `json:"reason,omitempty"` // why it failed, where others react to it
	Hint                string            `json:"hint,omitempty"`
}

// Left is what a recycle left that no workflow works on any more.
type Left struct {
	InstanceID string   `json:"instanceId"`
	NodeName   string   `json:"nodeName,omitempty"`
	Workflow   string   `json:"workflow"`
	What       []string `json:"what"`
	Outcome    string   `json:"outcome,omitempty"`
}

func (i *invocation) result(s step, err error) Result {
	r := i.report
	out := Result{
		Step: s.name, Message: r.Message, DryRun: i.DryRun, InstanceID: r.InstanceID, NodeName: r.NodeName, ASGName: r.ASGName, Region: r.Region,
		ReplacementInstance: r.ReplacementInstance, ReplacementNode: r.ReplacementNode, PodsWaiting: r.PodsWaiting, Pods: r.Pods,
		Nodes: i.nodes, Event: i.event, Changes: r.Changes, Warnings: r.Warnings, Reason: r.Reason,
	}
	for _, l := range i.remaining {
		out.Left = append(out.Left, Left{l.InstanceID, l.NodeName, l.Workflow, l.What, l.Outcome})
	}
	if i.fleet != nil {
		out.Fleet, out.Reaped = i.fleet.Summary, i.fleet.Reaped
	}
	switch exitCode(err) {
	case argo.ExitDone:
		out.Status = "Done"
	case argo.ExitNotYet:
		out.Status, out.Message = "NotYet", err.Error()
	default:
		out.Status, out.Message, out.Hint = "Failed", err.Error(), hint.Of(err)
	}
	return out
}

// finish writes the result to stdout and the output parameters to their files, whatever the outcome.
func (i *invocation) finish(s step, err error, streams Streams) error {
	r := i.result(s, err)
	if err := i.print(streams.Out, r); err != nil {
		return err
	}
	if i.OutputDir == "" {
		return nil
	}
	_, volumes := fleet.Freed(r.Reaped)
	all := map[string]string{
		"instance-id": r.InstanceID, "node-name": cmp.Or(r.NodeName, r.InstanceID), "reason": r.Reason, "asg-name": r.ASGName, "region": r.Region,
		"replacement-instance-id": r.ReplacementInstance, "replacement-node": r.ReplacementNode, "pods-waiting": count(r.PodsWaiting),
		"left": list(r.Left), "summary": summaryParameter(r.Fleet), "nodes": list(r.Nodes), "count": strconv.Itoa(len(r.Nodes)),
		"reaped": list(r.Reaped), "freed-gib": strconv.Itoa(volumes.FreedGiB),
	}
	values := map[string]string{"message": r.Message}
	for _, name := range s.outputs {
		values[name] = all[name]
	}
	return argo.WriteOutputs(i.OutputDir, values)
}

// print writes the result as one line of JSON, or, if it is asked for and there is one, as a table or a manifest.
func (i *invocation) print(w io.Writer, r Result) error {
	switch {
	case i.Output == "workflow" && r.Event != nil:
		return manifest(w, r.Event)
	case i.Output == "workflow": // stderr says why there is none
		return nil
	case i.Output == "table" && r.Fleet != nil:
		return summaryTable(w, r.Fleet)
	case i.Output == "table" && r.Status != "Done": // a failure has none: stderr says it
		return nil
	case i.Output == "table" && !i.Finish:
		return table(w, r.Nodes)
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, string(line))
	return err
}

func list[T any](all []T) string {
	if all == nil {
		all = []T{}
	}
	text, _ := json.Marshal(all) // strings and times always marshal
	return string(text)
}

func count(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

// table is a selection for people.
func table(out io.Writer, nodes []fleet.Candidate) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(w, "INSTANCE\tNODE\tGROUP\tZONE\tAGE\tREASONS") // Flush says what went wrong
	for _, c := range nodes {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", c.InstanceID, c.NodeName, c.ASGName, c.Zone, c.Age, strings.Join(c.Reasons, "; "))
	}
	return w.Flush()
}

// summaryTable is what came of a fleet, for people.
func summaryTable(w io.Writer, s *fleet.Summary) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "INSTANCE\tNODE\tGROUP\tOUTCOME\tDURATION\tREASON")
	for _, n := range s.Nodes {
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", n.InstanceID, n.NodeName, n.ASGName, n.Outcome, n.Duration, n.Reason)
	}
	_, _ = fmt.Fprintln(t, s.String())
	return t.Flush()
}

// longestSummary is how many nodes the output parameter names, those that need someone first: it is kept in the status of
// the fleet's Workflow, which must not grow with the fleet.
const longestSummary = 20

func summaryParameter(s *fleet.Summary) string {
	if s == nil {
		return ""
	}
	short := *s
	short.Nodes = slices.DeleteFunc(slices.Clone(s.Nodes), func(n fleet.NodeOutcome) bool { return n.Outcome == fleet.Recycled })
	short.Nodes = short.Nodes[:min(len(short.Nodes), longestSummary)]
	text, _ := json.Marshal(short) // strings and numbers always marshal
	return string(text)
}

// manifest writes the Workflow of an order.
func manifest(out io.Writer, order *event.Decision) error {
	text, err := yaml.Marshal(argo.Workflow(order.Template, order.Name, order.Parameters).Object)
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	return err
}
