package cli_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apitypes "k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/cli"
)

// argoWorld is a workflow-controller: it runs the Workflows that fleets create, and shows them by both of client-go's fakes,
// which know nothing of each other.
type argoWorld struct {
	*world
	metadata     *metadatafake.FakeMetadataClient
	dynamic      *dynamicfake.FakeDynamicClient
	run          func(child map[string]string) (failure string) // by its parameters; in virtual time; its reason comes after " because: "
	late         time.Duration                                  // what watches show is so old
	mu           sync.Mutex
	uids         int
	inProgress   map[string]bool // instances
	noController bool            // takes up what is created
	peak         int
	order        []string
	all          []map[string]string // workflows, by their parameters, name, uid and template
}

func newArgoWorld(w *world, run func(map[string]string) string) *argoWorld {
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		w.Fatal(err)
	}
	a := &argoWorld{
		world: w, run: run, inProgress: map[string]bool{}, metadata: metadatafake.NewSimpleMetadataClient(scheme),
		dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{workflowsResource: "WorkflowList"}),
	}
	a.metadata.PrependWatchReactor("workflows", func(action ktesting.Action) (bool, watch.Interface, error) {
		watching, err := a.metadata.Tracker().Watch(workflowsResource, action.GetNamespace())
		selector := action.(ktesting.WatchActionImpl).WatchRestrictions.Labels
		shown := make(chan watch.Event)
		proxy := watch.NewProxyWatcher(shown)
		show := func(e watch.Event) {
			if o, ok := e.Object.(*metav1.PartialObjectMetadata); ok && selector.Matches(labels.Set(o.Labels)) {
				select {
				case shown <- e:
				case <-proxy.StopChan():
				}
			}
		}
		go func() { // watch.Filter blocks forever once nobody reads
			defer watching.Stop()
			// A real watch goes on from the resource version of the list. The fake has none, so what was created between
			// list and watch would never be shown.
			now, err := a.metadata.Resource(workflowsResource).Namespace(action.GetNamespace()).List(context.Background(), metav1.ListOptions{})
			if err != nil {
				a.Error(err)
				return
			}
			for i := range now.Items {
				show(watch.Event{Type: watch.Added, Object: &now.Items[i]})
			}
			for {
				select {
				case e := <-watching.ResultChan():
					time.Sleep(a.late)
					show(e)
				case <-proxy.StopChan():
					return
				}
			}
		}()
		return true, proxy, err
	})
	a.dynamic.PrependReactor("create", "workflows", func(action ktesting.Action) (bool, runtime.Object, error) {
		return false, nil, a.created(action.(ktesting.CreateAction).GetObject().(*unstructured.Unstructured))
	})
	a.dynamic.PrependReactor("delete", "workflows", func(action ktesting.Action) (bool, runtime.Object, error) {
		return false, nil, a.metadata.Tracker().Delete(workflowsResource, action.GetNamespace(), action.(ktesting.DeleteAction).GetName())
	})
	w.steps = &cli.Clients{Region: w.region, Workflows: argo.Workflows{Metadata: a.metadata, Dynamic: a.dynamic}}
	if w.kube != nil {
		w.steps.Kube = typed(w.kube)
	}
	return a
}

// created takes a Workflow on, as the controller does, unless there is one of its name.
func (a *argoWorld) created(u *unstructured.Unstructured) error {
	if _, err := a.metadata.Tracker().Get(workflowsResource, u.GetNamespace(), u.GetName()); err == nil {
		return nil // the fake says so itself
	}
	a.mu.Lock()
	a.uids++
	u.SetUID(apitypes.UID(fmt.Sprintf("child-%d", a.uids)))
	a.mu.Unlock()
	u.SetCreationTimestamp(metav1.Now())
	if labels := u.GetLabels(); !a.noController {
		labels["workflows.argoproj.io/phase"] = "Running"
		u.SetLabels(labels)
	}
	if err := a.metadata.Tracker().Create(workflowsResource, metadataOf(u), u.GetNamespace()); err != nil {
		return err
	}
	template, _, _ := unstructured.NestedString(u.Object, "spec", "workflowTemplateRef", "name")
	child := map[string]string{"uid": string(u.GetUID()), "name": u.GetName(), "template": template}
	parameters, _, _ := unstructured.NestedSlice(u.Object, "spec", "arguments", "parameters")
	for _, p := range parameters {
		p := p.(map[string]any)
		child[p["name"].(string)] = p["value"].(string)
	}
	a.begins(child)
	go func() {
		failure := a.run(child)
		select {
		case <-a.over:
			return
		default:
		}
		a.ends(u.DeepCopy(), child, failure)
	}()
	return nil
}

func metadataOf(u *unstructured.Unstructured) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: u.GetAPIVersion(), Kind: u.GetKind()}, ObjectMeta: metav1.ObjectMeta{
		Name: u.GetName(), Namespace: u.GetNamespace(), UID: u.GetUID(), Labels: u.GetLabels(), Annotations: u.GetAnnotations(),
		OwnerReferences: u.GetOwnerReferences(), CreationTimestamp: u.GetCreationTimestamp(),
	}}
}

