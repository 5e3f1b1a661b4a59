package e2e

import (
	"net/http"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
)

// What cannot be recycled is refused with one clear line, and nothing is changed.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		given   func(*scenario) (parameters []string)
		message string
	}{
		{"malformed-id", func(*scenario) []string { return []string{"instance-id=i-42"} }, `instance id "i-42" is malformed`},
		{"unknown-id", func(*scenario) []string { return []string{"instance-id=i-0123456789abcdef0"} }, "is unknown to EC2"},
		{"both-inputs", func(s *scenario) []string {
			return []string{"instance-id=" + s.ids[0], "node=" + s.nodes[s.ids[0]]}
		}, "give exactly one of --instance-id and --node"},
		{"foreign", func(s *scenario) []string {
			return []string{"instance-id=" + s.loner(map[string]any{"tags": map[string]string{"kubernetes.io/cluster/elsewhere": "owned"}, "joinsCluster": false})}
		}, `it is tagged for cluster "elsewhere"`},
		{"karpenter", func(s *scenario) []string {
			return []string{"instance-id=" + s.loner(map[string]any{
				"tags": map[string]string{"karpenter.sh/nodepool": "default"}, "nodeLabels": map[string]string{"karpenter.sh/nodepool": "default"}, "joinsCluster": true,
			})}
		}, `managed by Karpenter (NodePool "default")`},
		{"selector", func(s *scenario) []string {
			return []string{"instance-id=" + s.ids[0], "label-selector=app in (batch"}
		}, `label selector "app in (batch" is malformed`},
		{"suspended", func(s *scenario) []string {
			s.suspended = []string{"Launch"}
			_, err := s.groups.SuspendProcesses(s.Context(), &autoscaling.SuspendProcessesInput{AutoScalingGroupName: &s.group, ScalingProcesses: s.suspended})
			s.must(err)
			return []string{"instance-id=" + s.ids[0]}
		}, "process Launch of Auto Scaling group"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := given(t, c.name)
			r := s.submit(c.given(s)...)
			r.ends(wfv1.WorkflowFailed)
			r.says("standby", c.message)
			if n := len(r.attempts("standby")); n != 1 {
				t.Errorf("%d attempts, want one: such a refusal is final", n)
			}
			if actions := s.actions(); len(actions) > 0 {
				t.Errorf("calls that change something: %v", actions)
			}
			s.untouched()
		})
	}
}

// loner makes an instance of no group and waits for its Node if it joins.
func (s *scenario) loner(spec map[string]any) string {
	s.Helper()
	var made struct {
		InstanceID string `json:"instanceId"`
	}
	s.must(s.control(s.Context(), http.MethodPost, "instances", spec, &made))
	if spec["joinsCluster"] == true {
		s.await(time.Minute, "the Node of "+made.InstanceID, func(ctx ctx) (bool, string, error) {
			ready, err := s.readyNodes(ctx, []string{made.InstanceID})
			return len(ready) == 1, "not there yet", err
		})
	}
	return made.InstanceID
}
