package timeline

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func drawn(r Recycle) row {
	s := newScale(Page{From: start, Until: minute(600), Drawn: minute(600)})
	return newRow(r, s, words{clock: clock{zone: time.UTC}, message: 300})
}

func TestEveryStepIsVisibleAndNoneHidesAnother(t *testing.T) {
	for name, all := range map[string][]extent{
		"short ones before a long one": {{0, 0.01}, {0.01, 0.01}, {0.02, 80}},
		"short ones at the right edge": {{90, 99.9}, {99.9, 99.95}, {99.95, 100}, {100, 100}},
		"all at one moment":            {{50, 50}, {50, 50}, {50, 50}},
		"wide enough already":          {{10, 20}, {20, 40}},
		"none":                         {},
	} {
		t.Run(name, func(t *testing.T) {
			got := spread(all)
			for i, e := range got {
				if e.Width() < minWidth-1e-9 || e.From < 0 || e.Until > 100 || i > 0 && e.From < got[i-1].Until-1e-9 {
					t.Errorf("%v is drawn as %v", all, got)
				}
				if math.Abs(e.From-all[i].From) > 4*minWidth {
					t.Errorf("%v has moved to %v", all[i], e)
				}
			}
		})
	}
}

func TestWhatColourSaysASignSaysToo(t *testing.T) {
	drain := func(until time.Time, failed bool) []Step {
		return []Step{{Name: "drain", From: start, Until: until, Failed: failed}}
	}
	for name, c := range map[string]struct {
		recycle Recycle
		want    []mark
	}{
		"a recycle that ended well has none":          {Recycle{Outcome: Recycled, From: start, Until: minute(300), Steps: drain(minute(300), false)}, nil},
		"a failed step ends in a cross":               {Recycle{Outcome: Failed, From: start, Until: minute(300), Steps: drain(minute(300), true)}, []mark{{Kind: "failed", X: 50}}},
		"a failure in no step ends in one too":        {Recycle{Outcome: Failed, From: start, Until: minute(300)}, []mark{{Kind: "failed", X: 50}}},
		"a running step is open at the right end":     {Recycle{Outcome: InProgress, From: start, Steps: drain(time.Time{}, false)}, []mark{{"running", "drain", 100}}},
		"a recycle before its first step is open":     {Recycle{Outcome: InProgress, From: start}, []mark{{"running", "other", 100}}},
		"what was skipped is a ring":                  {Recycle{Outcome: Skipped, From: minute(60)}, []mark{{Kind: "skipped", X: 10}}},
		"what never began is drawn as nothing at all": {Recycle{Outcome: Skipped}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, drawn(c.recycle).Marks); diff != "" {
				t.Errorf("marks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestABarSaysAllThatIsKnownOfItsStep(t *testing.T) {
	got := drawn(Recycle{Outcome: Recycled, From: start, Until: minute(300), Steps: []Step{
		{Name: "drain", From: start, Until: minute(196), Attempts: 12, Message: "2 pod(s) still run"},
		{Name: "own <step>", From: minute(196), Until: minute(197), Attempts: 1}}})
	tips := strings.ReplaceAll(got.Bars[0].Tip+"\n"+got.Bars[1].Tip, "\u00a0", " ")
	want := "drain, 22:00:00 to 01:16:00 (3 h 16 min), 12 attempts: 2 pod(s) still run\nown <step>, 01:16:00 to 01:17:00 (1 min), 1 attempt"
	if tips != want || got.Bars[1].Class != "other" {
		t.Errorf("%s\nof class %q", tips, got.Bars[1].Class)
	}
}

func TestABlockedTimeStaysWithinItsStepAndIsNotWrittenOn(t *testing.T) {
	got := drawn(Recycle{Outcome: Recycled, From: start, Until: minute(600), Steps: []Step{
		{Name: "drain", From: start, Until: minute(200)}, {Name: "evict", From: minute(200), Until: minute(400)}},
		Blocked: []Span{{minute(180), minute(390), "budget a/b"}}})
	if b := got.Blocked[0]; b.X < 33.3 || b.X > 33.4 || math.Abs(b.X+b.Width-65) > 0.1 || !strings.HasSuffix(b.Tip, ": budget a/b") {
		t.Errorf("%+v", b)
	}
	if got.Bars[0].Label == "" || got.Bars[1].Label != "" {
		t.Errorf("%+v", got.Bars)
	}
}

func TestARecycleThatReachesBeyondTheIntervalIsCut(t *testing.T) {
	got := drawn(Recycle{Outcome: Recycled, From: minute(-500), Until: minute(900), Steps: []Step{
		{Name: "standby", From: minute(-500), Until: minute(-490)}, {Name: "drain", From: minute(-490), Until: minute(900)}}})
	if !got.Earlier || len(got.Bars) != 1 || got.Bars[0].X != 0 || got.Bars[0].Width != 100 || got.Track != (extent{0, 100}) {
		t.Errorf("%+v", got)
	}
}

func TestCapacityIsAStepLineFromZero(t *testing.T) {
	s := newScale(Page{From: start, Until: minute(100), Drawn: minute(100)})
	got := newChart(Group{"web", []Point{{minute(-30), 1, 1}, {minute(-9), 4, 4}, {minute(10), 3, 4}, {minute(20), 4, 4}, {minute(200), 0, 4}}}, s, clock{zone: time.UTC})
	if got.InService != "M0 0H100V25H200V0H1000" || got.Desired != "M0 0H1000" || got.Area != "M0 0H100V25H200V0H1000V100H0Z" {
		t.Errorf("%q, %q, %q", got.InService, got.Desired, got.Area)
	}
	if len(got.Below) != 1 || got.Below[0].X != 10 || got.Below[0].Width != 10 || got.Below[0].Y != 0 || got.Below[0].Height != 25 {
		t.Errorf("%+v", got.Below)
	}
	if said := strings.ReplaceAll(got.Short+", "+got.Said, "\u00a0", " "); said != "4 of 4, lowest 3 of 4, below desired for 10 min" {
		t.Error(said)
	}
	if last := got.Levels[len(got.Levels)-1]; got.Levels[0] != (level{100, 0}) || last != (level{0, 4}) {
		t.Errorf("%+v", got.Levels)
	}
}

func TestLevelsAreFewAndRound(t *testing.T) {
	for most, want := range map[int]int{0: 1, 1: 1, 4: 1, 5: 2, 8: 2, 12: 5, 20: 5, 21: 10, 100: 50, 1000: 500} {
		if got := levelStep(most); got != want {
			t.Errorf("steps of %d up to %d, want %d", got, most, want)
		}
	}
}

func TestAGroupOfWhichNothingIsKnownIsNamed(t *testing.T) {
	s := newScale(Page{From: start, Until: minute(100)})
	for name, points := range map[string][]Point{"no point": nil, "only points after the interval": {{minute(200), 1, 1}}} {
		if got := newChart(Group{"web", points}, s, clock{zone: time.UTC}); got.Said != "unknown" || got.InService != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
