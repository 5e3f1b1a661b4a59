package e2e

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/sandbox"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/progress"
	"github.com/eks-recycle/eks-recycle/test/events"
)

// bus is a sandbox with Argo Events, as seen by who sends events to it.
type bus struct {
	*scenario
	queue, dead string // URLs
}

// givenEvents adds Argo Events to the sandbox, if it has them not yet. What the test starts is gone when it ends.
func givenEvents(t *testing.T) *bus {
	t.Helper()
	b := &bus{scenario: &scenario{T: t, suite: shared}}
	b.listens()
	t.Cleanup(b.tidy)
	b.forget()
	return b
}

// once adds Argo Events for all tests.
var once sync.Once

func (b *bus) listens() {
	b.Helper()
	once.Do(func() {
		_, err := sandbox.Up(b.Context(), sandbox.Options{Events: true, Progress: func(p progress.Line) {
			if !p.Passing {
				b.Log(p.Text)
			}
		}})
		b.must(err)
	})
	for name, url := range map[string]*string{"eks-recycle": &b.queue, "eks-recycle-dead": &b.dead} {
		out, err := b.sqs.GetQueueUrl(b.Context(), &sqs.GetQueueUrlInput{QueueName: &name})
		b.must(err)
		*url = *out.QueueUrl
	}
}

// tidy says what helps to understand a failure, and takes away what the test started.
func (b *bus) tidy() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if b.Failed() {
		for _, command := range [][]string{
			{b.cluster.Kubectl, "get", "pods,workflows", "-n", b.cluster.Namespace, "-o", "wide"},
			{b.cluster.Kubectl, "logs", "-n", b.cluster.Namespace, "-l", "controller=eventsource-controller", "--prefix", "--tail=20"},
			{b.cluster.Kubectl, "logs", "-n", b.cluster.Namespace, "-l", "controller=sensor-controller", "--prefix", "--tail=20"},
		} {
			out, _ := b.command(ctx, command...)
			b.Logf("%s\n%s", strings.Join(command, " "), out)
		}
	}
	if err := b.workflows.ArgoprojV1alpha1().Workflows(b.cluster.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, startedByEvents()); err != nil {
		b.Errorf("deleting the workflows: %v", err)
	}
}

// Each body that AWS may send, or a caller post, starts the Workflow that belongs to it, with its name and its arguments
// and nothing else; or it starts none.
func TestEventsStartWhatTheyShould(t *testing.T) {
	b := givenEvents(t)
	var starting, dropped []events.Fixture
	for _, f := range events.All(t) {
		if f.Event == nil {
			dropped = append(dropped, f)
		} else {
			starting = append(starting, f)
		}
	}
	// Bodies that start a Workflow of the same name take turns.
	for len(starting) > 0 {
		var turn, later []events.Fixture
		for _, f := range starting {
			if slices.ContainsFunc(turn, func(other events.Fixture) bool { return other.Event.Name == f.Event.Name }) {
				later = append(later, f)
			} else {
				turn = append(turn, f)
			}
		}
		for _, f := range turn {
			b.deliver(f)
		}
		b.processed()
		for _, f := range turn {
			b.startedAs(f)
		}
		b.forget()
		starting = later
	}
	for _, f := range dropped {
		b.deliver(f)
	}
	b.processed()
	for _, wf := range b.started() {
		t.Errorf("a body that starts nothing started %s %v", wf.Name, wf.Spec.Arguments)
	}
	if left := b.messages("eks-recycle-dead"); len(left) > 0 {
		t.Errorf("the queue of dead letters has %d messages, the first %+v", len(left), left[0])
	}
}

