package awssim

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
)

// nodeWorker does the work on Nodes in the order in which it came, apart from
// the AWS side: a cluster that does not answer never holds up an AWS call.
type nodeWorker struct {
	client kubernetes.Interface
	log    *slog.Logger
	wake   chan struct{}

	mu    sync.Mutex
	queue []task
}

type task struct {
	verb, node string
	do         func(context.Context, kubernetes.Interface) error
}

func newNodeWorker(client kubernetes.Interface, log *slog.Logger) *nodeWorker {
	return &nodeWorker{client: client, log: log, wake: make(chan struct{}, 1)}
}

func (w *nodeWorker) add(t task) {
	w.mu.Lock()
	w.queue = append(w.queue, t)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *nodeWorker) next() (task, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return task{}, false
	}
	t := w.queue[0]
	w.queue = slices.Delete(w.queue, 0, 1)
	return t, true
}

func (w *nodeWorker) run(ctx context.Context) {
	for {
		if t, ok := w.next(); ok {
			w.insist(ctx, t)
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
	}
}

const (
	firstRetry = 200 * time.Millisecond
	lastRetry  = 5 * time.Second
	patience   = 10 * time.Second // for one request
)

// insist retries until the task is done, unless the API server calls it wrong in itself.
func (w *nodeWorker) insist(ctx context.Context, t task) {
	pause := firstRetry
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, patience)
		err := t.do(attempt, w.client)
		cancel()
		if err == nil || ctx.Err() != nil {
			return
		}
		if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
			w.log.Error("node task refused", "task", t.verb, "node", t.node, "error", err)
			return
		}
		w.log.Warn("node task to be retried", "task", t.verb, "node", t.node, "error", err)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		pause = min(2*pause, lastRetry)
	}
}

// joinTask leaves a Node that is there as it is: a kubelet that comes back
// finds its Node with its taints.
func joinTask(node *corev1.Node) func(context.Context, kubernetes.Interface) error {
	return func(ctx context.Context, client kubernetes.Interface) error {
		nodes := client.CoreV1().Nodes()
		_, err := nodes.Create(ctx, node.DeepCopy(), metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			return err
		}
		there, err := nodes.Get(ctx, node.Name, metav1.GetOptions{})
		if err != nil || there.Spec.ProviderID == node.Spec.ProviderID {
			return err
		}
		if err := nodes.Delete(ctx, node.Name, metav1.DeleteOptions{}); err != nil {
			return fmt.Errorf("deleting earlier node of the name %q: %w", node.Name, err)
		}
		_, err = nodes.Create(ctx, node.DeepCopy(), metav1.CreateOptions{})
		return err
	}
}

func readyTask(name string, value corev1.ConditionStatus, reason, message string) func(context.Context, kubernetes.Interface) error {
	return edit(name, func(ctx context.Context, client kubernetes.Interface, node *corev1.Node) error {
		setReady(&node.Status, value, reason, message)
		_, err := client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
		return err
	})
}

func taintTask(name string, on bool) func(context.Context, kubernetes.Interface) error {
	return edit(name, func(ctx context.Context, client kubernetes.Interface, node *corev1.Node) error {
		isShutdown := func(t corev1.Taint) bool { return t.Key == shutdownTaint }
		if slices.ContainsFunc(node.Spec.Taints, isShutdown) == on {
			return nil
		}
		if on {
			node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: shutdownTaint, Effect: corev1.TaintEffectNoSchedule})
		} else {
			node.Spec.Taints = slices.DeleteFunc(node.Spec.Taints, isShutdown)
		}
		_, err := client.CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{})
		return err
	})
}

// kwokTask puts a Node into kwok's care or takes it out of it.
func kwokTask(name string, on bool) func(context.Context, kubernetes.Interface) error {
	return edit(name, func(ctx context.Context, client kubernetes.Interface, node *corev1.Node) error {
		if on {
			metav1.SetMetaDataAnnotation(&node.ObjectMeta, kwokAnnotation, "fake")
			metav1.SetMetaDataLabel(&node.ObjectMeta, kwokLabel, "kwok")
		} else {
			delete(node.Annotations, kwokAnnotation)
			delete(node.Labels, kwokLabel)
		}
		_, err := client.CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{})
		return err
	})
}

// rejoinTask replaces a Node by a new one of the same name.
func rejoinTask(node *corev1.Node) func(context.Context, kubernetes.Interface) error {
	return func(ctx context.Context, client kubernetes.Interface) error {
		if err := client.CoreV1().Nodes().Delete(ctx, node.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		_, err := client.CoreV1().Nodes().Create(ctx, node.DeepCopy(), metav1.CreateOptions{})
		return err
	}
}

// edit changes a Node, if there is one, against what others write meanwhile.
func edit(name string, change func(context.Context, kubernetes.Interface, *corev1.Node) error) func(context.Context, kubernetes.Interface) error {
	return func(ctx context.Context, client kubernetes.Interface) error {
		return retry.RetryOnConflict(retry.DefaultRetry, func() error {
			node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			if err != nil {
				return err
			}
			return change(ctx, client, node)
		})
	}
}

func deleteTask(name, providerID string) func(context.Context, kubernetes.Interface) error {
	return func(ctx context.Context, client kubernetes.Interface) error {
		node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && node.Spec.ProviderID != providerID {
			return nil
		}
		if err != nil {
			return err
		}
		err = client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(node.UID))})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
}
