package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
	"github.com/eks-recycle/eks-recycle/test/events"
)

// Events through the real event sources, bus and sensors, as they come from AWS and from callers, while all goes well and
// while pods are lost. What they start is deleted as soon as it was seen: the instances that they name do not exist.
func TestEvents(t *testing.T) {
	t.Parallel()
	b := givenBus(t)
	poison := `{ "poison": ` + b.randomInstance()
	b.send(poison)

	t.Run("each way starts its workflow, and what starts none starts none", func(t *testing.T) { b.on(t).fixtures() })
	t.Run("the webhook wants its token", func(t *testing.T) { b.on(t).tokens() })
	t.Run("an event that comes three times starts one workflow", func(t *testing.T) { b.on(t).oneOfThree() })
	t.Run("a request that comes twice starts one workflow", func(t *testing.T) { b.on(t).oneRequestOfTwo() })
	for _, label := range []string{"sensor-name=eks-recycle-terminating", "eventsource-name=eks-recycle"} {
		t.Run("nothing is lost with the pod of "+label, func(t *testing.T) { b.on(t).survives(func() { b.on(t).deletePod(label) }) })
	}
	t.Run("a message that is no JSON holds up nothing, and is a dead letter in the end", func(t *testing.T) { b.on(t).isDead(poison) })
}

// ways are the fixtures that take different ways through the sensors and the event sources, or are given different names by
// them. What else a body may say is a matter of one decision, which package event tests with all fixtures.
var ways = []string{
	"termination", "termination-sns", "termination-short-id", "hook", "hook-sns", "spot", "rebalance",
	"alarm-instance", "alarm-group", "alarm-of-any-name", "alarm-sns", "alarm-sns-raw", "webhook", "webhook-node", "webhook-again-by-key",
}

// fixtures delivers a body for each way, and all that start nothing.
func (b *bus) fixtures() {
	b.Helper()
	var starting, dropped []events.Fixture
	for _, f := range events.All(b) {
		switch {
		case f.Event == nil:
			dropped = append(dropped, f)
		case slices.Contains(ways, f.Name):
			b.forget(f.Event.Name)
			starting = append(starting, f)
		}
	}
	if len(starting) != len(ways) {
		b.Fatalf("%d fixtures of %d ways", len(starting), len(ways))
	}
	for _, f := range dropped {
		b.deliver(f)
	}
	// Bodies that start a workflow of the same name take turns.
	for len(starting) > 0 {
		var turn, later []events.Fixture
		for _, f := range starting {
			if slices.ContainsFunc(turn, func(other events.Fixture) bool { return other.Event.Name == f.Event.Name }) {
				later = append(later, f)
			} else {
				turn = append(turn, f)
				b.deliver(f)
			}
		}
		for _, f := range turn {
			b.startedAs(f)
			b.forget(f.Event.Name)
		}
		starting = later
	}
	b.processed(dropped)
	for _, wf := range b.started() {
		if !b.known(wf) {
			b.Errorf("a body that starts nothing started %s %v", wf.Name, wf.Spec.Arguments)
		}
	}
}

func (b *bus) tokens() {
	b.Helper()
	body := []byte(`{"instance-id": "i-0a1b2c3d4e5f60718"}`)
	for name, header := range map[string]string{"none": "", "another": "Bearer sandbox2", "no bearer": "sandbox", "a part": "Bearer sand"} {
		if status := b.post(body, http.Header{"Authorization": {header}}); status != http.StatusUnauthorized {
			b.Errorf("token %s: the answer is %d", name, status)
		}
	}
	if status := b.post([]byte("not JSON"), withToken()); status != http.StatusBadRequest {
		b.Errorf("no JSON: the answer is %d", status)
	}
}

// oneOfThree also shows that a sensor is done with events that come again after its retries, and never sees them once more.
func (b *bus) oneOfThree() {
	b.Helper()
	for _, body := range []func(string) string{termination, func(id string) string { return notice("EC2 Spot Instance Interruption Warning", id) }} {
		id, next := b.randomInstance(), b.randomInstance()
		for range 3 {
			b.send(body(id))
		}
		first := b.starts(id, 1)[0]
		b.send(body(next))
		b.gone(b.starts(next, 1))
		if now := b.starts(id, 1)[0]; now.Name == first.Name && now.UID != first.UID {
			b.Errorf("workflow %s was replaced", now.Name)
		}
		b.gone([]wfv1.Workflow{first})
	}
}

func (b *bus) oneRequestOfTwo() {
	b.Helper()
	id := b.randomInstance()
	body := fmt.Appendf(nil, `{"instance-id": %q, "dry-run": "true"}`, id)
	again := fmt.Appendf(nil, `{"dry-run":"true", "instance-id":%q}`, id)
	for _, sent := range [][]byte{body, again} {
		if status := b.post(sent, withToken()); status != http.StatusOK {
			b.Errorf("the webhook answers %d", status)
		}
	}
	b.deliver(events.Fixture{Name: "with a key", Webhook: true, Body: body, IdempotencyKey: "another"})
	b.gone(b.starts(id, 2))
}

// survives sends events before and after some trouble, and wants a workflow for each.
func (b *bus) survives(trouble func()) {
	b.Helper()
	ids := b.terminations(3)
	trouble()
	b.start(append(ids, b.terminations(2)...))
}

// terminations sends events for so many instances that do not exist.
func (b *bus) terminations(n int) (ids []string) {
	b.Helper()
	for range n {
		ids = append(ids, b.randomInstance())
		b.send(termination(ids[len(ids)-1]))
	}
	return ids
}

// start waits for a workflow for each instance.
func (b *bus) start(ids []string) {
	b.Helper()
	sent := time.Now()
	for _, id := range ids {
		b.gone(b.starts(id, 1))
	}
	b.Logf("%d workflows %s later", len(ids), time.Since(sent).Round(time.Second))
}