func TestWebhookWantsItsToken(t *testing.T) {
	b := givenEvents(t)
	body := []byte(`{"instance-id": "i-0a1b2c3d4e5f60718"}`)
	for name, header := range map[string]string{"none": "", "another": "Bearer sandbox2", "no bearer": "sandbox", "a part": "Bearer sand"} {
		if status := b.post(body, http.Header{"Authorization": {header}}); status != http.StatusUnauthorized {
			t.Errorf("token %s: the answer is %d", name, status)
		}
	}
	if status := b.post([]byte("not JSON"), withToken()); status != http.StatusBadRequest {
		t.Errorf("no JSON: the answer is %d", status)
	}
	b.processed()
	for _, wf := range b.started() {
		t.Errorf("workflow %s was started", wf.Name)
	}
}

// deliver sends a body the way it comes.
func (b *bus) deliver(f events.Fixture) {
	b.Helper()
	if !f.Webhook {
		b.send(string(f.Body))
		return
	}
	header := withToken()
	if f.IdempotencyKey != "" {
		header.Set("Idempotency-Key", f.IdempotencyKey)
	}
	if status := b.post(f.Body, header); status != http.StatusOK {
		b.Errorf("%s: the webhook answers %d", f.Name, status)
	}
}

func (b *bus) send(body string) {
	b.Helper()
	_, err := b.sqs.SendMessage(b.Context(), &sqs.SendMessageInput{QueueUrl: &b.queue, MessageBody: &body})
	b.must(err)
}

func withToken() http.Header { return http.Header{"Authorization": {"Bearer sandbox"}} }

// post asks the webhook's pod; there is no kube-proxy that would lead to it from its Service.
func (b *bus) post(body []byte, header http.Header) (status int) {
	b.Helper()
	pod := b.pod("eventsource-name=eks-recycle-webhook")
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+pod.Status.PodIP+":12000/recycle", reader(body))
	b.must(err)
	header = header.Clone()
	header.Set("Content-Type", "application/json")
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	b.must(err)
	defer response.Body.Close()
	return response.StatusCode
}

// pod waits for the one pod that runs with a label.
func (b *bus) pod(label string) (pod corev1.Pod) {
	b.Helper()
	b.await(time.Minute, "a pod with "+label, func(ctx ctx) (bool, string, error) {
		pods, err := b.kube.CoreV1().Pods(b.cluster.Namespace).List(ctx, metav1.ListOptions{LabelSelector: label})
		if err != nil {
			return false, "", err
		}
		for _, p := range pods.Items {
			if p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodRunning {
				pod = p
				return true, "", nil
			}
		}
		return false, fmt.Sprintf("%d pods, none runs", len(pods.Items)), nil
	})
	return pod
}

func startedByEvents() metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: "events.argoproj.io/sensor"}
}

// started lists what sensors started.
func (b *bus) started() []wfv1.Workflow {
	b.Helper()
	list, err := b.workflows.ArgoprojV1alpha1().Workflows(b.cluster.Namespace).List(b.Context(), startedByEvents())
	b.must(err)
	return list.Items
}

// forget deletes what sensors started, so that the same events may start it again.
func (b *bus) forget() {
	b.Helper()
	b.must(b.workflows.ArgoprojV1alpha1().Workflows(b.cluster.Namespace).DeleteCollection(b.Context(), metav1.DeleteOptions{}, startedByEvents()))
	b.await(time.Minute, "the end of the workflows", func(ctx) (bool, string, error) {
		n := len(b.started())
		return n == 0, fmt.Sprintf("%d are left", n), nil
	})
}

