package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/cli"
	"github.com/eks-recycle/eks-recycle/internal/timeline"
)

// A fleet of three, of which the second node fails: what the report draws is what happened, and the exit handler of the fleet writes the same page.
func TestAReportDrawsAFleet(t *testing.T) {
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
		began := time.Now()
		a.fleet(w.Context(), "fleet-1", "--asg", group, "--on-failure", "continue")
		time.Sleep(3 * time.Hour)

		for name, flags := range map[string][]string{"the fleet": {"--fleet", "fleet-1"}, "the night": {"--since", "4h"}} {
			o := w.step("report", append(flags, "--output", "json")...)
			if o.code != 0 || o.result.Page == nil || len(o.result.Page.Recycles) != 3 {
				t.Fatalf("%s: exit %d: %+v\n%s", name, o.code, o.result.Page, o.stderr)
			}
			p := o.result.Page
			var outcomes []string
			for _, r := range p.Recycles {
				outcomes = append(outcomes, r.Outcome)
				if r.Group != group || r.Node == "" || !strings.HasPrefix(r.Workflow, "recycle-i-") || r.Until.Before(r.From) {
					t.Errorf("%s: %+v", name, r)
				}
			}
			if !slices.Equal(outcomes, []string{"Recycled", "Failed", "Recycled"}) || !strings.Contains(p.Recycles[1].Reason, "no replacement in service") {
				t.Errorf("%s: %v, %+v", name, outcomes, p.Recycles[1])
			}
			if len(p.Groups) != 1 {
				t.Fatalf("%s: groups %+v", name, p.Groups)
			}
			// A night has also what was before, when the group was made.
			points := slices.DeleteFunc(slices.Clone(p.Groups[0].Points), func(p timeline.Point) bool { return p.At.Before(began) })
			if last := points[len(points)-1]; last.InService != 3 || !slices.ContainsFunc(points, func(p timeline.Point) bool { return p.InService == 2 }) {
				t.Errorf("%s: capacity %+v", name, points)
			}
			for _, point := range points {
				if point.Desired != 3 || point.InService < 2 || point.InService > 3 {
					t.Errorf("%s: %+v", name, point)
				}
			}
			if name == "the fleet" && p.Title != "Fleet fleet-1" {
				t.Errorf("it is called %s", p.Title)
			}
		}
		if o := w.step("report", "--since", "1h", "--output", "json"); o.code != 0 || len(o.result.Page.Recycles) != 0 {
			t.Errorf("of the last hour: %+v", o.result.Page)
		}
		w.sim.ForgetCalls()
		if o := w.step("report", "--fleet", "fleet-1", "--output", "json", "--aws=false"); o.code != 0 || len(o.result.Page.Groups) != 0 || len(w.sim.Calls(0)) != 0 {
			t.Errorf("without AWS: exit %d, %+v, %d calls", o.code, o.result.Page, len(w.sim.Calls(0)))
		}

		dir := t.TempDir()
		file, ofTheExitHandler := filepath.Join(dir, "report.html"), filepath.Join(dir, "finish.html")
		var out, log bytes.Buffer
		if code := cli.Run(w.Context(), []string{"step", "report", "--fleet", "fleet-1", "--cluster", "", "--file", file}, w.streams("report", &out, &log)); code != 0 || out.Len() > 0 {
			t.Errorf("exit %d, %s%s", code, out.String(), log.String())
		}
		o := w.stepAs(w.Context(), "fleet-1", "fleet", "--finish", "--workflow-name", "eks-recycle/fleet-1", "--report-file", ofTheExitHandler)
		if o.code != 0 || o.result.Message != "2 node(s) recycled, 0 skipped, 1 failed" {
			t.Errorf("exit %d: %s", o.code, o.result.Message)
		}
		one, err := os.ReadFile(file)
		w.must(err)
		other, err := os.ReadFile(ofTheExitHandler)
		w.must(err)
		if !bytes.Equal(one, other) || !bytes.Contains(one, []byte("<title>Fleet fleet-1</title>")) || !bytes.Contains(one, []byte("no replacement in service")) {
			t.Errorf("pages of %d and %d bytes", len(one), len(other))
		}
		nowhere := filepath.Join(dir, "nosuch", "page.html")
		if o := w.stepAs(w.Context(), "fleet-1", "fleet", "--finish", "--workflow-name", "eks-recycle/fleet-1", "--report-file", nowhere); o.code != 0 || !strings.Contains(o.stderr, "the page of the fleet is not written") {
			t.Errorf("a page that cannot be written: exit %d: %s", o.code, o.stderr)
		}
	})
}

func TestReportRefuses(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		newArgoWorld(w, nil)
		for flags, want := range map[string]struct {
			code int
			says string
		}{
			"--time-zone Mars/Olympus": {2, `--time-zone "Mars/Olympus" is unknown`},
			"--since -1h":              {2, "must be a positive duration"},
			"--fleet nosuch":           {1, `reading workflow "nosuch"`},
			"--output pdf":             {2, `--output "pdf" is not one of`},
		} {
			o := w.stepAs(w.Context(), "x", "report", strings.Fields(flags)...)
			if o.code != want.code || !strings.Contains(o.stderr, want.says) {
				t.Errorf("%s: exit %d: %s", flags, o.code, o.stderr)
			}
		}
	})
}
