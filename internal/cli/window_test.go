package cli_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

// until sleeps until a time of the form 2000-01-03T21:00:00Z. Virtual time begins on Saturday, 2000-01-01T00:00:00Z.
func (w *world) until(text string) {
	w.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || time.Until(at) < 0 {
		w.Fatalf("%s is over, or no time: %v", text, err)
	}
	time.Sleep(time.Until(at))
}

// evictedAt is when a pod was evicted, or zero.
func (w *world) evictedAt(pod string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.evictions[pod].at
}

// The replacement comes and pods are waited for at any time; eviction waits for the window, through a crash and a resubmission.
func TestARecycleEvictsInItsWindow(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.withArgo(workflow("a", "a", ""), workflow("b", "b", ""))
		old := w.ids[0]
		w.pod(old, "batch", 10*time.Hour, nil)
		w.pod(old, "web", 0, service)
		flags := []string{"--instance-id", old, "--window", "Mon-Fri 22:00-05:00 Europe/Berlin", "--evict-timeout", "50m"}
		for _, step := range []string{"standby", "taint", "drain"} {
			w.doneAs("a", step, flags...)
		}
		if since := time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); since > 11*time.Hour {
			w.Errorf("the drain took until %s after midnight", since)
		}
		const says = "outside of the window Mon-Fri 22:00-05:00 Europe/Berlin: goes on at 2000-01-03T21:00:00Z"
		crash, cancel := context.WithTimeout(w.Context(), 5*time.Minute)
		defer cancel()
		w.stepAs(crash, "a", "evict", flags...)
		if o := w.stepAs(w.Context(), "a", "evict", flags...); o.code != 75 || !strings.Contains(o.result.Message, says) {
			w.Errorf("exit %d: %s", o.code, o.result.Message)
		}
		if o := w.stepAs(w.Context(), "a", "retire", flags...); o.code != 75 || !strings.Contains(o.result.Message, says) {
			w.Errorf("retire: exit %d: %s", o.code, o.result.Message)
		}
		w.doneAs("a", "settle", append(flags, "--workflow-status", "Failed")...)
		w.until("2000-01-02T12:00:00Z")
		for _, step := range []string{"standby", "taint", "drain"} {
			w.doneAs("b", step, flags...)
		}
		for time.Now().Before(time.Date(2000, 1, 3, 20, 30, 0, 0, time.UTC)) {
			if o := w.stepAs(w.Context(), "b", "evict", flags...); o.code != 75 {
				w.Fatalf("exit %d: %s", o.code, o.stderr)
			}
		}
		if in := w.members("InService"); len(in) != 3 || len(w.evictions) != 0 || w.balances() || !w.nodeOf(old).Spec.Unschedulable {
			w.Errorf("before the window: in service %v, evicted %v", in, w.evictions)
		}
		for _, step := range []string{"evict", "retire"} {
			w.doneAs("b", step, flags...)
		}
		if at := w.evictedAt("web").UTC().Format(time.RFC3339); at < "2000-01-03T21:00:00Z" || at > "2000-01-03T21:01:00Z" {
			w.Errorf("evicted at %s", at)
		}
		w.whole(w.ids[1:]...)
	})
}

