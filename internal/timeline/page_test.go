package timeline

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden page anew")

var start = time.Date(2026, 11, 26, 22, 0, 0, 0, time.UTC)

func minute(n float64) time.Time { return start.Add(time.Duration(n * float64(time.Minute))) }

func write(t *testing.T, p Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// small holds one of each: recycled, blocked, failed, skipped, in progress.
func small() Page {
	const domain = ".eu-central-1.compute.internal"
	return Page{
		Title: "Fleet recycle-fleet-x7k2p", Cluster: "prod", From: start, Until: minute(180), Drawn: minute(180),
		Recycles: []Recycle{
			{Node: "ip-10-0-1-7" + domain, Instance: "i-07", Group: "web", Zone: "eu-central-1a", Workflow: "recycle-node-b", Replacement: "i-17",
				Outcome: InProgress, From: minute(120), Steps: []Step{
					{Name: "standby", From: minute(120), Until: minute(123), Attempts: 1},
					{Name: "drain", From: minute(123), Attempts: 3, Message: "1 pod(s) still run: batch/a"}}},
			{Node: "ip-10-0-1-5" + domain, Instance: "i-05", Group: "web", Zone: "eu-central-1b", Workflow: "recycle-node-a", Replacement: "i-15",
				Outcome: Recycled, From: minute(1), Until: minute(100), Steps: []Step{
					{Name: "standby", From: minute(1), Until: minute(3), Attempts: 1},
					{Name: "taint", From: minute(3), Until: start.Add(182 * time.Second), Attempts: 1},
					{Name: "drain", From: minute(4), Until: minute(40), Attempts: 2},
					{Name: "evict", From: minute(40), Until: minute(98), Attempts: 6},
					{Name: "retire", From: minute(98), Until: minute(99), Attempts: 1},
					{Name: "settle", From: minute(99), Until: minute(100), Attempts: 1}},
				Blocked: []Span{{minute(45), minute(85), "budget shop/checkout allows no disruption"}}},
			{Node: "ip-10-0-1-6" + domain, Instance: "i-06", Group: "batch", Zone: "eu-central-1a", Workflow: "recycle-node-c",
				Outcome: Failed, Reason: "waiting for pods: 1 pod(s) still run", From: minute(100), Until: minute(118), Steps: []Step{
					{Name: "standby", From: minute(100), Until: minute(103), Attempts: 1},
					{Name: "drain", From: minute(103), Until: minute(118), Attempts: 2, Failed: true}}},
			{Node: "ip-10-0-1-8" + domain, Group: "batch", Outcome: Skipped, Reason: "annotated", From: minute(119), Until: minute(119)},
		},
		Groups: []Group{{"web", []Point{{minute(-60), 3, 3}, {minute(1), 2, 3}, {minute(3), 3, 3}}}, {"nothing known", nil}},
	}
}

func TestThePageIsTheGoldenOne(t *testing.T) {
	got := write(t, small())
	golden := filepath.Join("testdata", "small.html")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("page (-want +got), -update accepts it:\n%s", diff)
	}
	if strings.Contains(got, "ZgotmplZ") {
		t.Error("html/template refused a value")
	}
}

func TestWhateverIsInTheInputComesOutAsText(t *testing.T) {
	const evil = `</title></style><script>alert("1")</script><img src=x onerror='alert(2)'>` + "\u202e&amp;"
	page := write(t, Page{
		Title: evil, Cluster: evil, From: start, Until: minute(60),
		Recycles: []Recycle{{Node: evil, Instance: evil, Group: evil, Zone: evil, Workflow: evil, Replacement: evil, Outcome: Failed, Reason: evil,
			From: start, Until: minute(9), Steps: []Step{{Name: evil, From: start, Until: minute(9), Failed: true, Message: evil}},
			Blocked: []Span{{start, minute(5), evil}}},
			{Node: evil, Outcome: evil, From: start}, {Node: evil, Outcome: Skipped, Reason: evil}},
		Groups: []Group{{evil, []Point{{start, 1, 2}}}},
	})
	for _, tag := range []string{"<script", "<img", "onerror='", `alert("1")`, "ZgotmplZ"} {
		if strings.Contains(page, tag) {
			t.Errorf("the page holds %s", tag)
		}
	}
	if n := strings.Count(page, "</style>"); n != 1 {
		t.Errorf("%d times </style>", n)
	}
	if !strings.Contains(page, "&lt;script&gt;") || !strings.Contains(page, "&amp;amp;") {
		t.Error("what was in the input is not on the page")
	}
}

func TestThePageLoadsNothingAndRunsNothing(t *testing.T) {
	page := write(t, small())
	for _, text := range []string{"<script", "<link", "<img", "<iframe", "@import", "http:", "https:", "javascript:", " src=", " onload", "<base", "<form"} {
		if strings.Contains(page, text) {
			t.Errorf("the page holds %q", text)
		}
	}
}

func TestNothingWasRecycled(t *testing.T) {
	for name, p := range map[string]Page{
		"in an interval":       {Title: "Recycles", From: start, Until: minute(60)},
		"beside some capacity": {Title: "Recycles", From: start, Until: minute(60), Groups: small().Groups},
		"and nothing is known": {},
	} {
		t.Run(name, func(t *testing.T) {
			page := write(t, p)
			if !strings.Contains(page, "Nothing was recycled in this interval.") || strings.Contains(page, `id="recycles"`) || strings.Contains(page, "NaN") {
				t.Error(page)
			}
			if strings.Contains(page, `id="capacity"`) != (len(p.Groups) > 0) {
				t.Error("capacity is shown where it is known")
			}
		})
	}
}

// many are nodes as a fleet has them, with messages as steps leave them.
func many(n int) Page {
	p := Page{Title: "Fleet recycle-fleet-x7k2p", Cluster: "prod", From: start, Until: minute(float64(n)*20 + 600), Drawn: minute(float64(n)*20 + 600)}
	for i := range n {
		begin := float64(i) * 20
		r := Recycle{Node: fmt.Sprintf("ip-10-%d-%d-%d.eu-central-1.compute.internal", i/200, i%200, i%250), Instance: fmt.Sprintf("i-0%016x", i*7919),
			Group: fmt.Sprintf("group-%d", i%9), Zone: "eu-central-1a", Workflow: fmt.Sprintf("recycle-node-%05x", i), Replacement: fmt.Sprintf("i-0%016x", i*104729),
			Outcome: Recycled, From: minute(begin), Until: minute(begin + 300)}
		for j, name := range stepNames {
			from := begin + []float64{0, 2, 2.1, 280, 295, 298}[j]
			until := begin + []float64{2, 2.1, 280, 295, 298, 300}[j]
			r.Steps = append(r.Steps, Step{Name: name, From: minute(from), Until: minute(until), Attempts: 1 + i%9,
				Message: "2 pod(s) on node " + r.Node + " still run: default/a, default/b"})
		}
		p.Recycles = append(p.Recycles, r)
	}
	return p
}

func TestAThousandNodesFitIntoTwoMegabytes(t *testing.T) {
	if size := len(write(t, many(1000))); size > 2<<20 {
		t.Errorf("%d bytes", size)
	}
}

func BenchmarkAThousandNodes(b *testing.B) {
	p := many(1000)
	for b.Loop() {
		if err := p.Write(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
