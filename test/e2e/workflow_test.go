package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type ctx = context.Context

// recycle is a submitted workflow.
type recycle struct {
	*scenario
	name string
}

// submit starts recycle-node with the argo command line, as a person would.
func (s *scenario) submit(parameters ...string) recycle {
	s.Helper()
	return s.submitFrom("workflowtemplate/recycle-node", parameters...)
}

// submitFrom starts one from a template. The controller may not have seen a template yet that the scenario has just made: then the
// workflow ends at once, and is submitted again.
func (s *scenario) submitFrom(from string, parameters ...string) recycle {
	s.Helper()
	for {
		r := s.submitOnce(from, parameters...)
		if own := strings.HasSuffix(from, s.group) || s.suite != shared; !own || !r.unseen() {
			return r
		}
		s.must(s.workflows.ArgoprojV1alpha1().Workflows(s.cluster.Namespace).Delete(s.Context(), r.name, metav1.DeleteOptions{}))
	}
}

// unseen tells, once the controller has taken the workflow up, whether it did not know the template.
func (r recycle) unseen() (unseen bool) {
	r.Helper()
	r.await(2*time.Minute, "the controller", func(ctx) (bool, string, error) {
		status := r.get().Status
		unseen = status.Phase == wfv1.WorkflowError && strings.Contains(status.Message, "not found")
		return status.Phase != "", string(status.Phase), nil
	})
	return unseen
}

func (s *scenario) submitOnce(from string, parameters ...string) recycle {
	s.Helper()
	args := []string{s.cluster.Argo, "submit", "-n", s.cluster.Namespace, "--from", from, "--generate-name", s.group + "-", "-o", "name"}
	for _, p := range parameters {
		args = append(args, "-p", p)
	}
	out, err := s.command(s.Context(), args...)
	if err != nil {
		s.Fatalf("argo submit: %v\n%s", err, out)
	}
	return recycle{s, strings.TrimSpace(out)}
}

func (r recycle) get() *wfv1.Workflow {
	r.Helper()
	wf, err := r.workflows.ArgoprojV1alpha1().Workflows(r.cluster.Namespace).Get(r.Context(), r.name, metav1.GetOptions{})
	r.must(err)
	return wf
}

// attempts lists the pods of a step.
func (r recycle) attempts(step string) []wfv1.NodeStatus {
	r.Helper()
	var pods []wfv1.NodeStatus
	for _, n := range r.get().Status.Nodes {
		if n.Type == wfv1.NodeTypePod && n.TemplateName == step {
			pods = append(pods, n)
		}
	}
	return pods
}

// pods is how many pods the workflow took.
func (r recycle) pods() int {
	r.Helper()
	count := 0
	for _, n := range r.get().Status.Nodes {
		if n.Type == wfv1.NodeTypePod {
			count++
		}
	}
	return count
}

// triesAgain waits until a step has had so many attempts, the last of which runs.
func (r recycle) triesAgain(step string, attempts int) {
	r.Helper()
	r.await(3*time.Minute, "more attempts of step "+step, func(ctx) (bool, string, error) {
		pods := r.attempts(step)
		return len(pods) >= attempts, fmt.Sprintf("%d attempts", len(pods)), nil
	})
	r.running(step)
}

// running waits until an attempt of a step runs, and returns its pod's name.
func (r recycle) running(step string) (pod string) {
	r.Helper()
	r.await(2*time.Minute, "step "+step, func(ctx ctx) (bool, string, error) {
		pod = r.runs(step)
		return pod != "", "not running yet", nil
	})
	return pod
}

// runs is the pod of a step's attempt that runs, or "".
func (r recycle) runs(step string) string {
	r.Helper()
	for _, n := range r.attempts(step) {
		if n.Phase == wfv1.NodeRunning {
			return fmt.Sprintf("%s-%s-%s", r.name, step, n.ID[strings.LastIndex(n.ID, "-")+1:])
		}
	}
	return ""
}

// log is what the running attempt of a step logged so far.
func (r recycle) log(step string) string {
	r.Helper()
	pod := r.runs(step)
	if pod == "" {
		return ""
	}
	out, err := r.kube.CoreV1().Pods(r.cluster.Namespace).GetLogs(pod, &corev1.PodLogOptions{Container: "main"}).DoRaw(r.Context())
	r.must(err)
	return string(out)
}

// ends waits for the end of the workflow and checks its phase.
func (r recycle) ends(phase wfv1.WorkflowPhase) {
	r.Helper()
	if got := r.completed(); got != phase {
		r.Fatalf("workflow %s is %s, want %s: %s", r.name, got, phase, r.said())
	}
}

// said lists what the steps of the workflow said, in the order in which they began.
func (r recycle) said() string {
	r.Helper()
	pods := slices.DeleteFunc(slices.Collect(maps.Values(r.get().Status.Nodes)), func(n wfv1.NodeStatus) bool { return n.Type != wfv1.NodeTypePod })
	slices.SortFunc(pods, func(a, b wfv1.NodeStatus) int { return a.StartedAt.Compare(b.StartedAt.Time) })
	var lines strings.Builder
	for _, n := range pods {
		fmt.Fprintf(&lines, "\n%s %s %s: %s", n.StartedAt.Format(time.TimeOnly), n.DisplayName, n.Phase, n.Message)
		if n.Outputs == nil {
			continue
		}
		for _, p := range n.Outputs.Parameters {
			if p.Name == "message" && p.Value != nil {
				fmt.Fprintf(&lines, ": %s", *p.Value)
			}
		}
	}
	return lines.String()
}

// completed waits for the end of the workflow and returns its phase.
func (r recycle) completed() wfv1.WorkflowPhase {
	r.Helper()
	var wf *wfv1.Workflow
	r.await(5*time.Minute, "workflow "+r.name, func(ctx ctx) (bool, string, error) {
		wf = r.get()
		return wf.Status.Phase.Completed(), "is " + string(wf.Status.Phase) + " " + string(wf.Status.Progress), nil
	})
	return wf.Status.Phase
}

// press does to the workflow what a button of the Argo UI does, with the argo command line, and returns what that printed.
// "stop" runs the exit handler, "terminate" does not.
func (r recycle) press(button string, flags ...string) string {
	r.Helper()
	out, err := r.command(r.Context(), append([]string{r.cluster.Argo, button, "-n", r.cluster.Namespace, r.name}, flags...)...)
	if err != nil {
		r.Fatalf("argo %s: %v\n%s", button, err, out)
	}
	return strings.TrimSpace(out)
}

// message is what a step said last.
func (r recycle) message(step string) string {
	r.Helper()
	return r.output(step, "message")
}

// output is an output parameter of the last attempt of a step, or "".
func (r recycle) output(step, parameter string) string {
	r.Helper()
	var last wfv1.NodeStatus
	for _, n := range r.attempts(step) {
		if last.Name == "" || n.StartedAt.After(last.StartedAt.Time) {
			last = n
		}
	}
	if last.Outputs == nil {
		return ""
	}
	for _, p := range last.Outputs.Parameters {
		if p.Name == parameter {
			return p.Value.String()
		}
	}
	return ""
}

// says checks the last message of a step.
func (r recycle) says(step, text string) {
	r.Helper()
	if got := r.message(step); !strings.Contains(got, text) {
		r.Errorf("step %s says %q, want %q in it", step, got, text)
	}
}
