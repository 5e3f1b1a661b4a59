package drain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// Eviction says which pods of a Node to evict. Pods that matter are only waited for until Until, if that is set, and then evicted
// too, if ThenEvict is.
//
// By is when the instance goes whatever runs on it; zero if it does not. Grace periods are cut to end before that, and pods
// that matter are evicted when theirs just fits.
//
// Closed, if it is set, reports that nothing more may be evicted now: the eviction then ends, with pods left.
//
// Since is when a pod went last, and Timeout how long after that the eviction gives up, unless a grace period has begun; zero:
// never. Progress is told each time that a pod is evicted or goes. Stalled is told once, when half of the time has passed.
type Eviction struct {
	Selection Selection
	Until     time.Time
	ThenEvict bool
	By        time.Time
	Closed    func() bool
	Since     time.Time
	Timeout   time.Duration
	Progress  func(context.Context) error
	Stalled   func(ctx context.Context, status string, blocked []Blocked)
}

// Outcome is what an eviction ended with. Tolerating pods stay because they tolerate the taint, and Lost ones because their Node
// does not end them; neither is waited for. With TimedOut, Blocked says which pods are left and why, and Blocking lists the first of them; where only pods that matter
// are, and Until has passed, these are Late. With Closed, pods were left when Eviction.Closed.
type Outcome struct {
	Evicted          int
	Tolerating, Lost []*corev1.Pod
	TimedOut, Closed bool
	Blocked          string
	Blocking         []Blocked
	Late             []*corev1.Pod
}

// Blocked is a pod that should go and does not, and why.
type Blocked struct {
	Pod *corev1.Pod
	Why string
}

// reserve is what the kubelet and the container runtime take to end a pod, besides its grace period.
const reserve = 5 * time.Second

// grace is how many seconds a pod may take to end: its own grace period, or what is left of it.
func (e Eviction) grace(p *corev1.Pod) *int64 {
	if e.By.IsZero() {
		return nil
	}
	left := max(int64((time.Until(e.By) - reserve).Seconds()), 1)
	if own := ownGrace(p); own < left {
		return nil
	}
	return &left
}