func (a *argoWorld) begins(child map[string]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, child)
	id := child["instance-id"]
	if child["template"] != "recycle-node" {
		return
	}
	a.inProgress[id] = true
	a.peak, a.order = max(a.peak, len(a.inProgress)), append(a.order, id)
}

func (a *argoWorld) ends(u *unstructured.Unstructured, child map[string]string, failure string) {
	a.mu.Lock()
	if child["template"] == "recycle-node" {
		delete(a.inProgress, child["instance-id"])
	}
	a.mu.Unlock()
	result := "Succeeded"
	status := map[string]any{"finishedAt": time.Now().UTC().Format(time.RFC3339)}
	if failure != "" {
		result = "Failed"
		message, reason, _ := strings.Cut(failure, " because: ")
		status["nodes"] = map[string]any{"n": map[string]any{
			"type": "Pod", "templateName": "standby", "phase": "Failed", "startedAt": "2000-01-01T00:00:00Z",
			"outputs": map[string]any{"parameters": []any{map[string]any{"name": "message", "value": message}, map[string]any{"name": "reason", "value": reason}}},
		}}
	}
	status["phase"] = result
	u.Object["status"] = status
	with := u.GetLabels()
	with["workflows.argoproj.io/completed"], with["workflows.argoproj.io/phase"] = "true", result
	u.SetLabels(with)
	if err := a.dynamic.Tracker().Update(workflowsResource, u, u.GetNamespace()); err != nil {
		a.Error(err)
	}
	if err := a.metadata.Tracker().Update(workflowsResource, metadataOf(u), u.GetNamespace()); err != nil {
		a.Error(err)
	}
}

// recycleChild runs the steps of recycle-node, as its retries do.
func (a *argoWorld) recycleChild(child map[string]string) (failure string) {
	flags := []string{"--instance-id", child["instance-id"], "--label-selector", child["label-selector"], "--action", child["action"], "--workflow-name", "eks-recycle/" + child["name"], "--fleet", child["fleet"]}
	for _, step := range []string{"standby", "taint", "drain", "evict", "retire"} {
		if code, message := a.tried(child["uid"], step, flags...); code != 0 {
			failure = message
			break
		}
	}
	status := "Succeeded"
	if failure != "" {
		status = "Failed"
	}
	a.tried(child["uid"], "settle", append(flags, "--workflow-status", status)...)
	return failure
}

func (a *argoWorld) tried(holder, step string, flags ...string) (code int, message string) {
	for range 500 {
		o := a.stepAs(a.Context(), holder, step, flags...)
		if o.code != 75 {
			return o.code, strings.TrimSuffix(o.result.Message+" because: "+o.result.Reason, " because: ")
		}
		time.Sleep(5 * time.Second)
	}
	return 75, "never done"
}

// parent is the Workflow of a fleet.
func (a *argoWorld) parent(name string) {
	err := a.metadata.Tracker().Create(workflowsResource, &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "argoproj.io/v1alpha1", Kind: "Workflow"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "eks-recycle", UID: apitypes.UID(name)},
	}, "eks-recycle")
	if err != nil {
		a.Fatal(err)
	}
}

// parentEnds marks a fleet's Workflow as completed.
func (a *argoWorld) parentEnds(name string) {
	o, err := a.metadata.Tracker().Get(workflowsResource, "eks-recycle", name)
	if err != nil {
		a.Fatal(err)
	}
	p := o.DeepCopyObject().(*metav1.PartialObjectMetadata)
	p.Labels = map[string]string{"workflows.argoproj.io/completed": "true"}
	if err := a.metadata.Tracker().Update(workflowsResource, p, "eks-recycle"); err != nil {
		a.Fatal(err)
	}
}

// mostAttempts is more than any scenario takes.
const mostAttempts = 200

// fleet runs the step fleet of a workflow until it is done or fails, and returns the last outcome and the number of attempts.
func (a *argoWorld) fleet(ctx context.Context, parent string, flags ...string) (o outcome, attempts int) {
	a.Helper()
	began := time.Now().UTC().Format(time.RFC3339)
	for ctx.Err() == nil {
		attempts++
		o = a.stepAs(ctx, parent, "fleet", append([]string{"--workflow-name", "eks-recycle/" + parent, "--started-at", began}, flags...)...)
		if o.code != 75 {
			break
		}
		if attempts == mostAttempts {
			a.Fatalf("the fleet is never done: %s", o.result.Message)
		}
		time.Sleep(5 * time.Second)
	}
	return o, attempts
}

// resized sets the desired capacity and waits for the nodes.
func (w *world) resized(field string, size int) {
	w.Helper()
	wire := &awsWire{transport: w.sim.HTTPClient().Transport, region: w.region, key: "someone", door: open{}}
	_, err := wire.call(w.Context(), "autoscaling", "UpdateAutoScalingGroup", map[string][]string{"AutoScalingGroupName": {group}, field: {fmt.Sprint(size)}})
	if err != nil {
		w.Fatal(err)
	}
	time.Sleep(3 * time.Minute)
	if field == "DesiredCapacity" {
		w.ids = w.members("InService")
	}
}

func without(all []string, gone ...string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(gone, s) })
}
