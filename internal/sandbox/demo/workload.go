package demo

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/eks-recycle/eks-recycle/internal/poll"
)

const (
	namespace = "demo"
	runFor    = "sandbox.eks-recycle.io/run-for" // how long kwok lets a pod run
	replicas  = 3
	available = 2
)

// batch is how long each pod runs that must finish by itself.
func batch() map[string]time.Duration {
	return map[string]time.Duration{"report": 15 * time.Second, "training": 32 * time.Second, "done-before": time.Second}
}

// deploy puts pods of every kind on the target: batch pods, one of them finished, a service with a budget, a DaemonSet.
func (d *demo) deploy(ctx context.Context) error {
	if _, err := d.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating namespace %q: %w", namespace, err)
	}
	for name, length := range batch() {
		_, err := d.kube.CoreV1().Pods(namespace).Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{runFor: length.String()}},
			Spec: corev1.PodSpec{
				NodeSelector: map[string]string{corev1.LabelHostname: d.target.node}, RestartPolicy: corev1.RestartPolicyNever,
				Containers: []corev1.Container{{Name: "work", Image: "work"}},
			},
		}, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("creating pod %q: %w", name, err)
		}
	}
	if err := d.deployService(ctx); err != nil {
		return err
	}
	if err := d.deployAgent(ctx); err != nil {
		return err
	}
	if err := d.awaitWorkload(ctx); err != nil {
		return err
	}
	d.transcript.say("pods", "on node %s: batch pods report (%s) and training (%s), one that has finished, pods of service web, a DaemonSet's", d.target.node, batch()["report"], batch()["training"])
	d.transcript.say("pods", "service web has %d pods and a PodDisruptionBudget that wants %d available", replicas, available)
	return nil
}

func (d *demo) deployService(ctx context.Context) error {
	labels := map[string]string{"app": "web"}
	count, minimum := int32(replicas), intstr.FromInt32(available)
	_, err := d.kube.PolicyV1().PodDisruptionBudgets(namespace).Create(ctx, &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       policyv1.PodDisruptionBudgetSpec{MinAvailable: &minimum, Selector: &metav1.LabelSelector{MatchLabels: labels}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("creating the service's budget: %w", err)
	}
	likes := []corev1.PreferredSchedulingTerm{{Weight: 100, Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
		{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{d.target.node}},
	}}}}
	_, err = d.kube.AppsV1().Deployments(namespace).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{Replicas: &count, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{
				NodeSelector: map[string]string{"type": "kwok"}, Containers: []corev1.Container{{Name: "web", Image: "web"}},
				Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: likes}},
			},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("creating the service: %w", err)
	}
	return nil
}

func (d *demo) deployAgent(ctx context.Context) error {
	labels := map[string]string{"app": "agent"}
	_, err := d.kube.AppsV1().DaemonSets(namespace).Create(ctx, &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: "agent"},
		Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{
				NodeSelector: map[string]string{"type": "kwok"}, Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
				Containers: []corev1.Container{{Name: "agent", Image: "agent"}},
			},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("creating the DaemonSet: %w", err)
	}
	return nil
}

func (d *demo) awaitWorkload(ctx context.Context) error {
	wait := poll.Loop{Interval: 300 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
	err := wait.Until(ctx, func(ctx context.Context) (bool, string, error) {
		pods, err := d.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, "", err
		}
		for _, p := range pods.Items {
			if _, timed := p.Annotations[runFor]; p.Status.Phase == corev1.PodPending || (p.Name == "done-before" && timed && p.Status.Phase != corev1.PodSucceeded) {
				return false, "pod " + p.Name + " is " + string(p.Status.Phase), nil
			}
		}
		web, err := d.kube.AppsV1().Deployments(namespace).Get(ctx, "web", metav1.GetOptions{})
		return err == nil && web.Status.AvailableReplicas == replicas, "service web is not available", err
	})
	if err != nil {
		return fmt.Errorf("starting the demo's pods: %w", err)
	}
	return nil
}

// tidy takes the demo's pods away.
func (d *demo) tidy(ctx context.Context) {
	now := int64(0)
	if err := d.kube.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		d.transcript.say("you", "kubectl delete namespace %s: %v", namespace, err)
	}
}
