package window_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/eks-recycle/eks-recycle/internal/window"
)

func parse(t interface {
	Helper()
	Fatal(...any)
}, text string) window.Window {
	t.Helper()
	w, err := window.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestAWindowIsOpen(t *testing.T) {
	for _, c := range []struct {
		name, window, at string
		open             bool
	}{
		{"always without one", "", "2026-11-27T12:00:00Z", true},
		{"in the evening of its day", "Mon-Fri 22:00-05:00 Europe/Berlin", "2026-11-27T21:00:00Z", true},
		{"not a second earlier", "Mon-Fri 22:00-05:00 Europe/Berlin", "2026-11-27T20:59:59Z", false},
		{"after midnight of its last day", "Mon-Fri 22:00-05:00 Europe/Berlin", "2026-11-28T03:59:59Z", true},
		{"not at its end", "Mon-Fri 22:00-05:00 Europe/Berlin", "2026-11-28T04:00:00Z", false},
		{"not in the night before its first day", "Mon-Fri 22:00-05:00 Europe/Berlin", "2026-11-30T02:00:00Z", false},
		{"on days that are listed", "Sat,Sun 10:00-11:00 UTC", "2026-11-29T10:30:00Z", true},
		{"not on others", "Sat,Sun 10:00-11:00 UTC", "2026-11-30T10:30:00Z", false},
		{"on days across the weekend", "Fri-Mon 10:00-11:00 UTC", "2026-11-29T10:30:00Z", true},
		{"not in midweek then", "Fri-Mon 10:00-11:00 UTC", "2026-12-02T10:30:00Z", false},
		{"every day without days", "10:00-11:00 UTC", "2026-12-02T10:30:00Z", true},
		{"in the second of two ranges", "10:00-11:00,13:00-14:00 UTC", "2026-12-02T13:30:00Z", true},
		{"not between two ranges", "10:00-11:00,13:00-14:00 UTC", "2026-12-02T12:00:00Z", false},
		{"in the second of two windows", "Mon 10:00-11:00 UTC; Wed 10:00-11:00 Asia/Kolkata", "2026-12-02T04:30:00Z", true},
		{"all day", "Wed 00:00-24:00 UTC", "2026-12-02T23:59:59Z", true},
		{"until midnight only", "Wed 00:00-24:00 UTC", "2026-12-03T00:00:00Z", false},
		{"whatever the case of days", "wED 00:00-24:00 UTC", "2026-12-02T12:00:00Z", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := parse(t, c.window).Open(at(t, c.at)); got != c.open {
				t.Errorf("open: %v", got)
			}
		})
	}
}

func TestTheNextTimeOfAWindow(t *testing.T) {
	for _, c := range []struct{ name, window, at, next string }{
		{"is now while it is open", "22:00-05:00 UTC", "2026-11-27T23:00:07Z", "2026-11-27T23:00:07Z"},
		{"is in the evening", "Mon-Fri 22:00-05:00 Europe/Berlin", "2026-11-27T12:34:56Z", "2026-11-27T21:00:00Z"},
		{"is after the weekend", "Mon-Fri 22:00-05:00 Europe/Berlin", "2026-11-28T12:00:00Z", "2026-11-30T21:00:00Z"},

		{"in Berlin, skips a range that the clock skips", "Sun 02:00-03:00 Europe/Berlin", "2026-03-29T00:00:00Z", "2026-04-05T00:00:00Z"},
		{"in Berlin, is after the skipped hour for a range that begins in it", "Sun 02:30-03:30 Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"},
		{"in Berlin, comes again for a range that the clock repeats", "Sun 02:00-02:30 Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z"},
		{"in New York, skips a range that the clock skips", "Sun 02:00-03:00 America/New_York", "2026-03-08T05:00:00Z", "2026-03-15T06:00:00Z"},
		{"in New York, comes again for a range that the clock repeats", "Sun 01:00-01:30 America/New_York", "2026-11-01T05:30:00Z", "2026-11-01T06:00:00Z"},
		{"in Lord Howe, is after half an hour that the clock skips", "Sun 02:15-03:00 Australia/Lord_Howe", "2026-10-03T15:00:00Z", "2026-10-03T15:30:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := parse(t, c.window).Next(at(t, c.at)); !got.Equal(at(t, c.next)) {
				t.Errorf("next: %s", got.UTC().Format(time.RFC3339))
			}
		})
	}
}

