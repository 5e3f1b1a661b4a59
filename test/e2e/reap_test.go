package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/eks-recycle/eks-recycle/internal/cli"
)

// A reap terminates what a recycle stopped long ago. Here that is a matter of tags and of the time of launch: nobody waits
// for an hour. Instances of other scenarios are too young for it.
func TestReapTerminatesWhatARecycleStopped(t *testing.T) {
	t.Parallel()
	s := given(t, "reap")
	id := s.ids[0]
	s.submit("instance-id=" + id).ends(wfv1.WorkflowSucceeded)
	s.recycled("stopped")
	volume := map[string]any{"size": 500, "deleteOnTermination": false}
	s.must(s.control(t.Context(), http.MethodPatch, "instances/"+id, map[string]any{"volumes": []any{volume}}, nil))

	if x := s.reap("cronwf/recycle-reap", "older-than=1h"); x != nil || s.instanceState(id) != "stopped" {
		t.Errorf("a young instance is listed: %+v, it is %s", x, s.instanceState(id))
	}
	s.retiredAgo(id, 2*time.Hour)
	if x := s.reap("workflowtemplate/recycle-reap", "older-than=1h", "dry-run=true"); x == nil || x.Outcome != "would be terminated" || s.instanceState(id) != "stopped" {
		t.Errorf("a dry run lists %+v, and the instance is %s", x, s.instanceState(id))
	}
	x := s.reap("workflowtemplate/recycle-reap", "older-than=1h")
	if x == nil || x.Outcome != "terminated" || x.Volumes != 1 || x.NodeName != s.nodes[id] || x.ASGName != s.group {
		t.Errorf("reaped: %+v", x)
	}
	s.await(time.Minute, "the end of instance "+id, func(ctx) (bool, string, error) {
		state := s.instanceState(id)
		return state == "terminated", state, nil
	})
	if x := s.reap("workflowtemplate/recycle-reap", "older-than=1h"); x != nil {
		t.Errorf("the second run lists %+v", x)
	}
	s.allowed()
}

// reap submits one, waits for its success and returns what it says of the group's first instance, or nil.
func (s *scenario) reap(from string, parameters ...string) *cli.Reaped {
	s.Helper()
	r := s.submitFrom(from, parameters...)
	r.ends(wfv1.WorkflowSucceeded)
	var reaped []cli.Reaped
	s.must(json.Unmarshal([]byte(r.output("reap", "reaped")), &reaped))
	if i := slices.IndexFunc(reaped, func(x cli.Reaped) bool { return x.InstanceID == s.ids[0] }); i >= 0 {
		return &reaped[i]
	}
	return nil
}

// retiredAgo sets back when an instance was launched and retired.
func (s *scenario) retiredAgo(id string, ago time.Duration) {
	s.Helper()
	at := time.Now().Add(-ago).UTC()
	s.must(s.control(s.Context(), http.MethodPatch, "instances/"+id, map[string]any{"launchTime": at.Add(-time.Hour)}, nil))
	_, err := s.ec2.CreateTags(s.Context(), &ec2.CreateTagsInput{Resources: []string{id}, Tags: []ec2types.Tag{
		{Key: aws.String("eks-recycle.io/retired-at"), Value: aws.String(at.Format(time.RFC3339))},
	}})
	s.must(err)
}