// startedAs compares a started Workflow with what its event should start.
func (b *bus) startedAs(f events.Fixture) {
	b.Helper()
	wf, err := b.workflows.ArgoprojV1alpha1().Workflows(b.cluster.Namespace).Get(b.Context(), f.Event.Name, metav1.GetOptions{})
	if err != nil {
		b.Errorf("%s: %v", f.Name, err)
		return
	}
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

// processed waits until the sensors are through with all that was sent: the queue is empty, and each trigger, which takes
// one event after the other, has started what was sent after it. What it sends for that is gone again.
func (b *bus) processed() {
	b.Helper()
	b.taken()
	id := randomInstance()
	b.send(termination(id))
	b.send(notice("EC2 Spot Instance Interruption Warning", id))
	b.send(notice("EC2 Instance Rebalance Recommendation", id))
	b.send(alarm(id))
	b.deliver(events.Fixture{Name: "marker", Webhook: true, Body: fmt.Appendf(nil, `{"instance-id": %q, "dry-run": "true"}`, id)})
	b.await(2*time.Minute, "the markers", func(ctx ctx) (bool, string, error) {
		n := 0
		for _, wf := range b.started() {
			if startedFor(wf, id) {
				n++
			}
		}
		return n == 5, fmt.Sprintf("%d of 5", n), nil
	})
	for _, wf := range b.started() {
		if startedFor(wf, id) {
			b.must(b.workflows.ArgoprojV1alpha1().Workflows(b.cluster.Namespace).Delete(b.Context(), wf.Name, metav1.DeleteOptions{}))
		}
	}
}

func startedFor(wf wfv1.Workflow, instance string) bool {
	return slices.ContainsFunc(wf.Spec.Arguments.Parameters, func(p wfv1.Parameter) bool {
		return p.Name == "instance-id" && p.Value.String() == instance
	})
}

// taken waits until the event source has taken all messages off the queue.
func (b *bus) taken() {
	b.Helper()
	b.await(3*time.Minute, "the queue to be empty", func(ctx ctx) (bool, string, error) {
		out, err := b.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &b.queue, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
		if err != nil {
			return false, "", err
		}
		visible, hidden := out.Attributes["ApproximateNumberOfMessages"], out.Attributes["ApproximateNumberOfMessagesNotVisible"]
		return visible == "0" && hidden == "0", visible + " visible, " + hidden + " hidden", nil
	})
}

// messages reads what a queue has held, and holds.
func (b *bus) messages(queue string) (messages []awssim.Message) {
	b.Helper()
	b.must(b.control(b.Context(), http.MethodGet, "queues/"+queue, nil, &messages))
	return messages
}

func randomInstance() string {
	id := make([]byte, 8)
	_, _ = rand.Read(id)
	return "i-0" + hex.EncodeToString(id)
}

// eventBridge is an event as EventBridge wraps it.
func eventBridge(source, kind string, detail any, resources ...string) string {
	event, err := json.Marshal(map[string]any{
		"version": "0", "id": "12345678-1234-1234-1234-123456789012", "source": source, "detail-type": kind, "account": events.Account, "region": events.Region,
		"time": time.Now().UTC().Format(time.RFC3339), "resources": resources, "detail": detail,
	})
	if err != nil {
		panic(err)
	}
	return string(event)
}

func termination(instance string) string {
	return eventBridge("aws.autoscaling", "EC2 Instance-terminate Lifecycle Action", map[string]string{
		"LifecycleActionToken": "87654321-4321-4321-4321-210987654321", "AutoScalingGroupName": "workers", "LifecycleHookName": "eks-recycle",
		"EC2InstanceId": instance, "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
	})
}

func notice(kind, instance string) string {
	return eventBridge("aws.ec2", kind, map[string]string{"instance-id": instance, "instance-action": "terminate"})
}

func alarm(instance string) string {
	type m = map[string]any
	arn := "arn:aws:cloudwatch:" + events.Region + ":" + events.Account + ":alarm:cpu of " + instance
	return eventBridge("aws.cloudwatch", "CloudWatch Alarm State Change", m{
		"alarmName": "cpu of " + instance, "state": m{"value": "ALARM", "timestamp": time.Now().UTC().Format("2006-01-02T15:04:05.000-0700")},
		"previousState": m{"value": "OK"},
		"configuration": m{"metrics": []m{{"metricStat": m{"metric": m{"dimensions": m{"InstanceId": instance}}}}}},
	}, arn)
}
