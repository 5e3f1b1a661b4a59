package e2e

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/cli"
)

// Steps run by hand, with no kubeconfig: the cluster is found by its EKS name, the token is the AWS credentials'. The nodes are
// named by their instances, and the old one is terminated.
func TestStepsFromALaptop(t *testing.T) {
	t.Parallel()
	s := given(t, "laptop", setting{"nodeNaming", "instance-id"})
	node := s.nodes[s.ids[0]]
	if node != s.ids[0] {
		t.Fatalf("the node of %s is called %s", s.ids[0], node)
	}
	if code, early := s.byHand("taint", "--node", node); code != 1 || !strings.Contains(early.Message, "may not be cordoned") {
		t.Errorf("step taint before step standby: exit %d, %+v", code, early)
	}
	s.done("settle", "--node", node) // it gives back the claim
	s.untouched()
	for _, step := range []string{"standby", "taint", "drain", "evict"} {
		s.done(step, "--node", node)
	}
	if s.claim() == nil || !s.node(node).Spec.Unschedulable {
		t.Error("nobody holds the claim, or the node is open")
	}
	s.done("retire", "--node", node, "--action", "terminate")
	s.recycled("terminated")
	s.acted("EnterStandby", "CreateTags", "DetachInstances", "TerminateInstances")
}

// done runs a step by hand until it is done.
func (s *scenario) done(step string, flags ...string) {
	s.Helper()
	s.await(3*time.Minute, "step "+step, func(ctx) (bool, string, error) {
		code, result := s.byHand(step, flags...)
		if code != 0 && code != 75 {
			s.Fatalf("step %s: exit %d: %+v", step, code, result)
		}
		return code == 0, result.Message, nil
	})
}

// byHand runs the step binary on this machine once.
func (s *scenario) byHand(step string, flags ...string) (code int, result cli.Result) {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), s.cluster.Step, append([]string{step, "--cluster", s.cluster.ClusterName}, flags...)...)
	for _, variable := range s.cluster.Env("") {
		if !strings.HasPrefix(variable, "KUBECONFIG=") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, "HOME=/nonexistent")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.Fatalf("step %s: %v\n%s", step, err, out)
	}
	s.must(json.Unmarshal(out, &result))
	return cmd.ProcessState.ExitCode(), result
}
