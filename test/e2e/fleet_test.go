package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/eks-recycle/eks-recycle/internal/fleet"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A recycle that fails does not stop a fleet that is to continue, and its node is brought back as the page on upgrades says.
// The oldest node runs a pod that does not end in time. The template of these recycles keeps them for a second, in the place
// of a fleet that goes on for longer than an ended recycle is kept: it counts them all the same.
func TestFleetAfterAFailure(t *testing.T) {
	t.Parallel()
	s := given(t, "fleet-failure")
	failing := s.ids[0]
	s.launchedAgo(failing, 30*24*time.Hour)
	s.batch(failing, "long", endless)
	short := int32(1)
	node := s.ownTemplate("recycle-node", func(w *wfv1.WorkflowTemplate) {
		w.Spec.TTLStrategy = &wfv1.TTLStrategy{SecondsAfterSuccess: &short, SecondsAfterFailure: &short}
	})
	template := s.ownTemplate("recycle-fleet", func(w *wfv1.WorkflowTemplate) {
		for i := range w.Spec.Templates {
			if c := w.Spec.Templates[i].Container; w.Spec.Templates[i].Name == "run" {
				c.Args = append(c.Args, "--template="+node)
			}
		}
	})

	f := s.submitFrom("workflowtemplate/"+template, "asg="+s.group, "max-wait=1s", "limit=2", "on-failure=continue")
	f.ends(wfv1.WorkflowFailed)
	f.says("run", fmt.Sprintf("1 of 2 recycle(s) failed, the first of instance %s: drain: 1 pod(s) on node %q still run", failing, s.nodes[failing]))
	f.says("finish", "1 node(s) recycled, 0 skipped, 1 failed")
	order := f.children()
	if len(order) != 2 || order[0].instance != failing {
		t.Fatalf("recycles in their order: %+v, want 2, of %s first", order, failing)
	}
	summary := f.summary("finish")
	if len(summary.Nodes) != 1 || summary.Nodes[0].InstanceID != failing || summary.Nodes[0].NodeName != s.nodes[failing] || !strings.Contains(summary.Nodes[0].Reason, "still run") {
		t.Errorf("nodes in the summary: %+v", summary.Nodes)
	}
	if state := s.instanceState(order[1].instance); state != "stopped" {
		t.Errorf("instance %s is %s", order[1].instance, state)
	}

	s.paste("upgrade.md", "restore --instance-id", failing)
	if in := s.members(astypes.LifecycleStateInService); !slices.Contains(in, failing) || s.node(s.nodes[failing]).Spec.Unschedulable {
		t.Errorf("instance %s was brought back and is not in service, or its node is closed: %v", failing, in)
	}
	s.awaitRunning("long")
	s.triedAgain(failing)
}

// triedAgain has another fleet take on the node of a recycle that failed, in the place of that recycle's workflow. It is refused
// at once, as the group cannot launch anything, and nothing is touched.
func (s *scenario) triedAgain(id string) {
	s.Helper()
	earlier := recycle{s, "recycle-" + id}.get().UID
	launch := []string{"Launch"}
	_, err := s.groups.SuspendProcesses(s.Context(), &autoscaling.SuspendProcessesInput{AutoScalingGroupName: &s.group, ScalingProcesses: launch})
	s.must(err)
	before := s.actions()
	f := s.fleet("asg="+s.group, "limit=1")
	f.ends(wfv1.WorkflowFailed)
	f.says("finish", "0 node(s) recycled, 0 skipped, 1 failed")
	f.says("run", "process Launch of Auto Scaling group")
	if now := f.child(id).get().UID; now == earlier {
		s.Errorf("workflow recycle-%s is the one from before", id)
	}
	if after := s.actions(); !slices.Equal(before, after) {
		s.Errorf("calls that change something, before and after: %v, %v", before, after)
	}
}

// Stopping a fleet stops its recycle too, if that is asked for. What is left of it goes on as the page on upgrades says.
func TestFleetIsStoppedWithItsRecycles(t *testing.T) {
	t.Parallel()
	s := given(t, "fleet-stopped")
	id := s.ids[0]
	s.launchedAgo(id, 10*24*time.Hour)
	s.batch(id, "long", endless)
	f := s.fleet("asg="+s.group, "stop-children=true")
	f.child(id).running("drain")
	f.press("stop")
	f.ends(wfv1.WorkflowFailed)
	f.says("finish", "1 in progress: they are stopped")
	f.child(id).ends(wfv1.WorkflowFailed)
	f.child(id).says("settle", "stays on standby")
	if n := len(f.children()); n != 1 {
		t.Errorf("%d recycles were started", n)
	}
	s.held()
	s.finishes("long")
	s.paste("upgrade.md", "recycle-node -p instance-id=", id)
	s.replaced(id)
}

