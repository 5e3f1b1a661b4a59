package drain

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Eviction says which pods of a Node to evict. Pods that matter are only waited for, unless Everything is set. StillHere
// is asked before each round whether the Node is still the one that is meant: a later one can have its name.
type Eviction struct {
	Selection  Selection
	Everything bool
	StillHere  func(context.Context) (bool, error)
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

func (e Eviction) may(p *corev1.Pod) bool { return e.Everything || !e.Selection.Matters(p) }

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
	err = wait.Until(ctx, func(ctx context.Context) (bool, string, error) {
		select {
		case err := <-v.refused:
			return false, "", err
		default:
		}
		if here, err := e.here(ctx); err != nil || !here {
			return !here, "", err
		}
		left := v.pods(toEvict)
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
	err = c.Kube.CoreV1().Pods(p.Namespace).EvictV1(ctx, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Name: p.Name, Namespace: p.Namespace},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &p.UID}},
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
