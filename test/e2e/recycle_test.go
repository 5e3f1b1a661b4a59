package e2e

import (
	"strings"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
)

// The whole job: a node with batch pods, a service whose budget holds up the eviction for a while, a DaemonSet and a finished
// pod. Both waits last for more than one attempt.
func TestRecycle(t *testing.T) {
	t.Parallel()
	s := given(t, "recycle")
	id := s.ids[0]
	s.daemon("agent")
	s.batch(id, "short", 5*time.Second)
	s.batch(id, "long", endless)
	s.batch(s.ids[1], "elsewhere", endless)
	s.service(id, "web", 2, 2)

	r := s.submit("instance-id=" + id)
	s.awaitFinished("short")
	r.triesAgain("drain", 1)
	s.finishes("long")
	s.await(3*time.Minute, "an evict attempt that names the budget", func(ctx) (bool, string, error) {
		message := r.message("evict")
		return strings.Contains(message, "The disruption budget web needs 2 healthy pods"), message, nil
	})
	s.lift("web")
	r.ends(wfv1.WorkflowSucceeded)
	s.recycled("stopped")
	s.asOneRecycle()
	s.awaitRunning("elsewhere")
	t.Logf("one recycle: %d pods, %d AWS calls", r.pods(), len(s.ours(true)))
}
