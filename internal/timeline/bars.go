package timeline

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// stepNames are the steps that have a colour of their own, in their order.
var stepNames = []string{"standby", "taint", "drain", "evict", "retire", "settle"}

// row is one recycle in the timeline.
type row struct {
	Node, Group, Took, Tip string
	Outcome                outcome
	Track                  extent // from begin to end: gaps between steps are part of a recycle
	Earlier                bool   // it began before the interval
	Bars                   []bar
	Blocked                []bar
	Marks                  []mark
}

// bar is a rectangle; its class decides on its colour.
type bar struct {
	Class    string
	X, Width float64
	Tip      string
	Label    string // written on a wide bar
	Middle   float64
}

// mark is a sign at a place: what colour alone must not say.
type mark struct {
	Kind, Class string // kind: failed, running, skipped
	X           float64
}

// labelWidth is the percent from which a bar holds the words of a duration, in a narrow window too.
const labelWidth = 14

func newRow(r Recycle, s scale, w words) row {
	out := row{Node: w.node(r.Node), Group: r.Group, Outcome: newOutcome(r.Outcome), Tip: rowTip(r, s, w)}
	if r.From.IsZero() {
		return out
	}
	end := s.end(r.From, r.Until)
	out.Earlier = r.From.Before(s.from)
	out.Track = extent{round(s.at(r.From)), round(s.at(end))}
	if r.Outcome == Skipped && len(r.Steps) == 0 {
		out.Marks = append(out.Marks, mark{Kind: "skipped", X: out.Track.From})
		return out
	}
	out.Took = duration(end.Sub(r.From))
	out.drawSteps(r, s, w)
	if len(r.Steps) == 0 && r.Outcome == InProgress {
		out.Marks = append(out.Marks, mark{"running", "other", out.Track.Until})
	}
	if r.Outcome == Failed && !slices.ContainsFunc(r.Steps, func(step Step) bool { return step.Failed }) {
		out.Marks = append(out.Marks, mark{Kind: "failed", X: out.Track.Until})
	}
	return out
}

func (o *row) drawSteps(r Recycle, s scale, w words) {
	steps := slices.Clone(r.Steps)
	slices.SortStableFunc(steps, func(a, b Step) int { return a.From.Compare(b.From) })
	steps = slices.DeleteFunc(steps, func(step Step) bool {
		return step.From.IsZero() || step.From.After(s.until) || s.end(step.From, step.Until).Before(s.from)
	})
	places := make([]extent, len(steps))
	for i, step := range steps {
		places[i] = extent{s.at(step.From), s.at(s.end(step.From, step.Until))}
	}
	places = spread(places)
	blocked := o.drawBlocked(r.Blocked, places, s, w)
	for i, step := range steps {
		e := places[i]
		end := s.end(step.From, step.Until)
		b := bar{Class: class(step.Name), X: round(e.From), Width: round(e.Width()), Tip: stepTip(step, end, w)}
		// The hatching of a blocked time would make words hard to read.
		if e.Width() >= labelWidth && !slices.ContainsFunc(blocked, func(x extent) bool { return x.From < e.Until && e.From < x.Until }) {
			b.Label, b.Middle = duration(end.Sub(step.From)), round((e.From+e.Until)/2)
		}
		if step.Failed {
			b.Class += " broken"
			o.Marks = append(o.Marks, mark{Kind: "failed", X: round(e.Until)})
		} else if step.Until.IsZero() {
			o.Marks = append(o.Marks, mark{"running", class(step.Name), round(e.Until)})
		}
		o.Bars = append(o.Bars, b)
	}
}

// drawBlocked keeps a blocked time within the bar of the step that it lies in, which may have been moved to be seen.
func (o *row) drawBlocked(spans []Span, steps []extent, s scale, w words) []extent {
	var all []extent
	for _, span := range spans {
		end := s.end(span.From, span.Until)
		if span.From.IsZero() || span.From.After(s.until) || end.Before(s.from) {
			continue
		}
		e := extent{s.at(span.From), s.at(end)}
		middle := (e.From + e.Until) / 2
		for _, step := range steps {
			if step.From <= middle && middle <= step.Until {
				e = extent{math.Max(e.From, step.From), math.Min(e.Until, step.Until)}
			}
		}
		if e.Width() < minWidth {
			e.From = math.Max(0, e.Until-minWidth)
			e.Until = e.From + minWidth
		}
		tip := w.said("blocked by a PodDisruptionBudget, "+w.between(span.From, span.Until, end), span.Text)
		o.Blocked = append(o.Blocked, bar{X: round(e.From), Width: round(e.Width()), Tip: tip})
		all = append(all, e)
	}
	return all
}

// class is a name of the style sheet, never a name of the input.
func class(step string) string {
	if slices.Contains(stepNames, step) {
		return step
	}
	return "other"
}

func stepTip(step Step, end time.Time, w words) string {
	text := step.Name
	if step.Failed {
		text += " failed"
	}
	text += ", " + w.between(step.From, step.Until, end)
	if step.Attempts > 0 {
		text += ", " + plural(step.Attempts, "attempt", "attempts")
	}
	return w.said(text, step.Message)
}

func rowTip(r Recycle, s scale, w words) string {
	lines := []string{r.Node}
	for _, pair := range [][2]string{{"instance", r.Instance}, {"replaced by", r.Replacement}, {"workflow", r.Workflow}} {
		if pair[1] != "" {
			lines = append(lines, pair[0]+" "+pair[1])
		}
	}
	said := newOutcome(r.Outcome).Text
	if !r.From.IsZero() {
		said = fmt.Sprintf("%s, %s", said, w.between(r.From, r.Until, s.end(r.From, r.Until)))
	}
	lines = append(lines, said)
	return strings.Join(lines, "\n")
}