// When the window closes, no more pods are evicted until it opens again, and the time in between does not count.
func TestAWindowThatClosesOnAnEviction(t *testing.T) {
	for name, allowed := range map[string]bool{"the budget allows it once the window is closed": true, "the budget never allows it": false} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.withArgo(workflow("a", "a", ""))
				old := w.ids[0]
				w.pod(old, "web", 0, service)
				w.pod(old, "db", 0, service)
				w.block("db", "db-pdb")
				flags := []string{"--instance-id", old, "--window", "00:00-01:00 UTC", "--evict-timeout", "50m"}
				for _, step := range []string{"standby", "taint", "drain"} {
					w.doneAs("a", step, flags...)
				}
				w.until("2000-01-01T00:30:00Z")
				if allowed {
					time.AfterFunc(31*time.Minute, func() { w.block("db", "") })
				}
				o := w.stepAs(w.Context(), "a", "evict", flags...)
				for time.Now().Before(time.Date(2000, 1, 1, 12, 0, 0, 0, time.UTC)) && o.code == 75 {
					o = w.stepAs(w.Context(), "a", "evict", flags...)
				}
				if in := w.members("InService"); o.code != 75 || !strings.Contains(o.result.Message, "goes on at 2000-01-02T00:00:00Z") || len(in) != 3 || !w.nodeOf(old).Spec.Unschedulable {
					w.Errorf("at noon: exit %d, in service %v: %s", o.code, in, o.result.Message)
				}
				if at := w.evictedAt("web"); at.Hour() != 0 || at.Minute() != 30 || !w.evictedAt("db").IsZero() {
					w.Errorf("web was evicted at %s, db at %s", at, w.evictedAt("db"))
				}
				for o.code == 75 {
					o = w.stepAs(w.Context(), "a", "evict", flags...)
				}
				now := time.Now().UTC().Format(time.RFC3339)
				if !allowed { // web went at half past twelve, 30 minutes before the window closed
					if o.code != 1 || now < "2000-01-02T00:19:00Z" || now > "2000-01-02T00:23:00Z" || !strings.Contains(o.result.Message, "none has gone for 50m0s") {
						w.Errorf("at %s: exit %d: %s", now, o.code, o.result.Message)
					}
					return
				}
				if at := w.evictedAt("db").UTC().Format(time.RFC3339); o.code != 0 || at < "2000-01-02T00:00:00Z" || at > "2000-01-02T00:01:00Z" {
					w.Errorf("exit %d, db was evicted at %s: %s", o.code, at, o.result.Message)
				}
				w.doneAs("a", "retire", flags...)
				w.whole(w.ids[1:]...)
			})
		})
	}
}

// With evict=false the instance goes down with what runs on it, in the window. Pods that came late are waited for at any time.
func TestAnInstanceIsDetachedInTheWindow(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.withArgo(workflow("a", "a", ""))
		old := w.ids[0]
		w.pod(old, "web", 0, service)
		flags := []string{"--instance-id", old, "--window", "02:00-03:00 UTC", "--evict=false"}
		for _, step := range []string{"standby", "taint", "drain", "evict"} {
			w.doneAs("a", step, flags...)
		}
		w.until("2000-01-01T02:50:00Z")
		w.pod(old, "late", time.Hour, nil)
		o := w.stepAs(w.Context(), "a", "retire", append(flags, "--poll-window", "22h")...)
		if o.code != 75 || !strings.Contains(o.result.Message, "outside of the window 02:00-03:00 UTC: goes on at 2000-01-02T02:00:00Z") {
			w.Errorf("exit %d: %s", o.code, o.result.Message)
		}
		if state := w.instanceState(old); state != "running" || !slices.Equal(w.members("Standby"), []string{old}) {
			w.Errorf("before the window: %s, on standby %v", state, w.members("Standby"))
		}
		w.doneAs("a", "retire", flags...)
		if now := time.Now().UTC().Format(time.RFC3339); now < "2000-01-02T02:00:00Z" || now > "2000-01-02T02:10:00Z" {
			w.Errorf("retired at %s", now)
		}
		w.whole(w.ids[1:]...)
	})
}

// A detach that has begun is brought to its end, whatever the window says.
func TestADetachThatTheWindowClosesOn(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.withArgo(workflow("a", "a", ""))
		old := w.ids[0]
		for _, step := range []string{"standby", "taint", "drain", "evict"} {
			w.doneAs("a", step, "--instance-id", old)
		}
		crash, cancel := context.WithTimeout(w.Context(), 2*time.Second)
		defer cancel()
		w.stepAs(crash, "a", "retire", "--instance-id", old)
		if w.nodeOf(old) == nil || len(w.members("Standby")) != 0 {
			w.Fatalf("the step did not crash after the detach: on standby %v", w.members("Standby"))
		}
		if o := w.stepAs(w.Context(), "a", "retire", "--instance-id", old, "--window", "12:00-13:00 UTC"); o.code != 0 {
			w.Errorf("exit %d: %s", o.code, o.result.Message)
		}
		w.whole(w.ids[1:]...)
	})
}

