package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"

	"github.com/eks-recycle/eks-recycle/internal/sandbox"
)

// One recycle waits for a pod while one part of the control plane after the other breaks down under it; each time it goes
// on, and nothing else happens to the node or its group. Another recycle waits for its replacement meanwhile, which cannot be
// launched before all is well again. Events come while their bus is away: a trigger of Argo Events 1.9 that has more than one
// event to deal with at that moment would never take another one, so none has any.
func TestControlPlaneBreaksInMidDrain(t *testing.T) {
	all := sideBySide(t, "broken", "broken-standby")
	s, caught := all[0], all[1]
	caught.configure(setting{"launchFailure", "InsufficientInstanceCapacity"})
	s.batch(s.ids[0], "long", endless)
	r, early := s.submit("instance-id="+s.ids[0]), caught.submit("instance-id="+caught.ids[0])
	r.running("drain")
	caught.onStandby()
	t.Run("nothing is lost while the bus is away", func(t *testing.T) {
		b := givenBus(t)
		var ids []string
		b.must(b.cluster.Restart(t.Context(), "nats", func(ctx context.Context) error {
			ids = b.terminations(3)
			return sandbox.Away(2 * time.Second)(ctx)
		}))
		b.start(append(ids, b.terminations(2)...))
	})

	for _, breakdown := range []struct {
		name    string
		do      func()
		newPods bool
	}{
		// First: after an outage of the API server, Kubernetes' own controllers take half a minute to notice what is missing.
		{"the node of the drain's pod and of the workflow controller is gone", s.controlNodeGone, true},
		{"etcd restarts", func() { s.must(s.cluster.Restart(t.Context(), "etcd", sandbox.Away(2*time.Second))) }, false},
		{"the API server is away longer than a claim lasts", func() { s.must(s.cluster.Restart(t.Context(), "kube-apiserver", sandbox.Away(12*time.Second))) }, false},
	} {
		pod, before := r.goesOn("drain", time.Time{}), time.Now()
		breakdown.do()
		back := time.Now()
		now := r.goesOn("drain", back)
		t.Logf("%s: back after %s, the drain goes on %s later", breakdown.name, back.Sub(before).Round(time.Second), time.Since(back).Round(time.Second))
		if breakdown.newPods && now == pod {
			t.Errorf("%s: the drain's pod is the one from before", breakdown.name)
		}
		s.awaitRunning("long")
		s.others(s.members(astypes.LifecycleStateInService))
	}

	caught.configure()
	s.controllerAway(func() {
		s.finishes("long")
		s.await(time.Minute, "the end of the drain's container", s.ended(r.runs("drain")))
	})
	r.ends(wfv1.WorkflowSucceeded)
	early.ends(wfv1.WorkflowSucceeded)
	s.recycled("stopped")
	caught.recycled("stopped")
	for _, s := range all {
		s.asOneRecycle()
	}
}

// goesOn waits until a step's pod runs and the workflow's claim was renewed since, and returns the pod's uid: Argo gives
// a pod that it lost while it was away itself a successor of the same name.
func (r recycle) goesOn(step string, since time.Time) (uid types.UID) {
	r.Helper()
	r.await(4*time.Minute, "step "+step+" to go on", func(ctx ctx) (bool, string, error) {
		wf := r.get()
		if wf.Status.Phase.Completed() {
			return false, "", fmt.Errorf("workflow %s is %s: %s", r.name, wf.Status.Phase, r.said())
		}
		claim := r.claim()
		switch {
		case r.runs(step) == "":
			return false, "no attempt runs", nil
		case claim == nil || *claim.Spec.HolderIdentity != string(wf.UID):
			return false, "the claim is not held", nil
		case claim.Spec.RenewTime.Before(&metav1.MicroTime{Time: since}):
			return false, "the claim was not renewed", nil
		}
		pod, err := r.kube.CoreV1().Pods(r.cluster.Namespace).Get(ctx, r.runs(step), metav1.GetOptions{})
		if err != nil {
			return false, err.Error(), nil
		}
		uid = pod.UID
		return pod.Status.Phase == corev1.PodRunning, "its pod is " + string(pod.Status.Phase), nil
	})
	return uid
}

const (
	controlNode         = "sandbox-control"
	controllerNamespace = "argo"
	controller          = "workflow-controller"
)

// controlNodeGone takes away the node on which the steps and the workflow controller run, and lets a new one join under
// its name. There is one machine: as its kubelet does not live, its Node and, as the garbage collector would after some
// minutes, its pods are deleted. The containers run on until the kubelet is back and finds that they should not: for a
// while the drain that nobody knows of any more works beside its successor, as on a node that is cut off.
func (s *scenario) controlNodeGone() {
	s.Helper()
	now := metav1.NewDeleteOptions(0)
	s.must(s.cluster.Restart(s.Context(), "kubelet", func(ctx context.Context) error {
		if err := s.kube.CoreV1().Nodes().Delete(ctx, controlNode, *now); err != nil {
			return err
		}
		there := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", controlNode).String()}
		for _, namespace := range []string{controllerNamespace, s.cluster.Namespace} {
			if err := s.kube.CoreV1().Pods(namespace).DeleteCollection(ctx, *now, there); err != nil {
				return err
			}
		}
		return nil
	}))
	s.awaitController()
}

// controllerAway kills the workflow controller, lets something happen while there is none, and has it started again.
func (s *scenario) controllerAway(meanwhile func()) {
	s.Helper()
	s.scaleController(0)
	now := metav1.NewDeleteOptions(0)
	s.must(s.kube.CoreV1().Pods(controllerNamespace).DeleteCollection(s.Context(), *now, metav1.ListOptions{LabelSelector: "app=" + controller}))
	meanwhile()
	s.scaleController(1)
	s.awaitController()
}

func (s *scenario) scaleController(replicas int32) {
	s.Helper()
	deployments := s.kube.AppsV1().Deployments(controllerNamespace)
	scale, err := deployments.GetScale(s.Context(), controller, metav1.GetOptions{})
	s.must(err)
	scale.Spec.Replicas = replicas
	_, err = deployments.UpdateScale(s.Context(), controller, scale, metav1.UpdateOptions{})
	s.must(err)
}

func (s *scenario) awaitController() {
	s.Helper()
	s.await(2*time.Minute, "the workflow controller", func(ctx ctx) (bool, string, error) {
		d, err := s.kube.AppsV1().Deployments(controllerNamespace).Get(ctx, controller, metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		return d.Status.ObservedGeneration >= d.Generation && d.Status.AvailableReplicas == 1, fmt.Sprintf("%d are available", d.Status.AvailableReplicas), nil
	})
}

// ended tells whether a step's pod has come to its end.
func (s *scenario) ended(pod string) func(ctx) (bool, string, error) {
	return func(ctx ctx) (bool, string, error) {
		p, err := s.kube.CoreV1().Pods(s.cluster.Namespace).Get(ctx, pod, metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		return p.Status.Phase == corev1.PodSucceeded, "pod " + pod + " is " + string(p.Status.Phase), nil
	}
}
