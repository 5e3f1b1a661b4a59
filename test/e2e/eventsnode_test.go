package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

const terminationHook = "eks-recycle" // the one that the stack's rule takes

// givenGroup is a group whose events start something; it can be beside other scenarios.
func givenGroup(t *testing.T, name string) *bus {
	t.Helper()
	b := &bus{scenario: given(t, name)}
	b.listens()
	return b
}

// waitsFor puts a termination hook on the group.
func (b *bus) waitsFor(heartbeat time.Duration) {
	b.Helper()
	_, err := b.groups.PutLifecycleHook(b.Context(), &autoscaling.PutLifecycleHookInput{
		AutoScalingGroupName: &b.group, LifecycleHookName: aws.String(terminationHook), LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_TERMINATING"),
		DefaultResult: aws.String("CONTINUE"), HeartbeatTimeout: aws.Int32(int32(heartbeat.Seconds())),
	})
	b.must(err)
}

// startedBy waits for the workflow of an event.
func (b *bus) startedBy(name string) recycle {
	b.Helper()
	b.await(2*time.Minute, "workflow "+name, func(ctx ctx) (bool, string, error) {
		_, err := b.workflows.ArgoprojV1alpha1().Workflows(b.cluster.Namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, "it is not there", nil
		}
		return err == nil, "", err
	})
	return recycle{b.scenario, name}
}

// closedAt waits until an instance's node is tainted and tells when that was seen.
func (b *bus) closedAt(id string) time.Time {
	b.Helper()
	b.await(2*time.Minute, "the taint on the node of "+id, func(ctx) (bool, string, error) {
		n := b.node(b.nodes[id])
		return n.Spec.Unschedulable && slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == "eks-recycle.io/leaving" }), "it is open", nil
	})
	return time.Now()
}

// hookEvents are what awssim has recorded of the lifecycle actions of an instance.
func (b *bus) hookEvents(id string) (found []awssim.Event) {
	b.Helper()
	all, err := b.events(b.Context(), b.sinceSeen)
	b.must(err)
	for _, e := range all {
		if e.Instance == id && e.Hook != "" {
			found = append(found, e)
		}
	}
	return found
}

// A group that shrinks: its instance waits with heartbeats while a long pod runs, and goes when that has finished. It runs
// alone, like the notice of two minutes: beside many others seconds say little.
func TestTerminationHook(t *testing.T) {
	b := givenGroup(t, "hook")
	id, heartbeat := b.ids[0], 90*time.Second
	b.waitsFor(heartbeat)
	b.batch(id, "long", endless)
	b.service(id, "web", 2, 1)
	_, err := b.groups.SetInstanceProtection(b.Context(), &autoscaling.SetInstanceProtectionInput{AutoScalingGroupName: &b.group, InstanceIds: b.ids[1:], ProtectedFromScaleIn: aws.Bool(true)})
	b.must(err)
	_, err = b.groups.SetDesiredCapacity(b.Context(), &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: &b.group, DesiredCapacity: aws.Int32(2)})
	b.must(err)
	began := time.Now()
	r := b.startedBy("terminating-" + id)
	t.Logf("the workflow came %s after the group was told to shrink, the first taint %s", time.Since(began).Round(100*time.Millisecond), b.closedAt(id).Sub(began).Round(100*time.Millisecond))

	b.await(4*time.Minute, "heartbeats for longer than the hook's timeout", func(ctx) (bool, string, error) {
		waited := time.Since(began)
		return waited > 2*heartbeat, fmt.Sprintf("%s of %s", waited.Round(time.Second), 2*heartbeat), nil
	})
	if state := b.members(astypes.LifecycleStateTerminatingWait); !slices.Contains(state, id) || b.instanceState(id) != "running" {
		t.Fatalf("waiting: %v, the instance is %s", state, b.instanceState(id))
	}
	b.awaitRunning("long")
	b.finishes("long")
	r.ends(wfv1.WorkflowSucceeded)
	r.says("complete", "is completed: CONTINUE")
	b.await(2*time.Minute, "the end of the instance", func(ctx) (bool, string, error) {
		state := b.instanceState(id)
		return state == "terminated", "it is " + state, nil
	})
	b.heartbeats(id, began, heartbeat)
	for _, other := range b.ids[1:] {
		if state := b.instanceState(other); state != "running" {
			t.Errorf("instance %s is %s", other, state)
		}
	}
	if g := b.asg(); *g.DesiredCapacity != 2 {
		t.Errorf("desired capacity is %d", *g.DesiredCapacity)
	}
	b.await(time.Minute, "nothing to be left", func(ctx ctx) (bool, string, error) {
		leases, err := b.kube.CoordinationV1().Leases(b.cluster.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, "", err
		}
		for _, lease := range leases.Items {
			if strings.Contains(lease.Name, id) {
				return false, "lease " + lease.Name, nil
			}
		}
		_, err = b.kube.CoreV1().Nodes().Get(ctx, b.nodes[id], metav1.GetOptions{})
		return apierrors.IsNotFound(err), "the node is there", nil
	})
}

