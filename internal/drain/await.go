package drain

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// API is what is asked of the API server about the pods of a namespace.
type API interface {
	List(context.Context, metav1.ListOptions) (*corev1.PodList, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
	EvictV1(context.Context, *policyv1.Eviction) error
}

// BudgetAPI is what is asked of the API server about the PodDisruptionBudgets of a namespace.
type BudgetAPI interface {
	List(context.Context, metav1.ListOptions) (*policyv1.PodDisruptionBudgetList, error)
}

// Client reads and evicts the pods of one cluster.
type Client struct {
	Pods        func(namespace string) API
	Budgets     func(namespace string) BudgetAPI
	Attachments AttachmentAPI
	Claims      func(namespace string) ClaimAPI
	Wait        poll.Loop
	Log         *slog.Logger

	budgets budgets
}

// Result is what a wait ended with. Left lists the pods that are still there, oldest first; it is empty when the Node is
// drained. Lost lists those that nobody waits for any more: their deletion is overdue on a Node that is not Ready. TimedOut says
// that the deadline passed first.
type Result struct {
	Left, Lost []*corev1.Pod
	Finished   int
	TimedOut   bool
}

// Drained reports that nothing is left.
func (r Result) Drained() bool { return len(r.Left) == 0 }

// Left lists the pods of a Node that matter, in one consistent read.
func (c *Client) Left(ctx context.Context, h Host, s Selection) (Result, error) {
	found, err := c.Matter(ctx, h.Name, s)
	left, lost, _ := h.withoutLost(ctx, found, 0)
	return Result{Left: left, Lost: lost}, err
}

// Matter lists the pods of a Node that matter, lost ones among them, oldest first.
func (c *Client) Matter(ctx context.Context, node string, s Selection) ([]*corev1.Pod, error) {
	return c.list(ctx, node, s.query(node), s.Matters)
}

// Rest lists the pods of a Node that an eviction has to do with, those that matter among them, oldest first.
func (c *Client) Rest(ctx context.Context, node string, s Selection) ([]*corev1.Pod, error) {
	return c.list(ctx, node, query{fields: unfinishedOn(node)}, s.toEvict)
}

func (c *Client) list(ctx context.Context, node string, q query, filter func(*corev1.Pod) bool) (found []*corev1.Pod, err error) {
	for _, namespace := range q.everywhere() {
		pods, err := list(ctx, c.Pods(namespace), metav1.ListOptions{LabelSelector: q.labels, FieldSelector: q.fields.String()})
		if err != nil {
			return nil, fmt.Errorf("listing pods on node %q: %w", node, err)
		}
		for i := range pods.Items {
			if filter(&pods.Items[i]) {
				found = append(found, &pods.Items[i])
			}
		}
	}
	slices.SortFunc(found, oldestFirst)
	return found, nil
}

// Await watches the pods of a Node that matter until none is left, the deadline passes or ctx ends; it acts on the last
// pod's end when it happens. report is called whenever the number of finished or waiting pods changes. When ctx ends, the
// result says what is left and the error is a *poll.NotDoneError.
func (c *Client) Await(ctx context.Context, h Host, s Selection, deadline time.Time, report func(Result)) (Result, error) {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	v, err := c.watch(watching, s.query(h.Name))
	if err != nil {
		return Result{}, err
	}
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()

	seen := map[string]bool{} // by UID: a pod that appears after the cordon counts like the others
	last := Result{Finished: -1}
	for {
		all := v.pods(s.Matters)
		for _, p := range all {
			seen[string(p.UID)] = true
		}
		left, lost, again := h.withoutLost(ctx, all, c.Wait.Interval)
		now := Result{Left: left, Lost: lost, Finished: len(seen) - len(all)}
		if now.Finished != last.Finished || len(now.Left) != len(last.Left) {
			report(now)
			last = now
		}
		if now.Drained() {
			return now, nil
		}
		var look <-chan time.Time
		if again > 0 {
			look = time.After(again)
		}
		select {
		case <-v.changed:
		case <-look:
		case err := <-v.refused:
			return now, err
		case <-timeout.C:
			now.TimedOut = true
			return now, nil
		case <-ctx.Done():
			return now, poll.NotDone(ctx, fmt.Sprintf("%d pod(s) on node %s still run: %s", len(left), h.Name, Describe(left)))
		}
	}
}
