package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/eks-recycle/eks-recycle/internal/cli"
	"github.com/eks-recycle/eks-recycle/test/events"
)

// stepEvent runs step event on a fixture. It must not ask for clients.
func stepEvent(t *testing.T, f events.Fixture, args ...string) (code int, out, log string) {
	t.Helper()
	args = append([]string{"step", "event", "--log-format", "text", "--account", events.Account, "--region", events.Region}, args...)
	if f.Webhook {
		args = append(args, "--webhook", "--idempotency-key", f.IdempotencyKey)
	}
	var stdout, stderr bytes.Buffer
	code = cli.Run(t.Context(), args, cli.Streams{In: bytes.NewReader(f.Body), Out: &stdout, Err: &stderr, Connect: func(context.Context, cli.Options) (*cli.Clients, error) {
		t.Error("it asks for clients")
		return nil, errConnected
	}})
	return code, stdout.String(), stderr.String()
}

func TestStepEventSaysWhatEachFixtureStarts(t *testing.T) {
	for _, f := range events.All(t) {
		t.Run(f.Name, func(t *testing.T) {
			code, out, log := stepEvent(t, f)
			var got struct {
				Status, Message, Hint string
				Event                 *events.Event
			}
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if diff := cmp.Diff(f.Event, got.Event); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
			if f.Event != nil && (code != 0 || got.Status != "Done" || log != "") {
				t.Errorf("exit %d, status %s, log %q", code, got.Status, log)
			}
			if f.Event == nil && (code != 1 || !strings.HasPrefix(got.Message, "dropped: ") || got.Hint == "" || strings.Count(log, "\n") != 2) {
				t.Errorf("exit %d, %q, hint %q, log %q", code, got.Message, got.Hint, log)
			}
		})
	}
}

// What the manifest says is what the event starts, and nothing but a reference and its arguments.
func TestStepEventPrintsTheWorkflowOfEachFixture(t *testing.T) {
	type parameter struct{ Name, Value string }
	for _, f := range events.All(t) {
		t.Run(f.Name, func(t *testing.T) {
			code, out, _ := stepEvent(t, f, "--output", "workflow")
			if f.Event == nil {
				if code != 1 || out != "" {
					t.Errorf("exit %d: %s", code, out)
				}
				return
			}
			var w struct {
				APIVersion, Kind string
				Metadata         struct {
					Name   string
					Labels map[string]string
				}
				Spec struct {
					WorkflowTemplateRef struct{ Name string }
					Arguments           struct{ Parameters []parameter }
				}
			}
			if err := yaml.UnmarshalStrict([]byte(out), &w); err != nil || code != 0 {
				t.Fatalf("exit %d, %v:\n%s", code, err, out)
			}
			parameters := map[string]string{}
			for _, p := range w.Spec.Arguments.Parameters {
				parameters[p.Name] = p.Value
			}
			got := events.Event{Template: w.Spec.WorkflowTemplateRef.Name, Name: w.Metadata.Name, Parameters: parameters}
			if diff := cmp.Diff(*f.Event, got); diff != "" || w.APIVersion != "argoproj.io/v1alpha1" || w.Kind != "Workflow" {
				t.Errorf("%s %s (-want +got):\n%s", w.APIVersion, w.Kind, diff)
			}
		})
	}
}
