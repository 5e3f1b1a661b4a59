package cli_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// Protection is found before anything is touched, and again before the detach, in case it was switched on meanwhile.
func TestProtectedInstances(t *testing.T) {
	stop := func(w *world, on bool) { w.must(w.sim.ProtectFromStop(w.ids[0], on)) }
	terminate := func(w *world, on bool) { w.must(w.sim.ProtectInstance(w.ids[0], on)) }
	for name, c := range map[string]struct {
		action  string
		protect func(*world, bool)
		what    string // "": it does not matter
	}{
		"from stop, to be stopped":           {"stop", stop, "stop protection"},
		"from stop, to be terminated":        {"terminate", stop, "stop protection"},
		"from termination, to be terminated": {"terminate", terminate, "termination protection"},
		"from termination, to be stopped":    {"stop", terminate, ""},
	} {
		for _, when := range []string{"before", "in mid-run"} {
			t.Run(name+" "+when, func(t *testing.T) {
				inWorld(t, nil, func(w *world) {
					w.withArgo(workflow("a", "a", ""))
					id := []string{"--instance-id", w.ids[0], "--action", c.action}
					ran := 0
					if when == "before" {
						c.protect(w, true)
					} else {
						for ran = range 4 {
							w.run("a", recycleSteps[ran], id...)
						}
						ran++
						c.protect(w, true)
					}
					w.sim.ForgetCalls()
					o := w.run("a", recycleSteps[ran], id...)
					if c.what == "" {
						if o.code != 0 {
							t.Errorf("exit %d: %s", o.code, o.result.Message)
						}
						return
					}
					if o.code != 1 || !strings.Contains(o.result.Message, "has "+c.what) || !strings.Contains(o.result.Hint, "--no-disable-api-") {
						t.Errorf("exit %d: %s; hint %q", o.code, o.result.Message, o.result.Hint)
					}
					if calls := w.actions(); len(calls) > 0 {
						t.Errorf("calls %v", calls)
					}
					settled := w.run("a", "settle", append(id, "--workflow-status", "Failed")...)
					if settled.code != 0 || !w.balances() {
						t.Errorf("settle exits %d: %s; AZRebalance runs: %t", settled.code, settled.result.Message, w.balances())
					}
					if onStandby := slices.Contains(w.members("Standby"), w.ids[0]); onStandby != (when == "in mid-run") {
						t.Errorf("on standby: %t", onStandby)
					}
					c.protect(w, false)
					for _, step := range append(slices.Clone(recycleSteps), "settle") {
						if o := w.run("b", step, id...); o.code != 0 {
							t.Fatalf("step %s: %s", step, o.stderr)
						}
					}
					w.whole(w.ids[1:]...)
				})
			})
		}
	}
}

// Switched on in the moment after the detach, protection is said with the command that helps, and holds up nothing shared.
func TestAnInstanceProtectedAfterTheDetach(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.Detaching = 2 * time.Minute }, func(w *world) {
		w.withArgo(workflow("a", "a", ""))
		id := []string{"--instance-id", w.ids[0]}
		for _, step := range recycleSteps[:4] {
			w.run("a", step, id...)
		}
		go func() {
			time.Sleep(time.Minute)
			_ = w.sim.ProtectFromStop(w.ids[0], true)
		}()
		for _, o := range []outcome{w.run("a", "retire", id...), w.run("a", "settle", append(id, "--workflow-status", "Failed")...)} {
			if o.code != 1 || !strings.Contains(o.result.Message, "OperationNotPermitted") || !strings.Contains(o.result.Hint, "--no-disable-api-stop") {
				t.Errorf("exit %d: %s; hint %q", o.code, o.result.Message, o.result.Hint)
			}
		}
		if !w.balances() {
			t.Error("AZRebalance is left suspended")
		}
		w.must(w.sim.ProtectFromStop(w.ids[0], false))
		w.withArgo()
		time.Sleep(time.Hour)
		if o := w.run("sweep", "sweep"); o.code != 0 || w.instanceState(w.ids[0]) != "stopped" {
			t.Errorf("a sweep exits %d: %s; the instance is %s", o.code, o.result.Message, w.instanceState(w.ids[0]))
		}
		w.whole(w.ids[1:]...)
	})
}

// An instance that was stopped on standby is not brought back as it is: its group would terminate it.
func TestAStoppedInstanceIsNotBroughtBack(t *testing.T) {
	for _, by := range []string{"restore", "settle"} {
		t.Run(by, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.must(w.sim.Configure(func(c *awssim.Config) { c.LaunchFailure = "InsufficientInstanceCapacity" }))
				w.withArgo(workflow("a", "a", ""))
				id := []string{"--instance-id", w.ids[0], "--replacement-timeout", "10m"}
				w.run("a", "standby", id...)
				w.must(w.sim.ActOutside(w.ids[0], "stop"))
				time.Sleep(5 * time.Minute)
				o := w.run("a", by, append(id, "--workflow-status", "Failed")...)
				want, text := 1, o.result.Message
				if by == "settle" {
					want = 0
				}
				if o.code != want || !strings.Contains(text, "is stopped") || !strings.Contains(text+o.result.Hint, "start it") || !slices.Equal(w.members("Standby"), w.ids[:1]) {
					t.Errorf("exit %d: %s, hint %q; on standby %v", o.code, text, o.result.Hint, w.members("Standby"))
				}
				w.must(w.sim.ActOutside(w.ids[0], "start"))
				time.Sleep(5 * time.Minute)
				w.withArgo()
				if o := w.run("b", "restore", id...); o.code != 0 || !slices.Contains(w.members("InService"), w.ids[0]) {
					t.Errorf("exit %d: %s", o.code, o.result.Message)
				}
				w.unclaimed()
			})
		})
	}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}
