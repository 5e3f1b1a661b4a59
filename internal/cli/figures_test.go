package cli_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// outputs are the output parameters of these names.
func outputs(t testing.TB, dir string, names ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(text)
	}
	return all
}

func TestFiguresOfASweep(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		dir := w.TempDir()
		want := func(when string, want map[string]string) {
			w.Helper()
			if o := w.sweep(nil, "--output-dir", dir); o.code != 0 {
				w.Fatal(o.stderr)
			}
			if diff := cmp.Diff(want, outputs(w, dir, "in-progress", "oldest-seconds", "parked", "left-behind")); diff != "" {
				w.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		want("before", map[string]string{"in-progress": "0", "oldest-seconds": "0", "parked": "0", "left-behind": "0"})

		began := time.Now()
		w.done("standby", w.by("argo/wf")...)
		took := time.Since(began)
		time.Sleep(2*time.Minute - took)
		want("in progress", map[string]string{"in-progress": "1", "oldest-seconds": "120", "parked": "0", "left-behind": "0"})

		w.done("settle", append(w.by("argo/wf"), "--workflow-status", "Failed")...)
		want("parked", map[string]string{"in-progress": "0", "oldest-seconds": "0", "parked": "1", "left-behind": "0"})
	})
}

func TestFiguresOfARecycleByHand(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.done("standby", w.by("alice@laptop")...)
		time.Sleep(10 * time.Minute)
		dir := w.TempDir()
		if o := w.sweep(nil, "--output-dir", dir); o.code != 0 {
			w.Fatal(o.stderr)
		}
		if diff := cmp.Diff(map[string]string{"in-progress": "0", "left-behind": "1"}, outputs(w, dir, "in-progress", "left-behind")); diff != "" {
			w.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestFiguresOfFleetsAndOfWhatWaitsForItsTurn(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, nil)
		a.run = a.recycleChild
		dir := w.TempDir()
		for _, c := range []struct{ holder, id, starts string }{
			{"alarm-1", w.ids[1], "recycle-node"},
			{"alarm-2", w.ids[0], "nothing"}, // the group cools down
		} {
			if o := a.alarm(c.holder, "--instance-id", c.id, "--output-dir", dir); o.code != 0 {
				w.Fatal(o.stderr)
			}
			if got := outputs(w, dir, "starts")["starts"]; got != c.starts {
				w.Errorf("%s starts %q, want %q", c.holder, got, c.starts)
			}
		}
		time.Sleep(time.Hour)

		a.parent("fleet-1")
		if o, _ := a.fleet(w.Context(), "fleet-1", "--asg", group, "--limit", "2", "--poll-window", "9h"); o.code != 0 {
			w.Fatal(o.stderr)
		}
		if o, _ := a.fleet(w.Context(), "fleet-1", "--finish", "--workflow-status", "Succeeded", "--output-dir", dir); o.code != 0 {
			w.Fatal(o.stderr)
		}
		if diff := cmp.Diff(map[string]string{"recycled": "2", "skipped": "0", "failed": "0"}, outputs(w, dir, "recycled", "skipped", "failed")); diff != "" {
			w.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestFiguresOfAnEvent(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, w.works)
		dir := w.TempDir()
		w.terminating(w.ids[0], time.Hour)
		for _, c := range []struct{ workflow, body, starts string }{
			{"event-1", terminationBody(w.ids[0], group, hookName, "t-1", time.Now()), "drain-terminating"},
			{"event-2", terminationBody(w.ids[0], group, "another-hook", "t-1", time.Now()), "nothing"},
			{"event-3", terminationBody(w.ids[1], group, hookName, "t-1", time.Now()), "nothing"}, // it does not terminate
		} {
			if o := a.receives(c.workflow, c.body, "--output-dir", dir); o.code != 0 {
				w.Fatalf("exit %d %q", o.code, o.result.Message)
			}
			if got := outputs(w, dir, "starts")["starts"]; got != c.starts {
				w.Errorf("%s starts %q, want %q", c.workflow, got, c.starts)
			}
		}
	})
}
