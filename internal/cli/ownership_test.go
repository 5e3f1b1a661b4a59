package cli_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	metadatafake "k8s.io/client-go/metadata/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/cli"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// withArgo lets the steps ask an Argo in which these workflows exist.
func (w *world) withArgo(workflows ...*metav1.PartialObjectMetadata) *metadatafake.FakeMetadataClient {
	w.Helper()
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		w.Fatal(err)
	}
	client := metadatafake.NewSimpleMetadataClient(scheme)
	for _, workflow := range workflows {
		if err := client.Tracker().Create(workflowsResource, workflow, workflow.Namespace); err != nil {
			w.Fatal(err)
		}
	}
	w.steps = &cli.Clients{Kube: typed(w.kube), Workflows: argo.Workflows{Metadata: client}, Region: w.region}
	return client
}

// run runs a step as a workflow of namespace argo whose uid is its name, until it is done or fails.
func (w *world) run(workflow, step string, flags ...string) (o outcome) {
	w.Helper()
	for range 300 {
		if o = w.stepAs(w.Context(), workflow, step, append([]string{"--workflow-name", "argo/" + workflow}, flags...)...); o.code != 75 {
			return o
		}
	}
	w.Fatalf("step %s is never done: %s", step, o.result.Message)
	return o
}

func (w *world) lease(id string) *coordinationv1.Lease {
	lease, err := w.kube.CoordinationV1().Leases("eks-recycle").Get(w.Context(), "eks-recycle-"+id, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.Fatal(err)
	}
	return lease
}

// The exit handler of a workflow that was refused leaves another one's recycle alone, however long its next pod is Pending.
func TestARefusedWorkflowLeavesARecycleThatRunsAlone(t *testing.T) {
	for _, last := range []string{"standby", "taint", "drain", "evict"} {
		for _, sweeps := range []bool{false, true} {
			inWorld(t, nil, func(w *world) {
				w.withArgo(workflow("a", "a", ""), workflow("b", "b", ""))
				id := []string{"--instance-id", w.ids[0]}
				for _, step := range recycleSteps[:slices.Index(recycleSteps, last)+1] {
					if o := w.run("a", step, id...); o.code != 0 {
						w.Fatal(o.stderr)
					}
				}
				time.Sleep(3 * time.Hour) // the pod of its next step is Pending
				w.sim.ForgetCalls()
				before := w.nodeOf(w.ids[0]).DeepCopy()
				b := append(slices.Clone(id), "--action", "terminate")
				if o := w.stepAs(w.Context(), "b", "standby", append(b, "--workflow-name", "argo/b", "--poll-window", "2m")...); o.code != 75 {
					t.Errorf("after %s: the second workflow's standby exits %d: %s", last, o.code, o.result.Message)
				}
				if o := w.run("b", "settle", append(b, "--workflow-status", "Failed")...); o.code != 0 || !strings.Contains(o.result.Message, "left alone") {
					t.Errorf("after %s: its exit handler exits %d: %s", last, o.code, o.result.Message)
				}
				if sweeps {
					if o := w.run("sweep", "sweep"); o.code != 0 || len(o.result.Left) > 0 {
						t.Errorf("after %s: a sweep exits %d and found %+v", last, o.code, o.result.Left)
					}
				}
				if after := w.nodeOf(w.ids[0]); len(w.actions()) > 0 || after.ResourceVersion != before.ResourceVersion || w.balances() {
					t.Errorf("after %s: calls %v; the node is changed: %t; AZRebalance runs: %t", last, w.actions(), after.ResourceVersion != before.ResourceVersion, w.balances())
				}
				for _, step := range append(slices.Clone(recycleSteps), "settle") {
					if o := w.run("a", step, id...); o.code != 0 {
						w.Fatal(o.stderr)
					}
				}
				w.whole(w.ids[1:]...)
			})
		}
	}
}

