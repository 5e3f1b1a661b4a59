package e2e

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
)

// A wait of 14 days takes 20 attempts, as windows double up to a day. Here they double up to seven seconds: what Argo keeps of each
// attempt is the same.
func TestAWaitOfTwoWeeksStaysSmall(t *testing.T) {
	t.Parallel()
	const attempts, mostPods, mostBytes = 20, 60, 60_000
	s := given(t, "long")
	s.batch(s.ids[0], "long", endless)
	template := s.ownTemplate("recycle-node", func(w *wfv1.WorkflowTemplate) {
		for i := range w.Spec.Templates {
			if c := w.Spec.Templates[i].Container; w.Spec.Templates[i].Name == "drain" {
				c.Args = append(c.Args, "--poll-window=100ms")
			}
		}
	})
	r := s.submitFrom("workflowtemplate/"+template, "instance-id="+s.ids[0])
	sizes := map[int]int{}
	s.await(8*time.Minute, fmt.Sprintf("%d attempts", attempts), func(ctx) (bool, string, error) {
		wf := r.get()
		wf.ManagedFields = nil // Argo's limit is about what it compresses, the status, and etcd's about the whole
		text, err := json.Marshal(wf)
		n := len(r.attempts("drain"))
		sizes[n] = len(text)
		return n > attempts, fmt.Sprintf("%d", n), err
	})
	s.finishes("long")
	r.ends(wfv1.WorkflowSucceeded)
	wf := r.get()
	wf.ManagedFields = nil
	text, err := json.Marshal(wf)
	s.must(err)
	t.Logf("%d bytes with one attempt, %d with %d, %d in the end with %d pods", sizes[1], sizes[attempts], attempts, len(text), r.pods())
	if len(text) > mostBytes || r.pods() > mostPods {
		t.Errorf("the workflow has %d bytes and %d pods, want at most %d and %d", len(text), r.pods(), mostBytes, mostPods)
	}
	s.allowed()
}