// heartbeats checks that none came late.
func (b *bus) heartbeats(id string, began time.Time, timeout time.Duration) {
	b.Helper()
	n, last, gap := 0, began, time.Duration(0)
	for _, e := range b.hookEvents(id) {
		if e.Kind == awssim.KindHeartbeat {
			n, gap, last = n+1, max(gap, e.Time.Sub(last)), e.Time
		}
	}
	b.Logf("%d heartbeats, longest gap %s of a timeout of %s", n, gap.Round(time.Second), timeout)
	if n < 3 || gap >= timeout {
		b.Errorf("%d heartbeats, longest gap %s", n, gap)
	}
}

// With on-timeout=evict not even a pod that never ends makes the action time out, and a failure leaves it to the hook.
func TestTerminationHookAfterAFailure(t *testing.T) {
	t.Parallel()
	b := givenGroup(t, "hook-failure")
	id := b.ids[0]
	b.waitsFor(10 * time.Minute)
	b.batch(id, "long", endless)
	_, err := b.groups.TerminateInstanceInAutoScalingGroup(b.Context(), &autoscaling.TerminateInstanceInAutoScalingGroupInput{InstanceId: &id, ShouldDecrementDesiredCapacity: aws.Bool(false)})
	b.must(err)
	r := b.startedBy("terminating-" + id)
	b.closedAt(id)
	r.running("drain")
	r.interrupt("stop")
	r.ends(wfv1.WorkflowFailed)
	r.says("complete", "waits for instance "+id+" until its heartbeat timeout")
	if state := b.instanceState(id); state != "running" {
		t.Fatalf("instance is %s", state)
	}
	given := map[string]string{}
	for _, p := range r.get().Spec.Arguments.Parameters {
		given[p.Name] = p.Value.String()
	}
	parameters := []string{"max-wait=1s", "on-timeout=evict"}
	for name, value := range given {
		parameters = append(parameters, name+"="+value)
	}
	again := b.submitFrom("workflowtemplate/drain-terminating", parameters...)
	again.ends(wfv1.WorkflowSucceeded)
	again.says("complete", "is completed: CONTINUE")
	stale := b.submitFrom("workflowtemplate/drain-terminating", parameters...)
	stale.ends(wfv1.WorkflowFailed)
	stale.says("taint", "no lifecycle action waits for it under this token")
	b.await(2*time.Minute, "the end of the instance", func(ctx) (bool, string, error) {
		state := b.instanceState(id)
		return state == "terminated", "it is " + state, nil
	})
}

// EC2 takes a Spot Instance: its node is closed at once, what can move has moved in time, and what matters was told last.
func TestSpotInterruption(t *testing.T) {
	b := givenGroup(t, "spot")
	id := b.ids[0]
	b.must(b.control(b.Context(), http.MethodPatch, "instances/"+id, map[string]any{"lifecycle": "spot"}, nil))
	b.batch(id, "long", endless)
	b.batch(id, "soon", endless)
	b.service(id, "web", 2, 1)
	began := time.Now()
	b.must(b.control(b.Context(), http.MethodPost, "instances/"+id+"/spot-interruption", nil, nil))
	r := b.startedBy("spot-" + id)
	closed := b.closedAt(id).Sub(began)
	t.Logf("the first taint came %s after the notice", closed.Round(100*time.Millisecond))
	b.finishes("soon")
	told := b.gone("long").Sub(began)
	t.Logf("the pod that matters was told to end %s after the notice", told.Round(time.Second))
	if told < 80*time.Second || told > 2*time.Minute {
		t.Errorf("the pod that matters was told after %s", told)
	}
	r.ends(wfv1.WorkflowSucceeded)
	r.says("leave", "is closed and empty")
	if took := time.Since(began); took > 2*time.Minute {
		t.Logf("the workflow was seen to have ended %s after the notice", took.Round(time.Second))
	}
	b.await(3*time.Minute, "the end of the instance", func(ctx) (bool, string, error) {
		state := b.instanceState(id)
		return state == "terminated", "it is " + state, nil
	})
}

