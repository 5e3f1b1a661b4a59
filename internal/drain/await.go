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

// Client reads and evicts the pods of one cluster.
type Client struct {
	Pods func(namespace string) API
	Wait poll.Loop
	Log  *slog.Logger
}

// Result is what a wait ended with. Left lists the pods that are still there, oldest first; it is empty when the Node
// is drained. TimedOut says that the deadline passed first.
type Result struct {
	Left     []*corev1.Pod
	Finished int
	TimedOut bool
}

// Drained reports that nothing is left.
func (r Result) Drained() bool { return len(r.Left) == 0 }

// Left lists the pods of a Node that matter, in one consistent read.
func (c *Client) Left(ctx context.Context, node string, s Selection) ([]*corev1.Pod, error) {
	namespaces := s.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	q := s.query(node)
	var left []*corev1.Pod
	for _, namespace := range namespaces {
		pods, err := list(ctx, c.Pods(namespace), metav1.ListOptions{LabelSelector: q.labels, FieldSelector: q.fields.String()})
		if err != nil {
			return nil, fmt.Errorf("listing pods on node %q: %w", node, err)
		}
		for i := range pods.Items {
			if s.Matters(&pods.Items[i]) {
				left = append(left, &pods.Items[i])
			}
		}
	}
	slices.SortFunc(left, oldestFirst)
	return left, nil
}

// Await watches the pods of a Node that matter until none is left, the deadline passes or ctx ends; it acts on the last
// pod's end when it happens. report is called whenever the number of finished or waiting pods changes. When ctx ends, the
// result says what is left and the error is a *poll.NotDoneError.
func (c *Client) Await(ctx context.Context, node string, s Selection, deadline time.Time, report func(Result)) (Result, error) {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	v, err := c.watch(watching, s.query(node))
	if err != nil {
		return Result{}, err
	}
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()

	seen := map[string]bool{} // by UID: a pod that appears after the cordon counts like the others
	last := Result{Finished: -1}
	for {
		left := v.pods(s.Matters)
		for _, p := range left {
			seen[string(p.UID)] = true
		}
		now := Result{Left: left, Finished: len(seen) - len(left)}
		if now.Finished != last.Finished || len(now.Left) != len(last.Left) {
			report(now)
			last = now
		}
		if now.Drained() {
			return now, nil
		}
		select {
		case <-v.changed:
		case err := <-v.refused:
			return now, err
		case <-timeout.C:
			now.TimedOut = true
			return now, nil
		case <-ctx.Done():
			return now, poll.NotDone(ctx, fmt.Sprintf("%d pod(s) on node %s still run: %s", len(left), node, Describe(left)))
		}
	}
}
