package report_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/timeline"
)

const domain = ".eu-central-1.compute.internal"

var evening = time.Date(2026, 11, 26, 22, 0, 0, 0, time.UTC)

func at(minutes float64) time.Time {
	return evening.Add(time.Duration(minutes * float64(time.Minute)))
}

// planned is one recycle in minutes since the evening. Durations of zero leave a step out.
type planned struct {
	begin, standby, drain, evict float64
	outcome, reason              string
	blocked                      *timeline.Span
}

func (p planned) recycle(n int, group string) timeline.Recycle {
	r := timeline.Recycle{
		Node:        fmt.Sprintf("ip-10-0-%d-%d%s", n*37%190+2, n*71%250+3, domain),
		Instance:    fmt.Sprintf("i-0%08x%08x", n*7919+4111, n*104729+77),
		Replacement: fmt.Sprintf("i-0%08x%08x", n*15485863%0xfffffff, n*32452843%0xfffffff),
		Group:       group, Zone: "eu-central-1" + string(rune('a'+n%3)),
		Workflow: fmt.Sprintf("recycle-node-%05x", n*54321%0xfffff),
		Outcome:  p.outcome, Reason: p.reason, From: at(p.begin),
	}
	if p.outcome == timeline.Skipped {
		r.Until, r.Replacement = r.From.Add(2*time.Second), ""
		return r
	}
	if p.blocked != nil {
		r.Blocked = []timeline.Span{*p.blocked}
	}
	from := r.From.Add(8 * time.Second)
	for i, step := range []timeline.Step{
		{Name: "standby", Attempts: 1, Message: "instance i-0c1 of the group is InService, its node is Ready"},
		{Name: "taint", Attempts: 1, Message: "cordoned and tainted"},
		{Name: "drain", Attempts: 1 + int(p.drain/30), Message: "2 pod(s) on the node still run: batch/render-7f, batch/render-8c"},
		{Name: "evict", Attempts: 1 + int(p.evict/10), Message: "all evicted"},
		{Name: "retire", Attempts: 1, Message: "detached, terminated, Node deleted"},
		{Name: "settle", Attempts: 1, Message: "the group is as it was"},
	} {
		minutes := []float64{p.standby, 0.035, p.drain, p.evict, 1.4, 0.3}[i]
		step.From, step.Until = from, from.Add(time.Duration(minutes*float64(time.Minute)))
		last := step.Name == "drain" && p.evict == 0
		if last && p.outcome == timeline.InProgress {
			step.Until = time.Time{}
		}
		if last && p.outcome == timeline.Failed {
			step.Failed, step.Message = true, p.reason
		}
		r.Steps = append(r.Steps, step)
		if last {
			break
		}
		from = step.Until.Add(4 * time.Second)
	}
	r.Until = r.Steps[len(r.Steps)-1].Until
	return r
}

// night is twelve nodes of three groups, two at a time.
func night() timeline.Page {
	const ok = timeline.Recycled
	budget := &timeline.Span{From: at(203), Until: at(243), Text: "budget shop/checkout allows no disruption: 2 of 2 pods are needed"}
	plan := []struct {
		group string
		planned
	}{
		{"batch-spot", planned{begin: 1, standby: 2.6, drain: 420, evict: 1.2, outcome: ok}},
		{"batch-spot", planned{begin: 1.1, standby: 2.9, drain: 74, evict: 0.8, outcome: ok}},
		{"batch-spot", planned{begin: 81, standby: 2.2, drain: 33, evict: 1, outcome: ok}},
		{"batch-spot", planned{begin: 121, outcome: timeline.Skipped, reason: "annotated eks-recycle/skip by the batch team"}},
		{"web", planned{begin: 121.2, standby: 3.1, drain: 10, evict: 2, outcome: ok}},
		{"web", planned{begin: 140, standby: 2.4, drain: 55, evict: 48, outcome: ok, blocked: budget}},
		{"web", planned{begin: 249, standby: 2.8, drain: 18, evict: 3, outcome: ok}},
		{"web", planned{begin: 275, standby: 2.5, drain: 95, evict: 1.5, outcome: ok}},
		{"monitoring", planned{begin: 379, standby: 2.7, drain: 61, outcome: timeline.Failed,
			reason: `draining node "ip-10-0-108-71.eu-central-1.compute.internal": 1 pod(s) still run after 1h0m0s: monitoring/compact-0; hint: raise drain-timeout, or let the pod finish and submit the same recycle again`}},
		{"monitoring", planned{begin: 428, standby: 2.4, drain: 44, evict: 1.1, outcome: ok}},
		{"monitoring", planned{begin: 445, standby: 2.5, drain: 21, evict: 0.7, outcome: ok}},
		{"monitoring", planned{begin: 479, standby: 2.9, drain: 61, outcome: timeline.InProgress}},
	}
	page := timeline.Page{
		Title: "Fleet recycle-fleet-x7k2p", Cluster: "prod-eu", From: at(0), Until: at(552), Drawn: at(552),
		Groups: []timeline.Group{
			capacity("batch-spot", 12, 1, 81), capacity("web", 4, 121.2, 140, 249, 275), capacity("monitoring", 3, 379, 428, 445, 479),
		},
	}
	for i, p := range plan {
		page.Recycles = append(page.Recycles, p.recycle(i, p.group))
	}
	return page
}