// Once Argo says that the workflow has ended or is gone, the next one goes on.
func TestARecycleWhoseWorkflowHasEndedIsTakenOver(t *testing.T) {
	for name, workflows := range map[string][]*metav1.PartialObjectMetadata{
		"it has ended":                      {workflow("a", "a", "true")},
		"it was deleted":                    nil,
		"another workflow has the name now": {workflow("a", "other", "")},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.withArgo(workflow("a", "a", ""))
				w.run("a", "standby", "--instance-id", w.ids[0])
				w.withArgo(workflows...)
				for _, step := range append(slices.Clone(recycleSteps), "settle") { // the claim has not expired yet
					if o := w.run("b", step, "--instance-id", w.ids[0]); o.code != 0 {
						w.Fatal(o.stderr)
					}
				}
				w.whole(w.ids[1:]...)
			})
		})
	}
}

// Argo that cannot be asked orphans nothing.
func TestNobodyTakesOverWhileArgoCannotBeAsked(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.withArgo(workflow("a", "a", ""))
		w.run("a", "standby", "--instance-id", w.ids[0])
		time.Sleep(time.Hour)
		client := w.withArgo()
		client.PrependReactor("get", "workflows", func(ktesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewServiceUnavailable("away")
		})
		w.sim.ForgetCalls()
		if o := w.run("b", "settle", "--instance-id", w.ids[0], "--workflow-status", "Failed"); o.code != 0 || len(w.actions()) > 0 || len(w.members("Standby")) != 1 {
			w.Errorf("exit %d, %s; calls %v", o.code, o.result.Message, w.actions())
		}
	})
}

// The record names the instance, whatever became of its Node.
func TestANodeThatIsDeletedForGood(t *testing.T) {
	for _, by := range []string{"--node", "--instance-id"} {
		inWorld(t, nil, func(w *world) {
			w.withArgo(workflow("a", "a", ""))
			name := w.nodeOf(w.ids[0]).Name
			named := []string{by, map[string]string{"--node": name, "--instance-id": w.ids[0]}[by]}
			w.run("a", "standby", named...)
			w.run("a", "taint", "--instance-id", w.ids[0])
			if err := w.kube.CoreV1().Nodes().Delete(w.Context(), name, metav1.DeleteOptions{}); err != nil {
				w.Fatal(err)
			}
			if o := w.run("a", "settle", append(named, "--workflow-status", "Failed")...); o.code != 0 || !strings.Contains(o.result.Message, w.ids[0]) {
				w.Errorf("%s: settle exits %d: %s", by, o.code, o.result.Message)
			}
			if w.lease(w.ids[0]) == nil || !w.balances() {
				w.Errorf("%s: the record is gone: %t, AZRebalance runs: %t", by, w.lease(w.ids[0]) == nil, w.balances())
			}
			w.withArgo()
			time.Sleep(time.Hour)
			if o := w.run("sweep", "sweep"); len(o.result.Left) != 1 || o.result.Left[0].InstanceID != w.ids[0] {
				w.Errorf("%s: a sweep lists %+v", by, o.result.Left)
			}
			if o := w.run("someone", "restore", "--instance-id", w.ids[0]); o.code != 0 || len(w.members("Standby")) > 0 {
				w.Errorf("%s: restore exits %d: %s", by, o.code, o.result.Message)
			}
			w.unclaimed()
		})
	}
}

