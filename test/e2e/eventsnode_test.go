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
	r := b.startedBy("terminating-" + id)
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

// EC2 takes one Spot Instance and says that another is at risk. The node of the first is closed at once, what can move has
// moved in time, and what matters was told last; that of the second is closed, and what matters is left to finish.
func TestSpotNotices(t *testing.T) {
	t.Parallel()
	b := givenGroup(t, "spot")
	id, risky := b.ids[0], b.ids[1]
	_, err := b.groups.UpdateAutoScalingGroup(b.Context(), &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: &b.group, CapacityRebalance: aws.Bool(true)})
	b.must(err)
	b.configure(setting{"capacityRebalancing", "ignore"}) // the one at risk is to run on
	for _, spot := range []string{id, risky} {
		b.must(b.control(b.Context(), http.MethodPatch, "instances/"+spot, map[string]any{"lifecycle": "spot"}, nil))
	}
	b.batch(id, "long", endless)
	b.batch(risky, "risky", endless)
	b.service(id, "web", 2, 1)
	began := time.Now()
	b.must(b.control(b.Context(), http.MethodPost, "instances/"+id+"/spot-interruption", nil, nil))
	b.must(b.control(b.Context(), http.MethodPost, "instances/"+risky+"/rebalance-recommendation", nil, nil))
	r := b.startedBy("spot-" + id)
	b.closed(id)
	t.Logf("the first taint came %s after the notice", time.Since(began).Round(100*time.Millisecond))

	atRisk := b.startedBy("rebalance-" + risky)
	atRisk.ends(wfv1.WorkflowSucceeded)
	atRisk.says("leave", "1 pod(s) finish by themselves: "+b.namespace+"/risky")
	b.closed(risky)

	b.told("long")
	if after := time.Since(began); after < 80*time.Second {
		t.Errorf("the pod that matters was told to end %s after the notice, when it still had time", after)
	}
	r.ends(wfv1.WorkflowSucceeded)
	r.says("leave", "is closed and empty")
	b.ended("terminated", id)
	b.awaitRunning("risky")
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
	b.startedBy("recycle-" + second).ends(wfv1.WorkflowSucceeded)
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
		for _, wf := range b.started() {
			if wf.Spec.WorkflowTemplateRef.Name == "recycle-alarm" && wf.Status.Phase == wfv1.WorkflowSucceeded &&
				strings.Contains(recycle{b.scenario, wf.Name}.output("alarm", "message"), "the time to cool down of Auto Scaling group "+b.group) {
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

// alarm has an alarm of the scenario go off.
func (b *bus) alarm(name string, about map[string]any, at time.Time) {
	b.Helper()
	about["name"], about["state"], about["previousState"], about["time"] = "eks-recycle-"+b.group+"-"+name, "ALARM", "OK", at.UTC().Format(time.RFC3339Nano)
	b.must(b.control(b.Context(), http.MethodPost, "alarms", about, nil))
}