// gone waits until a pod has been deleted, or is about to be.
func (b *bus) gone(name string) time.Time {
	b.Helper()
	b.await(2*time.Minute, "the end of pod "+name, func(ctx ctx) (bool, string, error) {
		p, err := b.kube.CoreV1().Pods(b.namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || (err == nil && p.DeletionTimestamp != nil) {
			return true, "", nil
		}
		return false, "it runs", err
	})
	return time.Now()
}

// A recommendation to a group that rebalances closes the node and leaves what matters to finish.
func TestRebalanceRecommendation(t *testing.T) {
	t.Parallel()
	b := givenGroup(t, "rebalance")
	id := b.ids[0]
	_, err := b.groups.UpdateAutoScalingGroup(b.Context(), &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: &b.group, CapacityRebalance: aws.Bool(true)})
	b.must(err)
	b.must(b.control(b.Context(), http.MethodPatch, "instances/"+id, map[string]any{"lifecycle": "spot"}, nil))
	b.batch(id, "long", endless)
	b.must(b.control(b.Context(), http.MethodPost, "instances/"+id+"/rebalance-recommendation", nil, nil))
	r := b.startedBy("rebalance-" + id)
	r.ends(wfv1.WorkflowSucceeded)
	r.says("leave", "1 pod(s) finish by themselves: "+b.namespace+"/long")
	b.closedAt(id)
	b.awaitRunning("long")
}

// An alarm recycles the node that it names, one of a group the oldest node, and a flapping one no more than that.
func TestAlarms(t *testing.T) {
	t.Parallel()
	b := givenGroup(t, "alarm")
	s := b.scenario
	second := b.ids[1]
	s.launchedAgo(b.ids[0], 30*24*time.Hour) // the others were launched with it
	b.alarm("cpu", map[string]any{"instanceId": second, "via": "eventbridge"}, time.Now())
	b.child(second).ends(wfv1.WorkflowSucceeded)
	if state := s.instanceState(second); state != "stopped" {
		t.Errorf("instance %s is %s", second, state)
	}
	flapped := time.Now()
	for i := range 3 { // it flaps, by all ways
		at := flapped.Add(time.Duration(i) * time.Second)
		about := map[string]any{"asgName": b.group, "via": []string{"eventbridge", "sns", "sns-raw"}[i], "queue": "eks-recycle"}
		b.alarm("group", about, at)
		b.alarm("group", about, at) // and each is delivered twice
	}
	b.await(3*time.Minute, "three workflows for three alarms of the group", func(ctx) (bool, string, error) {
		n := 0
		for _, wf := range b.startedFrom("recycle-alarm") {
			if wf.Status.Phase == wfv1.WorkflowSucceeded && strings.Contains(recycle{s, wf.Name}.output("alarm", "message"), "the time to cool down of Auto Scaling group "+b.group) {
				n++
			}
		}
		return n == 3, fmt.Sprintf("%d", n), nil
	})
	if in := s.members(astypes.LifecycleStateInService); len(in) != 3 || !slices.Contains(in, b.ids[0]) || !slices.Contains(in, b.ids[2]) {
		t.Errorf("in service: %v", in)
	}
	// The time to cool down ends.
	b.cooled()
	oldest := b.ids[0]
	b.alarm("group", map[string]any{"asgName": b.group, "via": "sns", "queue": "eks-recycle"}, time.Now())
	b.child(oldest).ends(wfv1.WorkflowSucceeded)
	if state := s.instanceState(oldest); state != "stopped" {
		t.Errorf("instance %s is %s", oldest, state)
	}
}

// alarm has an alarm of the scenario go off.
func (b *bus) alarm(name string, about map[string]any, at time.Time) {
	b.Helper()
	about["name"], about["state"], about["previousState"], about["time"] = "eks-recycle-"+b.group+"-"+name, "ALARM", "OK", at.UTC().Format(time.RFC3339Nano)
	b.must(b.control(b.Context(), http.MethodPost, "alarms", about, nil))
}

func (b *bus) startedFrom(template string) (all []wfv1.Workflow) {
	b.Helper()
	for _, wf := range b.started() {
		if wf.Spec.WorkflowTemplateRef.Name == template {
			all = append(all, wf)
		}
	}
	return all
}

// child waits for the recycle of an instance that an alarm has started.
func (b *bus) child(id string) recycle {
	b.Helper()
	return b.startedBy("recycle-" + id)
}

// cooled ends the group's time to cool down.
func (b *bus) cooled() {
	b.Helper()
	leases := b.kube.CoordinationV1().Leases(b.cluster.Namespace)
	all, err := leases.List(b.Context(), metav1.ListOptions{})
	b.must(err)
	for _, lease := range all.Items {
		if strings.HasPrefix(lease.Name, "eks-recycle-cool-down-") && lease.Annotations["eks-recycle.io/asg"] == b.group {
			b.must(leases.Delete(b.Context(), lease.Name, metav1.DeleteOptions{}))
			return
		}
	}
	b.Error("no time to cool down was begun")
}