// Names of nodes are used again: what is claimed stays the target.
func TestANodesNameThatIsAnotherInstancesByNow(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.Boot = 10 * time.Minute }, func(w *world) {
		time.Sleep(20 * time.Minute)
		w.ids = w.members("InService")
		w.withArgo(workflow("a", "a", ""))
		target, other := w.nodeOf(w.ids[0]), w.nodeOf(w.ids[1])
		standby := []string{"--workflow-name", "argo/a", "--node", target.Name, "--poll-window", "2m"}
		if o := w.stepAs(w.Context(), "a", "standby", standby...); o.code != 75 {
			w.Fatal(o.stderr)
		}
		for _, n := range []*corev1.Node{target, other} {
			if err := w.kube.CoreV1().Nodes().Delete(w.Context(), n.Name, metav1.DeleteOptions{}); err != nil {
				w.Fatal(err)
			}
		}
		again := other.DeepCopy()
		again.Name, again.UID, again.ResourceVersion = target.Name, "another", ""
		if _, err := w.kube.CoreV1().Nodes().Create(w.Context(), again, metav1.CreateOptions{}); err != nil {
			w.Fatal(err)
		}
		o := w.stepAs(w.Context(), "a", "standby", standby...)
		if !slices.Equal(w.members("Standby"), w.ids[:1]) || (o.result.InstanceID != w.ids[0]) {
			w.Errorf("on standby: %v, want %v; the step was about %s: %s", w.members("Standby"), w.ids[:1], o.result.InstanceID, o.result.Message)
		}
	})
}

// What AWS says of an instance goes before a mark on its Node: past the detach, a notice changes nothing.
func TestANoticePastTheDetach(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		if _, err := w.groups.UpdateAutoScalingGroup(w.Context(), &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(group), CapacityRebalance: aws.Bool(true)}); err != nil {
			w.Fatal(err)
		}
		w.withArgo(workflow("a", "a", ""))
		id := []string{"--instance-id", w.ids[0], "--action", "terminate"}
		w.run("a", "standby", id...)
		w.run("a", "taint", id...)
		if o := w.run("spot", "interruption", "--instance-id", w.ids[0], "--noticed-at", time.Now().UTC().Format(time.RFC3339)); o.code != 0 {
			w.Fatal(o.stderr)
		}
		w.run("a", "drain", id...)
		w.run("a", "evict", id...)
		if err := w.sim.AddFaults(awssim.Fault{Service: "ec2", Action: "TerminateInstances", Kind: awssim.FaultErrorBefore, Code: "InternalError", Count: 1000}); err != nil {
			w.Fatal(err)
		}
		w.stepAs(w.Context(), "a", "retire", append(id, "--workflow-name", "argo/a", "--poll-window", "1m")...)
		w.sim.ForgetFaults()
		if o := w.run("a", "settle", append(id, "--workflow-status", "Failed")...); o.code != 0 || w.instanceState(w.ids[0]) != "terminated" {
			w.Errorf("settle exits %d: %s; the instance is %s", o.code, o.result.Message, w.instanceState(w.ids[0]))
		}
		w.whole(w.ids[1:]...)
	})
}

// A parked recycle is settled once: sweeps list it, and do nothing.
func TestAParkedRecycleIsLeftToPeople(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.withArgo(workflow("a", "a", ""))
		id := []string{"--instance-id", w.ids[0]}
		if o := w.stepAs(w.Context(), "a", "standby", append(id, "--workflow-name", "argo/a", "--poll-window", "30s")...); o.code != 75 { // argo stop
			w.Fatal(o.stderr)
		}
		o := w.run("a", "settle", append(id, "--workflow-status", "Failed")...)
		if n := w.nodeOf(w.ids[0]); n.Spec.Unschedulable || strings.Contains(strings.Join(o.result.Warnings, " "), "stays cordoned") {
			w.Errorf("the node is cordoned: %t; warnings %v", n.Spec.Unschedulable, o.result.Warnings)
		}
		w.withArgo()
		for range 3 {
			time.Sleep(30 * time.Minute)
			w.sim.ForgetCalls()
			before := w.nodeOf(w.ids[0]).ResourceVersion
			o := w.run("sweep", "sweep")
			if len(o.result.Left) != 1 || !strings.Contains(o.result.Left[0].Outcome, "parked") || len(w.actions()) > 0 || w.nodeOf(w.ids[0]).ResourceVersion != before {
				w.Errorf("the sweep found %+v, calls %v", o.result.Left, w.actions())
			}
		}
		for _, step := range append(slices.Clone(recycleSteps), "settle") {
			if o := w.run("b", step, id...); o.code != 0 {
				w.Fatal(o.stderr)
			}
		}
		w.whole(w.ids[1:]...)
	})
}