func ownGrace(p *corev1.Pod) int64 {
	return ptr.Deref(p.Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
}

// lastCall reports that a pod that matters cannot be left to itself any longer.
func (e Eviction) lastCall(p *corev1.Pod) bool {
	return !e.By.IsZero() && !time.Now().Before(e.By.Add(-reserve-time.Duration(ownGrace(p))*time.Second))
}

func (e Eviction) may(p *corev1.Pod) bool {
	return !e.Selection.Matters(p) || e.lastCall(p) || (e.ThenEvict && e.over())
}

// over reports that pods that matter have been waited for long enough.
func (e Eviction) over() bool { return !e.Until.IsZero() && !time.Now().Before(e.Until) }

// stays reports a pod that tolerates the taint and does not matter: it is neither evicted nor waited for, unless it goes already.
func (e Eviction) stays(h Host, p *corev1.Pod) bool {
	return !e.Selection.Matters(p) && p.DeletionTimestamp == nil && h.tolerated(p)
}

// awaits leaves out pods that are not waited for.
func (e Eviction) awaits(h Host, p *corev1.Pod) bool {
	return e.Selection.toEvict(p) && !e.stays(h, p)
}

// toEvict leaves out the recycle's own pods: one that runs there ends by itself, and evicting it would only start it anew.
func (s Selection) toEvict(p *corev1.Pod) bool { return !exempt(p) && !s.isOwn(p) }

// Evictees lists what Evict would evict now, each with what the API server says to that, or "": it is asked without evicting.
func (c *Client) Evictees(ctx context.Context, h Host, e Eviction) (pods []*corev1.Pod, blocked []string, err error) {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	v, err := c.watch(watching, query{fields: unfinishedOn(h.Name)})
	if err != nil {
		return nil, nil, err
	}
	pods = v.pods(func(p *corev1.Pod) bool { return e.Selection.toEvict(p) && e.may(p) && !e.stays(h, p) })
	r := c.newRound(h, e)
	for _, p := range pods {
		if p.DeletionTimestamp == nil {
			r.start(ctx, p, true)
		}
	}
	r.running.Wait()
	for _, p := range pods {
		if a := r.attempts[p.UID]; a != nil && a.blocked {
			blocked = append(blocked, key(p)+" "+c.why(ctx, p, a))
		}
	}
	return pods, blocked, nil
}

// Evict evicts the pods of a Node and waits until they are gone. The Eviction API respects PodDisruptionBudgets and grace
// periods; one that is refused is tried again after a pause of its own, so that no pod holds up another one, and the budget that
// blocks it is named. It ends when nothing is left, or when nothing moves for as long as e.Timeout, or with ctx, with a
// *poll.NotDoneError that says which pods were left and why.
func (c *Client) Evict(ctx context.Context, h Host, e Eviction) (out Outcome, err error) {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	v, err := c.watch(watching, query{fields: unfinishedOn(h.Name)})
	if err != nil {
		return out, err
	}
	r := c.newRound(h, e)
	r.done = v.poke
	defer func() { cancel(); r.running.Wait(); out.Evicted = r.accepted() }()
	wait := c.Wait
	wait.Wake = v.changed
	alarm := time.AfterFunc(time.Hour, v.poke) // for what is due between two turns
	defer alarm.Stop()
	if !e.By.IsZero() {
		wait.Interval = min(time.Second, wait.Interval) // every second of the notice counts
	}
	idle := newIdle(e)
	err = wait.Until(ctx, func(ctx context.Context) (bool, string, error) {
		select {
		case err := <-v.refused:
			return false, "", err
		default:
		}
		out.Tolerating = v.pods(func(p *corev1.Pod) bool { return e.Selection.toEvict(p) && e.stays(h, p) })
		pods, lost, _ := h.withoutLost(ctx, v.pods(func(p *corev1.Pod) bool { return e.awaits(h, p) }), 0)
		out.Lost = lost
		if out.Closed = len(pods) > 0 && e.Closed != nil && e.Closed(); out.Closed {
			return true, "", nil
		}
		here, status, blocked, err := r.turn(ctx, pods)
		if err != nil || !here {
			return !here, "", err
		}
		if err := idle.look(ctx, pods, r.news()); err != nil {
			return false, "", err
		}
		if idle.over(ctx, pods, status, blocked, &out) {
			return true, "", nil
		}
		if at := earliest(append(r.nextDue(), idle.dates()...)); !at.IsZero() {
			alarm.Reset(time.Until(at))
		}
		return len(pods) == 0, fmt.Sprintf("%d pod(s) on node %s: %s", len(pods), h.Name, status), nil
	})
	return out, err
}

// earliest is the first of these times that is still to come, or zero.
func earliest(all []time.Time) (first time.Time) {
	for _, at := range all {
		if time.Until(at) > 0 && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// turn tries the pods whose turn it is, and says why each is still there. Its error is that of pods that cannot be evicted at
// all, once no other one is left.
func (r *round) turn(ctx context.Context, pods []*corev1.Pod) (here bool, status string, blocked []Blocked, err error) {
	var due []*corev1.Pod
	for _, p := range pods {
		if p.DeletionTimestamp == nil && r.eviction.may(p) && r.due(p) {
			due = append(due, p)
		}
	}
	if len(due) > 0 {
		if here, err = r.host.here(ctx); err != nil || !here {
			return here, "", nil, err
		}
	}
	for _, p := range due {
		r.start(ctx, p, false)
	}
	var failed []error
	said := make([]string, 0, maxListed+1)
	for i, p := range pods {
		why, err := r.state(ctx, p)
		if err != nil {
			failed = append(failed, err)
		}
		if i < maxListed {
			said = append(said, key(p)+" "+why)
			if r.eviction.may(p) {
				blocked = append(blocked, Blocked{p, why})
			}
		}
	}
	if more := len(pods) - maxListed; more > 0 {
		said = append(said, fmt.Sprintf("and %d more", more))
	}
	if len(failed) > 0 && len(failed) == len(pods) {
		return true, "", nil, errors.Join(failed[:min(len(failed), maxListed)]...)
	}
	return true, strings.Join(said, ", "), blocked, nil
}
