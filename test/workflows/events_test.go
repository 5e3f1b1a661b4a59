package workflows_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
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
						Src  struct{ DependencyName string }
					}
				}
			}
		}
	}
}

type dependency struct {
	Name, EventSourceName string
	Transform             struct{ JQ string }
	Filters               struct{ Exprs []struct{ Expr string } }
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

func TestSensorsCreateWorkflowsOfArgumentsOnly(t *testing.T) {
	want := map[string][]string{
		"drain-terminating": {"instance-id", "asg-name", "lifecycle-hook", "lifecycle-token", "lifecycle-began"},
		"leave-now":         {"instance-id", "noticed-at", "notice"},
		"recycle-alarm":     {"alarm", "alarm-time", "instance-id", "asg-name"},
		"recycle-node":      nil,
	}
	declared := map[string][]string{}
	for _, wt := range templates(t) {
		for _, p := range wt.Spec.Arguments.Parameters {
			declared[wt.Name] = append(declared[wt.Name], p.Name)
		}
	}
	for _, s := range sensors(t) {
		for _, trigger := range s.Spec.Triggers {
			k := trigger.Template.K8s
			workflow := k.Source.Resource
			if k.Operation != "create" || workflow.Kind != "Workflow" || workflow.Metadata.Namespace != "" || workflow.Metadata.GenerateName != "" {
				t.Errorf("%s: %s of %+v", trigger.Template.Name, k.Operation, workflow)
			}
			if workflow.Metadata.Labels["app.kubernetes.io/name"] != "eks-recycle" || !strings.HasSuffix(workflow.Metadata.Name, "-") || k.Parameters[0].Dest != "metadata.name" {
				t.Errorf("%s: metadata %+v", trigger.Template.Name, workflow.Metadata)
			}
			// All that a controller with templateReferencing: Strict lets pass.
			for field := range workflow.Spec {
				if field != "workflowTemplateRef" && field != "arguments" {
					t.Errorf("%s: the workflow has a field %q", trigger.Template.Name, field)
				}
			}
			template, parameters := reference(t, workflow.Spec)
			if diff := cmp.Diff(want[template], parameters); diff != "" {
				t.Errorf("%s: parameters of %s (-want +got):\n%s", trigger.Template.Name, template, diff)
			}
			for _, name := range parameters {
				if known := declared[template]; known != nil && !slices.Contains(known, name) {
					t.Errorf("%s: template %s has no parameter %q", trigger.Template.Name, template, name)
				}
			}
		}
	}
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

func TestSensorsTakeEventsOfOneAccountAndRegion(t *testing.T) {
	for _, s := range sensors(t) {
		for _, d := range s.Spec.Dependencies {
			if s.Spec.EventBusName != "eks-recycle" {
				t.Errorf("%s: bus %q", d.Name, s.Spec.EventBusName)
			}
			if d.EventSourceName == "eks-recycle-webhook" {
				continue
			}
			if e := d.Filters.Exprs[0].Expr; !strings.HasPrefix(e, `account == "111122223333" && `) || !strings.Contains(e, `region == "eu-central-1"`) {
				t.Errorf("%s: takes events with %s", d.Name, e)
			}
		}
	}
	if rendered := render(t, "overlays/example-events"); bytes.Contains(rendered, []byte("from the settings")) || bytes.Contains(rendered, []byte("local-config")) {
		t.Errorf("a setting does not reach its place:\n%s", rendered)
	}
}

// Nothing renders without all settings: a default would be somebody's account.
func TestEventsWantTheirSettings(t *testing.T) {
	settings := string(read(t, "overlays", "example-events", "settings.yaml"))
	tests := map[string]string{"no ConfigMap": ""}
	for _, key := range []string{"account", "region", "queue", "queue-account", "role-arn"} {
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

func TestWebhookTakesTheParametersOfARecycle(t *testing.T) {
	var want, got []string
	for _, p := range recycleNode(t).Spec.Arguments.Parameters {
		// A fleet's own, for its own recycles.
		if p.Name != "fleet" {
			want = append(want, p.Name)
		}
	}
	for _, s := range sensors(t) {
		if s.Metadata.Name != "eks-recycle-webhook" {
			continue
		}
		list := regexp.MustCompile(`(?s)IN\((.*?)\)`).FindStringSubmatch(s.Spec.Dependencies[0].Transform.JQ)
		for _, m := range regexp.MustCompile(`"([a-z-]+)"`).FindAllStringSubmatch(list[1], -1) {
			got = append(got, m[1])
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parameters that a request may set (-want +got):\n%s", diff)
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
