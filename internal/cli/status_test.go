package cli_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/cli"
	"github.com/eks-recycle/eks-recycle/internal/recycle"
)

// shows returns what a status says of the instances, in that order.
func (w *world) shows(flags ...string) map[string]recycle.Standing {
	w.Helper()
	o := w.step("status", flags...)
	if o.code != 0 {
		w.Fatalf("exit %d: %s", o.code, o.stderr)
	}
	by := map[string]recycle.Standing{}
	for _, s := range o.result.Recycles {
		by[s.InstanceID] = s
	}
	if len(by) != len(o.result.Recycles) {
		w.Errorf("an instance is shown twice: %+v", o.result.Recycles)
	}
	return by
}

// A recycle from its beginning to its end, as people see it at each stage.
func TestStatusSaysHowFarARecycleIs(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.withArgo(workflow("a", "a", ""))
		id := w.ids[0]
		w.pod(id, "batch", 30*time.Hour, nil)
		w.pod(id, "web", 0, service)
		w.block("web", "web-pdb")
		if all := w.shows(); len(all) > 0 {
			t.Errorf("nothing has begun: %+v", all)
		}
		expect := func(state, waitsFor string, pods []string, until time.Duration) {
			t.Helper()
			for _, flags := range [][]string{nil, {"--aws"}, {"--asg", group}} {
				s, found := w.shows(flags...)[id]
				if !found || s.State != state || !strings.Contains(s.WaitsFor, waitsFor) || !slices.Equal(s.Pods, pods) || s.ASGName != group || s.NodeName != w.nodeOf(id).Name {
					t.Errorf("status %v: %+v, want %s, %s", flags, s, state, waitsFor)
				}
				if s.Since.IsZero() || time.Since(s.Since) < 0 || (s.Until.IsZero() != (until == 0)) || (until > 0 && s.Until.Sub(s.Since) != until) {
					t.Errorf("status %v, %s: since %s until %s, want %s", flags, state, s.Since, s.Until, until)
				}
				if state != recycle.Parked && s.Workflow != "argo/a" {
					t.Errorf("status %v: by %s", flags, s.Workflow)
				}
				if strings.HasSuffix(s.Lifecycle, "Standby") != slices.Contains(flags, "--aws") {
					t.Errorf("status %v: lifecycle state %q", flags, s.Lifecycle)
				}
			}
		}
		flags := []string{"--instance-id", id, "--max-wait", "40h", "--evict-timeout", "2h", "--replacement-timeout", "45m"}
		attempt := func(step, window string) {
			t.Helper()
			if o := w.stepAs(w.Context(), "a", step, append(flags, "--workflow-name", "argo/a", "--poll-window", window)...); o.code != 75 {
				t.Fatalf("%s: exit %d\n%s", step, o.code, o.stderr)
			}
		}
		attempt("standby", "10s")
		expect("waiting for a replacement", "a replacement", nil, 45*time.Minute)
		w.run("a", "standby", flags...)
		w.run("a", "taint", flags...)
		expect("replaced", "", nil, 0)
		attempt("drain", "2h")
		expect("draining", "1 pod(s): default/batch", []string{"default/batch"}, 40*time.Hour)
		w.run("a", "drain", flags...)
		attempt("evict", "10m")
		expect("evicting", "1 pod(s): default/web", []string{"default/web"}, 2*time.Hour)
		w.run("a", "settle", append(flags, "--workflow-status", "Failed")...)
		expect("parked", "somebody", nil, 0)
		if all := w.shows("--asg", "others"); len(all) > 0 {
			t.Errorf("of another group: %+v", all)
		}
		w.done("restore", "--instance-id", id)
		if all := w.shows(); len(all) > 0 {
			t.Errorf("it is back in service: %+v", all)
		}
	})
}

// What is neither in progress nor parked: nobody works on it any more, or its pod does not run.
func TestStatusSaysWhoIsGone(t *testing.T) {
	for name, want := range map[string]struct{ completed, state, waitsFor string }{
		"its workflow has ended":        {"true", recycle.Orphaned, "the next sweep"},
		"its workflow's pod is pending": {"", "replaced", "its claim has expired"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.withArgo(workflow("a", "a", want.completed))
				w.run("a", "standby", "--instance-id", w.ids[0])
				time.Sleep(2 * time.Hour)
				if s := w.shows()[w.ids[0]]; s.State != want.state || !strings.Contains(s.WaitsFor, want.waitsFor) {
					t.Errorf("%+v, want %s, %s", s, want.state, want.waitsFor)
				}
			})
		})
	}
}

// What AWS says goes before the record, if it is asked.
func TestStatusAsksAWS(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		id := w.ids[0]
		w.close(id)
		w.exitStandby(id)
		w.sim.ForgetCalls()
		if s := w.shows()[id]; s.State != "replaced" || len(w.sim.Calls(0)) > 0 {
			t.Errorf("%s, by %d calls of AWS", s.State, len(w.sim.Calls(0)))
		}
		if s := w.shows("--aws")[id]; s.State != "serving" || s.Lifecycle != "InService" || len(w.sim.Calls(0)) != 2 {
			t.Errorf("%s, %s, by %d calls of AWS", s.State, s.Lifecycle, len(w.sim.Calls(0)))
		}
	})
}

func TestStatusAsATable(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		table := func() string {
			var out, log bytes.Buffer
			if code := cli.Run(w.Context(), []string{"step", "status", "--output", "table"}, w.streams("status", &out, &log)); code != 0 {
				t.Errorf("exit %d\n%s", code, log.String())
			}
			return out.String()
		}
		if got := table(); got != "0 recycle(s), 0 of them parked\n" {
			t.Errorf("%q", got)
		}
		w.close(w.ids[0])
		time.Sleep(3 * time.Minute)
		lines := strings.Split(table(), "\n")
		if len(lines) != 4 || !strings.HasPrefix(lines[0], "NODE") || strings.Index(lines[0], "STATE") != strings.Index(lines[1], "replaced") || !strings.Contains(lines[1], "wf-1") {
			t.Errorf("the table:\n%s", strings.Join(lines, "\n"))
		}
	})
}