func (b *bus) deletePod(label string) {
	b.Helper()
	pod := b.pod(label)
	b.must(b.kube.CoreV1().Pods(b.cluster.Namespace).Delete(b.Context(), pod.Name, *metav1.NewDeleteOptions(0)))
}

func (b *bus) isDead(poison string) {
	b.Helper()
	b.await(3*time.Minute, "the message that is no JSON in the queue of dead letters", func(ctx) (bool, string, error) {
		dead := b.messages("eks-recycle-dead")
		return slices.ContainsFunc(dead, func(m awssim.Message) bool { return m.Body == poison }), fmt.Sprintf("%d messages, not it", len(dead)), nil
	})
	for _, m := range b.messages("eks-recycle-dead") {
		if m.Body != poison && m.Sent.After(b.began) {
			b.Errorf("a dead letter: %+v", m)
		}
	}
}

// startedAs compares the Workflow that an event starts with what it should start.
func (b *bus) startedAs(f events.Fixture) {
	b.Helper()
	var wf *wfv1.Workflow
	b.await(2*time.Minute, "the workflow of "+f.Name, func(ctx ctx) (found bool, status string, err error) {
		wf, err = b.workflows.ArgoprojV1alpha1().Workflows(b.cluster.Namespace).Get(ctx, f.Event.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, "it is not there", nil
		}
		return err == nil, "", err
	})
	got := map[string]string{}
	for _, p := range wf.Spec.Arguments.Parameters {
		got[p.Name] = p.Value.String()
	}
	if diff := cmp.Diff(f.Event.Parameters, got); diff != "" {
		b.Errorf("%s: arguments (-want +got):\n%s", f.Name, diff)
	}
	want := wfv1.WorkflowSpec{WorkflowTemplateRef: &wfv1.WorkflowTemplateRef{Name: f.Event.Template}, Arguments: wf.Spec.Arguments}
	if diff := cmp.Diff(want, wf.Spec); diff != "" {
		b.Errorf("%s: workflow (-want +got):\n%s", f.Name, diff)
	}
	if wf.Labels["app.kubernetes.io/name"] != "eks-recycle" {
		b.Errorf("%s: labels %v", f.Name, wf.Labels)
	}
}

// processed waits until the sensors are through with all these: they are taken off the queue, and each trigger, which takes one
// event after the other, has started what was sent after them.
func (b *bus) processed(sent []events.Fixture) {
	b.Helper()
	b.await(2*time.Minute, "messages to be taken", func(ctx) (bool, string, error) {
		for _, m := range b.messages("eks-recycle") {
			if m.Fate != awssim.MessageDeleted && m.Sent.After(b.began) && slices.ContainsFunc(sent, func(f events.Fixture) bool { return string(f.Body) == m.Body }) {
				return false, "one is " + m.Fate, nil
			}
		}
		return true, "", nil
	})
	id := b.randomInstance()
	b.send(termination(id))
	b.send(notice("EC2 Spot Instance Interruption Warning", id))
	b.send(notice("EC2 Instance Rebalance Recommendation", id))
	b.send(alarm(id))
	b.deliver(events.Fixture{Name: "marker", Webhook: true, Body: fmt.Appendf(nil, `{"instance-id": %q, "dry-run": "true"}`, id)})
	b.gone(b.starts(id, 5))
}

// known tells whether a Workflow is about an instance of a test: one that this one made up, or one that exists.
func (b *bus) known(wf wfv1.Workflow) bool {
	b.Helper()
	groups, err := b.groups.DescribeAutoScalingGroups(b.Context(), &autoscaling.DescribeAutoScalingGroupsInput{})
	b.must(err)
	instances, err := b.ec2.DescribeInstances(b.Context(), &ec2.DescribeInstancesInput{})
	b.must(err)
	var names []string
	for _, g := range groups.AutoScalingGroups {
		if strings.HasPrefix(*g.AutoScalingGroupName, "e2e-") {
			names = append(names, *g.AutoScalingGroupName)
		}
	}
	for _, r := range instances.Reservations {
		names = append(names, *r.Instances[0].InstanceId)
	}
	return slices.ContainsFunc(wf.Spec.Arguments.Parameters, func(p wfv1.Parameter) bool {
		_, madeUp := b.madeUp.Load(p.Value.String())
		return (p.Name == "instance-id" || p.Name == "asg-name") && (madeUp || slices.Contains(names, p.Value.String()))
	})
}

// bus is a sandbox with Argo Events, as seen by who sends events to it.
type bus struct {
	*scenario
	queue  string // URL
	began  time.Time
	madeUp *sync.Map // ids of instances that do not exist
}

// givenBus is a bus whose scenario has no group.
func givenBus(t *testing.T) *bus {
	t.Helper()
	b := &bus{scenario: &scenario{T: t, suite: shared}, began: time.Now(), madeUp: &sync.Map{}}
	b.listens()
	t.Cleanup(b.tell)
	return b
}

// on is the same for a part of the test.
func (b *bus) on(t *testing.T) *bus {
	s, part := *b.scenario, *b
	s.T, part.scenario = t, &s
	return &part
}

// tell says what helps to understand a failure.
func (b *bus) tell() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if !b.Failed() {
		return
	}
	for _, command := range []string{
		"get pods,workflows -o wide", "logs -l controller=eventsource-controller --prefix --tail=20", "logs -l controller=sensor-controller --prefix --tail=20",
	} {
		out, _ := b.command(ctx, append([]string{b.cluster.Kubectl, "-n", b.cluster.Namespace}, strings.Fields(command)...)...)
		b.Logf("%s\n%s", command, out)
	}
}
