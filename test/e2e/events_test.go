package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/eks-recycle/eks-recycle/internal/event"
	"github.com/eks-recycle/eks-recycle/test/events"
)

// Events through the real event sources, bus and Sensor, as they come from AWS and from callers, while all goes well and while pods
// are lost. The instances that they name do not exist, so that nothing is started and the message says why.
func TestEvents(t *testing.T) {
	t.Parallel()
	b := givenBus(t)
	t.Run("each body arrives as it is, and is decided on once", func(t *testing.T) { b.on(t).fixtures() })
	t.Run("the webhook wants its token", func(t *testing.T) { b.on(t).tokens() })
	for _, label := range []string{"sensor-name=eks-recycle", "eventsource-name=eks-recycle"} {
		t.Run("nothing is lost with the pod of "+label, func(t *testing.T) { b.on(t).survives(func() { b.on(t).deletePod(label) }) })
	}
	t.Run("what service accounts may create", func(t *testing.T) { b.on(t).admission() })
}

// receiver is configured as the overlay is.
var receiver = event.Receiver{
	Account: events.Account, Region: events.Region, Hook: events.Hook, AlarmCoolDown: "1h0m0s", Parameters: []string{"label-selector", "namespace", "max-wait"},
}

// ways are the fixtures that take different ways through the event sources and the Sensor, or that somebody made up to get something
// through them. What else a body may say is a matter of the mapping, which package event tests with all fixtures.
var ways = []string{
	"termination", "termination-sns", "termination-group-a-placeholder", "termination-of-another-hook", "hook", "hook-sns", "hook-test-notification",
	"spot", "spot-year-9999", "rebalance", "health-retirement", "health-issue", "alarm-instance", "alarm-of-any-name", "alarm-sns", "alarm-ok", "sns-in-sns",
	"webhook", "webhook-node", "webhook-by-key", "webhook-boolean", "webhook-placeholder", "webhook-fleet",
}

// fixtures delivers a body for each way, and one that is no JSON.
func (b *bus) fixtures() {
	b.Helper()
	all := slices.DeleteFunc(events.All(b), func(f events.Fixture) bool { return !slices.Contains(ways, f.Name) })
	if len(all) != len(ways) {
		b.Fatalf("%d fixtures of %d ways", len(all), len(ways))
	}
	all = append(all, events.Fixture{Name: "no JSON", Body: []byte(`{ "poison": {{workflow.uid}} `)})
	for _, f := range all {
		b.deliver(f)
	}
	for _, f := range all {
		wf := b.received(f)
		wf.ends(wfv1.WorkflowSucceeded)
		decide := receiver.Decide
		if f.Webhook {
			decide = func(body []byte) ([]event.Decision, error) { return receiver.DecideRequest(body, "receipt") }
		}
		want := "nothing is started: "
		var dropped *event.DroppedError
		if _, err := decide(f.Message()); errors.As(err, &dropped) {
			want += dropped.Reason
		}
		if got := wf.output("event", "message"); !strings.HasPrefix(got, want) {
			b.Errorf("%s: %q, want %q", f.Name, got, want)
		}
		if got := wf.output("event", "workflows"); got != "" {
			b.Errorf("%s started %s", f.Name, got)
		}
	}
}

// received waits for the workflow that a body arrives in.
func (b *bus) received(f events.Fixture) (found recycle) {
	b.Helper()
	b.await(5*time.Minute, "the workflow of "+f.Name, func(ctx) (bool, string, error) {
		for _, wf := range b.started() {
			if sameBody(f, body(wf)) {
				found = recycle{b.scenario, wf.Name}
				return true, "", nil
			}
		}
		return false, "it is not there", nil
	})
	return found
}

// sameBody compares a body with what arrived: over the webhook, what it says.
func sameBody(f events.Fixture, arrived string) bool {
	if !f.Webhook {
		return arrived == string(f.Body)
	}
	var want, got any
	return json.Unmarshal(f.Message(), &want) == nil && json.Unmarshal([]byte(arrived), &got) == nil && cmp.Equal(want, got)
}

// body is that of the event that a workflow was started with.
func body(wf wfv1.Workflow) string {
	if p := wf.Spec.Arguments.GetParameterByName("body"); p != nil && p.Value != nil {
		text, _ := base64.StdEncoding.DecodeString(p.Value.String())
		return string(text)
	}
	return ""
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
		b.await(4*time.Minute, "the workflow for "+id, func(ctx) (bool, string, error) {
			return slices.ContainsFunc(b.started(), func(wf wfv1.Workflow) bool { return strings.Contains(body(wf), id) }), "it is not there", nil
		})
	}
	b.Logf("%d workflows %s later", len(ids), time.Since(sent).Round(time.Second))
}

func (b *bus) deletePod(label string) {
	b.Helper()
	pod := b.pod(label)
	b.must(b.kube.CoreV1().Pods(b.cluster.Namespace).Delete(b.Context(), pod.Name, *metav1.NewDeleteOptions(0)))
}

