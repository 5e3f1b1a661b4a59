package cli_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ktesting "k8s.io/client-go/testing"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// owner is whose recycle it is when workflow b runs a step of it. Acts lists the steps that may go on with a recycle whose
// replacement is in service, or at the stage named; no other step may change anything, however far the recycle is.
type owner struct {
	holder, workflow string // that began it
	away             time.Duration
	argo             []*metav1.PartialObjectMetadata // what Argo knows by then
	argoAway, parked bool
	acts             string
}

var owners = map[string]owner{
	"its own":                                  {holder: "b", workflow: "argo/b", argo: []*metav1.PartialObjectMetadata{workflow("b", "b", "")}, acts: "standby drain retire settle restore sweep"},
	"nobody's: it is parked":                   {holder: "a", workflow: "argo/a", parked: true, argo: []*metav1.PartialObjectMetadata{workflow("a", "a", "")}, acts: "standby drain retire restore detached/sweep"},
	"a workflow's that runs":                   {holder: "a", workflow: "argo/a", argo: []*metav1.PartialObjectMetadata{workflow("a", "a", "")}},
	"a workflow's whose next pod is Pending":   {holder: "a", workflow: "argo/a", away: 3 * time.Hour, argo: []*metav1.PartialObjectMetadata{workflow("a", "a", "")}},
	"a workflow's that has ended":              {holder: "a", workflow: "argo/a", away: 3 * time.Hour, argo: []*metav1.PartialObjectMetadata{workflow("a", "a", "true")}, acts: "standby drain retire settle restore sweep"},
	"a workflow's that is gone":                {holder: "a", workflow: "argo/a", away: 3 * time.Hour, acts: "standby drain retire settle restore sweep"},
	"a workflow's, and Argo cannot be asked":   {holder: "a", workflow: "argo/a", away: 3 * time.Hour, argoAway: true},
	"a person's who works on it":               {holder: "jo@laptop:7", workflow: "jo@laptop:7"},
	"a person's who went away three hours ago": {holder: "jo@laptop:7", workflow: "jo@laptop:7", away: 3 * time.Hour, acts: "standby drain retire settle restore"},
}

// Whose recycle it is decides which step may act, at every stage.
func TestOnlyTheOwnerActs(t *testing.T) {
	cells := 0
	for name, o := range owners {
		for _, stage := range []string{"waiting", "replaced", "detached"} {
			for _, step := range []string{"standby", "drain", "retire", "settle", "restore", "sweep"} {
				cells++
				inWorld(t, nil, func(w *world) {
					w.begunBy(o, stage)
					w.sim.ForgetCalls()
					record, node := w.lease(w.ids[0]).DeepCopy(), w.nodeOf(w.ids[0]).ResourceVersion
					flags := []string{"--workflow-name", "argo/b", "--poll-window", "30s"}
					if step != "sweep" {
						flags = append(flags, "--instance-id", w.ids[0])
					}
					if step == "settle" {
						flags = append(flags, "--workflow-status", "Failed")
					}
					out := w.stepAs(w.Context(), "b", step, flags...)
					now := w.lease(w.ids[0])
					acted := len(w.actions()) > 0 || !apiequality.Semantic.DeepEqual(now, record) || w.nodeOf(w.ids[0]) == nil || w.nodeOf(w.ids[0]).ResourceVersion != node
					may := slices.Contains(strings.Fields(o.acts), step) || slices.Contains(strings.Fields(o.acts), stage+"/"+step)
					if acted && !may || may && stage == "replaced" && !acted {
						t.Errorf("%s, %s: step %s exits %d, %s; it acts: %t; calls %v", name, stage, step, out.code, out.result.Message, acted, w.actions())
					}
				})
			}
		}
	}
	t.Logf("%d cells of owner, stage and step", cells)
}

// begunBy begins a recycle up to a stage, and leaves it to its owner.
func (w *world) begunBy(o owner, stage string) {
	w.Helper()
	w.withArgo(workflow(o.holder, o.holder, ""))
	flags := []string{"--workflow-name", o.workflow, "--instance-id", w.ids[0]}
	window := append(slices.Clone(flags), "--poll-window", "20s")
	if stage == "waiting" {
		w.stepAs(w.Context(), o.holder, "standby", window...)
	} else {
		for _, step := range []string{"standby", "taint"} {
			if out := w.triesAs(o.holder, step, flags...); out.code != 0 {
				w.Fatal(out.stderr)
			}
		}
	}
	if stage == "detached" {
		if err := w.sim.AddFaults(awssim.Fault{Service: "ec2", Action: "StopInstances", Kind: awssim.FaultErrorBefore, Code: "InternalError", Count: 1000}); err != nil {
			w.Fatal(err)
		}
		w.stepAs(w.Context(), o.holder, "retire", window...)
		w.sim.ForgetFaults()
	}
	if o.parked {
		w.park(w.ids[0])
	}
	time.Sleep(o.away + time.Second)
	client := w.withArgo(o.argo...)
	if o.argoAway {
		client.PrependReactor("get", "workflows", func(ktesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewServiceUnavailable("away")
		})
	}
}

// park gives up the claim of a recycle, as its exit handler would.
func (w *world) park(id string) {
	w.Helper()
	lease := w.lease(id).DeepCopy()
	lease.Spec.HolderIdentity = nil
	if _, err := w.kube.CoordinationV1().Leases(lease.Namespace).Update(w.Context(), lease, metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}
}
