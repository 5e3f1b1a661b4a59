package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/eks-recycle/eks-recycle/internal/fleet"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The CronWorkflows that ship, started by Argo's own clock: a night recycles the oldest node, a sweep finds nothing of it, and
// a reap terminates its old instance. An instance that a recycle stopped long ago is a matter of tags and of the time of launch:
// nobody waits for an hour. Instances of other scenarios are too young for it.
func TestCronWorkflowsAreFiredOnTheirSchedule(t *testing.T) {
	t.Parallel()
	s := given(t, "cron")
	oldest := s.ids[0]
	s.launchedAgo(oldest, 30*24*time.Hour)

	night := s.cron("recycle-nightly", "asg="+s.group, "min-age=14d", "limit=1", "max-unavailable=1", "on-failure=stop", "start-for=6h")
	swept := s.cron("recycle-sweep", "dry-run=true")
	recycles := s.fired(night)
	recycles.ends(wfv1.WorkflowSucceeded)
	recycles.says("finish", "1 node(s) recycled, 0 skipped, 0 failed")
	s.recycled("stopped")
	s.asOneRecycle()
	s.fired(swept).ends(wfv1.WorkflowSucceeded)

	volume := map[string]any{"size": 500, "deleteOnTermination": false}
	s.must(s.control(t.Context(), http.MethodPatch, "instances/"+oldest, map[string]any{"volumes": []any{volume}}, nil))
	s.retiredAgo(oldest, 2*time.Hour)
	reap := s.fired(s.cron("recycle-reap", "older-than=1h"))
	reap.ends(wfv1.WorkflowSucceeded)
	var reaped []fleet.Reaped
	s.must(json.Unmarshal([]byte(reap.output("reap", "reaped")), &reaped))
	i := slices.IndexFunc(reaped, func(x fleet.Reaped) bool { return x.InstanceID == oldest })
	if i < 0 || reaped[i].Outcome != "terminated" || reaped[i].Volumes != 1 || reaped[i].NodeName != s.nodes[oldest] || reaped[i].ASGName != s.group {
		t.Errorf("reaped: %+v", reaped)
	}
	s.await(time.Minute, "the end of instance "+oldest, func(ctx) (bool, string, error) {
		state := s.instanceState(oldest)
		return state == "terminated", state, nil
	})
	s.allowed()
}

// cron makes a CronWorkflow of the scenario's own from one that is installed: due every minute, with these parameters.
func (s *scenario) cron(of string, parameters ...string) (name string) {
	s.Helper()
	all := s.workflows.ArgoprojV1alpha1().CronWorkflows(s.cluster.Namespace)
	c, err := all.Get(s.Context(), of, metav1.GetOptions{})
	s.must(err)
	c.ObjectMeta = metav1.ObjectMeta{Name: of + "-" + s.group, Namespace: c.Namespace, Labels: c.Labels}
	c.Status = wfv1.CronWorkflowStatus{}
	c.Spec.Suspend, c.Spec.Schedules = false, []string{"* * * * *"}
	c.Spec.WorkflowSpec.Arguments.Parameters = nil
	for _, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		c.Spec.WorkflowSpec.Arguments.Parameters = append(c.Spec.WorkflowSpec.Arguments.Parameters, wfv1.Parameter{Name: name, Value: wfv1.AnyStringPtr(value)})
	}
	_, err = all.Create(s.Context(), c, metav1.CreateOptions{})
	s.must(err)
	s.Cleanup(func() { s.must(all.Delete(context.Background(), c.Name, metav1.DeleteOptions{})) })
	return c.Name
}

// fired waits for the workflow that Argo starts from a CronWorkflow when it is due, and sees to it that no second one follows.
func (s *scenario) fired(cron string) (r recycle) {
	s.Helper()
	var wf wfv1.Workflow
	s.await(3*time.Minute, "CronWorkflow "+cron+" to fire", func(ctx ctx) (bool, string, error) {
		list, err := s.workflows.ArgoprojV1alpha1().Workflows(s.cluster.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "workflows.argoproj.io/cron-workflow=" + cron})
		if err != nil || len(list.Items) == 0 {
			return false, "it has started nothing yet", err
		}
		wf = list.Items[0]
		return true, "", nil
	})
	suspend := []byte(`{"spec":{"suspend":true}}`)
	_, err := s.workflows.ArgoprojV1alpha1().CronWorkflows(s.cluster.Namespace).Patch(s.Context(), cron, types.MergePatchType, suspend, metav1.PatchOptions{})
	s.must(err)
	due, err := time.Parse(time.RFC3339, wf.Annotations["workflows.argoproj.io/scheduled-time"])
	if err != nil || due.Second() != 0 || wf.CreationTimestamp.Time.Before(due) {
		s.Errorf("workflow %s was due at %q and was created at %s: %v", wf.Name, wf.Annotations["workflows.argoproj.io/scheduled-time"], wf.CreationTimestamp, err)
	}
	return recycle{s, wf.Name}
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
