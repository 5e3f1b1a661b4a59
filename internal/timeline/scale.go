package timeline

import (
	"math"
	"time"
)

// scale maps times to percent of the width of a plot. Percent, so that one page fits any window and paper without a script.
type scale struct {
	from, until time.Time
	drawn       time.Time // what still runs was seen running then
}

func newScale(p Page) scale {
	s := scale{from: p.From, until: p.Until, drawn: p.Drawn}
	if s.until.IsZero() {
		s.until = p.Drawn
	}
	for _, r := range p.Recycles {
		if p.From.IsZero() && !r.From.IsZero() && (s.from.IsZero() || r.From.Before(s.from)) {
			s.from = r.From
		}
		if p.Until.IsZero() && r.Until.After(s.until) {
			s.until = r.Until
		}
	}
	if s.drawn.IsZero() {
		s.drawn = s.until
	}
	if s.from.IsZero() {
		s.from = s.until
	}
	if !s.until.After(s.from) { // an empty interval still needs a width
		s.until = s.from.Add(time.Minute)
	}
	return s
}

// at is where a time lies, from 0 to 100.
func (s scale) at(t time.Time) float64 {
	return math.Max(0, math.Min(100, 100*float64(t.Sub(s.from))/float64(s.until.Sub(s.from))))
}

// end is when something ended, or until when it is known to have run.
func (s scale) end(from, until time.Time) time.Time {
	switch {
	case until.IsZero() && s.drawn.After(from):
		return s.drawn
	case until.Before(from):
		return from
	}
	return until
}

// minWidth keeps two seconds of a night visible: about two pixels of a plot on a screen.
const minWidth = 0.22

type extent struct{ From, Until float64 }

func (e extent) Width() float64 { return e.Until - e.From }

// spread widens what is too narrow to be seen. What follows begins later, and ends when it ended if that leaves it wide enough, so
// that a long step absorbs what the short ones before it need. What would stick out on the right moves left.
func spread(all []extent) []extent {
	out := make([]extent, len(all))
	next := 0.0
	for i, e := range all {
		from := math.Max(e.From, next)
		out[i] = extent{from, math.Max(e.Until, from+minWidth)}
		next = out[i].Until
	}
	limit := 100.0
	for i := len(out) - 1; i >= 0 && out[i].Until > limit; i-- {
		out[i].Until = limit
		out[i].From = math.Max(0, math.Min(out[i].From, limit-minWidth))
		limit = out[i].From
	}
	return out
}

// round keeps the page small: a hundredth of a percent is a tenth of a pixel.
func round(percent float64) float64 { return math.Round(percent*100) / 100 }
