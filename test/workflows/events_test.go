package workflows_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/itchyny/gojq"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/eks-recycle/eks-recycle/test/events"
)

// sensor is what the tests look at in a Sensor. The module of Argo Events, of which its types are, is too large to link.
type sensor struct {
	Metadata struct{ Name string }
	Spec     struct {
		EventBusName string
		Template     podTemplate
		Dependencies []dependency
		Triggers     []struct {
			AtLeastOnce   bool
			RetryStrategy struct {
				Steps          int
				Duration       string
				Factor, Jitter json.RawMessage
			}
			RateLimit struct {
				Unit            string
				RequestsPerUnit int
			}
			Template struct {
				Name, Conditions string
				K8s              struct {
					Operation string
					Source    struct {
						Resource struct {
							Kind     string
							Metadata struct {
								Name, GenerateName, Namespace string
								Labels                        map[string]string
							}
							Spec map[string]any
						}
					}
					Parameters []struct {
						Dest string
						Src  struct{ DependencyName, DataKey, Value string }
					}
				}
			}
		}
	}
}

type dependency struct {
	Name, EventSourceName string
	Transform             struct{ JQ string }
}

// podTemplate is what sensors and event sources say of their pods.
type podTemplate struct {
	ServiceAccountName string
	SecurityContext    *corev1.PodSecurityContext
	Container          corev1.Container
}

// objects are the rendered ones of a kind.
func objects[T any](t *testing.T, folder, kind string) (all []T) {
	t.Helper()
	for doc := range bytes.SplitSeq(render(t, folder), []byte("\n---\n")) {
		if !bytes.Contains(doc, []byte("\nkind: "+kind+"\n")) {
			continue
		}
		var object T
		if err := yaml.Unmarshal(doc, &object); err != nil {
			t.Fatal(err)
		}
		all = append(all, object)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no %s", folder, kind)
	}
	return all
}

func sensors(t *testing.T) []sensor {
	t.Helper()
	return objects[sensor](t, "overlays/example-events", "Sensor")
}

// The Sensor decides nothing: it passes the body on to a workflow from on-event.
func TestTheSensorPassesEventsOn(t *testing.T) {
	all := sensors(t)
	if len(all) != 1 || len(all[0].Spec.Triggers) != 3 {
		t.Fatalf("%d sensors", len(all))
	}
	for _, trigger := range all[0].Spec.Triggers {
		k := trigger.Template.K8s
		workflow := k.Source.Resource
		if k.Operation != "create" || workflow.Kind != "Workflow" || workflow.Metadata.Namespace != "" || workflow.Metadata.GenerateName != "event-" ||
			workflow.Metadata.Labels["app.kubernetes.io/name"] != "eks-recycle" {
			t.Errorf("%s: %s of %+v", trigger.Template.Name, k.Operation, workflow)
		}
		// All that a controller with templateReferencing: Strict lets pass, and the admission policy.
		for field := range workflow.Spec {
			if field != "workflowTemplateRef" && field != "arguments" {
				t.Errorf("%s: the workflow has a field %q", trigger.Template.Name, field)
			}
		}
		if template, parameters := reference(t, workflow.Spec); template != "on-event" || !slices.Equal(parameters, []string{"body", "source"}) {
			t.Errorf("%s: %s with %v", trigger.Template.Name, template, parameters)
		}
		if p := k.Parameters[0]; p.Dest != "spec.arguments.parameters.0.value" || p.Src.DataKey != "body" {
			t.Errorf("%s: the body is %+v", trigger.Template.Name, p)
		}
		if webhook := trigger.Template.Name == "request"; webhook != (len(k.Parameters) == 2 && k.Parameters[1].Src.Value == "webhook") {
			t.Errorf("%s: its source is %+v", trigger.Template.Name, k.Parameters)
		}
	}
}

