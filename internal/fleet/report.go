package fleet

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/report"
	"github.com/eks-recycle/eks-recycle/internal/timeline"
)

// Reporting says what a picture is of: a fleet, by the name of its Workflow, or all recycles since a time. AWS is asked for the
// capacity of the groups unless NoCapacity is set.
type Reporting struct {
	Fleet      string
	Since      time.Time
	Location   *time.Location
	NoCapacity bool
}

// Picture draws what became of a fleet or a night, as far as their Workflows are still there.
func (r *Fleet) Picture(ctx context.Context, of Reporting) (timeline.Page, error) {
	now := time.Now()
	page := timeline.Page{Title: "Recycles since " + of.Since.In(of.Location).Format("2006-01-02 15:04 MST"), Cluster: r.Cluster, From: of.Since, Until: now, Drawn: now, Location: of.Location}
	uid, since := "", of.Since
	if of.Fleet != "" {
		var err error
		if uid, err = r.argo.UID(ctx, r.claims.Namespace, of.Fleet); err != nil {
			return page, err
		}
		page.Title, page.From, page.Until, since = "Fleet "+of.Fleet, time.Time{}, time.Time{}, time.Time{}
	}
	err := r.argo.Histories(ctx, r.claims.Namespace, uid, since, func(h argo.History) { page.Recycles = append(page.Recycles, recycleOf(h)) })
	if err != nil {
		return page, err
	}
	r.report.Begun = true
	slices.SortFunc(page.Recycles, func(a, b timeline.Recycle) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.Instance, b.Instance))
	})
	if !of.NoCapacity && len(page.Recycles) > 0 {
		r.addCapacity(ctx, &page)
	}
	return page, r.report.Done("%s: %d recycle(s)", page.Title, len(page.Recycles))
}

// addCapacity adds what the groups of the recycles had in service. A group of which AWS tells nothing is warned of.
func (r *Fleet) addCapacity(ctx context.Context, page *timeline.Page) {
	var names []string
	for _, one := range page.Recycles {
		if one.Group != "" && !slices.Contains(names, one.Group) {
			names = append(names, one.Group)
		}
	}
	slices.Sort(names)
	since := page.From
	if since.IsZero() {
		since = page.Recycles[0].From
	}
	for _, name := range names {
		all, err := r.asg.Capacities(ctx, name, since)
		if err != nil {
			r.report.Warn(ctx, fmt.Sprintf("the capacity of Auto Scaling group %s is not shown: %v", name, err))
			continue
		}
		g := timeline.Group{Name: name}
		for _, c := range all {
			g.Points = append(g.Points, timeline.Point{At: c.At, InService: c.InService, Desired: c.Desired})
		}
		if len(g.Points) > 0 {
			page.Groups = append(page.Groups, g)
		}
	}
}

func recycleOf(h argo.History) timeline.Recycle {
	one := timeline.Recycle{
		Node: h.Node, Instance: h.Instance, Group: h.Group, Zone: h.Zone, Workflow: h.Name, Replacement: h.Replacement,
		Outcome: timeline.InProgress, From: h.Created, Until: h.Finished,
	}
	switch {
	case h.Succeeded():
		one.Outcome = timeline.Recycled
	case h.Ended && h.Reason == report.Skipped:
		one.Outcome, one.Reason = timeline.Skipped, h.Message
	case h.Ended:
		one.Outcome, one.Reason = timeline.Failed, h.Message
	}
	for _, s := range h.Steps {
		one.Steps = append(one.Steps, timeline.Step{Name: s.Name, From: s.From, Until: s.Until, Attempts: len(s.Attempts), Failed: s.Failed, Message: s.Message()})
		for _, a := range s.Blocked() {
			one.Blocked = append(one.Blocked, timeline.Span{From: a.From, Until: a.Until, Text: strings.TrimSpace(a.Message)})
		}
	}
	return one
}
