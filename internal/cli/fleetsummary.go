package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// Outcomes of a node in a fleet.
const (
	outcomeRecycled = "Recycled"
	outcomeSkipped  = "Skipped"
	outcomeFailed   = "Failed"
	outcomeUnderWay = "UnderWay"
)

// FleetNode is what came of one node of a fleet.
type FleetNode struct {
	InstanceID string `json:"instanceId"`
	NodeName   string `json:"nodeName"`
	ASGName    string `json:"asgName"`
	Workflow   string `json:"workflow"`
	Outcome    string `json:"outcome"`
	Reason     string `json:"reason,omitempty"`
	Duration   string `json:"duration,omitempty"`
}

// FleetSummary is what came of a fleet. NotStarted counts nodes that were selected and not begun.
type FleetSummary struct {
	Recycled   int         `json:"recycled"`
	Skipped    int         `json:"skipped"`
	Failed     int         `json:"failed"`
	UnderWay   int         `json:"underWay"`
	NotStarted int         `json:"notStarted"`
	Nodes      []FleetNode `json:"nodes,omitempty"`
}

// conclude writes the summary. A recycle that failed fails the fleet: somebody has to look.
func (f *fleetRun) conclude(ctx context.Context) error {
	s, err := f.summary(ctx)
	if err != nil {
		return err
	}
	begun := len(s.Nodes)
	s.NotStarted, s.Skipped, s.Nodes = len(f.waiting), s.Skipped+len(f.passed), append(s.Nodes, f.passed...)
	s.sort()
	if s.Failed > 0 {
		i := slices.IndexFunc(s.Nodes, func(n FleetNode) bool { return n.Outcome == outcomeFailed })
		return fmt.Errorf("%d of %d recycle(s) failed, the first of instance %s: %s", s.Failed, begun, s.Nodes[i].InstanceID, s.Nodes[i].Reason)
	}
	return f.done("%s", s.String())
}

func (s FleetSummary) String() string {
	text := fmt.Sprintf("%d node(s) recycled, %d skipped, %d failed", s.Recycled, s.Skipped, s.Failed)
	if s.UnderWay > 0 {
		text += fmt.Sprintf(", %d under way", s.UnderWay)
	}
	if s.NotStarted > 0 {
		text += fmt.Sprintf(", %d not started", s.NotStarted)
	}
	return text
}

// finishFleet is the exit handler: it says what came of the fleet, however that ended.
func finishFleet(ctx context.Context, r *session) error {
	if r.DryRun {
		return r.done("dry run: nothing was started")
	}
	s, err := r.summary(ctx)
	if err != nil {
		return err
	}
	if s.UnderWay == 0 || r.WorkflowStatus == "Succeeded" {
		return r.done("%s", s.String())
	}
	if !r.Fleet.StopChildren {
		return r.done("%s: they are left to finish", s.String())
	}
	var failures []error
	for _, n := range s.Nodes {
		if n.Outcome == outcomeUnderWay {
			r.change("workflow %s: stopped", n.Workflow)
			failures = append(failures, r.argo.Stop(ctx, r.LeaseNamespace, n.Workflow))
		}
	}
	return errors.Join(append(failures, r.done("%s: they are stopped", s.String()))...)
}

// summary reads how the children of the fleet ended, a page at a time.
func (r *session) summary(ctx context.Context) (*FleetSummary, error) {
	s := &FleetSummary{}
	var failed []argo.Outcome
	err := r.argo.Outcomes(ctx, r.LeaseNamespace, r.WorkflowUID, func(o argo.Outcome) {
		n := FleetNode{InstanceID: o.Instance, NodeName: o.Node, ASGName: o.Group, Workflow: o.Name, Outcome: outcomeUnderWay}
		if !o.Finished.IsZero() {
			n.Duration = o.Finished.Sub(o.Created).Round(time.Second).String()
		}
		switch {
		case o.Succeeded():
			n.Outcome = outcomeRecycled
		case o.Ended:
			n.Outcome, n.Reason = outcomeFailed, o.Message
			failed = append(failed, o)
		}
		s.Nodes = append(s.Nodes, n)
	})
	if err != nil {
		return nil, err
	}
	for _, o := range failed {
		i := slices.IndexFunc(s.Nodes, func(n FleetNode) bool { return n.InstanceID == o.Instance })
		if s.Nodes[i].Outcome, err = r.judge(ctx, o); err != nil {
			return nil, err
		}
	}
	s.sort()
	for _, n := range s.Nodes {
		*map[string]*int{outcomeRecycled: &s.Recycled, outcomeSkipped: &s.Skipped, outcomeFailed: &s.Failed, outcomeUnderWay: &s.UnderWay}[n.Outcome]++
	}
	r.result.Fleet = s
	return s, nil
}

func (s *FleetSummary) sort() {
	slices.SortFunc(s.Nodes, func(a, b FleetNode) int {
		return cmp.Or(cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(a.ASGName, b.ASGName), cmp.Compare(a.InstanceID, b.InstanceID))
	})
}

// verdict is judge's on a child that has failed, asked for once.
func (f *fleetRun) verdict(ctx context.Context, c argo.Child) (FleetNode, error) {
	if known, ok := f.verdicts[c.UID]; ok {
		return known, nil
	}
	o, err := f.argo.Outcome(ctx, f.LeaseNamespace, c.Name)
	if err != nil {
		return FleetNode{}, err
	}
	outcome, err := f.judge(ctx, o)
	if err == nil {
		f.verdicts[c.UID] = FleetNode{InstanceID: c.Instance, Outcome: outcome, Reason: o.Message}
	}
	return f.verdicts[c.UID], err
}

// judge tells a recycle that failed from one that had become superfluous: somebody asked to leave the node alone, or took
// it away, before the recycle began to.
func (r *session) judge(ctx context.Context, o argo.Outcome) (string, error) {
	if strings.Contains(o.Message, "is annotated "+node.AnnotationSkip) {
		return outcomeSkipped, nil
	}
	target, err := r.asg.Lookup(ctx, o.Instance)
	switch {
	case errors.Is(err, asg.ErrUnknown):
		return outcomeSkipped, nil
	case err != nil:
		return "", err
	case target.Instance.Gone() && !target.Instance.Retiring():
		return outcomeSkipped, nil
	default:
		return outcomeFailed, nil
	}
}

// table is the summary as people read it.
func (s *FleetSummary) table(w io.Writer) error {
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

func (s *FleetSummary) parameter() string {
	if s == nil {
		return ""
	}
	short := *s
	short.Nodes = slices.DeleteFunc(slices.Clone(s.Nodes), func(n FleetNode) bool { return n.Outcome == outcomeRecycled })
	short.Nodes = short.Nodes[:min(len(short.Nodes), longestSummary)]
	text, _ := json.Marshal(short) // strings and numbers always marshal
	return string(text)
}
