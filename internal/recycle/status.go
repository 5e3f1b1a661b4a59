package recycle

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/window"
)

// Standing is how far one recycle is, for people. State is a stage, or Draining, Evicting, Parked or Orphaned. Until is when its
// wait ends at the latest, as far as that is known.
type Standing struct {
	InstanceID string    `json:"instanceId"`
	NodeName   string    `json:"nodeName,omitempty"`
	ASGName    string    `json:"asgName,omitempty"`
	State      string    `json:"state"`
	Lifecycle  string    `json:"lifecycleState,omitempty"` // of the instance in its group, if AWS was asked
	Since      time.Time `json:"since,omitzero"`
	Until      time.Time `json:"until,omitzero"`
	WaitsFor   string    `json:"waitsFor,omitempty"`
	Pods       []string  `json:"pods,omitempty"`
	Workflow   string    `json:"workflow,omitempty"` // or the person who runs the steps by hand
}

// States besides the stages.
const (
	Draining = "draining"
	Evicting = "evicting"
	Parked   = "parked"
	Orphaned = "orphaned" // its workflow has ended, and nobody has settled it yet
)

// Status lists the recycles that have a record: all, or those of some groups. Without askAWS it says what the records say; with it,
// what AWS says of each instance as well.
func (r *Recycle) Status(ctx context.Context, groups []string, askAWS bool) (all []Standing, err error) {
	records, unreadable, err := r.claims.Records(ctx)
	if err != nil {
		return nil, err
	}
	r.report.Begun = true
	for _, err := range unreadable {
		r.report.Warn(ctx, err.Error())
	}
	records = slices.DeleteFunc(records, func(c claim.Record) bool { return len(groups) > 0 && !slices.Contains(groups, c.Group) })
	targets := map[string]asg.Target{}
	if askAWS && len(records) > 0 {
		known := make(map[string]string, len(records))
		for _, record := range records {
			known[record.InstanceID] = record.Group
		}
		if targets, err = r.asg.Lookups(ctx, known); err != nil {
			return nil, err
		}
	}
	parked := 0
	for _, record := range records {
		s := standing(record, targets[record.InstanceID], askAWS, time.Now())
		if err := r.explain(ctx, &s, record); err != nil {
			r.report.Warn(ctx, err.Error())
		}
		if s.State == Parked {
			parked++
		}
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b Standing) int { return cmp.Or(cmp.Compare(a.ASGName, b.ASGName), a.Since.Compare(b.Since)) })
	return all, r.report.Done("%d recycle(s), %d of them parked", len(all), parked)
}

// standing is what the record of a recycle says, and AWS, if it was asked.
func standing(record claim.Record, target asg.Target, asked bool, now time.Time) Standing {
	s := Standing{InstanceID: record.InstanceID, NodeName: record.Node, ASGName: record.Group, Workflow: record.Workflow}
	stage := recorded(record)
	if asked {
		s.Lifecycle = target.Lifecycle()
		if at := StateOf(target, &record); at != Replaced && (at != Terminating || record.Hook == "") {
			stage = string(at)
		}
	}
	s.State = stage
	switch stage {
	case string(Waiting):
		s.Since, s.Until, s.WaitsFor = record.WaitingSince, after(record.WaitingSince, record.ReplacementTimeout.Duration), "a replacement that serves"
	case Draining:
		s.Since, s.Until = record.DrainingSince, after(record.DrainingSince, record.MaxWait.Duration)
	case Evicting:
		s.Since, s.Until = record.EvictedLast, after(record.EvictedLast, record.EvictTimeout.Duration)
		if w, err := window.Parse(record.Window); err == nil && !w.Open(now) {
			s.Until, s.WaitsFor = w.Next(now), "its maintenance window "+w.String()
		}
	case string(Retiring), string(Detached):
		s.Since, s.WaitsFor = record.RetiringSince, "the end of the instance"
	case string(Returning):
		s.Since, s.WaitsFor = record.Began(), "the return of the instance to service"
	default:
		s.Since = record.Began()
	}
	if record.Parked() && stage != string(Gone) && stage != string(Released) {
		s.State, s.Since, s.Until = Parked, record.Renewed, time.Time{}
		s.WaitsFor = "somebody: start it again to go on, or restore it"
	}
	return s
}

// recorded is the stage that a record alone tells of, or what a recycle does in it.
func recorded(r claim.Record) string {
	switch {
	case r.Return != "":
		return string(Returning)
	case !r.RetiringSince.IsZero():
		return string(Retiring)
	case !r.WaitingSince.IsZero() && !r.Replaced:
		return string(Waiting)
	case !r.EvictedLast.IsZero():
		return Evicting
	case !r.DrainingSince.IsZero():
		return Draining
	case r.Replaced:
		return string(Replaced)
	default:
		return string(Serving)
	}
}

// after is the end of a wait, if its beginning and its length are known.
func after(since time.Time, lasts time.Duration) time.Time {
	if since.IsZero() || lasts <= 0 {
		return time.Time{}
	}
	return since.Add(lasts)
}

// explain adds which pods a recycle waits for, and whether its workflow has ended. The error is what could not be found out.
func (r *Recycle) explain(ctx context.Context, s *Standing, record claim.Record) error {
	if s.State != Parked && !record.Live() && argo.IsWorkflow(record.Workflow) {
		ended, err := r.ended(ctx, record)
		if err != nil {
			return fmt.Errorf("instance %s: %w", s.InstanceID, err)
		}
		if ended {
			s.State, s.Since, s.Until, s.WaitsFor = Orphaned, record.Renewed, time.Time{}, "the next sweep, which settles it: its workflow has ended"
			return nil
		}
		s.WaitsFor = "a pod of its workflow that runs: its claim has expired"
		return nil
	}
	read := r.pods.Matter
	switch {
	case s.NodeName == "", s.WaitsFor != "":
		return nil
	case s.State == Evicting:
		read = r.pods.Rest
	case s.State != Draining:
		return nil
	}
	selection, err := drain.ParseSelection(record.LabelSelector, record.Namespaces)
	if err != nil {
		return fmt.Errorf("instance %s: %w", s.InstanceID, err)
	}
	selection.Disruptable, selection.Own = record.Disruptable, r.Pods.Own
	pods, err := read(ctx, s.NodeName, selection)
	if err != nil {
		return fmt.Errorf("instance %s: %w", s.InstanceID, err)
	}
	s.Pods, s.WaitsFor = podNames(pods), fmt.Sprintf("%d pod(s)", len(pods))
	if len(pods) > 0 {
		s.WaitsFor += ": " + drain.Describe(pods)
	}
	return nil
}