// fleet submits recycle-fleet.
func (s *scenario) fleet(parameters ...string) recycle {
	s.Helper()
	return s.submitFrom("workflowtemplate/recycle-fleet", parameters...)
}

// child is the recycle of one node, once the fleet has begun it.
func (r recycle) child(id string) recycle {
	r.Helper()
	r.await(2*time.Minute, "the recycle of "+id, func(ctx) (bool, string, error) {
		begun := r.children()
		return slices.ContainsFunc(begun, func(c child) bool { return c.instance == id }), fmt.Sprintf("begun: %v", begun), nil
	})
	return recycle{r.scenario, "recycle-" + id}
}

// child is one recycle of a fleet, as Argo tells of it.
type child struct {
	instance     string
	began, ended time.Time // ended is zero while it runs
	phase        wfv1.WorkflowPhase
	pods         int
}

// children are the recycles of a fleet, in the order in which it began them.
func (r recycle) children() (all []child) {
	r.Helper()
	list, err := r.workflows.ArgoprojV1alpha1().Workflows(r.cluster.Namespace).List(r.Context(), metav1.ListOptions{LabelSelector: "eks-recycle.io/fleet=" + string(r.get().UID)})
	r.must(err)
	for _, w := range list.Items {
		c := child{instance: w.Labels["eks-recycle.io/instance-id"], began: w.CreationTimestamp.Time, ended: w.Status.FinishedAt.Time, phase: w.Status.Phase}
		for _, n := range w.Status.Nodes {
			if n.Type == wfv1.NodeTypePod {
				c.pods++
			}
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b child) int { return cmp.Or(a.began.Compare(b.began), cmp.Compare(a.instance, b.instance)) })
	return all
}

// summary is what a step of a fleet says of all its nodes.
func (r recycle) summary(step string) (s fleet.Summary) {
	r.Helper()
	r.must(json.Unmarshal([]byte(r.output(step, "summary")), &s))
	return s
}

// ownTemplate makes a WorkflowTemplate of the scenario's own from one that is installed.
func (s *scenario) ownTemplate(of string, change func(*wfv1.WorkflowTemplate)) string {
	s.Helper()
	all := s.workflows.ArgoprojV1alpha1().WorkflowTemplates(s.cluster.Namespace)
	w, err := all.Get(s.Context(), of, metav1.GetOptions{})
	s.must(err)
	w.ObjectMeta = metav1.ObjectMeta{Name: of + "-" + s.group, Namespace: w.Namespace, Labels: w.Labels}
	change(w)
	_, err = all.Create(s.Context(), w, metav1.CreateOptions{})
	s.must(err)
	s.Cleanup(func() { s.must(all.Delete(context.Background(), w.Name, metav1.DeleteOptions{})) })
	return w.Name
}

// launchedAgo sets back when an instance was launched.
func (s *scenario) launchedAgo(id string, ago time.Duration) {
	s.Helper()
	s.must(s.control(s.Context(), http.MethodPatch, "instances/"+id, map[string]any{"launchTime": time.Now().Add(-ago).UTC()}, nil))
}

// A fleet that is to pause waits after its first node until somebody resumes it, and has no pod meanwhile.
func TestFleetThatPausesAfterItsFirstNode(t *testing.T) {
	t.Parallel()
	s := given(t, "fleet-pause")
	f := s.fleet("asg="+s.group, "limit=2", "pause-after=1")
	s.await(5*time.Minute, "the pause", func(ctx) (bool, string, error) {
		for _, n := range f.get().Status.Nodes {
			if n.Type == wfv1.NodeTypeSuspend {
				return n.Phase == wfv1.NodeRunning, string(n.Phase), nil
			}
		}
		return false, "none", nil
	})
	first := f.children()
	if len(first) != 1 || s.instanceState(first[0].instance) != "stopped" {
		t.Errorf("recycles before the pause: %+v", first)
	}
	if out, err := s.command(t.Context(), s.cluster.Argo, "resume", "-n", s.cluster.Namespace, f.name); err != nil {
		t.Fatalf("argo resume: %v\n%s", err, out)
	}
	f.ends(wfv1.WorkflowSucceeded)
	f.says("finish", "2 node(s) recycled, 0 skipped, 0 failed")
	if all := f.children(); len(all) != 2 {
		t.Errorf("recycles in the end: %+v", all)
	}
}
