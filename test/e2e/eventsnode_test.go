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

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/event"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

const terminationHook = "eks-recycle" // the one that the stack's rule takes

// givenGroup is a group whose events start something.
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

// startedFor waits for the workflow that an event of a kind started for an instance.
func (b *bus) startedFor(kind event.Kind, instance string) (found recycle) {
	b.Helper()
	selector := argo.LabelEvent + "=" + string(kind) + "," + argo.LabelEventInstance + "=" + instance
	b.await(3*time.Minute, fmt.Sprintf("the workflow of a %s event of %s", kind, instance), func(ctx ctx) (bool, string, error) {
		list, err := b.workflows.ArgoprojV1alpha1().Workflows(b.cluster.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil || len(list.Items) == 0 {
			return false, "it is not there", err
		}
		found = recycle{b.scenario, list.Items[0].Name}
		return true, "", nil
	})
	return found
}

// recycleOf waits for the workflow that recycles an instance.
func (b *bus) recycleOf(instance string) recycle {
	b.Helper()
	b.await(3*time.Minute, "the recycle of "+instance, func(ctx ctx) (bool, string, error) {
		_, err := b.workflows.ArgoprojV1alpha1().Workflows(b.cluster.Namespace).Get(ctx, argo.ChildName(instance), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, "it is not there", nil
		}
		return err == nil, "", err
	})
	return recycle{b.scenario, argo.ChildName(instance)}
}

// closed waits until an instance's node is cordoned and tainted.
func (b *bus) closed(id string) {
	b.Helper()
	b.await(2*time.Minute, "the taint on the node of "+id, func(ctx) (bool, string, error) {
		n := b.node(b.nodes[id])
		return n.Spec.Unschedulable && slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == "eks-recycle.io/leaving" }), "it is open", nil
	})
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

// A group that shrinks: its instance waits, with heartbeats, while a long pod runs. A failure leaves it waiting, and with
// on-timeout=evict not even a pod that never ends makes the next submit fail.
func TestTerminationHook(t *testing.T) {
	t.Parallel()
	b := givenGroup(t, "hook")
	id := b.ids[0]
	b.waitsFor(10 * time.Minute)
	b.batch(id, "long", endless)
	b.service(id, "web", 2, 1)
	_, err := b.groups.SetInstanceProtection(b.Context(), &autoscaling.SetInstanceProtectionInput{AutoScalingGroupName: &b.group, InstanceIds: b.ids[1:], ProtectedFromScaleIn: aws.Bool(true)})
	b.must(err)
	_, err = b.groups.SetDesiredCapacity(b.Context(), &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: &b.group, DesiredCapacity: aws.Int32(2)})
	b.must(err)
	r := b.startedFor(event.Termination, id)
	b.closed(id)
	r.running("drain")
	b.await(2*time.Minute, "a heartbeat", func(ctx) (bool, string, error) {
		return slices.ContainsFunc(b.hookEvents(id), func(e awssim.Event) bool { return e.Kind == awssim.KindHeartbeat }), "none yet", nil
	})
	r.press("stop")
	r.ends(wfv1.WorkflowFailed)
	r.says("complete", "waits for instance "+id+" until its heartbeat timeout")
	if state := b.members(astypes.LifecycleStateTerminatingWait); !slices.Contains(state, id) || b.instanceState(id) != "running" {
		t.Fatalf("waiting: %v, the instance is %s", state, b.instanceState(id))
	}
	b.awaitRunning("long")

	parameters := []string{"max-wait=1s", "on-timeout=evict"}
	for _, p := range r.get().Spec.Arguments.Parameters {
		parameters = append(parameters, p.Name+"="+p.Value.String())
	}
	again := b.submitFrom("workflowtemplate/drain-terminating", parameters...)
	again.ends(wfv1.WorkflowSucceeded)
	again.says("complete", "is completed: CONTINUE")
	b.ended("terminated", id)
	for _, other := range b.ids[1:] {
		if state := b.instanceState(other); state != "running" {
			t.Errorf("instance %s is %s", other, state)
		}
	}
	if g := b.asg(); *g.DesiredCapacity != 2 {
		t.Errorf("desired capacity is %d", *g.DesiredCapacity)
	}
	b.await(time.Minute, "nothing to be left", func(ctx ctx) (bool, string, error) {
		if b.claim() != nil {
			return false, "the claim", nil
		}
		_, err = b.kube.CoreV1().Nodes().Get(ctx, b.nodes[id], metav1.GetOptions{})
		return apierrors.IsNotFound(err), "the node is there", nil
	})
	b.allowed()
}

