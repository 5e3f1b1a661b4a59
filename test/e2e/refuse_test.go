package e2e

import (
	"net/http"
	"testing"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
)

// What cannot be recycled is refused with one clear line, at the first attempt, and nothing is changed.
func TestAnInstanceOfAnotherClusterIsRefused(t *testing.T) {
	t.Parallel()
	s := given(t, "foreign")
	var made struct {
		InstanceID string `json:"instanceId"`
	}
	s.must(s.control(t.Context(), http.MethodPost, "instances", map[string]any{"tags": map[string]string{"kubernetes.io/cluster/elsewhere": "owned"}, "joinsCluster": false}, &made))
	r := s.submit("instance-id=" + made.InstanceID)
	r.ends(wfv1.WorkflowFailed)
	r.says("standby", `it is tagged for cluster "elsewhere"`)
	if n := len(r.attempts("standby")); n != 1 {
		t.Errorf("%d attempts, want one: such a refusal is final", n)
	}
	if actions := s.actions(); len(actions) > 0 {
		t.Errorf("calls that change something: %v", actions)
	}
	s.untouched()
}
