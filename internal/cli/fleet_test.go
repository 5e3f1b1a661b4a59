package cli_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestFleetRecyclesAGroupWithinItsBudget(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, nil)
		a.run = a.recycleChild
		w.resized("MaxSize", 12)
		w.resized("DesiredCapacity", 9)
		for _, id := range w.ids[:4] {
			w.pod(id, "batch-"+id, time.Hour, nil)
		}
		old := slices.Clone(w.ids)
		a.parent("fleet-1")
		o, attempts := a.fleet(w.Context(), "fleet-1", "--asg", group, "--max-unavailable", "3")
		if o.code != 0 || o.result.Fleet == nil || o.result.Fleet.Recycled != 9 {
			w.Fatalf("exit %d: %s %+v\n%s", o.code, o.result.Message, o.result.Fleet, o.stderr)
		}
		if a.peak != 3 {
			w.Errorf("%d at once, want 3", a.peak)
		}
		for _, id := range w.members("InService") {
			if slices.Contains(old, id) {
				w.Errorf("instance %s is still in service", id)
			}
		}
		if n := len(w.members("InService")); n != 9 {
			w.Errorf("%d in service", n)
		}
		w.nothingLeft()
		t.Logf("%d attempts", attempts)
	})
}

func TestFleetAfterAFailure(t *testing.T) {
	for name, c := range map[string]struct {
		flag            string
		recycled, begun int
	}{
		"stop":     {"stop", 1, 2},
		"continue": {"continue", 2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				a := newArgoWorld(w, nil)
				a.run = func(child map[string]string) string {
					if len(a.order) == 2 {
						time.Sleep(time.Minute)
						return "no replacement in service"
					}
					return a.recycleChild(child)
				}
				a.parent("fleet-1")
				o, _ := a.fleet(w.Context(), "fleet-1", "--asg", group, "--on-failure", c.flag)
				if o.code != 1 || !strings.Contains(o.result.Message, "1 of ") || !strings.Contains(o.result.Message, "standby: no replacement in service") {
					w.Fatalf("exit %d: %s", o.code, o.stderr)
				}
				if s := o.result.Fleet; s.Recycled != c.recycled || s.Failed != 1 || len(a.order) != c.begun {
					w.Errorf("summary %+v, begun %v", s, a.order)
				}
				// Another night tries the one again that failed.
				a.parentEnds("fleet-1")
				a.run = a.recycleChild
				a.parent("fleet-2")
				before := w.members("InService")
				if o, _ := a.fleet(w.Context(), "fleet-2", "--asg", group, "--max-unavailable", "100%"); o.code != 0 || o.result.Fleet.Recycled != 3 {
					w.Errorf("exit %d: %s", o.code, o.stderr)
				}
				if left := without(before, w.members("InService")...); len(left) != 3 {
					w.Errorf("%v of %v are gone", left, before)
				}
			})
		})
	}
}

// A fleet that is killed and run again finds its children, and starts none twice.
func TestFleetThatIsKilledGoesOn(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, nil)
		a.run = a.recycleChild
		a.parent("fleet-1")
		killed, kill := context.WithTimeout(w.Context(), 90*time.Second)
		defer kill()
		began := time.Now().UTC().Format(time.RFC3339)
		flags := []string{"--asg", group, "--workflow-name", "eks-recycle/fleet-1", "--started-at", began}
		if o := w.stepAs(killed, "fleet-1", "fleet", flags...); o.code != 75 {
			w.Fatalf("exit %d: %s", o.code, o.stderr)
		}
		o := w.stepAs(w.Context(), "fleet-1", "fleet", flags...)
		for o.code == 75 {
			o = w.stepAs(w.Context(), "fleet-1", "fleet", flags...)
		}
		if o.code != 0 || o.result.Fleet.Recycled != 3 || len(a.order) != 3 || a.peak != 1 {
			w.Errorf("exit %d: %s; begun %v, %d at once", o.code, o.stderr, a.order, a.peak)
		}
		w.nothingLeft()
	})
}

