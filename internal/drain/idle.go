package drain

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// idle is how long an eviction has not moved.
type idle struct {
	Eviction
	since   time.Time
	stalled bool            // it was said that half of the time has passed
	there   map[string]bool // the pods of the last look, by UID
}

func newIdle(e Eviction) *idle {
	i := &idle{Eviction: e, since: e.Since, there: map[string]bool{}}
	if i.since.IsZero() || i.since.After(time.Now()) {
		i.since = time.Now()
	}
	i.stalled = time.Since(i.since) >= e.Timeout/2 // an earlier attempt has said so
	return i
}

// look takes in which pods are there. It moves when a pod was evicted or went, and as long as there is none to be evicted.
func (i *idle) look(ctx context.Context, pods []*corev1.Pod, evicted bool) error {
	if !i.went(pods) && !evicted && (len(pods) == 0 || slices.ContainsFunc(pods, i.may)) {
		return nil
	}
	i.since, i.stalled = time.Now(), false
	if i.Progress == nil {
		return nil
	}
	return i.Progress(ctx)
}

// went remembers the pods that are there, and reports that one of those before is not.
func (i *idle) went(pods []*corev1.Pod) (gone bool) {
	now := map[string]bool{}
	for _, p := range pods {
		now[string(p.UID)] = true
	}
	for uid := range i.there {
		gone = gone || !now[uid]
	}
	i.there = now
	return gone
}

// over ends the eviction when it has not moved for too long, or when pods that matter have been waited for long enough. It tells
// when half of the time has passed. A grace period that runs is waited out.
func (i *idle) over(ctx context.Context, pods []*corev1.Pod, status string, blocked []Blocked, out *Outcome) bool {
	evictable := slices.ContainsFunc(pods, i.may)
	idle := time.Since(i.since)
	switch {
	case len(pods) == 0, slices.ContainsFunc(pods, graceRuns):
	case !evictable && i.Eviction.over():
		out.TimedOut, out.Late = true, pods
		return true
	case i.Timeout == 0:
	case idle >= i.Timeout:
		out.TimedOut, out.Blocked, out.Blocking = true, status, blocked
		return true
	case idle >= i.Timeout/2 && !i.stalled && i.Stalled != nil:
		i.stalled = true
		i.Stalled(ctx, status, blocked)
	}
	return false
}

// graceRuns reports that a pod ends, and may take longer.
func graceRuns(p *corev1.Pod) bool {
	return p.DeletionTimestamp != nil && time.Now().Before(p.DeletionTimestamp.Add(reserve))
}

// dates are when to look again though no pod changes.
func (i *idle) dates() []time.Time {
	if i.Timeout == 0 {
		return []time.Time{i.Until}
	}
	return []time.Time{i.Until, i.since.Add(i.Timeout / 2), i.since.Add(i.Timeout)}
}
