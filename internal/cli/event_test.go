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
	args = append([]string{
		"step", "event", "--offline", "--log-format", "text", "--account", events.Account, "--region", events.Region,
		"--lifecycle-hook", events.Hook, "--webhook-parameters", strings.Join(f.Allowed, ","), "--workflow-uid", "0e6f3a52-27b7-4c0b-9f0e-6c5f3f0f4f3a",
	}, args...)
	if f.Webhook {
		args = append(args, "--source", "webhook")
	}
	var stdout, stderr bytes.Buffer
	code = cli.Run(t.Context(), args, cli.Streams{In: bytes.NewReader(f.Message()), Out: &stdout, Err: &stderr, Connect: func(context.Context, cli.Options) (*cli.Clients, error) {
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
				Status, Message string
				Starts          []events.Event
			}
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for i := range got.Starts { // as a duration is written
				if got.Starts[i].Parameters["cool-down"] == "1h0m0s" {
					got.Starts[i].Parameters["cool-down"] = events.AlarmCoolDown
				}
			}
			if diff := cmp.Diff(f.Starts, got.Starts); diff != "" || code != 0 || got.Status != "Done" || log != "" {
				t.Errorf("exit %d, status %s, log %q, starts (-want +got):\n%s", code, got.Status, log, diff)
			}
			if f.Dropped != "" && (!strings.HasPrefix(got.Message, "nothing is started: ") || !strings.Contains(got.Message, f.Dropped)) {
				t.Errorf("message %q", got.Message)
			}
		})
	}
}

// What the manifest says is what the event starts, and nothing but a reference and its arguments.
func TestStepEventPrintsTheWorkflowOfEachFixture(t *testing.T) {
	for _, f := range events.All(t) {
		t.Run(f.Name, func(t *testing.T) {
			code, out, _ := stepEvent(t, f, "--output", "workflow")
			if code != 0 || (out == "") != (len(f.Starts) == 0) {
				t.Fatalf("exit %d: %s", code, out)
			}
			for i, doc := range strings.Split(out, "---\n") {
				if i > 0 {
					check(t, f.Starts[i-1], doc)
				}
			}
		})
	}
}

// check compares a manifest with what a fixture starts.
func check(t *testing.T, want events.Event, doc string) {
	t.Helper()
	type parameter struct{ Name, Value string }
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
	if err := yaml.UnmarshalStrict([]byte(doc), &w); err != nil {
		t.Fatalf("%v:\n%s", err, doc)
	}
	parameters := map[string]string{}
	for _, p := range w.Spec.Arguments.Parameters {
		parameters[p.Name] = p.Value
	}
	if parameters["cool-down"] == "1h0m0s" {
		parameters["cool-down"] = events.AlarmCoolDown
	}
	got := events.Event{Kind: want.Kind, Template: w.Spec.WorkflowTemplateRef.Name, Name: w.Metadata.Name, Parameters: parameters}
	if diff := cmp.Diff(want, got); diff != "" || w.APIVersion != "argoproj.io/v1alpha1" || w.Kind != "Workflow" {
		t.Errorf("%s %s (-want +got):\n%s", w.APIVersion, w.Kind, diff)
	}
}
