package workflows_test

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	"github.com/argoproj/argo-workflows/v3/workflow/common"
	"github.com/argoproj/argo-workflows/v3/workflow/validate"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func TestArgoAcceptsTheTemplate(t *testing.T) {
	for _, folder := range kustomizations() {
		t.Run(folder, func(t *testing.T) {
			arguments := submissions(t)
			for _, wt := range parse(t, render(t, folder)) {
				getter := oneTemplate{&wt}
				if err := validate.ValidateWorkflowTemplate(getter, nil, &wt, nil, validate.ValidateOpts{Lint: true}); err != nil {
					t.Errorf("linting %s: %v", wt.Name, err)
				}
				for _, given := range arguments[wt.Name] {
					if err := validate.ValidateWorkflow(getter, nil, submission(&wt, given...), nil, validate.ValidateOpts{Submit: true}); err != nil {
						t.Errorf("submitting %s with %v: %v", wt.Name, given, err)
					}
				}
				delete(arguments, wt.Name)
			}
			if len(arguments) > 0 {
				t.Errorf("not found: %v", arguments)
			}
		})
	}
}

// submissions are the arguments with which each template is tried, here and with Argo Workflows 4.
func submissions(t *testing.T) map[string][][]string {
	t.Helper()
	content, err := os.ReadFile("arguments.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out map[string][][]string
	if err := yaml.UnmarshalStrict(content, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestParameters(t *testing.T) {
	type parameter struct {
		Name, Value string
		Enum        []string
	}
	boolean := []string{"true", "false"}
	want := []parameter{
		{"instance-id", "", nil},
		{"node", "", nil},
		{"label-selector", "", nil},
		{"namespace", "", nil},
		{"do-not-disrupt", "true", boolean},
		{"cluster", "", nil},
		{"region", "", nil},
		{"action", "stop", []string{"stop", "terminate"}},
		{"evict", "true", boolean},
		{"max-wait", "48h", nil},
		{"on-timeout", "fail", []string{"fail", "evict"}},
		{"evict-timeout", "1h", nil},
		{"window", "", nil},
		{"replacement-timeout", "30m", nil},
		{"fleet", "", nil},
		{"dry-run", "false", boolean},
		{"log-level", "info", []string{"debug", "info", "warn", "error"}},
	}
	var got []parameter
	for _, p := range recycleNode(t).Spec.Arguments.Parameters {
		if p.Value == nil {
			t.Fatalf("parameter %q has no value, which Argo takes for required", p.Name)
		}
		if p.Description == nil || *p.Description == "" {
			t.Errorf("parameter %q has no description", p.Name)
		}
		var enum []string
		for _, e := range p.Enum {
			enum = append(enum, e.String())
		}
		got = append(got, parameter{p.Name, p.Value.String(), enum})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
}

// Argo's linter does not look into templateDefaults, where a misspelt parameter would reach the step as it stands.
func TestEveryParameterIsUsedAndDeclared(t *testing.T) {
	for _, wt := range templates(t) {
		var declared, used []string
		for _, p := range wt.Spec.Arguments.Parameters {
			declared = append(declared, p.Name)
		}
		for _, m := range regexp.MustCompile(`workflow\.parameters\.([a-z-]+)`).FindAllSubmatch(read(t, "base", wt.Name+".yaml"), -1) {
			used = append(used, string(m[1]))
		}
		slices.Sort(declared)
		slices.Sort(used)
		if diff := cmp.Diff(declared, slices.Compact(used)); diff != "" {
			t.Errorf("%s: parameters (-declared +used):\n%s", wt.Name, diff)
		}
	}
}

func TestOrderOfTheSteps(t *testing.T) {
	wt := recycleNode(t)
	var order []string
	for _, group := range wt.GetTemplateByName(wt.Spec.Entrypoint).Steps {
		for _, step := range group.Steps {
			order = append(order, step.Name)
			if step.Name != step.Template {
				t.Errorf("step %q runs template %q: the two should share their name", step.Name, step.Template)
			}
			if step.When != "" || step.ContinueOn != nil {
				t.Errorf("step %q is conditional: references to its outputs may hang", step.Name)
			}
			own := wt.GetTemplateByName(step.Template).Container.Args
			if len(own) == 0 || own[0] != step.Name {
				t.Errorf("step %q runs subcommand %q", step.Name, own)
			}
		}
	}
	if diff := cmp.Diff([]string{"standby", "taint", "drain", "evict", "retire"}, order); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if wt.Spec.OnExit != "settle" {
		t.Errorf("the exit handler is %q", wt.Spec.OnExit)
	}
}

func TestStepsWait(t *testing.T) {
	const first, last, headroom, longest = 20 * time.Minute, 24 * time.Hour, 15 * time.Minute, 15 * 24 * time.Hour
	for _, step := range steps(t, recycleNode(t)) {
		t.Run(step.Name, func(t *testing.T) {
			deadline := time.Duration(step.ActiveDeadlineSeconds.IntValue()) * time.Second
			if deadline < last+headroom || deadline > last+2*time.Hour {
				t.Errorf("a pod may run for %s, with a poll window of up to %s", deadline, last)
			}
			retry := step.RetryStrategy
			if retry == nil || retry.Limit == nil || retry.Backoff == nil {
				t.Fatal("retries need a limit and a back-off; Argo ignores the one without the other")
			}
			if retry.Affinity != nil {
				t.Error("retries keep off hosts of earlier attempts, and run out of hosts")
			}
			bound, err := time.ParseDuration(retry.Backoff.MaxDuration)
			if err != nil {
				t.Fatal(err)
			}
			var total time.Duration
			for window := first; retry.Limit.IntValue() > 0 && total < bound; window = min(window*2, last) {
				retry.Limit.IntVal--
				total += window
			}
			if total < bound {
				t.Errorf("all attempts last %s, less than the %s allowed", total, bound)
			}
			if step.Name != "settle" && bound != longest {
				t.Errorf("attempts end after %s, want %s", bound, longest)
			}
			if pause, err := time.ParseDuration(retry.Backoff.Duration); err != nil || pause > 10*time.Second || retry.Backoff.Factor != nil {
				t.Errorf("the back-off delays every poll: want a short and constant one, have %+v (%v)", retry.Backoff, err)
			}
		})
	}
}

func TestOutputs(t *testing.T) {
	want := map[string][]string{
		"standby": {"instance-id", "node-name", "asg-name", "region", "replacement-instance-id", "replacement-node", "reason", "message"},
		"taint":   {"message"},
		"drain":   {"pods-waiting", "message"},
		"evict":   {"pods-waiting", "message"},
		"retire":  {"message"},
		"settle":  {"message"},
	}
	got := map[string][]string{}
	for _, step := range steps(t, recycleNode(t)) {
		for _, p := range step.Outputs.Parameters {
			got[step.Name] = append(got[step.Name], p.Name)
			if p.ValueFrom.Path != "/outputs/"+p.Name {
				t.Errorf("%s: output %q is read from %q", step.Name, p.Name, p.ValueFrom.Path)
			}
			if p.ValueFrom.Default == nil {
				t.Errorf("%s: output %q has no default, so a step that fails early ends in Error", step.Name, p.Name)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
}

// Argo Workflows 4 tightens what 3.7 lets pass.
func TestArgoAcceptsTheCronWorkflow(t *testing.T) {
	for name, of := range map[string]string{"recycle-sweep-cron": "recycle-sweep", "recycle-reap-cron": "recycle-reap", "recycle-nightly": "recycle-fleet"} {
		suspended := of != "recycle-sweep" // to delete, and to recycle many nodes, is opted into
		found, err := common.SplitCronWorkflowYAMLFile(read(t, "base", name+".yaml"), true)
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %d CronWorkflows, error %v", name, len(found), err)
		}
		template := template(t, of)
		if err := validate.ValidateCronWorkflow(t.Context(), oneTemplate{template}, nil, &found[0], nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s := found[0].Spec; s.ConcurrencyPolicy != "Forbid" || s.Timezone == "" || s.StartingDeadlineSeconds == nil || s.Suspend != suspended {
			t.Errorf("%s: spec %+v", name, s)
		}
	}
}

// A reap never runs beside another one of the same cluster, and never waits for a sweep or a recycle.
func TestReapHasItsOwnMutexAndOutputs(t *testing.T) {
	wt := template(t, "recycle-reap")
	if m := wt.Spec.Synchronization.Mutexes; len(m) != 1 || !strings.HasPrefix(m[0].Name, "reap@") {
		t.Errorf("mutexes %+v", m)
	}
	step := steps(t, wt)[0]
	var outputs []string
	for _, p := range step.Outputs.Parameters {
		outputs = append(outputs, p.Name)
		if p.ValueFrom.Path != "/outputs/"+p.Name || p.ValueFrom.Default == nil {
			t.Errorf("output %q is read from %+v", p.Name, p.ValueFrom)
		}
	}
	if diff := cmp.Diff([]string{"reaped", "freed-gib", "message"}, outputs); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	for _, p := range wt.Spec.Arguments.Parameters {
		if variable := "EKS_RECYCLE_" + strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_")); !slices.ContainsFunc(step.Container.Env, func(e corev1.EnvVar) bool {
			return e.Name == variable && e.Value == "{{workflow.parameters."+p.Name+"}}"
		}) {
			t.Errorf("parameter %q does not reach the step as %s", p.Name, variable)
		}
	}
}

// Argo's own packages refuse a deadline of a template of steps, and not one that it gets from the defaults.
func TestDefaultsDoNotReachTheTemplateOfSteps(t *testing.T) {
	for _, wt := range templates(t) {
		if d := wt.Spec.TemplateDefaults; d != nil && (d.ActiveDeadlineSeconds != nil || d.Timeout != "" || d.RetryStrategy != nil) {
			t.Errorf("%s: a deadline or retries in templateDefaults apply to the template of steps as well", wt.Name)
		}
	}
}

func TestEveryLockIsInThePluralForm(t *testing.T) {
	if lock := recycleNode(t).Spec.Synchronization; lock == nil || len(lock.Mutexes) != 1 {
		t.Error("want one mutex, in the plural form")
	}
}

func TestOneObjectPerFileWithoutShell(t *testing.T) {
	for _, file := range manifests(t) {
		data := read(t, file)
		// All that one service account may do is in one file.
		accounts := strings.HasPrefix(file, "base/accounts/") || file == "overlays/example/irsa.yaml"
		if n := bytes.Count(data, []byte("\nkind: ")) + bytes.Count(data, []byte("\n---")); n > 1 && !accounts {
			t.Errorf("%s holds more than one object", file)
		}
		if bytes.Contains(data, []byte("/bin/")) || bytes.Contains(data, []byte("script:")) {
			t.Errorf("%s holds a script", file)
		}
	}
	for _, step := range steps(t, recycleNode(t)) {
		if diff := cmp.Diff([]string{"/step"}, step.Container.Command); diff != "" {
			t.Errorf("%s: command (-want +got):\n%s", step.Name, diff)
		}
	}
}

// submission sets arguments alone, all that a controller with templateReferencing: Strict leaves to a submitter.
func submission(wt *v1alpha1.WorkflowTemplate, arguments ...string) *v1alpha1.Workflow {
	wf := &v1alpha1.Workflow{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "recycle-", Namespace: wt.Namespace},
		Spec:       v1alpha1.WorkflowSpec{WorkflowTemplateRef: &v1alpha1.WorkflowTemplateRef{Name: wt.Name}},
	}
	for _, a := range arguments {
		name, value, _ := strings.Cut(a, "=")
		wf.Spec.Arguments.Parameters = append(wf.Spec.Arguments.Parameters,
			v1alpha1.Parameter{Name: name, Value: v1alpha1.AnyStringPtr(value)})
	}
	return wf
}

// oneTemplate is a cluster with one WorkflowTemplate in it.
type oneTemplate struct{ wt *v1alpha1.WorkflowTemplate }

func (o oneTemplate) Get(name string) (*v1alpha1.WorkflowTemplate, error) {
	if name != o.wt.Name {
		return nil, fmt.Errorf("no WorkflowTemplate %q", name)
	}
	return o.wt, nil
}

// A controller's workflowDefaults may have an activeDeadlineSeconds of an hour: each template says its own.
func TestEveryTemplateSaysHowLongItMayRun(t *testing.T) {
	for _, wt := range templates(t) {
		if deadline := wt.Spec.ActiveDeadlineSeconds; deadline == nil {
			t.Errorf("%s has no activeDeadlineSeconds", wt.Name)
		} else if wt.Name == "recycle-node" && time.Duration(*deadline)*time.Second < 15*24*time.Hour {
			t.Errorf("%s may run for %d seconds", wt.Name, *deadline)
		}
	}
}
