package fleet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

func TestReasons(t *testing.T) {
	now := time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	pressure := node.Condition{Type: "MemoryPressure", Status: "True"}
	aged := func(d time.Duration) inspected { return inspected{launched: asg.Launched{LaunchTime: now.Add(-d)}} }
	for name, c := range map[string]struct {
		node    inspected
		options Criteria
		want    []string
	}{
		"nothing is asked for":        {aged(0), Criteria{}, []string{"all"}},
		"old enough to the second":    {aged(14 * day), Criteria{MinAge: 14 * day}, []string{"older than 14d"}},
		"a second too young":          {aged(14*day - time.Second), Criteria{MinAge: 14 * day}, nil},
		"drift that is not asked for": {inspected{drift: []string{"d"}}, Criteria{Requested: true}, nil},
		"drift":                       {inspected{drift: []string{"d", "e"}}, Criteria{Drifted: true}, []string{"d", "e"}},
		"an older kubelet":            {inspected{node: node.Info{Kubelet: "v1.32.3-eks-1"}}, Criteria{KubeletOlder: true}, []string{"kubelet v1.32.3, control plane v1.33.1"}},
		"an older patch only":         {inspected{node: node.Info{Kubelet: "v1.33.0-eks-1"}}, Criteria{KubeletOlder: true}, nil},
		"a condition":                 {inspected{node: node.Info{Conditions: []node.Condition{pressure}}}, Criteria{Conditions: []node.Condition{pressure}}, []string{"condition MemoryPressure=True"}},
		"a request":                   {inspected{node: node.Info{Requested: true}}, Criteria{Requested: true}, []string{"requested"}},
		"several at once": {
			inspected{node: node.Info{Requested: true}, launched: asg.Launched{LaunchTime: now.Add(-48 * time.Hour)}},
			Criteria{Requested: true, MinAge: 36 * time.Hour}, []string{"older than 1d12h", "requested"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.options.reasons(&c.node, "v1.33.1-eks-9", now)); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
		})
	}
}

// launchedAs makes candidates of "a3": zone a, the third to be launched.
func launchedAs(names ...string) (all []Candidate) {
	for _, name := range names {
		all = append(all, Candidate{InstanceID: name, Zone: name[:1], LaunchTime: time.Unix(int64(name[1]-'0'), 0)})
	}
	return all
}

func TestSpread(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"none":                                {"", ""},
		"one zone, by age":                    {"a3 a1 a2", "a1 a2 a3"},
		"zones take turns":                    {"a1 a2 a3 b4 b5 b6", "a1 b4 a2 b5 a3 b6"},
		"within a turn the oldest goes first": {"a2 b1 a3 b4", "b1 a2 a3 b4"},
		"a zone that has no more left":        {"a1 b2 b3 b4", "a1 b2 b3 b4"},
		"three zones":                         {"a1 a2 b3 c4 c5 a6", "a1 b3 c4 a2 c5 a6"},
		"of one age, by id":                   {"b1 a1", "a1 b1"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range spread(launchedAs(strings.Fields(c.in)...)) {
				got = append(got, c.InstanceID)
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("%s, want %s", text, c.want)
			}
		})
	}
}

func TestSpreadIsAFairOrderOfAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []Candidate
		for i := range rapid.IntRange(0, 40).Draw(t, "nodes") {
			all = append(all, Candidate{
				InstanceID: fmt.Sprintf("i-%02d", i), Zone: rapid.SampledFrom([]string{"", "a", "b", "c", "d"}).Draw(t, "zone"),
				LaunchTime: time.Unix(rapid.Int64Range(0, 10).Draw(t, "launched"), 0),
			})
		}
		ordered := spread(slices.Clone(all))
		byID := func(a, b Candidate) int { return strings.Compare(a.InstanceID, b.InstanceID) }
		if diff := cmp.Diff(slices.SortedFunc(slices.Values(all), byID), slices.SortedFunc(slices.Values(ordered), byID)); diff != "" {
			t.Fatalf("it is no permutation:\n%s", diff)
		}
		left, taken, last := map[string]int{}, map[string]int{}, map[string]time.Time{}
		for _, c := range all {
			left[c.Zone]++
		}
		for i, c := range ordered {
			if c.LaunchTime.Before(last[c.Zone]) {
				t.Fatalf("%d: a younger one of zone %q came first", i, c.Zone)
			}
			for zone, n := range left {
				if n > 0 && taken[zone] < taken[c.Zone] {
					t.Fatalf("%d: zone %q has %d left and fewer taken than %q", i, zone, n, c.Zone)
				}
			}
			last[c.Zone] = c.LaunchTime
			taken[c.Zone]++
			left[c.Zone]--
		}
		if diff := cmp.Diff(ordered, spread(slices.Clone(ordered))); diff != "" {
			t.Fatalf("the order depends on that of the input:\n%s", diff)
		}
	})
}

func TestAges(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		0: "0s", 42 * time.Second: "42s", 12*time.Minute + time.Second: "12m", 5*time.Hour + 12*time.Minute: "5h12m", 14 * day: "14d", 14*day + 3*time.Hour + time.Minute: "14d3h",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%s) = %q, want %q", d, got, want)
		}
	}
}
