package drain

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// How evictions are paced: so many run at once, one call takes so long at most, and the pause after a refusal doubles between
// these two. With a deadline the pauses are shorter.
const (
	atOnce      = 10
	callTimeout = 30 * time.Second
	firstPause  = 5 * time.Second
	lastPause   = time.Minute
	hurried     = 5 // times as fast
)

// attempt is what came of the evictions of one pod.
type attempt struct {
	running, accepted, blocked bool
	refused                    int // times
	next                       time.Time
	pause                      time.Duration
	said                       string // why it is still there
	err                        error  // it cannot be evicted at all
}

// round is one eviction of a Node, with the attempts of each pod by UID.
type round struct {
	client   *Client
	host     Host
	eviction Eviction
	done     func() // is called when an attempt ends
	running  sync.WaitGroup
	slots    chan struct{}

	mu       sync.Mutex
	attempts map[types.UID]*attempt
	fresh    bool // something was evicted since news was asked last
}

func (c *Client) newRound(h Host, e Eviction) *round {
	return &round{client: c, host: h, eviction: e, done: func() {}, slots: make(chan struct{}, atOnce), attempts: map[types.UID]*attempt{}}
}

// due reports that a pod may be tried now.
func (r *round) due(p *corev1.Pod) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.attempts[p.UID]
	return a == nil || (!a.running && !a.accepted && !time.Now().Before(a.next))
}

// nextDue is when pods may be tried again.
func (r *round) nextDue() (all []time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.attempts {
		if !a.running && !a.accepted {
			all = append(all, a.next)
		}
	}
	return all
}

// start asks the API server to evict a pod, or with dry whether it would, beside the others. Without a free slot it waits for one
// if it is dry, and otherwise for its next turn.
func (r *round) start(ctx context.Context, p *corev1.Pod, dry bool) {
	if dry {
		r.slots <- struct{}{}
	} else {
		select {
		case r.slots <- struct{}{}:
		default:
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.attempts[p.UID]
	if a == nil {
		a = &attempt{pause: firstPause}
		r.attempts[p.UID] = a
	}
	a.running = true
	r.running.Go(func() {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		err := r.client.evict(call, p, r.eviction.grace(p), dry)
		r.ended(ctx, p, a, err)
		<-r.slots
		r.done()
	})
}

func (r *round) ended(ctx context.Context, p *corev1.Pod, a *attempt, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.running, a.blocked, a.err = false, false, nil
	switch {
	case err == nil:
		r.client.Log.InfoContext(ctx, "evicting pod", "pod", key(p), "node", p.Spec.NodeName)
		a.accepted, r.fresh, a.said = true, true, "is terminating"
		return
	case strings.Contains(err.Error(), "admission webhook"), strings.Contains(err.Error(), "failed calling webhook"): // with any code
		a.blocked, a.said = true, "is blocked: "+err.Error()
	case apierrors.IsNotFound(err), apierrors.IsConflict(err): // gone, or a new pod has its name: not the one we mean
		a.said = "is gone"
	case apierrors.IsTooManyRequests(err):
		a.blocked, a.said = true, blockedBy(err)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		a.said = "goes with its namespace"
	case apierrors.IsInternalError(err) && strings.Contains(err.Error(), "more than one PodDisruptionBudget"):
		a.err = hint.Errorf("leave one budget for the pod, then submit again", "evicting pod %q: it has more than one PodDisruptionBudget, which the Eviction API does not support", key(p))
	default:
		a.err = fmt.Errorf("evicting pod %q: %w", key(p), err)
	}
	if a.err != nil {
		a.said = "cannot be evicted: " + err.Error()
	}
	a.refused++
	pause, last := a.pause, lastPause
	if !r.eviction.By.IsZero() {
		pause, last = pause/hurried, lastPause/hurried
	}
	a.next, a.pause = time.Now().Add(min(pause, last)), min(a.pause*2, lastPause)
}

// state says why a pod is still there.
func (r *round) state(ctx context.Context, p *corev1.Pod) (why string, err error) {
	r.mu.Lock()
	a := attempt{}
	if known := r.attempts[p.UID]; known != nil {
		a = *known
	}
	r.mu.Unlock()
	switch {
	case p.DeletionTimestamp != nil, a.accepted:
		return "is terminating", nil
	case !r.eviction.may(p):
		return "finishes by itself", nil
	case a.err != nil:
		return a.said, a.err
	case a.said == "":
		return "is about to be evicted", nil
	case a.blocked && a.refused > 1: // not of a budget that frees it at once
		return r.client.why(ctx, p, &a), nil
	default:
		return a.said, nil
	}
}

// news reports that a pod was evicted since the last time.
func (r *round) news() (fresh bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh, r.fresh = r.fresh, false
	return fresh
}

func (r *round) accepted() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.attempts {
		if a.accepted {
			n++
		}
	}
	return n
}

// evict asks the API server to evict this very pod.
func (c *Client) evict(ctx context.Context, p *corev1.Pod, grace *int64, dry bool) error {
	options := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &p.UID}, GracePeriodSeconds: grace}
	if dry {
		options.DryRun = []string{metav1.DryRunAll}
	}
	return c.Pods(p.Namespace).EvictV1(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace}, DeleteOptions: options})
}

// blockedBy names the PodDisruptionBudget behind a 429; the API server puts it into the causes
// (https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/).
func blockedBy(err error) string {
	if cause, ok := apierrors.StatusCause(err, policyv1.DisruptionBudgetCause); ok {
		return "is blocked: " + strings.TrimSpace(cause.Message)
	}
	return "is blocked: " + err.Error()
}
