package components

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTimeLeftIsEstimatedFromTheSourceThatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		m := &meter{show: func(line string) { lines = append(lines, line) }}
		cluster, own := m.lane(), m.lane()
		cluster.add([]source{{"first", 10}, {"cached", 1000}, {"second", 100}, {"third", 100}, {"last", 500}})
		own.add([]source{{"second", 100}, {"large", 700}})
		for _, pkg := range []string{"first", "second", "third", "large"} {
			lane := cluster
			if pkg == "large" {
				lane = own
			}
			lane.compiled(pkg)
			time.Sleep(time.Minute)
		}
		cluster.compiled("unexpected")
		want := []string{
			// The first package says nothing of the speed yet.
			"compiling: 1 packages done, at most 5 to go",
			// 100 bytes in a minute, 1,300 to go; what the cache held is passed over, and what both lanes need counts once.
			"compiling: 2 packages done, at most 3 to go, about 13 minutes left",
			"compiling: 3 packages done, at most 2 to go, about 12 minutes left",
			"compiling: 4 packages done, at most 1 to go, about 2 minutes left",
			"compiling: 5 packages done, at most 1 to go, about 2 minutes left",
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Error(diff)
		}
	})
}

func TestEstimatesAreRough(t *testing.T) {
	for d, want := range map[time.Duration]string{
		10 * time.Second: "less than a minute", 80 * time.Second: "about a minute", 100 * time.Second: "about 2 minutes",
		12*time.Minute + 20*time.Second: "about 12 minutes",
	} {
		if got := roughly(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}
