package e2e

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/eks-recycle/eks-recycle/internal/cli"
)

// Steps run by hand, with no kubeconfig: the cluster is found by its EKS name, the token is the AWS credentials'.
func TestStepsFromALaptop(t *testing.T) {
	t.Parallel()
	s := given(t, "laptop")
	node := s.nodes[s.ids[0]]
	taint := s.byHand("taint", "--node", node)
	if taint.Status != "Done" || !s.node(node).Spec.Unschedulable {
		t.Fatalf("step taint: %+v", taint)
	}
	if s.claim() == nil {
		t.Error("nobody holds the claim")
	}
	restore := s.byHand("restore", "--node", node)
	if restore.Status != "Done" {
		t.Errorf("step restore: %+v", restore)
	}
	s.untouched()
	if actions := s.actions(); len(actions) > 0 {
		t.Errorf("calls that change something: %v", actions)
	}
}

// byHand runs the step binary on this machine.
func (s *scenario) byHand(step string, flags ...string) cli.Result {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), s.cluster.Step, append([]string{step, "--cluster", s.cluster.ClusterName}, flags...)...)
	for _, variable := range s.cluster.Env("") {
		if !strings.HasPrefix(variable, "KUBECONFIG=") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, "HOME=/nonexistent")
	out, err := cmd.Output()
	if err != nil {
		s.Fatalf("step %s: %v\n%s", step, err, out)
	}
	var result cli.Result
	s.must(json.Unmarshal(out, &result))
	return result
}
