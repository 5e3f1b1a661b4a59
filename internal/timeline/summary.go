package timeline

import (
	"slices"
	"time"
)

// summary is the first thing to read. Durations are of the recycles that ended well: a failed one stops anywhere.
type summary struct {
	Nodes                               int
	Single                              bool // one duration is total, median and longest
	Counts                              []count
	Total, Median, Longest, LongestNode string
}

type count struct {
	Outcome outcome
	N       int
}

func newSummary(all []Recycle, w words) summary {
	out := summary{Nodes: len(all)}
	for _, of := range []string{Recycled, Failed, Skipped, InProgress} {
		n := 0
		for _, r := range all {
			if r.Outcome == of {
				n++
			}
		}
		out.Counts = append(out.Counts, count{newOutcome(of), n})
	}
	var durations []time.Duration
	var total, longest time.Duration
	for _, r := range all {
		if r.Outcome != Recycled || r.From.IsZero() || r.Until.Before(r.From) {
			continue
		}
		d := r.Until.Sub(r.From)
		if durations = append(durations, d); d > longest || len(durations) == 1 {
			longest, out.LongestNode = d, w.node(r.Node)
		}
		total += d
	}
	out.Single = len(durations) == 1
	if len(durations) > 0 {
		out.Total, out.Median, out.Longest = duration(total), duration(median(durations)), duration(longest)
	}
	return out
}

func median(all []time.Duration) time.Duration {
	all = slices.Sorted(slices.Values(all))
	middle := len(all) / 2
	if len(all)%2 == 1 {
		return all[middle]
	}
	return (all[middle-1] + all[middle]) / 2
}
