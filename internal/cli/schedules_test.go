package cli_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// enoughSchedules is how many an ordinary test run plays; SCHEDULES sets another number.
const enoughSchedules = 20000

// ordinarySeed is that of an ordinary run, which plays the same schedules each time; a soak draws new ones.
const ordinarySeed = "1"

// Random schedules of faults, crashes and other people's doings, in virtual time, with every rule of the checker checked
// after every call and every transition. A failure is shrunk, printed as a scenario, and says its seed. To play it again:
//
//	go test ./internal/cli -run 'TestRandomSchedules/shard' -rapid.seed=SEED -rapid.checks=1
//
// `make soak` plays until it is interrupted, with a new seed for each thousand.
func TestRandomSchedules(t *testing.T) {
	base := baseOptions(t)
	shards := runtime.GOMAXPROCS(0)
	each := checks(t) / shards
	percent := debug.SetGCPercent(2000)               // many short lives
	t.Cleanup(func() { debug.SetGCPercent(percent) }) // not deferred: parallel shards begin when this function has returned
	var mu sync.Mutex
	var total stats
	began := time.Now()
	t.Cleanup(func() {
		mix := total.Mix
		total.Mix = nil
		t.Logf("%+v in %s", total, time.Since(began).Round(time.Second))
		for _, what := range slices.Sorted(maps.Keys(mix)) {
			t.Logf("%7d %s", mix[what], what)
		}
		for _, kind := range slices.Concat(acts, buttons, []string{pressSuspend}) { // what never happens is not tested
			if mix[kind] == 0 && total.Schedules >= enoughSchedules && !t.Failed() {
				t.Errorf("in %d schedules nobody did this: %s", total.Schedules, kind)
			}
		}
	})
	end := until(t)
	if !end.IsZero() {
		each = 1000
	}
	set := func(name, value string) {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	ordinary := each > 0 && end.IsZero()
	switch {
	case ordinary:
		set("rapid.checks", strconv.Itoa(each*shards))
		set("rapid.seed", ordinarySeed)
	case each > 0:
		set("rapid.checks", strconv.Itoa(each))
	}
	for shard := range shards {
		t.Run(fmt.Sprintf("shard %d", shard), func(t *testing.T) {
			t.Parallel()
			drawn, failing := 0, false
			for more := true; more && !t.Failed(); more = time.Now().Before(end) {
				rapid.Check(t, func(rt *rapid.T) {
					s := schedules().Draw(rt, "schedule")
					if drawn++; ordinary && !failing && drawn%shards != shard {
						return // one seed draws the same for all shards: each plays its share
					}
					v := play(t, base, s)
					mu.Lock()
					total.add(v.stats)
					mu.Unlock()
					if failing = failing || len(v.violations) > 0; len(v.violations) > 0 {
						rt.Fatalf("%s\n%s\n%s", s, v.scenario(), strings.Join(v.violations, "\n"))
					}
				})
				if !end.IsZero() {
					mu.Lock()
					t.Logf("%d schedules so far, %d crashes, %d faults", total.Schedules, total.Crashes, total.Faults)
					mu.Unlock()
				}
			}
		})
	}
}

// until is when a soak ends, or zero: SCHEDULES_UNTIL is how long it lasts.
func until(t *testing.T) (end time.Time) {
	text := os.Getenv("SCHEDULES_UNTIL")
	if text == "" {
		return end
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return time.Now().Add(length)
}

// checks is the number of schedules in all, or 0 if the command line says it.
func checks(t *testing.T) int {
	asked := 0
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "rapid.checks" || f.Name == "rapid.seed" || f.Name == "rapid.failfile" {
			asked++
		}
	})
	if asked > 0 {
		return 0
	}
	text := os.Getenv("SCHEDULES")
	if text == "" {
		return enoughSchedules
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
