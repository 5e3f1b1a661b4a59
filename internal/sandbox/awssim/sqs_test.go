package awssim_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// queue creates one and gives its URL.
func (w *world) queue(name string, attributes map[string]string) string {
	w.Helper()
	out, err := w.sqs.CreateQueue(w.ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	w.ok(err)
	return *out.QueueUrl
}

func (w *world) sendTo(url, body string) {
	w.Helper()
	_, err := w.sqs.SendMessage(w.ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body})
	w.ok(err)
}

// receiveAll takes up to ten messages, waiting for the first.
func (w *world) receiveAll(url string, wait int32) []sqstypes.Message {
	w.Helper()
	out, err := w.sqs.ReceiveMessage(w.ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &url, WaitTimeSeconds: wait, MaxNumberOfMessages: 10,
		MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{"All"},
	})
	w.ok(err)
	return out.Messages
}

func (w *world) deleteFrom(url string, m sqstypes.Message) {
	w.Helper()
	_, err := w.sqs.DeleteMessage(w.ctx, &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle})
	w.ok(err)
}

func bodies(messages []sqstypes.Message) string {
	var out []string
	for _, m := range messages {
		out = append(out, *m.Body)
	}
	return strings.Join(out, " ")
}

// fates are the bodies that a queue has held, with what became of each.
func (w *world) fates(queue string) string {
	w.Helper()
	messages, err := w.sim.Messages(queue)
	w.ok(err)
	var out []string
	for _, m := range messages {
		out = append(out, m.Body+":"+m.Fate)
	}
	return strings.Join(out, " ")
}

// The SDK as programs use it: over a socket, with its retries, its checks of
// MD5OfBody, and endpoint and credentials only.
func TestSQSOverHTTP(t *testing.T) {
	sim := awssim.New(awssim.DefaultConfig())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- awssim.Serve(ctx, listener, sim) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	w := newWorld(t, sim, region)
	w.sqs = sqs.New(sqs.Options{
		Region: region, BaseEndpoint: aws.String("http://" + listener.Addr().String()),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "sandbox", SecretAccessKey: "sandbox"}, nil
		}),
	})
	url := w.queue("events", map[string]string{"VisibilityTimeout": "120"})
	w.want(url, "http://"+listener.Addr().String()+"/000000000000/events", "URL")
	found, err := w.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("events"), QueueOwnerAWSAccountId: aws.String("000000000000")})
	w.ok(err)
	w.want(*found.QueueUrl, url, "URL found")

	began := time.Now()
	go func() {
		time.Sleep(300 * time.Millisecond)
		w.sendTo(url, `{"a":"ü"}`)
	}()
	got := w.receiveAll(url, 20)
	if took := time.Since(began); len(got) != 1 || took < 300*time.Millisecond || took > 10*time.Second {
		t.Fatalf("%d messages after %s, want the one when it came", len(got), took)
	}
	w.want(*got[0].Body, `{"a":"ü"}`, "body")
	w.deleteFrom(url, got[0])

	left := make(chan struct{})
	sim.Observe(func(c awssim.Change) {
		if c.Call != nil && c.Call.Action == "ReceiveMessage" && !c.Call.Effect {
			close(left)
		}
	})
	impatient, give := context.WithTimeout(ctx, 100*time.Millisecond)
	defer give()
	_, err = w.sqs.ReceiveMessage(impatient, &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 20})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of patience", err)
	}
	select {
	case <-left:
	case <-time.After(time.Minute):
		t.Fatal("the simulator still waits for a caller that has left")
	}
	w.sendTo(url, "b")
	w.want(bodies(w.receiveAll(url, 1)), "b", "what a caller that left has not taken")
	w.want(w.fates("events"), `{"a":"ü"}:deleted b:in-flight`, "fates")
}