// What the transforms make of each fixture, as an event source hands it on: the body arrives as it is, the token of a request does
// not, and notices are told from the rest.
func TestTransforms(t *testing.T) {
	transform := map[string]string{}
	for _, d := range sensors(t)[0].Spec.Dependencies {
		transform[d.Name] = d.Transform.JQ
	}
	all := append(events.All(t), events.Fixture{Name: "no JSON", Body: []byte("{{workflow.uid}} \"")}, events.Fixture{Name: "a list", Body: []byte("[1]")}, events.Fixture{Name: "no UTF-8", Body: []byte("\xff\xfe")})
	for _, f := range all {
		t.Run(f.Name, func(t *testing.T) {
			dependency, data := "event", map[string]any{"body": f.Body} // of bytes JSON makes base64
			if f.Webhook {
				header := map[string]any{"Authorization": []string{"Bearer secret"}}
				if f.IdempotencyKey != "" {
					header["Idempotency-Key"] = []string{f.IdempotencyKey, "another"}
				}
				dependency, data = "request", map[string]any{"header": header, "body": json.RawMessage(f.Body)}
			}
			got := transformed(t, transform[dependency], data)
			body, err := base64.StdEncoding.DecodeString(got["body"].(string))
			if err != nil {
				t.Fatal(err)
			}
			if f.Webhook {
				var want, arrived any
				if err := errors.Join(json.Unmarshal(f.Message(), &want), json.Unmarshal(body, &arrived)); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, arrived); diff != "" || len(got) != 1 {
					t.Errorf("%v (-want +got):\n%s", got, diff)
				}
				return
			}
			notice := len(f.Starts) == 1 && f.Starts[0].Kind == "spot-interruption"
			if string(body) != string(f.Body) || got["size"] != len(got["body"].(string)) || (notice && got["notice"] != true) || (len(f.Starts) > 0 && got["notice"] != notice) {
				t.Errorf("%v, of %s", got, f.Body)
			}
			if other := transformed(t, transform["notice"], data); !cmp.Equal(got, other) {
				t.Errorf("notices are told otherwise: %v and %v", got, other)
			}
		})
	}
}

func transformed(t *testing.T, jq string, data any) map[string]any {
	t.Helper()
	query, err := gojq.Parse(jq)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	var in any
	if err := json.Unmarshal(text, &in); err != nil {
		t.Fatal(err)
	}
	out, _ := query.Run(in).Next()
	got, ok := out.(map[string]any)
	if !ok {
		t.Fatalf("the transform makes %v", out)
	}
	return got
}

// reference reads a workflow's template and the names of its arguments.
func reference(t *testing.T, spec map[string]any) (template string, parameters []string) {
	t.Helper()
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var w struct {
		WorkflowTemplateRef struct{ Name string }
		Arguments           struct{ Parameters []struct{ Name string } }
	}
	if err := json.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	for _, p := range w.Arguments.Parameters {
		parameters = append(parameters, p.Name)
	}
	return w.WorkflowTemplateRef.Name, parameters
}

// Each trigger has its own dependency, or it would wait for the events of all; and retries, which Argo Events ignores without
// atLeastOnce. A factor in quotes makes it drop every event: https://github.com/argoproj/argo-events/blob/v1.9.7/pkg/shared/util/retry.go
func TestTriggersTryAgain(t *testing.T) {
	for _, s := range sensors(t) {
		for _, trigger := range s.Spec.Triggers {
			name := trigger.Template.Name
			if !slices.ContainsFunc(s.Spec.Dependencies, func(d dependency) bool { return d.Name == trigger.Template.Conditions }) {
				t.Errorf("%s: condition %q", name, trigger.Template.Conditions)
			}
			for _, p := range trigger.Template.K8s.Parameters {
				if p.Src.DependencyName != trigger.Template.Conditions {
					t.Errorf("%s: %s comes from %q", name, p.Dest, p.Src.DependencyName)
				}
			}
			retry := trigger.RetryStrategy
			if !trigger.AtLeastOnce || retry.Steps < 5 || retry.Duration == "" || string(retry.Factor) != "2" || string(retry.Jitter) != "0.1" {
				t.Errorf("%s: at least once %t, retries %+v, factor %s, jitter %s", name, trigger.AtLeastOnce, retry, retry.Factor, retry.Jitter)
			}
			if trigger.RateLimit.Unit == "" || trigger.RateLimit.RequestsPerUnit == 0 {
				t.Errorf("%s: rate limit %+v", name, trigger.RateLimit)
			}
		}
	}
}

