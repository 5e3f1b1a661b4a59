// Package window says when disruption is allowed: "Mon-Fri 22:00-05:00 Europe/Berlin". The wall clock of the zone decides, whatever a
// change of clocks does to it: an hour that is skipped opens nothing, and an hour that comes twice counts twice. It knows nothing of
// recycles.
package window

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // zones wherever the binary runs, whatever its image holds

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Window is a set of times. The zero value is always open.
type Window struct {
	text  string
	parts []part
}

// part is one of the windows between semicolons.
type part struct {
	days   [7]bool // by time.Weekday, of the start
	ranges []span
	zone   *time.Location
}

// span is from a minute of the day until before another one, of the next day if that is not later.
type span struct{ from, to int }

const day = 24 * 60 // minutes

// Parse reads windows, separated by semicolons: days (none mean all), time ranges and an IANA zone. Nothing is always open.
func Parse(text string) (Window, error) {
	w := Window{text: strings.Join(strings.Fields(text), " ")}
	if w.text == "" {
		return w, nil
	}
	for one := range strings.SplitSeq(w.text, ";") {
		p, err := parsePart(strings.Fields(one))
		if err != nil {
			return Window{}, hint.Errorf(`for example "Mon-Fri 22:00-05:00 Europe/Berlin", "02:00-04:00,12:00-13:00 UTC" or "Mon-Thu 22:00-05:00 UTC; Sat,Sun 00:00-24:00 UTC"`, "window %q is malformed: %w", text, err)
		}
		w.parts = append(w.parts, p)
	}
	return w, nil
}

func parsePart(fields []string) (p part, err error) {
	p.days = [7]bool{true, true, true, true, true, true, true}
	if len(fields) == 3 {
		if p.days, err = parseDays(fields[0]); err != nil {
			return p, err
		}
		fields = fields[1:]
	}
	if len(fields) != 2 {
		return p, fmt.Errorf("each window is days, times and a time zone, or times and a time zone")
	}
	for text := range strings.SplitSeq(fields[0], ",") {
		s, err := parseSpan(text)
		if err != nil {
			return p, err
		}
		p.ranges = append(p.ranges, s)
	}
	if p.zone, err = time.LoadLocation(fields[1]); err != nil || fields[1] == "Local" {
		return p, fmt.Errorf("%q is no IANA time zone", fields[1])
	}
	return p, nil
}

func parseDays(text string) (days [7]bool, err error) {
	for one := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(one, "-")
		if !isRange {
			last = first
		}
		from, to := weekday(first), weekday(last)
		if from < 0 || to < 0 {
			return days, fmt.Errorf("%q is neither a day, such as Mon, nor days, such as Mon-Fri", one)
		}
		for d := from; ; d = (d + 1) % 7 {
			days[d] = true
			if d == to {
				break
			}
		}
	}
	return days, nil
}

// weekday is the number of a day's short name, or -1.
func weekday(name string) int {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(name, d.String()[:3]) {
			return int(d)
		}
	}
	return -1
}

func parseSpan(text string) (s span, err error) {
	first, last, _ := strings.Cut(text, "-")
	from, isTime := minutes(first)
	to, alsoTime := minutes(last)
	switch {
	case !isTime || !alsoTime || from == day:
		return s, fmt.Errorf("%q is no time range, such as 22:00-05:00", text)
	case from == to:
		return s, fmt.Errorf("%q is empty; a whole day is 00:00-24:00", text)
	}
	return span{from, to}, nil
}

// minutes of the day at a time such as 05:00, up to 24:00.
func minutes(text string) (int, bool) {
	if text == "24:00" {
		return day, true
	}
	at, err := time.Parse("15:04", text)
	return at.Hour()*60 + at.Minute(), err == nil && len(text) == len("15:04")
}

// Open reports whether disruption is allowed at a time.
func (w Window) Open(at time.Time) bool {
	for _, p := range w.parts {
		if p.open(at.In(p.zone)) {
			return true
		}
	}
	return len(w.parts) == 0
}

func (p part) open(at time.Time) bool {
	now, today := at.Hour()*60+at.Minute(), at.Weekday()
	yesterday := (today + 6) % 7
	for _, s := range p.ranges {
		switch {
		case s.from < s.to && p.days[today] && s.from <= now && now < s.to,
			s.from > s.to && p.days[today] && s.from <= now,
			s.from > s.to && p.days[yesterday] && now < s.to:
			return true
		}
	}
	return false
}

// Closed says that a time is outside of the window, and when it opens next; or "".
func (w Window) Closed(at time.Time) string {
	if w.Open(at) {
		return ""
	}
	return fmt.Sprintf("outside of the window %s: goes on at %s", w, w.Next(at).UTC().Format(time.RFC3339))
}

// Next is when disruption is allowed, at a time or next after it. Every week has such a time, but for a change of clocks.
func (w Window) Next(at time.Time) time.Time {
	for !w.Open(at) {
		at = at.Truncate(time.Minute).Add(time.Minute)
	}
	return at
}

// Within is how much of the time between two times disruption was allowed, to the minute where it began or ended in between.
func (w Window) Within(from, to time.Time) (sum time.Duration) {
	if len(w.parts) == 0 {
		return max(to.Sub(from), 0)
	}
	for from.Before(to) {
		next := from.Truncate(time.Minute).Add(time.Minute)
		if next.After(to) {
			next = to
		}
		if w.Open(from) {
			sum += next.Sub(from)
		}
		from = next
	}
	return sum
}

// String is the window as it was written.
func (w Window) String() string { return w.text }