func TestSQS(t *testing.T) {
	for _, c := range []struct {
		name  string
		story func(w *world, url string)
	}{
		{"a message is hidden for the visibility timeout and comes again with another handle", func(w *world, url string) {
			w.sendTo(url, "a")
			first := w.receiveAll(url, 0)
			w.want(first[0].Attributes["ApproximateReceiveCount"], "1", "receives")
			w.want(first[0].Attributes["SentTimestamp"], time.Now().UnixMilli(), "sent")
			w.want(len(w.receiveAll(url, 0)), 0, "messages while hidden")
			began := time.Now()
			second := w.receiveAll(url, 20)
			second = append(second, w.receiveAll(url, 20)...)
			w.want(time.Since(began), 30*time.Second, "time to the second receive")
			w.want(second[0].Attributes["ApproximateReceiveCount"], "2", "receives")
			w.want(*first[0].MessageId == *second[0].MessageId, true, "same id")
			w.want(*first[0].ReceiptHandle == *second[0].ReceiptHandle, false, "same handle")
			w.deleteFrom(url, first[0])
			w.want(w.fates("q"), "a:in-flight", "after deleting by the old handle")
			w.deleteFrom(url, second[0])
			w.deleteFrom(url, second[0])
			w.want(w.fates("q"), "a:deleted", "in the end")
		}},
		{"a long poll ends empty after its wait", func(w *world, url string) {
			began := time.Now()
			w.want(len(w.receiveAll(url, 20)), 0, "messages")
			w.want(time.Since(began), 20*time.Second, "time taken")
		}},
		{"a long poll holds nobody up and answers when a message comes", func(w *world, url string) {
			got := make(chan string)
			for range 2 {
				go func() { got <- bodies(w.receiveAll(url, 20)) }()
			}
			w.pass(7 * time.Second)
			began := time.Now()
			w.sendTo(url, "a")
			w.want(<-got, "a", "the one that gets it")
			w.want(time.Since(began), time.Duration(0), "time taken")
			w.want(<-got, "", "the other")
			w.want(time.Since(began), 13*time.Second, "time the other waits")
		}},
		{"at most as many as asked for", func(w *world, url string) {
			for i := range 12 {
				w.sendTo(url, fmt.Sprint(i))
			}
			w.want(bodies(w.receiveAll(url, 0)), "0 1 2 3 4 5 6 7 8 9", "first ten")
			w.want(bodies(w.receiveAll(url, 0)), "10 11", "the others")
		}},
		{"the visibility timeout of one message is changed", func(w *world, url string) {
			w.sendTo(url, "a")
			m := w.receiveAll(url, 0)[0]
			change := func(seconds int32) error {
				_, err := w.sqs.ChangeMessageVisibility(w.ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: seconds})
				return err
			}
			w.ok(change(600))
			w.pass(9 * time.Minute)
			w.want(len(w.receiveAll(url, 0)), 0, "messages")
			w.ok(change(0))
			w.want(change(60) == nil, false, "changing what is not in flight")
			w.want(len(w.receiveAll(url, 0)), 1, "messages")
		}},
		{"poison moves to the dead-letter queue at the receive after the last allowed", func(w *world, url string) {
			dead := w.queue("dead", nil)
			_, err := w.sqs.SetQueueAttributes(w.ctx, &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{
				"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:eu-central-1:000000000000:dead","maxReceiveCount":3}`}})
			w.ok(err)
			w.sendTo(url, "poison")
			var id string
			for range 3 {
				got := w.receiveAll(url, 20)
				w.want(bodies(got), "poison", "received")
				id = *got[0].MessageId
				w.want(w.fates("dead"), "", "dead letters meanwhile")
				w.pass(30 * time.Second)
			}
			w.want(w.fates("q"), "poison:visible", "before the fourth receive")
			w.want(len(w.receiveAll(url, 0)), 0, "fourth receive")
			w.want(w.fates("q"), "poison:moved", "after the fourth receive")
			letter := w.receiveAll(dead, 0)
			w.want(*letter[0].MessageId, id, "id of the dead letter")
			w.want(letter[0].Attributes["DeadLetterQueueSourceArn"], "arn:aws:sqs:eu-central-1:000000000000:q", "source")
		}},
		{"old messages are gone", func(w *world, url string) {
			w.sendTo(url, "a")
			w.pass(4*24*time.Hour - time.Second)
			w.want(w.fates("q"), "a:visible", "before four days")
			w.pass(time.Second)
			w.want(w.fates("q"), "a:expired", "after")
		}},
		{"attributes", func(w *world, url string) {
			w.sendTo(url, "a")
			w.sendTo(url, "b")
			w.receiveAll(url, 0)
			w.sendTo(url, "c")
			out, err := w.sqs.GetQueueAttributes(w.ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{
				"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "QueueArn", "RedrivePolicy", "VisibilityTimeout"}})
			w.ok(err)
			want := map[string]string{"ApproximateNumberOfMessages": "1", "ApproximateNumberOfMessagesNotVisible": "2",
				"QueueArn": "arn:aws:sqs:eu-central-1:000000000000:q", "VisibilityTimeout": "30"}
			if diff := cmp.Diff(want, out.Attributes); diff != "" {
				w.Error(diff)
			}
			list, err := w.sqs.ListQueues(w.ctx, &sqs.ListQueuesInput{QueueNamePrefix: aws.String("q")})
			w.ok(err)
			w.want(list.QueueUrls, []string{url}, "queues")
			_, err = w.sqs.PurgeQueue(w.ctx, &sqs.PurgeQueueInput{QueueUrl: &url})
			w.ok(err)
			w.want(w.fates("q"), "a:purged b:purged c:purged", "purged")
			_, err = w.sqs.DeleteQueue(w.ctx, &sqs.DeleteQueueInput{QueueUrl: &url})
			w.ok(err)
		}},
		{"the call log names the queue", func(w *world, url string) {
			w.sim.ForgetCalls()
			w.sendTo(url, "a")
			call := w.sim.Calls(0)[0]
			w.want(call.Service+":"+call.Action, "sqs:SendMessage", "action")
			w.want(call.Params["MessageBody"], "a", "parameter")
			w.want(call.Resources[0].ARN, "arn:aws:sqs:eu-central-1:000000000000:q", "resource")
		}},
		{"faults hit it as they hit others", func(w *world, url string) {
			w.ok(w.sim.AddFaults(awssim.Fault{Service: "sqs", Action: "ReceiveMessage", Kind: awssim.FaultErrorBefore, Code: "ExpiredToken"}))
			_, err := w.sqs.ReceiveMessage(w.ctx, &sqs.ReceiveMessageInput{QueueUrl: &url})
			w.refused(err, "ExpiredToken", "The security token included in the request is expired")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) { c.story(w, w.queue("q", nil)) })
		})
	}
}

func TestSQSRefuses(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		url := w.queue("q", nil)
		nowhere := strings.Replace(url, "/q", "/other", 1)
		_, err := w.sqs.ReceiveMessage(w.ctx, &sqs.ReceiveMessageInput{QueueUrl: &nowhere})
		var absent *sqstypes.QueueDoesNotExist
		if !errors.As(err, &absent) {
			w.Errorf("got %v, want QueueDoesNotExist", err)
		}
		w.refused(err, "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
		_, err = w.sqs.GetQueueUrl(w.ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("q"), QueueOwnerAWSAccountId: aws.String("111122223333")})
		w.refused(err, "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
		_, err = w.sqs.CreateQueue(w.ctx, &sqs.CreateQueueInput{QueueName: aws.String("q"), Attributes: map[string]string{"VisibilityTimeout": "31"}})
		w.refused(err, "QueueAlreadyExists", "A queue already exists with the same name and a different value for attribute VisibilityTimeout")
		_, err = w.sqs.ReceiveMessage(w.ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 11})
		w.refused(err, "InvalidParameterValue", "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.")
		_, err = w.sqs.ReceiveMessage(w.ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 21})
		w.refused(err, "InvalidParameterValue", "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.")
		_, err = w.sqs.DeleteMessage(w.ctx, &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: aws.String("zz")})
		w.refused(err, "ReceiptHandleIsInvalid", `The input receipt handle "zz" is not a valid receipt handle.`)
		set := func(name, value string) error {
			_, err := w.sqs.SetQueueAttributes(w.ctx, &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{name: value}})
			return err
		}
		for _, c := range [][2]string{
			{"VisibilityTimeout", "43201"}, {"Colour", "blue"}, {"RedrivePolicy", "{"},
			{"RedrivePolicy", `{"deadLetterTargetArn":"arn:aws:sqs:eu-central-1:000000000000:q","maxReceiveCount":0}`},
			{"RedrivePolicy", `{"deadLetterTargetArn":"arn:aws:sqs:eu-central-1:000000000000:none","maxReceiveCount":5}`},
			{"Policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"sqs:*"}]}`},
			{"Policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}]}`},
			{"Policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Maybe"}]}`},
		} {
			if set(c[0], c[1]) == nil {
				w.Errorf("attribute %s takes %s", c[0], c[1])
			}
		}
		_, err = w.sqs.SendMessage(w.ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("a"), DelaySeconds: 5})
		w.want(err == nil, false, "delayed")
		_, err = w.sqs.SendMessage(w.ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("a"), MessageGroupId: aws.String("g")})
		w.want(err == nil, false, "a member that the simulator does not know")
		_, err = w.sqs.ListQueueTags(w.ctx, &sqs.ListQueueTagsInput{QueueUrl: &url})
		w.want(err == nil, false, "an action that the simulator does not know")
	})
}

// The bytes that aws-sdk-go v1, which Argo Events carries, sends and gets.
func TestSQSOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := awssim.New(awssim.DefaultConfig())
		call := func(target, body string) (*http.Response, map[string]any) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://awssim/", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Amz-Target", target)
			r.Header.Set("Content-Type", "application/x-amz-json-1.0")
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=sandbox/20260314/eu-central-1/sqs/aws4_request, SignedHeaders=host, Signature=0")
			answer, err := sim.HTTPClient().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			var doc map[string]any
			if err := json.NewDecoder(answer.Body).Decode(&doc); err != nil {
				t.Fatal(err)
			}
			return answer, doc
		}
		answer, doc := call("AmazonSQS.GetQueueUrl", `{"QueueName":"q"}`)
		want := map[string]any{"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "The specified queue does not exist."}
		if diff := cmp.Diff(want, doc); diff != "" || answer.StatusCode != http.StatusBadRequest {
			t.Errorf("status %d\n%s", answer.StatusCode, diff)
		}
		if got := answer.Header.Get("x-amzn-query-error"); got != "AWS.SimpleQueueService.NonExistentQueue;Sender" {
			t.Errorf("query error is %q", got)
		}
		call("AmazonSQS.CreateQueue", `{"QueueName":"q"}`)
		_, doc = call("AmazonSQS.SendMessage", `{"QueueUrl":"http://awssim/000000000000/q","MessageBody":"hello"}`)
		if doc["MD5OfMessageBody"] != "5d41402abc4b2a76b9719d911017c592" {
			t.Errorf("answer is %v", doc)
		}
		answer, doc = call("AmazonSQS.ReceiveMessage", `{"QueueUrl":"http://awssim/000000000000/q","MaxNumberOfMessages":10,"VisibilityTimeout":120,
			"WaitTimeSeconds":20,"AttributeNames":["SentTimestamp"],"MessageAttributeNames":["All"]}`)
		if got := answer.Header.Get("Content-Type"); got != "application/x-amz-json-1.0" {
			t.Errorf("content type is %q", got)
		}
		messages, _ := doc["Messages"].([]any)
		if len(messages) != 1 {
			t.Fatalf("answer is %v", doc)
		}
		m, _ := messages[0].(map[string]any)
		if m["MD5OfBody"] != "5d41402abc4b2a76b9719d911017c592" || m["Body"] != "hello" {
			t.Errorf("message is %v", m)
		}
	})
}

// Messages come back sooner than their receiver asked for, so that a test of what nobody deletes takes no minutes.
func TestMessagesAreHiddenNoLongerThanTheSettingSays(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.HiddenAtMost = 10 * time.Second }, func(w *world) {
		url := w.queue("events", map[string]string{"VisibilityTimeout": "120"})
		w.sendTo(url, "poison")
		for range 3 {
			if got := w.receiveAll(url, 0); len(got) != 1 {
				t.Fatalf("received %d messages, want the one that nobody deleted", len(got))
			}
			w.pass(9 * time.Second)
			if got := w.receiveAll(url, 0); len(got) != 0 {
				t.Errorf("it is there again after 9 seconds")
			}
			w.pass(2 * time.Second)
		}
	})
}
