package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/test/events"
)

// listens waits until events start recycles.
func (b *bus) listens() {
	b.Helper()
	b.must(b.eventsUp())
	name := "eks-recycle"
	out, err := b.sqs.GetQueueUrl(b.Context(), &sqs.GetQueueUrlInput{QueueName: &name})
	b.must(err)
	b.queue = *out.QueueUrl
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
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+pod.Status.PodIP+":12000/recycle", bytes.NewReader(body))
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

// started lists what the Sensor started.
func (b *bus) started() []wfv1.Workflow {
	b.Helper()
	list, err := b.workflows.ArgoprojV1alpha1().Workflows(b.cluster.Namespace).List(b.Context(), metav1.ListOptions{LabelSelector: "events.argoproj.io/sensor"})
	b.must(err)
	return list.Items
}

// randomInstance makes up the id of an instance that does not exist.
func (b *bus) randomInstance() string {
	random := make([]byte, 8)
	_, _ = rand.Read(random)
	return "i-0" + hex.EncodeToString(random)
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
