package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// errBroken says that a promise did not hold.
var errBroken = errors.New("a promise did not hold")

// verdict states each promise and whether it held.
func (d *demo) verdict(ctx context.Context, before group) error {
	after, err := d.aws.group(ctx, d.cluster.Group)
	if err != nil {
		return err
	}
	old, err := d.aws.instance(ctx, d.target.instance)
	if err != nil {
		return err
	}
	late, err := d.unfinished(ctx)
	if err != nil {
		return err
	}
	left, err := d.leftBehind(ctx)
	if err != nil {
		return err
	}
	broken := false
	check := func(held bool, format string, args ...any) {
		broken = broken || !held
		d.transcript.check(held, format, args...)
	}
	s := &d.seen
	check(s.phase == wfv1.WorkflowSucceeded, "the workflow is %s", s.phase)
	check(s.fewestNodes >= before.Desired, "capacity: never fewer than %d nodes were Ready and open to new pods (fewest %d)", before.Desired, s.fewestNodes)
	check(s.fewestWeb >= available, "disruption: service web never had fewer than %d pods available (fewest %d)", available, s.fewestWeb)
	check(len(late) == 0, "patience: every batch pod on the node finished by itself%s", list(late))
	check(len(s.others) == 0 && d.othersServe(before, after), "precision: no other instance of the group was touched%s", list(s.others))
	check(after.Min == before.Min && after.Max == before.Max && after.Desired == before.Desired && after.inService() == before.inService(),
		"sizes: min %d, desired %d, max %d, %d in service, as before", after.Min, after.Desired, after.Max, after.inService())
	check(old.State == "stopped" && old.Group == "", "the old instance %s is %s and no member of a group", old.ID, old.State)
	check(len(left) == 0, "tidiness: no taint, cordon, annotation or claim is left, and the old Node is gone%s", list(left))
	check(len(slices.Compact(slices.Sorted(slices.Values(s.mutations)))) == len(s.mutations), "economy: each change was asked for once (%s), in %d AWS calls and %d pods", strings.Join(s.mutations, ", "), s.calls, s.pods)
	if broken {
		return errBroken
	}
	return nil
}

func list(items []string) string {
	if len(items) == 0 {
		return ""
	}
	return ": " + strings.Join(items, ", ")
}

func (d *demo) othersServe(before, after group) bool {
	for _, m := range before.members {
		if m.ID != d.target.instance && after.lifecycle(m.ID) != m.LifecycleState {
			return false
		}
	}
	return true
}

func (d *demo) unfinished(ctx context.Context) (late []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(batch())) {
		p, err := d.kube.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue // the pod collector removes a finished pod once its Node is gone
		}
		if err != nil {
			return nil, err
		}
		if p.Status.Phase != corev1.PodSucceeded {
			late = append(late, fmt.Sprintf("%s is %s", name, p.Status.Phase))
		}
	}
	for name := range batch() {
		if !d.seen.finished[name] && name != "done-before" {
			late = append(late, name+" was not seen finishing")
		}
	}
	return late, nil
}

func (d *demo) leftBehind(ctx context.Context) (left []string, err error) {
	nodes, err := d.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: groupLabel + "=" + d.cluster.Group})
	if err != nil {
		return nil, err
	}
	for _, n := range nodes.Items {
		if n.Name == d.target.node {
			left = append(left, "node "+n.Name)
		}
		for key := range n.Annotations {
			if strings.HasPrefix(key, "eks-recycle.io/") || strings.HasPrefix(key, "cluster-autoscaler") {
				left = append(left, n.Name+" "+key)
			}
		}
		if n.Spec.Unschedulable || len(n.Spec.Taints) > 0 {
			left = append(left, n.Name+" is closed")
		}
	}
	leases, err := d.kube.CoordinationV1().Leases(d.cluster.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=eks-recycle"})
	if err != nil {
		return nil, err
	}
	for _, l := range leases.Items {
		left = append(left, "lease "+l.Name)
	}
	return left, nil
}