// The exit handler of a workflow that was refused leaves a parked recycle as it is.
func TestARefusedWorkflowLeavesAParkedRecycleAlone(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.withArgo(workflow("a", "a", ""))
		id := []string{"--instance-id", w.ids[0]}
		w.run("a", "standby", id...)
		w.run("a", "taint", id...)
		w.run("a", "settle", append(id, "--workflow-status", "Failed")...)
		w.withArgo()
		w.suspends("Launch") // so that the next one is refused
		w.sim.ForgetCalls()
		before, node := w.lease(w.ids[0]), w.nodeOf(w.ids[0])
		if o := w.run("b", "standby", id...); o.code != 1 {
			t.Fatalf("standby exits %d: %s", o.code, o.result.Message)
		}
		if o := w.run("b", "settle", append(id, "--workflow-status", "Failed")...); o.code != 0 || !strings.Contains(o.result.Message, "parked") {
			t.Errorf("settle exits %d: %s", o.code, o.result.Message)
		}
		after := w.lease(w.ids[0])
		if after == nil || after.Annotations["eks-recycle.io/workflow"] != before.Annotations["eks-recycle.io/workflow"] || after.Spec.HolderIdentity != nil || w.nodeOf(w.ids[0]).ResourceVersion != node.ResourceVersion || len(w.actions()) > 0 {
			t.Errorf("the record was %+v and is %+v; calls %v", before.Annotations, after, w.actions())
		}
	})
}

// Marks without a record are taken off a Node only if its instance serves, and never those of another installation.
func TestASweepAndMarksWithoutARecord(t *testing.T) {
	for name, c := range map[string]struct {
		workflow string
		standby  bool
		taken    bool // off
	}{
		"the instance serves":           {"eks-recycle/a", false, true},
		"the instance is on standby":    {"eks-recycle/a", true, false},
		"another installation's":        {"team-b/a", false, false},
		"somebody's who worked by hand": {"alice@laptop:1", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.withArgo()
				if c.standby {
					w.done("standby", "--instance-id", w.ids[0])
					if err := w.kube.CoordinationV1().Leases("eks-recycle").Delete(w.Context(), "eks-recycle-"+w.ids[0], metav1.DeleteOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				w.editNode(w.ids[0], func(n *corev1.Node) {
					n.Labels["eks-recycle.io/leaving"], n.Annotations["eks-recycle.io/workflow"] = w.ids[0], c.workflow
					n.Spec.Taints = []corev1.Taint{{Key: leavingTaint, Effect: corev1.TaintEffectPreferNoSchedule}}
				})
				w.sim.ForgetCalls()
				o := w.run("sweep", "sweep")
				if taken := len(w.nodeOf(w.ids[0]).Spec.Taints) == 0; taken != c.taken || len(w.actions()) > 0 {
					t.Errorf("exit %d, %+v: the taint is taken off: %t; calls %v", o.code, o.result.Left, taken, w.actions())
				}
			})
		})
	}
}

// Outputs are never emptied by a tag that is not there yet: the next pods are placed by the Node's name.
func TestOutputsOfARetirementThatWasKilledBetweenRecordAndTags(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.withArgo(workflow("a", "a", ""))
		id := []string{"--instance-id", w.ids[0]}
		for _, step := range []string{"standby", "taint", "drain", "evict"} {
			w.run("a", step, id...)
		}
		if err := w.sim.AddFaults(awssim.Fault{Service: "ec2", Action: "CreateTags", Kind: awssim.FaultErrorBefore, Code: "InternalError", Count: 1000}); err != nil {
			w.Fatal(err)
		}
		w.stepAs(w.Context(), "a", "retire", append(id, "--workflow-name", "argo/a", "--poll-window", "1m")...)
		w.sim.ForgetFaults()
		w.withArgo()
		o := w.run("b", "standby", id...)
		if o.code != 0 || o.result.NodeName != w.nodeOf(w.ids[0]).Name || o.result.ReplacementInstance == "" {
			w.Errorf("standby exits %d: %+v", o.code, o.result)
		}
	})
}

