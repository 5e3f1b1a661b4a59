package timeline

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// duration says a duration as people do, to two units.
func duration(d time.Duration) string {
	d = max(0, d.Round(time.Second))
	days, hours, minutes, seconds := int(d/(24*time.Hour)), int(d/time.Hour)%24, int(d/time.Minute)%60, int(d/time.Second)%60
	switch {
	case days > 0:
		return units(days, "d", hours, "h")
	case hours > 0:
		return units(hours, "h", minutes, "min")
	case minutes > 9:
		return units(minutes, "min", 0, "")
	case minutes > 0:
		return units(minutes, "min", seconds, "s")
	}
	return units(seconds, "s", 0, "")
}

// units are held together by spaces that do not break.
func units(n int, unit string, rest int, smaller string) string {
	text := fmt.Sprintf("%d\u00a0%s", n, unit)
	if rest > 0 {
		text += fmt.Sprintf("\u00a0%d\u00a0%s", rest, smaller)
	}
	return text
}

// clock says times in the zone of the page, with the date where the page shows more than one.
type clock struct {
	zone *time.Location
	days bool
}

func newClock(s scale, zone *time.Location) clock {
	const date = "2006-01-02"
	return clock{zone, s.from.In(zone).Format(date) != s.until.In(zone).Format(date)}
}

func (c clock) at(t time.Time) string {
	if c.days {
		return t.In(c.zone).Format("2 Jan 15:04:05")
	}
	return t.In(c.zone).Format("15:04:05")
}

// roughly leaves the seconds out beside a date: columns are narrow.
func (c clock) roughly(t time.Time) string {
	if c.days {
		return t.In(c.zone).Format("2 Jan 15:04")
	}
	return c.at(t)
}

// interval names what the page covers.
func (c clock) interval(s scale) string {
	const minute = "2 Jan 2006 15:04"
	until := s.until.In(c.zone).Format(minute)
	if !c.days {
		until = s.until.In(c.zone).Format("15:04")
	}
	return fmt.Sprintf("%s to %s, %s", s.from.In(c.zone).Format(minute), until, zoneName(s, c.zone))
}

// between names a stretch of time: when, and how long.
func (c clock) between(from, until, end time.Time) string {
	if until.IsZero() {
		return fmt.Sprintf("since %s (%s so far)", c.at(from), duration(end.Sub(from)))
	}
	return fmt.Sprintf("%s to %s (%s)", c.at(from), c.at(end), duration(end.Sub(from)))
}

// zoneName names the zone and what it is from UTC, at both ends of an interval in which clocks change.
func zoneName(s scale, zone *time.Location) string {
	offset := func(t time.Time) string {
		_, seconds := t.In(zone).Zone()
		sign := "+"
		if seconds < 0 {
			sign, seconds = "−", -seconds
		}
		text := fmt.Sprintf("UTC%s%d", sign, seconds/3600)
		if minutes := seconds / 60 % 60; minutes != 0 {
			text += fmt.Sprintf(":%02d", minutes)
		}
		return text
	}
	if zone == time.UTC || zone.String() == "UTC" {
		return "UTC"
	}
	text := offset(s.from)
	if until := offset(s.until); until != text {
		text += ", then " + until
	}
	if zone == time.Local { // "Local" says nothing to a reader elsewhere
		return text
	}
	return zone.String() + " (" + text + ")"
}

// commonDomain is what all names have in common from some dot on, such as .eu-central-1.compute.internal.
func commonDomain(names []string) string {
	common := ""
	for i, name := range names {
		dot := strings.IndexByte(name, '.')
		if dot < 1 {
			return ""
		}
		if i == 0 {
			common = name[dot:]
		}
		for common != "" && !strings.HasSuffix(name[dot:], common) {
			next := strings.IndexByte(common[1:], '.')
			if next < 0 {
				return ""
			}
			common = common[1+next:]
		}
	}
	return common
}

// longestName fits into the column of names.
const longestName = 24

// shortName drops the domain that all nodes share, and the middle of what is still too long: names differ at both ends.
func shortName(name, domain string) string {
	name = strings.TrimSuffix(name, domain)
	runes := []rune(name)
	if len(runes) <= longestName {
		return name
	}
	tail := 10
	return string(runes[:longestName-tail-1]) + "…" + string(runes[len(runes)-tail:])
}

// clip ends a text after some characters: tooltips hold a glance, and a page of a thousand nodes is mailed around.
func clip(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return strings.TrimSpace(string([]rune(text)[:most])) + "…"
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
