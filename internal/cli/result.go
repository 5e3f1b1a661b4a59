package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"sigs.k8s.io/yaml"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/event"
	"github.com/eks-recycle/eks-recycle/internal/fleet"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/recycle"
	"github.com/eks-recycle/eks-recycle/internal/report"
	"github.com/eks-recycle/eks-recycle/internal/timeline"
)

// Result is what a step prints as its one JSON object on stdout.
type Result struct {
	Step   string `json:"step"`
	Status string `json:"status"` // Done, NotYet or Failed
	DryRun bool   `json:"dryRun,omitempty"`
	report.Report
	Left     []Left             `json:"left,omitempty"`     // found by a sweep
	Nodes    []fleet.Candidate  `json:"nodes,omitempty"`    // selected
	Recycles []recycle.Standing `json:"recycles,omitempty"` // that a status shows
	Page     *timeline.Page     `json:"page,omitempty"`     // of a report
	Reaped   []fleet.Reaped     `json:"reaped,omitempty"`
	Fleet    *fleet.Summary     `json:"fleet,omitempty"`
	Starts   []event.Decision   `json:"starts,omitempty"` // what an event says that it starts
	Hint     string             `json:"hint,omitempty"`
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
	out := Result{Step: s.name, DryRun: i.DryRun, Report: i.report, Nodes: i.nodes, Recycles: i.standings, Page: i.page, Starts: i.starts}
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
		"workflows": strings.Join(i.started, ","), "reaped": list(r.Reaped), "freed-gib": strconv.Itoa(volumes.FreedGiB),
	}
	maps.Copy(all, i.figures())
	values := map[string]string{"message": messageParameter(r)}
	for _, name := range s.outputs {
		values[name] = all[name]
	}
	return argo.WriteOutputs(i.OutputDir, values)
}

// print writes the result as one line of JSON, or, if it is asked for and there is one, as a table or a manifest.
func (i *invocation) print(w io.Writer, r Result) error {
	switch {
	case i.Output == "html" && (r.Status != "Done" || i.page == nil): // stderr says it
		return nil
	case i.Output == "html" && i.File != "":
		return writePage(*i.page, i.File)
	case i.Output == "html":
		return i.page.Write(w)
	case i.Output == "workflow":
		return manifests(w, r.Starts)
	case i.Output == "table" && r.Fleet != nil:
		return summaryTable(w, r.Fleet)
	case i.Output == "table" && r.Status != "Done": // a failure has none: stderr says it
		return nil
	case i.Output == "table" && r.Step == "status":
		return statusTable(w, r)
	case i.Output == "table" && !i.Finish:
		return table(w, r.Nodes)
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, printable(string(line)))
	return err
}

func list[T any](all []T) string {
	text, _ := json.Marshal(append([]T{}, all...)) // [] for none; strings and times always marshal
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
		row(w, c.InstanceID, c.NodeName, c.ASGName, c.Zone, c.Age, strings.Join(c.Reasons, "; "))
	}
	return w.Flush()
}

// summaryTable is what came of a fleet, for people.
func summaryTable(w io.Writer, s *fleet.Summary) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "INSTANCE\tNODE\tGROUP\tOUTCOME\tDURATION\tREASON")
	for _, n := range s.Nodes {
		row(t, n.InstanceID, n.NodeName, n.ASGName, n.Outcome, n.Duration, n.Reason)
	}
	_, _ = fmt.Fprintln(t, printable(s.String()))
	return t.Flush()
}

// row writes a line of a table; Flush says what went wrong.
func row(w io.Writer, cells ...string) {
	for i := range cells {
		cells[i] = printable(cells[i])
	}
	_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// longestMessage is how many bytes Argo gets of the message of an attempt that is not the last: it keeps those of all attempts in
// the Workflow. stdout has the whole.
const longestMessage = 250

func messageParameter(r Result) string {
	message := printable(r.Message)
	if r.Status != "NotYet" || len(message) <= longestMessage {
		return message
	}
	const more = "…"
	return strings.ToValidUTF8(message[:longestMessage-len(more)], "") + more
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

// manifests writes the Workflows that an event starts; none if it starts none.
func manifests(out io.Writer, all []event.Decision) error {
	for _, d := range all {
		text, err := yaml.Marshal(argo.Workflow(d.Template, d.Name, d.Parameters).Object)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "---\n%s", text); err != nil {
			return err
		}
	}
	return nil
}
