package e2e

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const runFor = "sandbox.eks-recycle.io/run-for"

// on puts pods on an instance's node. They tolerate its taints only as far as the scheduler asks of a running pod.
func (s *scenario) on(id string) corev1.PodSpec {
	return corev1.PodSpec{
		NodeSelector:  map[string]string{"kubernetes.io/hostname": s.nodes[id]},
		RestartPolicy: corev1.RestartPolicyNever,
		Containers:    []corev1.Container{{Name: "work", Image: "work"}},
	}
}

// batch starts a pod that finishes by itself after a while.
func (s *scenario) batch(id, name string, length time.Duration) {
	s.Helper()
	_, err := s.kube.CoreV1().Pods(s.namespace).Create(s.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "batch"}, Annotations: map[string]string{runFor: length.String()}},
		Spec:       s.on(id),
	}, metav1.CreateOptions{})
	s.must(err)
	s.awaitRunning(name)
}

// endless is longer than any scenario: its pods end by finish, not by the clock of a busy machine.
const endless = time.Hour

// finish lets a batch pod end now, by itself.
func (s *scenario) finish(name string) {
	s.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"1s"}}}`, runFor)
	_, err := s.kube.CoreV1().Pods(s.namespace).Patch(s.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	s.must(err)
}

// finishes lets a batch pod end and waits until it has: once its node is gone, it is collected as garbage.
func (s *scenario) finishes(name string) {
	s.Helper()
	s.finish(name)
	s.awaitFinished(name)
}

func (s *scenario) awaitFinished(name string) {
	s.Helper()
	s.await(time.Minute, "the end of pod "+name, func(ctx) (bool, string, error) {
		return !s.finished(name).IsZero(), "it runs", nil
	})
}

func (s *scenario) awaitRunning(names ...string) {
	s.Helper()
	s.await(time.Minute, "running pods", func(ctx ctx) (bool, string, error) {
		for _, name := range names {
			p, err := s.kube.CoreV1().Pods(s.namespace).Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return false, "", err
			}
			if p.Status.Phase != corev1.PodRunning {
				return false, name + " is " + string(p.Status.Phase), nil
			}
		}
		return true, "", nil
	})
}

// ofGroup selects the group's nodes, those that replace others too: no scenario's pods come to another one's nodes.
func (s *scenario) ofGroup() map[string]string {
	return map[string]string{"alpha.eksctl.io/nodegroup-name": s.group}
}

// service starts a Deployment whose pods prefer an instance's node, with a budget that wants some of them available.
func (s *scenario) service(id, name string, replicas, available int32) {
	s.Helper()
	labels := map[string]string{"app": name}
	spec := s.on(id)
	spec.RestartPolicy, spec.NodeSelector = corev1.RestartPolicyAlways, s.ofGroup()
	spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{
		Weight:     100,
		Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "kubernetes.io/hostname", Operator: corev1.NodeSelectorOpIn, Values: []string{s.nodes[id]}}}},
	}}}}
	_, err := s.kube.AppsV1().Deployments(s.namespace).Create(s.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}, metav1.CreateOptions{})
	s.must(err)
	minimum := intstr.FromInt32(available)
	_, err = s.kube.PolicyV1().PodDisruptionBudgets(s.namespace).Create(s.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       policyv1.PodDisruptionBudgetSpec{MinAvailable: &minimum, Selector: &metav1.LabelSelector{MatchLabels: labels}},
	}, metav1.CreateOptions{})
	s.must(err)
	s.await(time.Minute, "the service", func(ctx ctx) (bool, string, error) {
		d, err := s.kube.AppsV1().Deployments(s.namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		b, err := s.kube.PolicyV1().PodDisruptionBudgets(s.namespace).Get(ctx, name, metav1.GetOptions{})
		return err == nil && d.Status.AvailableReplicas == replicas && b.Status.ObservedGeneration > 0, "not available yet", err
	})
}

// daemon starts a DaemonSet on all nodes of the group.
func (s *scenario) daemon(name string) {
	s.Helper()
	labels := map[string]string{"app": name}
	spec := corev1.PodSpec{
		NodeSelector: s.ofGroup(), Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		Containers: []corev1.Container{{Name: "agent", Image: "agent"}},
	}
	_, err := s.kube.AppsV1().DaemonSets(s.namespace).Create(s.Context(), &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}, metav1.CreateOptions{})
	s.must(err)
}

// finished is when a pod's container ended, or the zero time if the pod did not succeed.
func (s *scenario) finished(name string) time.Time {
	s.Helper()
	p, err := s.kube.CoreV1().Pods(s.namespace).Get(s.Context(), name, metav1.GetOptions{})
	s.must(err)
	if p.Status.Phase != corev1.PodSucceeded || len(p.Status.ContainerStatuses) == 0 {
		return time.Time{}
	}
	return p.Status.ContainerStatuses[0].State.Terminated.FinishedAt.Time
}