// A lifecycle hook does not wait for a window.
func TestATerminatingInstanceIsEmptiedOutsideOfTheWindow(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		id := w.ids[0]
		w.pod(id, "web", 0, service)
		event := w.terminating(id, time.Hour)
		if failed, o := w.drainTerminating(event, "--window", "12:00-13:00 UTC"); failed != "" {
			w.Errorf("step %q: exit %d: %s", failed, o.code, o.stderr)
		}
		if at := w.evictedAt("web"); at.IsZero() || at.Hour() > 0 {
			w.Errorf("evicted at %s", at)
		}
	})
}

// A fleet that is submitted on a Saturday starts its recycles in the nights of the week, and they keep to the window as well.
func TestAFleetStartsRecyclesInItsWindow(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		const nights = "Mon-Fri 22:00-05:00 UTC"
		a := newArgoWorld(w, nil)
		started := make(chan string, 10)
		a.run = func(child map[string]string) string {
			started <- time.Now().UTC().Format("Mon 15:04 ") + child["window"]
			failure := a.recycleChild(child)
			time.Sleep(4 * time.Hour)
			return failure
		}
		a.parent("fleet-1")
		w.until("2000-01-01T05:00:00Z") // Friday's night ends
		flags := []string{"--asg", group, "--window", nights, "--poll-window", "12h", "--workflow-name", "eks-recycle/fleet-1", "--started-at", time.Now().UTC().Format(time.RFC3339)}
		if o := w.stepAs(w.Context(), "fleet-1", "fleet", flags...); o.code != 75 || !strings.Contains(o.result.Message, "outside of the window "+nights+": goes on at 2000-01-03T22:00:00Z") {
			w.Errorf("exit %d: %s", o.code, o.result.Message)
		}
		o, _ := a.fleet(w.Context(), "fleet-1", flags[:6]...)
		if o.code != 0 || o.result.Fleet.Recycled != 3 {
			w.Fatalf("exit %d: %s", o.code, o.stderr)
		}
		close(started)
		var got []string
		for s := range started {
			got = append(got, s)
		}
		want := []string{"Mon 22", "Tue 02", "Tue 22"}
		for i, s := range got {
			if i >= len(want) || !strings.HasPrefix(s, want[i]) || !strings.HasSuffix(s, nights) {
				w.Fatalf("started at %q, want %q", got, want)
			}
		}
		if len(got) != len(want) {
			w.Errorf("started at %q, want %q", got, want)
		}
		w.nothingLeft()
	})
}

// A queued recycle starts in the window.
func TestAQueuedRecycleStartsInItsWindow(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, nil)
		a.run = a.recycleChild
		flags := []string{"--workflow-name", "eks-recycle/queued", "--instance-id", w.ids[0], "--window", "12:00-13:00 UTC"}
		if o := w.stepAs(w.Context(), "queued", "admit", flags...); o.code != 75 || !strings.Contains(o.result.Message, "goes on at 2000-01-01T12:00:00Z") || len(a.order) > 0 {
			w.Errorf("exit %d, begun %v: %s", o.code, a.order, o.result.Message)
		}
		w.doneAs("queued", "admit", flags...)
		if now := time.Now().UTC().Format("15:04"); now < "12:00" || now > "12:02" || len(a.order) != 1 {
			w.Errorf("at %s: begun %v", now, a.order)
		}
		time.Sleep(time.Hour)
	})
}

// A rehearsal does not wait, and says that the real thing would.
func TestARehearsalOutsideOfTheWindow(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, nil)
		a.parent("fleet-1")
		w.close(w.ids[0])
		for step, flags := range map[string][]string{
			"evict": {"--instance-id", w.ids[0]}, "retire": {"--instance-id", w.ids[0]}, "fleet": {"--asg", group}, "admit": {"--instance-id", w.ids[1]},
		} {
			o := w.step(step, append(flags, "--dry-run", "--window", "12:00-13:00 UTC")...)
			if o.code != 0 || !strings.Contains(strings.Join(o.result.Warnings, " "), "outside of the window 12:00-13:00 UTC: goes on at 2000-01-01T12:00:00Z") {
				w.Errorf("step %s: exit %d %s, warnings %v", step, o.code, o.result.Message, o.result.Warnings)
			}
		}
	})
}
