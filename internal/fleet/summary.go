package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/report"
)

// Outcomes of a node in a fleet.
const (
	Recycled   = "Recycled"
	Skipped    = "Skipped"
	Failed     = "Failed"
	InProgress = "InProgress"
)

// NodeOutcome is what came of one node of a fleet.
type NodeOutcome struct {
	InstanceID string `json:"instanceId"`
	NodeName   string `json:"nodeName"`
	ASGName    string `json:"asgName"`
	Workflow   string `json:"workflow"`
	Outcome    string `json:"outcome"`
	Reason     string `json:"reason,omitempty"`
	Duration   string `json:"duration,omitempty"`
}

// Summary is what came of a fleet. NotStarted counts nodes that were selected and not begun.
type Summary struct {
	Recycled   int           `json:"recycled"`
	Skipped    int           `json:"skipped"`
	Failed     int           `json:"failed"`
	InProgress int           `json:"inProgress"`
	NotStarted int           `json:"notStarted"`
	Nodes      []NodeOutcome `json:"nodes,omitempty"`
}

// conclude writes the summary. A recycle that failed fails the fleet: somebody has to look.
func (f *run) conclude(ctx context.Context) error {
	s, err := f.summary(ctx)
	if err != nil {
		return err
	}
	begun := len(s.Nodes)
	s.NotStarted, s.Skipped, s.Nodes = len(f.waiting), s.Skipped+len(f.passed), append(s.Nodes, f.passed...)
	s.sort()
	if s.Failed > 0 {
		i := slices.IndexFunc(s.Nodes, func(n NodeOutcome) bool { return n.Outcome == Failed })
		return fmt.Errorf("%d of %d recycle(s) failed, the first of instance %s: %s", s.Failed, begun, s.Nodes[i].InstanceID, s.Nodes[i].Reason)
	}
	return f.report.Done("%s", s.String())
}

func (s Summary) String() string {
	text := fmt.Sprintf("%d node(s) recycled, %d skipped, %d failed", s.Recycled, s.Skipped, s.Failed)
	if s.InProgress > 0 {
		text += fmt.Sprintf(", %d in progress", s.InProgress)
	}
	if s.NotStarted > 0 {
		text += fmt.Sprintf(", %d not started", s.NotStarted)
	}
	return text
}

// Finish is the exit handler: it says what came of the fleet, however that ended.
func (r *Fleet) Finish(ctx context.Context) error {
	if r.DryRun {
		return r.report.Done("dry run: nothing was started")
	}
	s, err := r.summary(ctx)
	if err != nil {
		return err
	}
	if s.InProgress == 0 || r.WorkflowStatus == "Succeeded" {
		return r.report.Done("%s", s.String())
	}
	if !r.StopChildren {
		return r.report.Done("%s: they are left to finish", s.String())
	}
	var failures []error
	for _, n := range s.Nodes {
		if n.Outcome == InProgress {
			r.report.Change("workflow %s: stopped", n.Workflow)
			failures = append(failures, r.argo.Stop(ctx, r.claims.Namespace, n.Workflow))
		}
	}
	return errors.Join(append(failures, r.report.Done("%s: they are stopped", s.String()))...)
}

// summary reads how the children of the fleet ended, a page at a time.
func (r *Fleet) summary(ctx context.Context) (*Summary, error) {
	s := &Summary{}
	var failed []argo.Outcome
	err := r.argo.Outcomes(ctx, r.claims.Namespace, r.claims.Holder, func(o argo.Outcome) {
		n := NodeOutcome{InstanceID: o.Instance, NodeName: o.Node, ASGName: o.Group, Workflow: o.Name, Outcome: InProgress}
		if !o.Finished.IsZero() {
			n.Duration = o.Finished.Sub(o.Created).Round(time.Second).String()
		}
		switch {
		case o.Succeeded():
			n.Outcome = Recycled
		case o.Ended:
			n.Outcome, n.Reason = Failed, o.Message
			failed = append(failed, o)
		}
		s.Nodes = append(s.Nodes, n)
	})
	if err != nil {
		return nil, err
	}
	for _, o := range failed {
		i := slices.IndexFunc(s.Nodes, func(n NodeOutcome) bool { return n.InstanceID == o.Instance })
		if s.Nodes[i].Outcome, err = r.judge(ctx, o); err != nil {
			return nil, err
		}
	}
	s.sort()
	for _, n := range s.Nodes {
		*map[string]*int{Recycled: &s.Recycled, Skipped: &s.Skipped, Failed: &s.Failed, InProgress: &s.InProgress}[n.Outcome]++
	}
	r.Summary = s
	return s, nil
}

func (s *Summary) sort() {
	slices.SortFunc(s.Nodes, func(a, b NodeOutcome) int {
		return cmp.Or(cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(a.ASGName, b.ASGName), cmp.Compare(a.InstanceID, b.InstanceID))
	})
}

// verdict is judge's on a child that has failed, asked for once.
func (f *run) verdict(ctx context.Context, c argo.Child) (NodeOutcome, error) {
	if known, ok := f.verdicts[c.UID]; ok {
		return known, nil
	}
	o, err := f.argo.Outcome(ctx, f.claims.Namespace, c.Name)
	if err != nil {
		return NodeOutcome{}, err
	}
	outcome, err := f.judge(ctx, o)
	if err == nil {
		f.verdicts[c.UID] = NodeOutcome{Outcome: outcome, Reason: o.Message}
	}
	return f.verdicts[c.UID], err
}

// judge tells a recycle that failed from one that had become superfluous: somebody asked to leave the node alone, or took
// it away, before the recycle began to.
func (r *Fleet) judge(ctx context.Context, o argo.Outcome) (string, error) {
	if o.Reason == report.Skipped {
		return Skipped, nil
	}
	target, err := r.asg.Lookup(ctx, o.Instance, "")
	switch {
	case errors.Is(err, asg.ErrUnknown):
		return Skipped, nil
	case err != nil:
		return "", err
	case target.Instance.Gone() && !target.Instance.Retiring():
		return Skipped, nil
	default:
		return Failed, nil
	}
}