// A group that retains instances: the workflow is stopped, the hook's time runs out, and the instance runs on with its pod. The next submit
// drains it on, and ends it.
func TestARetainedInstance(t *testing.T) {
	t.Parallel()
	b := givenGroup(t, "retained")
	id := b.ids[0]
	_, err := b.groups.PutLifecycleHook(b.Context(), &autoscaling.PutLifecycleHookInput{
		AutoScalingGroupName: &b.group, LifecycleHookName: aws.String(terminationHook), LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_TERMINATING"),
		DefaultResult: aws.String("ABANDON"), HeartbeatTimeout: aws.Int32(60),
	})
	b.must(err)
	_, err = b.groups.UpdateAutoScalingGroup(b.Context(), &autoscaling.UpdateAutoScalingGroupInput{
		AutoScalingGroupName: &b.group, InstanceLifecyclePolicy: &astypes.InstanceLifecyclePolicy{RetentionTriggers: &astypes.RetentionTriggers{TerminateHookAbandon: astypes.RetentionActionRetain}},
	})
	b.must(err)
	b.batch(id, "long", endless)
	_, err = b.groups.TerminateInstanceInAutoScalingGroup(b.Context(), &autoscaling.TerminateInstanceInAutoScalingGroupInput{InstanceId: &id, ShouldDecrementDesiredCapacity: aws.Bool(false)})
	b.must(err)
	r := b.startedFor(event.Termination, id)
	r.running("drain")
	r.press("stop")
	r.ends(wfv1.WorkflowFailed)
	b.await(3*time.Minute, "the instance to be retained", func(ctx) (bool, string, error) {
		return slices.Contains(b.members("Terminating:Retained"), id), "it is not", nil
	})
	b.awaitRunning("long")

	var parameters []string
	for _, p := range r.get().Spec.Arguments.Parameters {
		parameters = append(parameters, p.Name+"="+p.Value.String())
	}
	again := b.submitFrom("workflowtemplate/drain-terminating", parameters...)
	again.running("drain")
	b.finishes("long")
	again.ends(wfv1.WorkflowSucceeded)
	again.says("complete", "which its group had retained, is being terminated")
	b.ended("terminated", id)
	b.allowed()
}

// EC2 takes one Spot Instance, and says that another is at risk. The node of the first is cordoned at once, what can move has moved in
// time, and what matters was told last; the other one is replaced, and what matters finishes.
func TestSpotNotices(t *testing.T) {
	t.Parallel()
	b := givenGroup(t, "spot")
	id, risky := b.ids[0], b.ids[1]
	for _, spot := range []string{id, risky} {
		b.must(b.control(b.Context(), http.MethodPatch, "instances/"+spot, map[string]any{"lifecycle": "spot"}, nil))
	}
	b.batch(id, "long", endless)
	b.batch(risky, "risky", endless)
	b.service(id, "web", 2, 1)
	began := time.Now()
	b.must(b.control(b.Context(), http.MethodPost, "instances/"+id+"/spot-interruption", nil, nil))
	b.must(b.control(b.Context(), http.MethodPost, "instances/"+risky+"/rebalance-recommendation", nil, nil))
	r := b.startedFor(event.SpotInterruption, id)
	b.closed(id)
	t.Logf("the first taint came %s after the notice", time.Since(began).Round(100*time.Millisecond))

	b.startedFor(event.Rebalance, risky).ends(wfv1.WorkflowSucceeded)
	atRisk := b.recycleOf(risky)
	atRisk.running("drain")
	b.closed(risky)

	b.told("long")
	if after := time.Since(began); after < 80*time.Second {
		t.Errorf("the pod that matters was told to end %s after the notice, when it still had time", after)
	}
	r.ends(wfv1.WorkflowSucceeded)
	r.says("interruption", "is cordoned and empty")
	b.ended("terminated", id)
	b.awaitRunning("risky")
	b.finishes("risky")
	atRisk.ends(wfv1.WorkflowSucceeded)
	b.ended("terminated", risky)
	b.allowed()
}

