package timeline

import (
	"cmp"
	"slices"
	"time"
)

// view is what the template prints, all of it decided.
type view struct {
	Title, Cluster, Interval, Drawn, Domain string
	Colours                                 []string // of the style sheet
	Ticks                                   []tick
	Summary                                 summary
	Failures                                []failure
	Legend                                  legend
	Rows                                    []row
	Charts                                  []chart
	Steps                                   []string // the columns of the table
	Table                                   []entry
}

type outcome struct{ Class, Sign, Text string }

// newOutcome pairs each outcome with a sign, for those who do not see its colour.
func newOutcome(of string) outcome {
	switch of {
	case Recycled:
		return outcome{"ok", "✓", "recycled"}
	case Skipped:
		return outcome{"skip", "–", "skipped"}
	case Failed:
		return outcome{"fail", "✕", "failed"}
	case InProgress:
		return outcome{"run", "▸", "in progress"}
	}
	return outcome{"skip", "?", of}
}

type failure struct{ Node, Group, Step, Reason, Workflow, At string }

type legend struct {
	Steps                                    []string
	Other, Blocked, Failed, Running, Skipped bool
}

type entry struct {
	Node, Instance, Group, Zone, Replacement, Began, Stamp, Took, Reason string
	Outcome                                                              outcome
	Steps                                                                []string
}

func newView(p Page) view {
	zone := p.Location
	if zone == nil {
		zone = time.UTC
	}
	s := newScale(p)
	all := slices.Clone(p.Recycles)
	slices.SortStableFunc(all, byStart)
	c := newClock(s, zone)
	w := newWords(c, all)
	v := view{
		Title: p.Title, Cluster: p.Cluster,
		Interval: c.interval(s),
		Drawn:    s.drawn.In(zone).Format("2 Jan 2006 15:04"),
		Colours:  append(slices.Clone(stepNames), "other"),
		Ticks:    ticks(s, zone),
	}
	v.Domain = w.domain
	v.Summary = newSummary(all, w)
	v.Steps = stepsOf(all)
	v.Legend = newLegend(all)
	for _, r := range all {
		v.Rows = append(v.Rows, newRow(r, s, w))
		v.Table = append(v.Table, newEntry(r, s, w, v.Steps))
		if r.Outcome == Failed {
			v.Failures = append(v.Failures, newFailure(r, s, w))
		}
	}
	for _, g := range p.Groups {
		v.Charts = append(v.Charts, newChart(g, s, c))
	}
	return v
}

// byStart puts what never began last.
func byStart(a, b Recycle) int {
	if a.From.IsZero() != b.From.IsZero() {
		if a.From.IsZero() {
			return 1
		}
		return -1
	}
	return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.Node, b.Node))
}

func nodes(all []Recycle) []string {
	var names []string
	for _, r := range all {
		if r.Node != "" {
			names = append(names, r.Node)
		}
	}
	return names
}

// stepsOf are the known steps, and then others in their order.
func stepsOf(all []Recycle) []string {
	names := slices.Clone(stepNames)
	for _, r := range all {
		for _, step := range r.Steps {
			if !slices.Contains(names, step.Name) {
				names = append(names, step.Name)
			}
		}
	}
	return names
}

func newLegend(all []Recycle) legend {
	l := legend{Steps: stepNames}
	for _, r := range all {
		l.Blocked = l.Blocked || len(r.Blocked) > 0
		l.Failed = l.Failed || r.Outcome == Failed
		l.Running = l.Running || r.Outcome == InProgress
		l.Skipped = l.Skipped || r.Outcome == Skipped
		l.Other = l.Other || slices.ContainsFunc(r.Steps, func(step Step) bool { return class(step.Name) == "other" })
	}
	return l
}

func newFailure(r Recycle, s scale, w words) failure {
	f := failure{Node: w.node(r.Node), Group: r.Group, Reason: clip(r.Reason, w.reason), Workflow: r.Workflow}
	if !r.Until.IsZero() {
		f.At = w.roughly(s.end(r.From, r.Until))
	}
	for _, step := range r.Steps {
		if step.Failed {
			f.Step = step.Name
			if f.Reason == "" {
				f.Reason = clip(step.Message, w.reason)
			}
		}
	}
	if f.Reason == "" {
		f.Reason = "no reason is known"
	}
	return f
}

func newEntry(r Recycle, s scale, w words, columns []string) entry {
	e := entry{Node: r.Node, Instance: r.Instance, Group: r.Group, Zone: r.Zone, Replacement: r.Replacement,
		Outcome: newOutcome(r.Outcome), Steps: make([]string, len(columns))}
	if r.Outcome == Skipped {
		e.Reason = clip(r.Reason, w.message)
	}
	if !r.From.IsZero() {
		e.Began, e.Stamp = w.roughly(r.From), r.From.In(w.zone).Format(time.RFC3339)
		if r.Outcome != Skipped || len(r.Steps) > 0 {
			e.Took = duration(s.end(r.From, r.Until).Sub(r.From))
		}
	}
	spent := map[string]time.Duration{}
	for _, step := range r.Steps {
		if !step.From.IsZero() {
			spent[step.Name] += s.end(step.From, step.Until).Sub(step.From)
		}
	}
	for i, name := range columns {
		if d, ok := spent[name]; ok {
			e.Steps[i] = duration(d)
		}
	}
	return e
}
