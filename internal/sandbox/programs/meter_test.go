package programs

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTimeLeftIsEstimatedFromTheSourceThatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		m := newMeter(func(line string) { lines = append(lines, line) })
		m.compiled("early")
		for _, p := range []struct {
			path  string
			bytes int64
		}{{"early", 9_000_000}, {"first", 0}, {"second", 950_000}, {"large", 3_450_000}, {"second", 950_000}, {"last", 450_000}} {
			m.add(p.path, p.bytes)
		}
		for _, pkg := range []string{"first", "second", "large", "unexpected", "last"} {
			time.Sleep(time.Minute)
			m.compiled(pkg)
		}
		want := []string{
			"compiling: 1 packages done, 0 to go",
			// A hundredth of the source says nothing of the speed.
			"compiling: 2 packages done, 3 to go",
			// A fifth in two minutes; what two programs need counts once, and what was compiled before not at all.
			"compiling: 3 packages done, 2 to go, about 8 minutes left",
			"compiling: 4 packages done, 1 to go, less than a minute left",
			"compiling: 5 packages done, 1 to go, less than a minute left",
			"compiling: 6 packages done, 0 to go",
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
