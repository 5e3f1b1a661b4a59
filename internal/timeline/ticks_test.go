package timeline

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // zones, wherever the test runs

	"github.com/google/go-cmp/cmp"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestTicksLieOnRoundTimesOfTheClock(t *testing.T) {
	berlin := "Europe/Berlin"
	for name, c := range map[string]struct {
		zone        string
		from, until string // of the clock in UTC
		want        string
	}{
		"ten seconds":          {"UTC", "2026-11-26T22:00:00Z", "2026-11-26T22:00:10Z", "22:00:00 22:00:01 22:00:02 22:00:03 22:00:04 22:00:05 22:00:06 22:00:07 22:00:08 22:00:09 22:00:10"},
		"an hour":              {"UTC", "2026-11-26T21:58:00Z", "2026-11-26T22:58:00Z", "22:00 22:05 22:10 22:15 22:20 22:25 22:30 22:35 22:40 22:45 22:50 22:55"},
		"a night":              {"UTC", "2026-11-26T22:10:00Z", "2026-11-27T05:10:00Z", "22:30 23:00 23:30 Fri 27 Nov|00:00 00:30 01:00 01:30 02:00 02:30 03:00 03:30 04:00 04:30 05:00"},
		"nine hours":           {"UTC", "2026-11-26T22:00:00Z", "2026-11-27T07:00:00Z", "22:00 23:00 Fri 27 Nov|00:00 01:00 02:00 03:00 04:00 05:00 06:00 07:00"},
		"a day and a half":     {"UTC", "2026-11-26T22:00:00Z", "2026-11-28T10:00:00Z", "Fri 27 Nov|00:00 03:00 06:00 09:00 12:00 15:00 18:00 21:00 Sat 28 Nov|00:00 03:00 06:00 09:00"},
		"two weeks":            {"UTC", "2026-11-26T22:00:00Z", "2026-12-10T22:00:00Z", "Nov 2026|Fri 27 Sat 28 Sun 29 Mon 30 Dec 2026|Tue 1 Wed 2 Thu 3 Fri 4 Sat 5 Sun 6 Mon 7 Tue 8 Wed 9 Thu 10"},
		"the clocks go back":   {berlin, "2026-10-24T22:00:00Z", "2026-10-25T08:00:00Z", "00:00 01:00 02:00 03:00 04:00 05:00 06:00 07:00 08:00 09:00"},
		"the clocks go ahead":  {berlin, "2026-03-28T23:00:00Z", "2026-03-29T08:00:00Z", "00:00 01:00 03:00 04:00 05:00 06:00 07:00 08:00 09:00 10:00"},
		"half an hour off UTC": {"Asia/Kolkata", "2026-11-26T22:00:00Z", "2026-11-27T07:00:00Z", "04:00 05:00 06:00 07:00 08:00 09:00 10:00 11:00 12:00"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ticks(scale{from: instant(t, c.from), until: instant(t, c.until)}, zone(t, c.zone))
			var words []string
			for i, tick := range got {
				if i > 0 && tick.Over != "" || strings.HasPrefix(c.want, tick.Over+"|") && tick.Over != "" {
					words = append(words, tick.Over+"|"+tick.Label)
				} else {
					words = append(words, tick.Label)
				}
			}
			if diff := cmp.Diff(c.want, strings.Join(words, " ")); diff != "" {
				t.Errorf("ticks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTicksAreFewInOrderAndWithinTheInterval(t *testing.T) {
	for span := time.Second; span < 40*365*24*time.Hour; span = span*5/4 + time.Millisecond {
		s := scale{from: start.Add(17 * time.Minute), until: start.Add(17*time.Minute + span)}
		for _, z := range []*time.Location{time.UTC, zone(t, "Europe/Berlin"), zone(t, "Australia/Lord_Howe"), zone(t, "America/Sao_Paulo")} {
			all := ticks(s, z)
			if len(all) > mostTicks+2 || span >= time.Second && len(all) == 0 {
				t.Errorf("%d ticks in %s", len(all), span)
			}
			for i, tick := range all {
				if tick.At.Before(s.from) || tick.At.After(s.until) || i > 0 && !tick.At.After(all[i-1].At) {
					t.Errorf("tick %d of %s in %s lies at %s", i, span, z, tick.At)
				}
			}
		}
	}
}

func instant(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
