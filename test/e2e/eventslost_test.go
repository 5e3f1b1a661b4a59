package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/sandbox"
	"github.com/eks-recycle/eks-recycle/test/events"
)

// What is no JSON goes to the queue of dead letters in the end, and holds up nothing. It takes as long as an event source
// hides a message that it cannot take, two minutes for each receive; so all the rest of the trouble happens meanwhile.
func TestEventsInTrouble(t *testing.T) {
	b := givenEvents(t)
	poison := "{ \"poison\": " + randomInstance()
	sent := time.Now()
	b.send(poison)

	t.Run("what comes after a message that is no JSON is served", func(t *testing.T) { b.on(t).serves(termination) })
	t.Run("an event that comes three times starts one workflow", func(t *testing.T) { b.on(t).oneOfThree() })
	t.Run("a request that comes twice starts one workflow", func(t *testing.T) { b.on(t).oneRequestOfTwo() })
	for _, label := range []string{"sensor-name=eks-recycle-terminating", "eventsource-name=eks-recycle"} {
		t.Run("nothing is lost with the pod of "+label, func(t *testing.T) { b.on(t).survives(func() { b.on(t).deletePod(label) }) })
	}
	t.Run("nothing is lost while the bus is away", func(t *testing.T) {
		b.on(t).survives(func() { b.must(b.cluster.Restart(t.Context(), "nats", sandbox.Away(5*time.Second))) })
	})

	b.await(6*time.Minute, "the message that is no JSON in the queue of dead letters", func(ctx) (bool, string, error) {
		dead := b.messages("eks-recycle-dead")
		for _, m := range dead {
			if m.Body == poison {
				return true, "", nil
			}
		}
		return false, fmt.Sprintf("%d messages, not it", len(dead)), nil
	})
	t.Logf("the message that is no JSON is a dead letter not later than %s after it was sent", time.Since(sent).Round(time.Second))
	for _, m := range b.messages("eks-recycle-dead") {
		if m.Body != poison && m.Sent.After(sent) {
			t.Errorf("a dead letter: %+v", m)
		}
	}
}

// on is the same for a part of the test.
func (b *bus) on(t *testing.T) *bus {
	s := *b.scenario
	s.T = t
	return &bus{scenario: &s, queue: b.queue, dead: b.dead}
}

// serves sends an event and waits for its workflow.
func (b *bus) serves(body func(instance string) string) {
	b.Helper()
	id := randomInstance()
	sent := time.Now()
	b.send(body(id))
	b.starts(id, 1)
	b.Logf("a workflow %s after its message was sent", time.Since(sent).Round(10*time.Millisecond))
}

// starts waits until so many workflows for the instance are there.
func (b *bus) starts(instance string, want int) {
	b.Helper()
	b.await(4*time.Minute, fmt.Sprintf("%d workflows for %s", want, instance), func(ctx) (bool, string, error) {
		n := 0
		for _, wf := range b.started() {
			if startedFor(wf, instance) {
				n++
			}
		}
		return n == want, fmt.Sprintf("%d", n), nil
	})
}

// oneOfThree also shows that a sensor is done with events that come again after its retries, and never sees them once more.
func (b *bus) oneOfThree() {
	b.Helper()
	for _, body := range []func(string) string{termination, func(id string) string { return notice("EC2 Spot Instance Interruption Warning", id) }} {
		id := randomInstance()
		message := body(id)
		for range 3 {
			b.send(message)
		}
		b.starts(id, 1)
		first := b.started()
		sent := time.Now()
		b.serves(body)
		b.Logf("the next event has its workflow %s after one that came twice more", time.Since(sent).Round(time.Second))
		b.starts(id, 1)
		for _, wf := range b.started() {
			for _, before := range first {
				if wf.Name == before.Name && wf.UID != before.UID {
					b.Errorf("workflow %s was replaced", wf.Name)
				}
			}
		}
	}
}

func (b *bus) oneRequestOfTwo() {
	b.Helper()
	id := randomInstance()
	body := fmt.Appendf(nil, `{"instance-id": %q, "dry-run": "true"}`, id)
	again := fmt.Appendf(nil, `{"dry-run":"true", "instance-id":%q}`, id)
	for _, sent := range [][]byte{body, again} {
		if status := b.post(sent, withToken()); status != http.StatusOK {
			b.Errorf("the webhook answers %d", status)
		}
	}
	b.deliver(events.Fixture{Name: "with a key", Webhook: true, Body: body, IdempotencyKey: "another"})
	b.starts(id, 2)
}

// survives sends events before, during and after some trouble, and wants a workflow for each.
func (b *bus) survives(trouble func()) {
	b.Helper()
	var ids []string
	send := func(n int) {
		for range n {
			ids = append(ids, randomInstance())
			b.send(termination(ids[len(ids)-1]))
		}
	}
	send(10)
	trouble()
	send(5)
	sent := time.Now()
	for _, id := range ids {
		b.starts(id, 1)
	}
	b.Logf("%d workflows %s later", len(ids), time.Since(sent).Round(time.Second))
}

func (b *bus) deletePod(label string) {
	b.Helper()
	pod := b.pod(label)
	b.must(b.kube.CoreV1().Pods(b.cluster.Namespace).Delete(b.Context(), pod.Name, *metav1.NewDeleteOptions(0)))
}