// capacity is one instance less for three minutes, whenever a recycle begins.
func capacity(name string, desired int, begins ...float64) timeline.Group {
	g := timeline.Group{Name: name, Points: []timeline.Point{{At: at(-600), InService: desired, Desired: desired}}}
	for _, begin := range begins {
		g.Points = append(g.Points, timeline.Point{At: at(begin), InService: desired - 1, Desired: desired},
			timeline.Point{At: at(begin + 3), InService: desired, Desired: desired})
	}
	return g
}

// single is one node in under an hour.
func single() timeline.Page {
	p := planned{begin: 4, standby: 2.5, drain: 31, evict: 3, outcome: timeline.Recycled}
	return timeline.Page{
		Title: "Recycle of one node", Cluster: "prod-eu", From: at(0), Until: at(45), Drawn: at(50),
		Recycles: []timeline.Recycle{p.recycle(7, "web")}, Groups: []timeline.Group{capacity("web", 2, 4)},
	}
}

// fortnight is 300 nodes in two weeks.
func fortnight() timeline.Page {
	page := timeline.Page{
		Title: "Recycles since 2026-11-26 22:00 UTC", Cluster: "prod-eu", From: at(0), Until: at(14 * 24 * 60), Drawn: at(14*24*60 + 7),
	}
	var begins []float64
	for i := range 300 {
		begin := float64(i)*64 + float64(i*i%17)
		p := planned{begin: begin, standby: 2.5, drain: 12 + float64(i*i*131%1400), evict: 2, outcome: timeline.Recycled}
		switch {
		case i%60 == 31:
			p.outcome, p.evict, p.reason = timeline.Failed, 0, "waiting for pods: 1 pod(s) still run after 24h0m0s: batch/long-0"
		case i%50 == 9:
			p.outcome, p.reason = timeline.Skipped, "annotated eks-recycle/skip"
		case i%40 == 17:
			p.evict = 300
			p.blocked = &timeline.Span{From: at(begin + p.drain + 10), Until: at(begin + p.drain + 200), Text: "budget shop/checkout allows no disruption"}
		case i > 296:
			p.outcome, p.evict = timeline.InProgress, 0
		}
		page.Recycles = append(page.Recycles, p.recycle(i, []string{"batch-spot", "web", "monitoring"}[i%3]))
		if i%3 == 1 {
			begins = append(begins, begin)
		}
	}
	page.Groups = []timeline.Group{capacity("web", 100, begins...)}
	return page
}

// odd is what nobody hopes for: long names, long texts without spaces, markup, a recycle outside of the interval.
func odd() timeline.Page {
	const markup = `<script>document.title = "owned"</script>`
	page := night()
	page.Title = strings.Repeat("recycle-fleet-", 20)
	page.Cluster = strings.Repeat("x", 150) + markup
	for i := range page.Recycles {
		r := &page.Recycles[i]
		r.Node = strings.Repeat("node-", 12) + r.Node + markup
		r.Group += strings.Repeat("-of-a-long-name", 6)
		r.Reason = markup + strings.Repeat("reason-without-spaces", 60)
		r.Workflow = strings.Repeat("w", 120)
	}
	page.Recycles[0].From = at(-900)
	page.Recycles[1].Steps[2].Name = "a step that nobody knows"
	for i := range page.Groups {
		page.Groups[i].Name = strings.Repeat(page.Groups[i].Name, 20)
	}
	return page
}