func TestTwoFleetsShareTheBudget(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, nil)
		a.run = a.recycleChild
		w.resized("MaxSize", 9)
		w.resized("DesiredCapacity", 6)
		codes := make(chan int, 2)
		for _, name := range []string{"fleet-1", "fleet-2"} {
			a.parent(name)
			go func() {
				o, _ := a.fleet(w.Context(), name, "--asg", group, "--max-unavailable", "2")
				codes <- o.code
			}()
		}
		if first, second := <-codes, <-codes; first+second != 0 {
			w.Errorf("exit %d and %d", first, second)
		}
		if a.peak > 2 || len(a.order) != 6 {
			w.Errorf("%d at once, begun %v", a.peak, a.order)
		}
		w.nothingLeft()
	})
}

func TestFleetPassesOverWhatPeopleAskFor(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, nil)
		a.run = func(child map[string]string) string {
			if len(a.order) == 1 { // while the first one is in progress, somebody changes their mind about the others
				n := w.nodeOf(w.ids[1])
				n.Annotations["eks-recycle.io/skip"] = "until Monday"
				if _, err := w.kube.CoreV1().Nodes().Update(w.Context(), n, metav1.UpdateOptions{}); err != nil {
					w.Error(err)
				}
				if err := w.sim.ActOutside(w.ids[2], "terminate"); err != nil {
					w.Error(err)
				}
			}
			return a.recycleChild(child)
		}
		a.parent("fleet-1")
		o, _ := a.fleet(w.Context(), "fleet-1", "--asg", group)
		if o.code != 0 || o.result.Fleet.Recycled != 1 || len(a.order) != 1 {
			w.Errorf("exit %d: %s; begun %v, %+v", o.code, o.stderr, a.order, o.result.Fleet)
		}
	})
}

// Whoever is passed over does not use up the budget of the moment: the next one begins at once, not at the next look.
func TestFleetGoesOnAtOnceAfterNodesThatItPassesOver(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, nil)
		w.resized("DesiredCapacity", 5)
		var ended, begun []time.Time
		a.run = func(child map[string]string) string {
			begun = append(begun, time.Now())
			defer func() { ended = append(ended, time.Now()) }()
			if len(begun) > 1 {
				return a.recycleChild(child)
			}
			for _, id := range w.ids[1:4] {
				n := w.nodeOf(id)
				n.Annotations["eks-recycle.io/skip"] = "true"
				if _, err := w.kube.CoreV1().Nodes().Update(w.Context(), n, metav1.UpdateOptions{}); err != nil {
					w.Error(err)
				}
			}
			return a.recycleChild(child)
		}
		a.parent("fleet-1")
		o, _ := a.fleet(w.Context(), "fleet-1", "--asg", group)
		if o.code != 0 || o.result.Fleet.Recycled != 2 || len(a.order) != 2 {
			w.Fatalf("exit %d: %s; begun %v, %+v", o.code, o.stderr, a.order, o.result.Fleet)
		}
		if pause := begun[1].Sub(ended[0]); pause > 5*time.Second {
			w.Errorf("the next recycle began %s after the one before had ended", pause)
		}
	})
}

func TestFleetStopsToStart(t *testing.T) {
	for name, c := range map[string]struct {
		flags []string
		begun int
		says  string
	}{
		"at its limit":            {[]string{"--limit", "2"}, 2, ""},
		"when its time has ended": {[]string{"--start-for", "2m"}, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				a := newArgoWorld(w, nil)
				a.run = a.recycleChild
				a.parent("fleet-1")
				o, _ := a.fleet(w.Context(), "fleet-1", append(c.flags, "--asg", group)...)
				if o.code != 0 || len(a.order) != c.begun || o.result.Fleet.NotStarted != 3-c.begun {
					w.Errorf("exit %d: %s; begun %v", o.code, o.result.Message, a.order)
				}
			})
		})
	}
}

func TestFleetDryRunCreatesNothing(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, nil)
		o := w.step("fleet", "--asg", group, "--max-unavailable", "2", "--dry-run")
		if o.code != 0 || len(o.result.Nodes) != 3 || len(o.result.Changes) != 2 || len(a.order) != 0 {
			w.Errorf("exit %d: %s %v", o.code, o.stderr, o.result.Changes)
		}
		// The exit handler has no table for it: one of nothing would read as if nothing were to be done.
		a.parent("fleet-1")
		if o := w.stepAs(w.Context(), "fleet-1", "fleet", "--finish", "--output", "table", "--dry-run"); o.code != 0 || o.result.Message != "dry run: nothing was started" {
			w.Errorf("exit %d: %s %s", o.code, o.stderr, o.result.Message)
		}
	})
}
