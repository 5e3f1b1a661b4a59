package workflows_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fleetStep is the step of recycle-fleet that waits, and its poll window.
func fleetStep(t *testing.T) (step *v1alpha1.Template, window time.Duration) {
	t.Helper()
	step = template(t, "recycle-fleet").GetTemplateByName("run")
	for _, arg := range step.Container.Args {
		if text, found := strings.CutPrefix(arg, "--poll-window="); found {
			var err error
			if window, err = time.ParseDuration(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	return step, window
}

func TestFleetWaits(t *testing.T) {
	step, window := fleetStep(t)
	deadline := time.Duration(step.ActiveDeadlineSeconds.IntValue()) * time.Second
	if window <= 0 || deadline < window+30*time.Minute || deadline > window+2*time.Hour {
		t.Errorf("a pod may run for %s, with a poll window of %s", deadline, window)
	}
	longest, err := time.ParseDuration(step.RetryStrategy.Backoff.MaxDuration)
	if err != nil {
		t.Fatal(err)
	}
	if total := time.Duration(step.RetryStrategy.Limit.IntValue()) * window; total < 4*longest {
		t.Errorf("%s attempts last %s: too few for %s in which pods are lost as well", step.RetryStrategy.Limit, total, longest)
	}
}

// Each attempt of a fleet stays in the status of its Workflow, whose size the API server bounds: from 1 MiB on the
// workflow-controller has to compress it (https://argo-workflows.readthedocs.io/en/latest/offloading-large-workflows/).
func TestFleetsWorkflowStaysSmall(t *testing.T) {
	const kib, month = 1 << 10, 30 * 24
	step, window := fleetStep(t)
	none, hundred := len(fleetWorkflow(t, 0)), len(fleetWorkflow(t, 100))
	attempt := float64(hundred-none) / 100
	hour := attempt / window.Hours()
	most := none + int(attempt*float64(step.RetryStrategy.Limit.IntValue()+1))
	t.Logf("%.1f KiB, and %.0f bytes an attempt: %.0f an hour, %.0f KiB in 30 days, %d KiB at most", float64(none)/kib, attempt, hour, hour*month/kib, most/kib)
	if hour > 100 {
		t.Errorf("the fleet's workflow grows by %.0f bytes an hour", hour)
	}
	if most > 512*kib {
		t.Errorf("after all attempts the fleet's workflow has %d KiB", most/kib)
	}
}

// fleetWorkflow is the Workflow of a fleet after some attempts, as the controller keeps it.
func fleetWorkflow(t *testing.T, attempts int) []byte {
	t.Helper()
	const name = "recycle-fleet-x7k2p"
	template := *template(t, "recycle-fleet")
	w := &v1alpha1.Workflow{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: template.Namespace}}
	w.Spec.WorkflowTemplateRef = &v1alpha1.WorkflowTemplateRef{Name: template.Name}
	w.Status.StoredWorkflowSpec = &template.Spec
	w.Status.TaskResultsCompletionStatus, w.Status.Nodes = map[string]bool{}, v1alpha1.Nodes{}
	retry := v1alpha1.NodeStatus{ID: name, Name: name, DisplayName: name, Type: v1alpha1.NodeTypeRetry, TemplateName: "run", TemplateScope: "local/" + name, Phase: v1alpha1.NodeRunning}
	began := time.Date(2026, 1, 31, 22, 0, 0, 0, time.UTC)
	for i := range attempts {
		n := attemptOf(template.GetTemplateByName("run"), name, i, began)
		w.Status.Nodes[n.ID], w.Status.TaskResultsCompletionStatus[n.ID] = n, true
		retry.Children = append(retry.Children, n.ID)
	}
	w.Status.Nodes[name] = retry
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// attemptOf is one that ended with its window.
func attemptOf(step *v1alpha1.Template, workflow string, i int, began time.Time) v1alpha1.NodeStatus {
	display := fmt.Sprintf("%s(%d)", workflow, i)
	n := v1alpha1.NodeStatus{
		ID: fmt.Sprintf("%s-%d", workflow, 1000000000+i), Name: display, DisplayName: display, Type: v1alpha1.NodeTypePod, TemplateName: step.Name, TemplateScope: "local/" + workflow,
		Phase: v1alpha1.NodeFailed, BoundaryID: workflow, Message: "main: Error (exit code 75)", StartedAt: metav1.NewTime(began), FinishedAt: metav1.NewTime(began.Add(12 * time.Hour)),
		EstimatedDuration: 43200, Progress: "123/1000", ResourcesDuration: v1alpha1.ResourcesDuration{"cpu": 43200, "memory": 172800},
		HostNodeName: "ip-10-0-101-117.eu-central-1.compute.internal", NodeFlag: &v1alpha1.NodeFlag{Retried: true},
	}
	exit := "75"
	n.Outputs = &v1alpha1.Outputs{ExitCode: &exit}
	said := map[string]string{"message": "not done yet: 123 of 1000 recycle(s) have ended, 50 in progress: the poll window of this attempt ended; run the step again"}
	for _, p := range step.Outputs.Parameters {
		p = *p.DeepCopy()
		p.Value = v1alpha1.AnyStringPtr(said[p.Name])
		n.Outputs.Parameters = append(n.Outputs.Parameters, p)
	}
	return n
}