func TestSettingsReachTheirPlaces(t *testing.T) {
	if rendered := render(t, "overlays/example-events"); bytes.Contains(rendered, []byte("from the settings")) || bytes.Contains(rendered, []byte("local-config")) {
		t.Errorf("a setting does not reach its place:\n%s", rendered)
	}
	if settings := objects[corev1.ConfigMap](t, "overlays/example-events", "ConfigMap"); len(settings) != 1 || settings[0].Data["account"] != "111122223333" || settings[0].Data["lifecycle-hook"] != "eks-recycle" {
		t.Errorf("settings that the workflows read: %v", settings)
	}
}

// Nothing renders without all settings: a default would be somebody's account.
func TestEventsWantTheirSettings(t *testing.T) {
	settings := string(read(t, "overlays", "example-events", "settings.yaml"))
	tests := map[string]string{"no ConfigMap": ""}
	for _, key := range []string{"region", "queue", "queue-account"} {
		tests["no "+key] = regexp.MustCompile(`(?m)^  `+key+`: .*\n`).ReplaceAllString(settings, "")
	}
	for name, given := range tests {
		t.Run(name, func(t *testing.T) {
			disk := filesys.MakeFsInMemory()
			write := func(path string, content []byte) {
				if err := disk.WriteFile(path, content); err != nil {
					t.Fatal(err)
				}
			}
			for _, file := range append(manifests(t), "components/events/kustomization.yaml") {
				write(file, read(t, file))
			}
			resources := "[]"
			if given != "" {
				write("mine/settings.yaml", []byte(given))
				resources = "[settings.yaml]"
			}
			write("mine/kustomization.yaml", []byte("resources: "+resources+"\ncomponents: [../components/events]\n"))
			if _, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(disk, "mine"); err == nil {
				t.Error("it renders")
			}
		})
	}
}

// The fields are those of the Pod Security Standard "restricted", as in the workflows' pods.
func TestEventPodsRunRestricted(t *testing.T) {
	step := steps(t, recycleNode(t))[0]
	check := func(name string, pod podTemplate) {
		if diff := cmp.Diff(recycleNode(t).Spec.SecurityContext, pod.SecurityContext); diff != "" {
			t.Errorf("%s: pod security context (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(step.Container.SecurityContext, pod.Container.SecurityContext); diff != "" {
			t.Errorf("%s: security context (-want +got):\n%s", name, diff)
		}
		if pod.Container.Resources.Limits.Memory().IsZero() || len(pod.Container.Resources.Requests) != 2 || pod.ServiceAccountName == "" {
			t.Errorf("%s: resources %+v, service account %q", name, pod.Container.Resources, pod.ServiceAccountName)
		}
	}
	for _, s := range sensors(t) {
		check(s.Metadata.Name, s.Spec.Template)
	}
	for _, s := range objects[sensor](t, "overlays/example-events", "EventSource") {
		check(s.Metadata.Name, s.Spec.Template)
	}
}

func TestEventSourcesHaveNoTokenForTheCluster(t *testing.T) {
	for _, s := range objects[sensor](t, "overlays/example-events", "EventSource") {
		for _, a := range objects[corev1.ServiceAccount](t, "overlays/example-events", "ServiceAccount") {
			if a.Name == s.Spec.Template.ServiceAccountName && (a.AutomountServiceAccountToken == nil || *a.AutomountServiceAccountToken) {
				t.Errorf("%s mounts the token of %s", s.Metadata.Name, a.Name)
			}
		}
	}
}
