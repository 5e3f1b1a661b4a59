package cli

import (
	"strconv"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/fleet"
)

// startsNothing is what an event or a request starts that starts no workflow.
const startsNothing = "nothing"

// figures are the output parameters that the metrics of the WorkflowTemplates are made of: numbers, and words of a small set.
func (i *invocation) figures() map[string]string {
	parked, leftBehind := 0, 0
	for _, l := range i.remaining {
		switch {
		case l.Parked:
			parked++
		case !l.Settled:
			leftBehind++
		}
	}
	var oldest time.Duration
	for _, began := range i.report.InProgress {
		if !began.IsZero() {
			oldest = max(oldest, time.Since(began))
		}
	}
	var s fleet.Summary
	if i.fleet != nil && i.fleet.Summary != nil {
		s = *i.fleet.Summary
	}
	return map[string]string{
		"in-progress": strconv.Itoa(len(i.report.InProgress)), "oldest-seconds": strconv.Itoa(int(oldest.Seconds())),
		"parked": strconv.Itoa(parked), "left-behind": strconv.Itoa(leftBehind),
		"recycled": strconv.Itoa(s.Recycled), "skipped": strconv.Itoa(s.Skipped), "failed": strconv.Itoa(s.Failed),
		"starts": i.startedFrom(),
	}
}

// startedFrom is the template of what was started. All workflows of one event are of one template.
func (i *invocation) startedFrom() string {
	switch {
	case len(i.started) > 0 && len(i.starts) > 0:
		return i.starts[0].Template
	case i.Fleet.Template != "" && i.Queued != (fleet.Queued{}) && !i.report.NothingStarted && !i.DryRun:
		return i.Fleet.Template
	}
	return startsNothing
}