// A record, or a workflow, that may not be read ends the sweep of no other.
func TestASweepGoesOnOverWhatItCannotSettle(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.withArgo(workflow("dead", "dead", ""))
		ids := slices.Sorted(slices.Values(w.ids))
		if err := w.sim.Configure(func(c *awssim.Config) { c.LaunchFailure = "InsufficientInstanceCapacity" }); err != nil {
			w.Fatal(err)
		}
		w.stepAs(w.Context(), "foreign", "standby", "--instance-id", ids[0], "--workflow-name", "team-b/recycle", "--poll-window", "1m")
		w.stepAs(w.Context(), "dead", "standby", "--instance-id", ids[2], "--workflow-name", "argo/dead", "--poll-window", "1m")
		broken := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Name: "eks-recycle-" + ids[1], Labels: map[string]string{"app.kubernetes.io/name": "eks-recycle"}, Annotations: map[string]string{"eks-recycle.io/record": "{"},
		}}
		if _, err := w.kube.CoordinationV1().Leases("eks-recycle").Create(w.Context(), broken, metav1.CreateOptions{}); err != nil {
			w.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		w.withArgo().PrependReactor("get", "workflows", func(action ktesting.Action) (bool, runtime.Object, error) {
			if action.GetNamespace() == "team-b" {
				return true, nil, apierrors.NewForbidden(workflowsResource.GroupResource(), "recycle", nil)
			}
			return false, nil, nil
		})
		o := w.run("sweep", "sweep")
		if o.code != 1 || len(o.result.Left) != 3 || w.lease(ids[2]) != nil || w.lease(ids[0]) == nil {
			w.Errorf("exit %d, found %+v", o.code, o.result.Left)
		}
		if !slices.Contains(w.members("InService"), ids[2]) || !slices.Contains(w.members("Standby"), ids[0]) {
			w.Errorf("in service %v, on standby %v", w.members("InService"), w.members("Standby"))
		}
	})
}

// Two shells of one account on one host are two holders.
func TestTwoPeopleOnOneHostAreTwoHolders(t *testing.T) {
	r := runWith(t, "standby", "--instance-id", "i-0123456789abcdef0")
	if r.options == nil || strings.Count(r.options.WorkflowUID, "@") != 1 || !strings.Contains(r.options.WorkflowUID, ":") {
		t.Errorf("the holder is %+v", r.options)
	}
}

// A sweep's next attempt goes on with what the one before had claimed and not finished.
func TestASweepGoesOnWithWhatItHasClaimed(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.ExitingStandby = 10 * time.Minute }, func(w *world) {
		w.withArgo(workflow("a", "a", ""))
		if err := w.sim.Configure(func(c *awssim.Config) { c.LaunchFailure = "InsufficientInstanceCapacity" }); err != nil {
			t.Fatal(err)
		}
		if o := w.stepAs(w.Context(), "a", "standby", "--workflow-name", "argo/a", "--instance-id", w.ids[0], "--poll-window", "5m"); o.code != 75 {
			t.Fatal(o.stderr)
		}
		w.withArgo(workflow("sweep", "sweep", ""))
		time.Sleep(time.Hour) // the claim expires
		if o := w.stepAs(w.Context(), "sweep", "sweep", "--workflow-name", "argo/sweep", "--poll-window", "5m"); o.code != 75 {
			t.Fatalf("exit %d: %s", o.code, o.result.Message)
		}
		o := w.run("sweep", "sweep")
		if o.code != 0 || len(o.result.Left) != 1 || !strings.Contains(o.result.Left[0].Outcome, "is back in service") || w.lease(w.ids[0]) != nil {
			t.Errorf("exit %d: it lists %+v; the claim is left: %t", o.code, o.result.Left, w.lease(w.ids[0]) != nil)
		}
	})
}
