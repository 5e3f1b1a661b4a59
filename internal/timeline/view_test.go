package timeline

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDurationsAreSaidInTwoUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 0: "0 s", 400 * time.Millisecond: "0 s", 2 * time.Second: "2 s", 59500 * time.Millisecond: "1 min", 90 * time.Second: "1 min 30 s",
		9*time.Minute + 5*time.Second: "9 min 5 s", 40*time.Minute + 20*time.Second: "40 min", time.Hour: "1 h", 3*time.Hour + 16*time.Minute: "3 h 16 min",
		24 * time.Hour: "1 d", 14*24*time.Hour + 5*time.Hour + 40*time.Minute: "14 d 5 h",
	} {
		if got := strings.ReplaceAll(duration(d), "\u00a0", " "); got != want {
			t.Errorf("%s is said %q, want %q", d, got, want)
		}
	}
}

func TestNamesAreShortenedWhereTheyAreAlike(t *testing.T) {
	const frankfurt, dublin = ".eu-central-1.compute.internal", ".eu-west-1.compute.internal"
	for name, c := range map[string]struct{ names, want []string }{
		"nodes of one region":                   {[]string{"ip-10-0-1-5" + frankfurt, "ip-10-0-1-6" + frankfurt}, []string{"ip-10-0-1-5", "ip-10-0-1-6"}},
		"one node alone":                        {[]string{"ip-10-0-1-5" + frankfurt}, []string{"ip-10-0-1-5"}},
		"nodes of two regions":                  {[]string{"ip-10-0-1-5" + frankfurt, "ip-10-0-1-5" + dublin}, []string{"ip-10-0-1-5.eu-central-1", "ip-10-0-1-5.eu-west-1"}},
		"names of two endings":                  {[]string{"a.internal", "b.example"}, []string{"a.internal", "b.example"}},
		"a name without a domain":               {[]string{"a.internal", "b"}, []string{"a.internal", "b"}},
		"names that are long before the domain": {[]string{"node-of-a-group-with-a-long-name-0123456789"}, []string{"node-of-a-gro…0123456789"}},
		"no name at all":                        {[]string{""}, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			var all []Recycle
			for _, name := range c.names {
				all = append(all, Recycle{Node: name})
			}
			w := newWords(clock{zone: time.UTC}, all)
			for i, name := range c.names {
				if got := w.node(name); got != c.want[i] {
					t.Errorf("%q is %q, want %q", name, got, c.want[i])
				}
			}
		})
	}
}

func TestTheZoneIsNamedWithWhatItIsFromUTC(t *testing.T) {
	for name, c := range map[string]struct{ zone, from, want string }{
		"UTC":                       {"UTC", "2026-11-26T22:00:00Z", "UTC"},
		"winter":                    {"Europe/Berlin", "2026-11-26T22:00:00Z", "Europe/Berlin (UTC+1)"},
		"the night the clocks turn": {"Europe/Berlin", "2026-10-24T22:00:00Z", "Europe/Berlin (UTC+2, then UTC+1)"},
		"half an hour":              {"America/St_Johns", "2026-11-26T22:00:00Z", "America/St_Johns (UTC−3:30)"},
	} {
		t.Run(name, func(t *testing.T) {
			from := instant(t, c.from)
			if got := zoneName(scale{from: from, until: from.Add(9 * time.Hour)}, zone(t, c.zone)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestTheSummaryIsOfWhatWasRecycled(t *testing.T) {
	all := []Recycle{
		{Node: "a", Outcome: Recycled, From: start, Until: minute(10)}, {Node: "b", Outcome: Recycled, From: start, Until: minute(120)},
		{Node: "c", Outcome: Recycled, From: start, Until: minute(20)}, {Node: "d", Outcome: Recycled, From: start, Until: minute(30)},
		{Node: "e", Outcome: Failed, From: start, Until: minute(999)}, {Node: "f", Outcome: InProgress, From: start}, {Node: "g", Outcome: Skipped},
	}
	got := newSummary(all, words{})
	counts := map[string]int{}
	for _, c := range got.Counts {
		counts[c.Outcome.Text] = c.N
	}
	if diff := cmp.Diff(map[string]int{"recycled": 4, "failed": 1, "skipped": 1, "in progress": 1}, counts); diff != "" {
		t.Error(diff)
	}
	if said := strings.ReplaceAll(strings.Join([]string{got.Total, got.Median, got.Longest, got.LongestNode}, ", "), "\u00a0", " "); said != "3 h, 25 min, 2 h, b" {
		t.Error(said)
	}
}

func TestRecyclesAreOrderedByTheirStart(t *testing.T) {
	v := newView(Page{From: start, Until: minute(60), Recycles: []Recycle{{Node: "never"}, {Node: "late", From: minute(9)}, {Node: "b", From: start}, {Node: "a", From: start}}})
	var names []string
	for _, r := range v.Rows {
		names = append(names, r.Node)
	}
	if diff := cmp.Diff([]string{"a", "b", "late", "never"}, names); diff != "" {
		t.Error(diff)
	}
}