func TestWithinCountsTheTimeThatAWindowIsOpen(t *testing.T) {
	for _, c := range []struct {
		name, window, from, to string
		want                   time.Duration
	}{
		{"all without one", "", "2026-11-27T12:00:07Z", "2026-11-27T13:00:09Z", time.Hour + 2*time.Second},
		{"nothing backwards", "", "2026-11-27T13:00:00Z", "2026-11-27T12:00:00Z", 0},
		{"seconds inside of it", "12:00-13:00 UTC", "2026-11-27T12:00:07Z", "2026-11-27T12:00:09Z", 2 * time.Second},
		{"minutes of an hour", "22:30-22:45 UTC", "2026-11-27T22:00:00Z", "2026-11-27T23:00:00Z", 15 * time.Minute},
		{"nights of a week", "Mon-Fri 22:00-05:00 UTC", "2026-11-23T12:00:00Z", "2026-11-30T12:00:00Z", 5 * 7 * time.Hour},
		{"a night that is an hour shorter", "22:00-05:00 Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", 6 * time.Hour},
		{"a night that is an hour longer", "22:00-05:00 Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z", 8 * time.Hour},
		{"a night in New York that is an hour shorter", "22:00-05:00 America/New_York", "2026-03-07T17:00:00Z", "2026-03-08T17:00:00Z", 6 * time.Hour},
		{"a night in New York that is an hour longer", "22:00-05:00 America/New_York", "2026-10-31T17:00:00Z", "2026-11-01T17:00:00Z", 8 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := parse(t, c.window).Within(at(t, c.from), at(t, c.to)); got != c.want {
				t.Errorf("%s", got)
			}
		})
	}
}

func TestAMalformedWindowIsRefused(t *testing.T) {
	for text, says := range map[string]string{
		"Mon-Fri":                              "each window is",
		"22:00-05:00":                          "each window is",
		"22:00-05:00 UTC;":                     "each window is",
		"Mon Tue 22:00-05:00 UTC":              "each window is",
		"Mon-Fri 22:00-05:00":                  `"Mon-Fri" is no time range`,
		"Mon-Fry 22:00-05:00 UTC":              `"Mon-Fry" is neither a day`,
		"Monday 22:00-05:00 UTC":               `"Monday" is neither a day`,
		"Mon, 22:00-05:00 UTC":                 `"" is neither a day`,
		"22:00-25:00 UTC":                      `"22:00-25:00" is no time range`,
		"24:00-05:00 UTC":                      `"24:00-05:00" is no time range`,
		"2:00-5:00 UTC":                        `"2:00-5:00" is no time range`,
		"22:00 UTC":                            `"22:00" is no time range`,
		"22:00-22:00 UTC":                      "a whole day is 00:00-24:00",
		"22:00-05:00 Europe/Berlín":            "is no IANA time zone",
		"22:00-05:00 Local":                    "is no IANA time zone",
		"22:00-05:00 ../../etc/passwd":         "is no IANA time zone",
		"10:00-11:00 UTC; 22:00-05:00 Nowhere": `"Nowhere" is no IANA time zone`,
	} {
		if _, err := window.Parse(text); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// days and the like are drawn into windows that Parse takes.
func draw(t *rapid.T) string {
	days := rapid.SampledFrom([]string{"", "Mon-Fri ", "Sat,Sun ", "Fri-Mon ", "Sun "}).Draw(t, "days")
	times := rapid.SampledFrom([]string{"22:00-05:00", "02:00-03:00", "00:00-24:00", "02:30-02:31", "23:59-00:01,12:00-13:30"}).Draw(t, "times")
	zone := rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"}).Draw(t, "zone")
	return days + times + " " + zone
}

func TestNextIsTheFirstTimeThatIsOpen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := parse(t, draw(t)+"; "+draw(t))
		from := time.Unix(rapid.Int64Range(1_767_225_600, 1_830_297_600).Draw(t, "from"), 0) // 2026 and 2027
		next := w.Next(from)
		if !w.Open(next) || next.Before(from) || next.Sub(from) > 15*24*time.Hour {
			t.Fatalf("%s: next of %s is %s", w, from, next)
		}
		if before := rapid.Int64Range(from.Unix(), next.Unix()).Draw(t, "before"); before < next.Unix() && w.Open(time.Unix(before, 0)) {
			t.Fatalf("%s: open at %d, before %s", w, before, next)
		}
		if got := w.Within(from, next); got != 0 {
			t.Fatalf("%s: open for %s before it opens at %s", w, got, next)
		}
	})
}

func TestWithinAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := parse(t, draw(t))
		a := time.Unix(rapid.Int64Range(1_767_225_600, 1_830_297_600).Draw(t, "a"), 0)
		b := a.Add(time.Duration(rapid.Int64Range(0, 3*24*3600).Draw(t, "b")) * time.Second)
		c := b.Add(time.Duration(rapid.Int64Range(0, 3*24*3600).Draw(t, "c")) * time.Second)
		if w.Within(a, c) != w.Within(a, b)+w.Within(b, c) {
			t.Fatalf("%s: %s is not %s and %s", w, w.Within(a, c), w.Within(a, b), w.Within(b, c))
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("Mon-Fri 22:00-05:00 Europe/Berlin")
	f.Add("10:00-11:00,13:00-14:00 UTC; Sat,Sun 00:00-24:00 Asia/Kolkata")
	f.Add("Mon-,; 24:00-00:00 Local")
	f.Fuzz(func(t *testing.T, text string) {
		w, err := window.Parse(text)
		if err != nil {
			return
		}
		again, err := window.Parse(w.String())
		if err != nil {
			t.Fatalf("%q is read, and %q is not: %v", text, w, err)
		}
		now := time.Unix(1_795_000_000, 0)
		if next := w.Next(now); !w.Open(next) || !again.Next(now).Equal(next) {
			t.Fatalf("%q: next is %s, or %s when read again", text, next, again.Next(now))
		}
	})
}
