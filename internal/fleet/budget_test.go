package fleet_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/fleet"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func budget(t testing.TB, text string) fleet.Budget {
	t.Helper()
	b, err := fleet.ParseBudget(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBudgets(t *testing.T) {
	for _, c := range []struct {
		text        string
		whole, want int
	}{
		{"3", 100, 3}, {"3", 1, 3}, {" 2 ", 9, 2}, {"25%", 12, 3}, {"25%", 11, 2}, {"25%", 3, 1}, {"1%", 5000, 50}, {"100%", 7, 7},
	} {
		if got := budget(t, c.text).Of(c.whole); got != c.want {
			t.Errorf("%s of %d nodes is %d, want %d", c.text, c.whole, got, c.want)
		}
	}
	for _, text := range []string{"", "0", "0%", "-1", "101%", "a", "3 %", "1.5", "%", "٣"} {
		if b, err := fleet.ParseBudget(text); err == nil {
			t.Errorf("%q is taken as %+v", text, b)
		}
	}
}

// nodes reads "a1 a2 b1": instance, group by its first letter, zone by its digit.
func nodes(text string) (all []argo.Child) {
	for _, name := range strings.Fields(text) {
		all = append(all, argo.Child{Instance: name, Group: name[:1], Zone: name[1:2]})
	}
	return all
}

func TestNext(t *testing.T) {
	sizes := map[string]int{"a": 8, "b": 4}
	for name, c := range map[string]struct {
		waiting, inProgress string
		limits              fleet.Limits
		want                string
	}{
		"nothing waits":                           {"", "a1", fleet.Limits{MaxUnavailable: budget(t, "1")}, ""},
		"one of each group":                       {"a1x a2x b1x b2x", "", fleet.Limits{MaxUnavailable: budget(t, "1")}, "a1x b1x"},
		"a share of each group":                   {"a1x a2x a3x b1x b2x", "", fleet.Limits{MaxUnavailable: budget(t, "25%")}, "a1x a2x b1x"},
		"what is in progress counts":              {"a1x a2x b1x", "a9z", fleet.Limits{MaxUnavailable: budget(t, "1")}, "b1x"},
		"what is in progress twice counts once":   {"a1x a2x", "a9z a9z", fleet.Limits{MaxUnavailable: budget(t, "2")}, "a1x"},
		"who is in progress does not start again": {"a1x a2x", "a1x", fleet.Limits{MaxUnavailable: budget(t, "2")}, "a2x"},
		"no zone more than its number":            {"a1x a1y a2x", "", fleet.Limits{MaxUnavailable: budget(t, "3"), PerZone: 1}, "a1x a2x"},
		"a zone is the same for all groups":       {"a1x b1x b2x", "", fleet.Limits{MaxUnavailable: budget(t, "3"), PerZone: 1}, "a1x b2x"},
		"a group that nobody knows counts as one": {"c1x c2x", "", fleet.Limits{MaxUnavailable: budget(t, "50%")}, "c1x"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, n := range fleet.Next(nodes(c.waiting), nodes(c.inProgress), sizes, c.limits) {
				got = append(got, n.Instance)
			}
			if diff := cmp.Diff(strings.Fields(c.want), got, cmp.Transformer("empty", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
				t.Errorf("next (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever waits and runs: no budget is exceeded that was not before, nobody starts who runs, the order is kept, and
// nobody waits who has room.
func TestNextKeepsEveryBudgetAndLeavesNoRoom(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(label string) (all []argo.Child) {
			for i := range rapid.IntRange(0, 12).Draw(rt, label) {
				all = append(all, argo.Child{Instance: fmt.Sprintf("%s%d", label, i), Group: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "group"), Zone: rapid.SampledFrom([]string{"1", "2", "3"}).Draw(rt, "zone")})
			}
			return all
		}
		waiting, inProgress := draw("waiting"), draw("in progress")
		sizes := map[string]int{"a": rapid.IntRange(1, 20).Draw(rt, "size"), "b": 3}
		l := fleet.Limits{
			MaxUnavailable: budget(t, rapid.SampledFrom([]string{"1", "2", "5", "10%", "50%"}).Draw(rt, "budget")),
			PerZone:        rapid.IntRange(0, 3).Draw(rt, "per zone"),
		}
		next := fleet.Next(waiting, inProgress, sizes, l)
		running := append(slices.Clone(inProgress), next...)
		room := func(n argo.Child) bool { return len(fleet.Next([]argo.Child{n}, running, sizes, l)) == 1 }
		last := -1
		for i, n := range next {
			before := append(slices.Clone(inProgress), next[:i]...)
			if len(fleet.Next([]argo.Child{n}, before, sizes, l)) != 1 {
				rt.Errorf("%+v starts without room", n)
			}
			at := slices.Index(waiting, n)
			if at <= last {
				rt.Errorf("%+v is out of turn", n)
			}
			last = at
		}
		for _, n := range waiting {
			if !slices.Contains(next, n) && room(n) {
				rt.Errorf("%+v waits, and there is room", n)
			}
		}
	})
}
