package e2e

import (
	"context"
	"fmt"
	"strings"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	coordinationv1 "k8s.io/api/coordination/v1"
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
	args := []string{s.cluster.Argo, "submit", "-n", s.cluster.Namespace, "--from", "workflowtemplate/recycle-node", "--generate-name", s.group + "-", "-o", "name"}
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
		for _, n := range r.attempts(step) {
			if n.Phase == wfv1.NodeRunning {
				pod = fmt.Sprintf("%s-%s-%s", r.name, step, n.ID[strings.LastIndex(n.ID, "-")+1:])
				return true, "", nil
			}
		}
		return false, "not running yet", nil
	})
	return pod
}

// ends waits for the end of the workflow and checks its phase.
func (r recycle) ends(phase wfv1.WorkflowPhase) {
	r.Helper()
	var wf *wfv1.Workflow
	r.await(5*time.Minute, "workflow "+r.name, func(ctx ctx) (bool, string, error) {
		wf = r.get()
		return wf.Status.Phase.Completed(), "is " + string(wf.Status.Phase) + " " + string(wf.Status.Progress), nil
	})
	if wf.Status.Phase != phase {
		r.Fatalf("workflow %s is %s, want %s: %s", r.name, wf.Status.Phase, phase, wf.Status.Message)
	}
}

// message is what a step said last.
func (r recycle) message(step string) string {
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
		if p.Name == "message" {
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

// recycled checks what must be so after a recycle of the group's first instance.
func (s *scenario) recycled(state string) {
	s.Helper()
	id := s.ids[0]
	if got := s.instanceState(id); got != state {
		s.Errorf("instance %s is %s, want %s", id, got, state)
	}
	if s.node(s.nodes[id]) != nil {
		s.Errorf("node %s is still there", s.nodes[id])
	}
	in := s.members(astypes.LifecycleStateInService)
	if len(in) != 3 || len(s.asg().Instances) != 3 {
		s.Errorf("members in service: %v of %d", in, len(s.asg().Instances))
	}
	s.others(in)
	s.clean()
}

// untouched checks that the group and its nodes are as at the start.
func (s *scenario) untouched() {
	s.Helper()
	in := s.members(astypes.LifecycleStateInService)
	if len(in) != 3 || len(s.asg().Instances) != 3 {
		s.Errorf("members in service: %v of %d", in, len(s.asg().Instances))
	}
	if len(in) > 0 && in[0] != s.ids[0] {
		s.Errorf("members are %v, were %v", in, s.ids)
	}
	s.others(in)
	s.clean()
}

// others checks that nobody but the first instance left, the group's sizes, and that IAM allows what was called.
func (s *scenario) others(inService []string) {
	s.Helper()
	for _, id := range s.ids[1:] {
		found := false
		for _, in := range inService {
			found = found || in == id
		}
		if !found {
			s.Errorf("instance %s is no longer in service", id)
		}
	}
	s.allowed()
	g := s.asg()
	if *g.MinSize != 1 || *g.DesiredCapacity != 3 || *g.MaxSize != 5 {
		s.Errorf("sizes are %d/%d/%d, want 1/3/5", *g.MinSize, *g.DesiredCapacity, *g.MaxSize)
	}
}

// clean checks that no Node of the group carries a mark and that no claim is held.
func (s *scenario) clean() {
	s.Helper()
	var ids []string
	for _, m := range s.asg().Instances {
		ids = append(ids, *m.InstanceId)
	}
	nodes, err := s.readyNodes(s.Context(), ids)
	s.must(err)
	for _, name := range nodes {
		n := s.node(name)
		if n.Spec.Unschedulable || len(n.Spec.Taints) > 0 {
			s.Errorf("node %s is left cordoned or tainted: %v", name, n.Spec.Taints)
		}
		for key := range n.Annotations {
			if strings.HasPrefix(key, "eks-recycle.io/") || strings.HasPrefix(key, "cluster-autoscaler") {
				s.Errorf("node %s is left with annotation %s", name, key)
			}
		}
	}
	if s.claim() != nil {
		s.Error("the claim is still held")
	}
}

// claim returns the Lease on the group's first instance, or nil.
func (s *scenario) claim() *coordinationv1.Lease {
	s.Helper()
	leases, err := s.kube.CoordinationV1().Leases(s.cluster.Namespace).List(s.Context(), metav1.ListOptions{})
	s.must(err)
	for i := range leases.Items {
		if leases.Items[i].Name == "eks-recycle-"+s.ids[0] {
			return &leases.Items[i]
		}
	}
	return nil
}
