package drain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Eviction says which pods of a Node to evict. Pods that matter are only waited for, unless Everything is set, or not even
// that, if Unwaited is. StillHere is asked before each round whether the Node is still the one that is meant: a later one
// can have its name.
//
// By is when the instance goes whatever runs on it; zero if it does not. Grace periods are cut to end before that, and pods
// that matter are evicted when theirs just fits.
type Eviction struct {
	Selection            Selection
	Everything, Unwaited bool
	By                   time.Time
	StillHere            func(context.Context) (bool, error)
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
	if p.Spec.TerminationGracePeriodSeconds == nil {
		return corev1.DefaultTerminationGracePeriodSeconds
	}
	return *p.Spec.TerminationGracePeriodSeconds
}

// lastCall reports that a pod that matters cannot be left to itself any longer.
func (e Eviction) lastCall(p *corev1.Pod) bool {
	return !e.By.IsZero() && !time.Now().Before(e.By.Add(-reserve-time.Duration(ownGrace(p))*time.Second))
}

func (e Eviction) here(ctx context.Context) (bool, error) {
	if e.StillHere == nil {
		return true, nil
	}
	return e.StillHere(ctx)
}

// Evictees lists what Evict would evict now.
func (c *Client) Evictees(ctx context.Context, node string, e Eviction) ([]*corev1.Pod, error) {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	v, err := c.watch(watching, query{fields: unfinishedOn(node)})
	if err != nil {
		return nil, err
	}
	return v.pods(func(p *corev1.Pod) bool { return toEvict(p) && e.may(p) }), nil
}

func (e Eviction) may(p *corev1.Pod) bool {
	return e.Everything || !e.Selection.Matters(p) || e.lastCall(p)
}

// awaits leaves out pods that are not waited for.
func (e Eviction) awaits(p *corev1.Pod) bool {
	return toEvict(p) && (!e.Unwaited || !e.Selection.Matters(p))
}

// toEvict leaves out the recycle's own pods: one that runs there ends by itself, and evicting it would only start it anew.
func toEvict(p *corev1.Pod) bool { return !exempt(p) && p.Labels[ownLabel] != ownValue }

// Evict evicts the pods of a Node and waits until they are gone. The Eviction API respects PodDisruptionBudgets and grace
// periods; one that is refused is tried again, and the budget that blocks it is named. It ends when nothing is left or ctx
// ends, with a *poll.NotDoneError that says which pods were left and why.
func (c *Client) Evict(ctx context.Context, node string, e Eviction) (evicted int, err error) {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	v, err := c.watch(watching, query{fields: unfinishedOn(node)})
	if err != nil {
		return 0, err
	}
	accepted := map[string]bool{} // by UID
	wait := c.Wait
	wait.Wake = v.changed
	if !e.By.IsZero() {
		wait.Interval = min(time.Second, wait.Interval) // every second of the notice counts
	}
	err = wait.Until(ctx, func(ctx context.Context) (bool, string, error) {
		select {
		case err := <-v.refused:
			return false, "", err
		default:
		}
		if here, err := e.here(ctx); err != nil || !here {
			return !here, "", err
		}
		left := v.pods(e.awaits)
		status := make([]string, 0, len(left))
		var failed []error
		for _, p := range left {
			why, err := c.evictOne(ctx, p, e, accepted)
			if err != nil {
				failed, why = append(failed, err), "cannot be evicted: "+err.Error()
			}
			status = append(status, key(p)+" "+why)
		}
		evicted = len(accepted)
		if len(failed) > 0 && len(failed) == len(left) { // first all the others, so that one bad pod stops nobody else
			return false, "", errors.Join(failed...)
		}
		return len(left) == 0, fmt.Sprintf("%d pod(s) on node %s: %s", len(left), node, strings.Join(status, ", ")), nil
	})
	return evicted, err
}

// evictOne returns why the pod is still there.
func (c *Client) evictOne(ctx context.Context, p *corev1.Pod, e Eviction, accepted map[string]bool) (why string, err error) {
	switch {
	case !e.may(p):
		return "finishes by itself", nil
	case p.DeletionTimestamp != nil, accepted[string(p.UID)]:
		return "is terminating", nil
	}
	grace := e.grace(p)
	err = c.Pods(p.Namespace).EvictV1(ctx, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &p.UID}, GracePeriodSeconds: grace},
	})
	switch {
	case err == nil:
		c.Log.InfoContext(ctx, "evicting pod", "pod", key(p), "node", p.Spec.NodeName)
		accepted[string(p.UID)] = true
		return "is terminating", nil
	case apierrors.IsNotFound(err), apierrors.IsConflict(err): // gone, or a new pod has its name: not the one we mean
		return "is gone", nil
	case apierrors.IsTooManyRequests(err):
		return blockedBy(err), nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return "goes with its namespace", nil
	case apierrors.IsInternalError(err) && strings.Contains(err.Error(), "more than one PodDisruptionBudget"):
		return "", hint.Errorf("leave one budget for the pod, then submit again", "evicting pod %q: it has more than one PodDisruptionBudget, which the Eviction API does not support", key(p))
	default:
		return "", fmt.Errorf("evicting pod %q: %w", key(p), err)
	}
}

// blockedBy names the PodDisruptionBudget behind a 429; the API server puts it into the causes
// (https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/).
func blockedBy(err error) string {
	if cause, ok := apierrors.StatusCause(err, policyv1.DisruptionBudgetCause); ok {
		return "is blocked: " + strings.TrimSpace(cause.Message)
	}
	return "is blocked: " + err.Error()
}
