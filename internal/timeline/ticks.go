package timeline

import (
	"slices"
	"time"
)

// tick is one label of the time axis, with its line.
type tick struct {
	At    time.Time
	X     float64
	Label string
	Over  string // the date or month that begins here, above the label
	Minor bool   // a narrow plot leaves the label out
	Late  bool   // the date would stick out to the right, and ends at the line instead
	Side  string // at the edges, where a centred label would stick out
}

// mostTicks fit side by side on a screen; with more than someTicks a narrow window shows every other label.
const (
	mostTicks = 14
	someTicks = 7
)

// clockSteps divide a day, so that ticks lie on round times of the clock; daySteps are what follows.
var (
	clockSteps = []time.Duration{
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	}
	daySteps = []int{1, 2, 7, 14, 28, 91, 182, 364}
)

// ticks are round times of the clock in a zone, as many as fit.
func ticks(s scale, zone *time.Location) []tick {
	span := s.until.Sub(s.from)
	for _, step := range clockSteps {
		if span/step <= mostTicks {
			return label(s, clockTimes(s, step, zone), step, zone)
		}
	}
	day := 24 * time.Hour
	step := daySteps[len(daySteps)-1]
	for _, days := range daySteps {
		if span/(time.Duration(days)*day) <= mostTicks {
			step = days
			break
		}
	}
	for span/(time.Duration(step)*day) > mostTicks {
		step *= 2
	}
	return label(s, dayTimes(s, step, zone), time.Duration(step)*day, zone)
}

// clockTimes reads the clock of each day anew: where clocks change, midnight and noon stay midnight and noon.
func clockTimes(s scale, step time.Duration, zone *time.Location) []time.Time {
	var all []time.Time
	y, m, d := s.from.In(zone).Date()
	for ; ; d++ {
		midnight := time.Date(y, m, d, 0, 0, 0, 0, zone)
		if midnight.After(s.until) {
			break
		}
		// Not from midnight on where the interval is short: a minute has ticks of seconds.
		first := max(0, s.from.Sub(midnight)-2*time.Hour).Truncate(step)
		for since := first; since < 24*time.Hour && since <= s.until.Sub(midnight)+2*time.Hour; since += step {
			at := time.Date(y, m, d, 0, 0, int(since/time.Second), 0, zone)
			if !at.Before(s.from) && !at.After(s.until) {
				all = append(all, at)
			}
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return slices.CompactFunc(all, time.Time.Equal)
}

func dayTimes(s scale, days int, zone *time.Location) []time.Time {
	var all []time.Time
	y, m, d := s.from.In(zone).Date()
	for at := time.Date(y, m, d, 0, 0, 0, 0, zone); !at.After(s.until); at = time.Date(y, m, d, 0, 0, 0, 0, zone) {
		if !at.Before(s.from) {
			all = append(all, at)
			d += days
		} else {
			d++
		}
	}
	return all
}

func label(s scale, times []time.Time, step time.Duration, zone *time.Location) []tick {
	format, over := "15:04", "Mon 2 Jan"
	switch {
	case step < time.Minute:
		format = "15:04:05"
	case step >= 24*time.Hour:
		format, over = "Mon 2", "Jan 2006"
	}
	all := make([]tick, 0, len(times))
	last := ""
	for i, at := range times {
		t := tick{At: at, X: round(s.at(at)), Label: at.In(zone).Format(format), Minor: i%2 == 1 && len(times) > someTicks}
		if name := at.In(zone).Format(over); name != last {
			t.Over, last = name, name
		}
		switch {
		case t.X < 1:
			t.Side = "first"
		case t.X > 99:
			t.Side = "last"
		}
		t.Late = t.X > 80
		all = append(all, t)
	}
	// The date at the left edge makes room where the next one begins close by.
	for i := 1; i < len(all); i++ {
		if all[i].Over != "" {
			if all[i].X-all[0].X < 20 {
				all[0].Over = ""
			}
			break
		}
	}
	return all
}
