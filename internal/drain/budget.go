package drain

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
)

// budgets remembers the PodDisruptionBudgets of namespaces for a while: they are only read to say why.
type budgets struct {
	mu   sync.Mutex
	read map[string]time.Time
	all  map[string][]policyv1.PodDisruptionBudget
}

// budgetsFor is how long what was read is good enough for a message.
const budgetsFor = time.Minute

// why says why a pod is blocked: what the API server said, and what the budget itself says beside that.
func (c *Client) why(ctx context.Context, p *corev1.Pod, a *attempt) string {
	for _, b := range c.budgetsOf(ctx, p.Namespace) {
		if selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector); err != nil || !selector.Matches(labels.Set(p.Labels)) {
			continue
		}
		if more := explain(b, p); more != "" {
			return a.said + " (" + more + ")"
		}
	}
	return a.said
}

// explain says what keeps a budget from ever allowing a disruption, or "" if it only waits for healthy pods
// (https://kubernetes.io/docs/tasks/run-application/configure-pdb/).
func explain(b policyv1.PodDisruptionBudget, p *corev1.Pod) string {
	for _, condition := range b.Status.Conditions {
		if condition.Type == policyv1.DisruptionAllowedCondition && condition.Reason == policyv1.SyncFailedReason {
			return fmt.Sprintf("budget %s: %s: %s", b.Name, condition.Reason, condition.Message)
		}
	}
	switch {
	case b.Status.ExpectedPods > 0 && b.Status.DesiredHealthy >= b.Status.ExpectedPods:
		return fmt.Sprintf("budget %s never allows a disruption: it wants %d healthy pods of %d", b.Name, b.Status.DesiredHealthy, b.Status.ExpectedPods)
	case !isReady(p) && b.Status.CurrentHealthy < b.Status.DesiredHealthy && ptr.Deref(b.Spec.UnhealthyPodEvictionPolicy, policyv1.IfHealthyBudget) == policyv1.IfHealthyBudget:
		return fmt.Sprintf("the pod itself is not Ready: unhealthyPodEvictionPolicy AlwaysAllow of budget %s would let it go", b.Name)
	default:
		return ""
	}
}

func isReady(p *corev1.Pod) bool {
	for _, condition := range p.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// budgetsOf reads the budgets of a namespace. What cannot be read is not said.
func (c *Client) budgetsOf(ctx context.Context, namespace string) []policyv1.PodDisruptionBudget {
	c.budgets.mu.Lock()
	defer c.budgets.mu.Unlock()
	if at, known := c.budgets.read[namespace]; known && time.Since(at) < budgetsFor {
		return c.budgets.all[namespace]
	}
	if c.budgets.read == nil {
		c.budgets.read, c.budgets.all = map[string]time.Time{}, map[string][]policyv1.PodDisruptionBudget{}
	}
	found, err := c.Budgets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		found = &policyv1.PodDisruptionBudgetList{}
	}
	c.budgets.read[namespace], c.budgets.all[namespace] = time.Now(), found.Items
	return found.Items
}