// told waits until a pod has been deleted, or is about to be.
func (b *bus) told(name string) {
	b.Helper()
	b.await(3*time.Minute, "the end of pod "+name, func(ctx ctx) (bool, string, error) {
		p, err := b.kube.CoreV1().Pods(b.namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || (err == nil && p.DeletionTimestamp != nil) {
			return true, "", nil
		}
		return false, "it runs", err
	})
}

// ended waits until an instance is in its last state.
func (b *bus) ended(last, id string) {
	b.Helper()
	b.await(3*time.Minute, "the end of instance "+id, func(ctx) (bool, string, error) {
		state := b.instanceState(id)
		return state == last, "it is " + state, nil
	})
}

// An alarm recycles the node that it names; a flapping one of the group, that comes by other ways, starts no more meanwhile.
func TestAlarms(t *testing.T) {
	t.Parallel()
	b := givenGroup(t, "alarm")
	second := b.ids[1]
	b.alarm("cpu", map[string]any{"instanceId": second, "via": "eventbridge"}, time.Now())
	b.recycleOf(second).ends(wfv1.WorkflowSucceeded)
	if state := b.instanceState(second); state != "stopped" {
		t.Errorf("instance %s is %s", second, state)
	}
	flapped := time.Now()
	for i, via := range []string{"sns", "sns-raw"} {
		at := flapped.Add(time.Duration(i) * time.Second)
		about := map[string]any{"asgName": b.group, "via": via, "queue": "eks-recycle"}
		b.alarm("group", about, at)
		b.alarm("group", about, at) // and each is delivered twice
	}
	b.await(3*time.Minute, "two workflows for two alarms of the group", func(ctx) (bool, string, error) {
		n := 0
		for _, wf := range b.queued() {
			if wf.Status.Phase == wfv1.WorkflowSucceeded &&
				strings.Contains(recycle{b.scenario, wf.Name}.output("admit", "message"), "the time to cool down of Auto Scaling group "+b.group) {
				n++
			}
		}
		return n == 2, fmt.Sprintf("%d", n), nil
	})
	if in := b.members(astypes.LifecycleStateInService); len(in) != 3 || !slices.Contains(in, b.ids[0]) || !slices.Contains(in, b.ids[2]) {
		t.Errorf("in service: %v", in)
	}
	b.allowed()
}

// queued are the recycles that wait, or have waited, for their turn in the group.
func (b *bus) queued() []wfv1.Workflow {
	b.Helper()
	list, err := b.workflows.ArgoprojV1alpha1().Workflows(b.cluster.Namespace).List(b.Context(), metav1.ListOptions{LabelSelector: argo.LabelEvent})
	b.must(err)
	return slices.DeleteFunc(list.Items, func(wf wfv1.Workflow) bool {
		group := wf.Spec.Arguments.GetParameterByName("asg-name")
		return wf.Spec.WorkflowTemplateRef.Name != event.RecycleQueued || group == nil || group.Value.String() != b.group
	})
}

// Of two instances that AWS Health names, the one that EC2 has an event for is recycled.
func TestAScheduledChange(t *testing.T) {
	t.Parallel()
	b := givenGroup(t, "health")
	retired, other := b.ids[0], b.ids[1]
	date := time.Now().Add(14 * 24 * time.Hour)
	b.must(b.control(b.Context(), http.MethodPost, "instances/"+retired+"/scheduled-event", map[string]any{"code": "instance-retirement", "description": "degraded hardware", "notBefore": date.UTC().Format(time.RFC3339)}, nil))
	b.send(eventBridge("aws.health", "AWS Health Event", map[string]any{
		"eventArn": "arn:aws:health:" + b.group, "service": "EC2", "eventTypeCode": "AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_SCHEDULED", "eventTypeCategory": "scheduledChange",
		"statusCode": "upcoming", "startTime": date.UTC().Format(time.RFC1123), "affectedEntities": []any{map[string]any{"entityValue": retired}, map[string]any{"entityValue": other}},
	}))
	b.startedFor(event.ScheduledChange, retired).ends(wfv1.WorkflowSucceeded)
	b.recycleOf(retired).ends(wfv1.WorkflowSucceeded)
	if state := b.instanceState(other); state != "running" {
		t.Errorf("the instance without a scheduled event is %s", state)
	}
	b.allowed()
}

// alarm has an alarm of the scenario go off.
func (b *bus) alarm(name string, about map[string]any, at time.Time) {
	b.Helper()
	about["name"], about["state"], about["previousState"], about["time"] = "eks-recycle-"+b.group+"-"+name, "ALARM", "OK", at.UTC().Format(time.RFC3339Nano)
	b.must(b.control(b.Context(), http.MethodPost, "alarms", about, nil))
}