// admission tries what a service account that somebody has taken over could create.
func (b *bus) admission() {
	b.Helper()
	good := func(template string) map[string]any {
		return map[string]any{
			"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": map[string]any{"generateName": "forged-", "namespace": b.cluster.Namespace},
			"spec": map[string]any{"workflowTemplateRef": map[string]any{"name": template}, "arguments": map[string]any{"parameters": []any{}}},
		}
	}
	with := func(w map[string]any, value any, path ...string) map[string]any {
		b.must(unstructured.SetNestedField(w, value, path...))
		return w
	}
	own := map[string]any{"entrypoint": "x", "templates": []any{map[string]any{"name": "x", "container": map[string]any{"image": "x"}}}}
	for name, c := range map[string]struct {
		account  string
		workflow map[string]any
		allowed  bool
	}{
		"the Sensor from on-event":              {"eks-recycle-sensor", good("on-event"), true},
		"the Sensor from recycle-node":          {"eks-recycle-sensor", good("recycle-node"), false},
		"the Sensor a pod of its own":           {"eks-recycle-sensor", with(good("on-event"), own, "spec"), false},
		"the Sensor another service account":    {"eks-recycle-sensor", with(good("on-event"), "eks-recycle", "spec", "serviceAccountName"), false},
		"the Sensor a patch of the pod":         {"eks-recycle-sensor", with(good("on-event"), "{}", "spec", "podSpecPatch"), false},
		"the Sensor a cluster's template":       {"eks-recycle-sensor", with(good("on-event"), true, "spec", "workflowTemplateRef", "clusterScope"), false},
		"the Sensor an annotation":              {"eks-recycle-sensor", with(good("on-event"), "x", "metadata", "annotations", "x"), false},
		"the Sensor artifacts":                  {"eks-recycle-sensor", with(good("on-event"), []any{}, "spec", "arguments", "artifacts"), false},
		"the dispatcher from drain-terminating": {"eks-recycle-events", good("drain-terminating"), true},
		"the dispatcher from recycle-queued":    {"eks-recycle-events", good("recycle-queued"), true},
		"the dispatcher from on-event":          {"eks-recycle-events", good("on-event"), false},
		"the dispatcher from recycle-fleet":     {"eks-recycle-events", good("recycle-fleet"), false},
		"the dispatcher a hook of its own":      {"eks-recycle-events", with(good("recycle-node"), "x", "spec", "onExit"), false},
		"a step from recycle-node":              {"eks-recycle", good("recycle-node"), false},
		"a fleet from recycle-node":             {"eks-recycle-fleet", good("recycle-node"), true},
		"a fleet from recycle-sweep":            {"eks-recycle-fleet", good("recycle-sweep"), false},
		"a fleet a pod of its own":              {"eks-recycle-fleet", with(good("recycle-node"), own, "spec"), false},
		"a fleet a stored template":             {"eks-recycle-fleet", with(good("recycle-node"), own, "status", "storedWorkflowTemplateSpec"), false},
		"a sweep from drain-terminating":        {"eks-recycle-sweep", good("drain-terminating"), true},
		"a sweep from recycle-node":             {"eks-recycle-sweep", good("recycle-node"), false},
		"a sweep an annotation":                 {"eks-recycle-sweep", with(good("drain-terminating"), "x", "metadata", "annotations", "x"), false},
		"a reap from recycle-reap":              {"eks-recycle-reap", good("recycle-reap"), false},
		"a person from recycle-fleet":           {"", good("recycle-fleet"), true},
		"a person from a template of their own": {"", good("mine"), false},
		"a person a pod of their own":           {"", with(good("recycle-node"), own, "spec"), false},
		"a person another service account":      {"", with(good("recycle-node"), "default", "spec", "serviceAccountName"), false},
		"a person a patch of the pod":           {"", with(good("recycle-node"), "{}", "spec", "podSpecPatch"), false},
		"a person a stored template":            {"", with(good("recycle-node"), own, "status", "storedWorkflowTemplateSpec"), false},
	} {
		text, err := json.Marshal(c.workflow)
		b.must(err)
		file := filepath.Join(b.TempDir(), "workflow.json")
		b.must(os.WriteFile(file, text, 0o600))
		command := []string{b.cluster.Kubectl, "create", "--dry-run=server", "-f", file}
		if c.account != "" {
			command = append(command, "--as", "system:serviceaccount:"+b.cluster.Namespace+":"+c.account)
		}
		out, err := b.command(b.Context(), command...)
		if (err == nil) != c.allowed || (err != nil && !strings.Contains(out, "eks-recycle: ") && !strings.Contains(out, "is forbidden")) {
			b.Errorf("%s: allowed %t, want %t: %s", name, err == nil, c.allowed, out)
		}
	}
}

// bus is a sandbox with Argo Events, as seen by who sends events to it.
type bus struct {
	*scenario
	queue string // URL
}

// givenBus is a bus whose scenario has no group.
func givenBus(t *testing.T) *bus {
	t.Helper()
	b := &bus{scenario: &scenario{T: t, suite: shared}}
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
