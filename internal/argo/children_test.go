package argo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apitypes "k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/eks-recycle/eks-recycle/internal/argo"
)

const (
	instance = "i-0123456789abcdef0"
	fleet    = "fleet-1"
)

// child is the metadata of a Workflow of a fleet. An owner is named like the fleet.
func child(id, of, phase string) *metav1.PartialObjectMetadata {
	labels := map[string]string{"eks-recycle.io/fleet": of, "eks-recycle.io/instance-id": id, "workflows.argoproj.io/phase": phase}
	if phase == "Succeeded" || phase == "Failed" {
		labels["workflows.argoproj.io/completed"] = "true"
	}
	var owners []metav1.OwnerReference
	if of != "" {
		owners = append(owners, metav1.OwnerReference{Name: of, UID: apitypes.UID(of)})
	}
	return &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: "argoproj.io/v1alpha1", Kind: "Workflow"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "recycle-" + id, Namespace: "argo", UID: apitypes.UID("uid-" + id), Labels: labels, OwnerReferences: owners,
			Annotations: map[string]string{"eks-recycle.io/node": "node-of-" + id, "eks-recycle.io/asg": "workers", "eks-recycle.io/zone": "eu-central-1a"},
		},
	}
}

func parent(name string, ended bool) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "argoproj.io/v1alpha1", Kind: "Workflow"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "argo", UID: apitypes.UID(name), Labels: map[string]string{"workflows.argoproj.io/completed": strconv.FormatBool(ended)}},
	}
}

func dynamicClient() *dynamicfake.FakeDynamicClient {
	return dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{workflows: "WorkflowList"})
}

// deletions notes which object a deletion means: client-go's fake forgets it.
type deletions struct {
	dynamic.Interface
	uid *string
}

func (d deletions) Resource(r schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	return namespaceable{NamespaceableResourceInterface: d.Interface.Resource(r), uid: d.uid}
}

type namespaceable struct {
	dynamic.NamespaceableResourceInterface
	uid *string
}

func (n namespaceable) Namespace(ns string) dynamic.ResourceInterface {
	return namespaced{ResourceInterface: n.NamespaceableResourceInterface.Namespace(ns), uid: n.uid}
}

type namespaced struct {
	dynamic.ResourceInterface
	uid *string
}

func (n namespaced) Delete(ctx context.Context, name string, o metav1.DeleteOptions, sub ...string) error {
	if o.Preconditions != nil && o.Preconditions.UID != nil {
		*n.uid = string(*o.Preconditions.UID)
	}
	return n.ResourceInterface.Delete(ctx, name, o, sub...)
}

func whole(t *testing.T, metadata *metav1.PartialObjectMetadata) *unstructured.Unstructured {
	t.Helper()
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(metadata)
	if err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: object}
}

func TestStart(t *testing.T) {
	for name, c := range map[string]struct {
		there, owner *metav1.PartialObjectMetadata
		started      bool
		deletes      string // the uid that a deletion asks for
		err          error
	}{
		"there is none":                              {nil, nil, true, "", nil},
		"one of this fleet runs":                     {child(instance, fleet, "Running"), nil, false, "", nil},
		"one of this fleet has failed":               {child(instance, fleet, "Failed"), nil, false, "", nil},
		"one of another fleet runs":                  {child(instance, "fleet-0", "Running"), parent("fleet-0", true), false, "", nil},
		"one of a fleet that has ended has ended":    {child(instance, "fleet-0", "Failed"), parent("fleet-0", true), true, "uid-" + instance, nil},
		"one of a fleet that is gone has ended":      {child(instance, "fleet-0", "Succeeded"), nil, true, "uid-" + instance, nil},
		"one of a fleet that still runs has ended":   {child(instance, "fleet-0", "Failed"), parent("fleet-0", false), false, "", argo.ErrTaken},
		"one that a person submitted by hand, ended": {child(instance, "", "Failed"), nil, true, "uid-" + instance, nil},
	} {
		t.Run(name, func(t *testing.T) {
			asked, made := client(t), dynamicClient()
			if c.owner != nil {
				asked = client(t, c.owner)
			}
			if c.there != nil {
				if err := errors.Join(asked.Tracker().Create(workflows, c.there, "argo"), made.Tracker().Create(workflows, whole(t, c.there), "argo")); err != nil {
					t.Fatal(err)
				}
			}
			order := argo.Submission{
				Namespace: "argo", Template: "recycle-node", Fleet: fleet, Parent: argo.Parent{Name: "nightly-1", UID: fleet}, Parameters: map[string]string{"b": "2", "a": "1"},
				Child: argo.Child{Instance: instance, Node: "node-1", Group: "workers", Zone: "eu-central-1a"},
			}
			deletes := ""
			started, err := argo.Workflows{Metadata: asked, Dynamic: deletions{Interface: made, uid: &deletes}}.Start(t.Context(), order)
			if started != c.started || !errors.Is(err, c.err) || (c.err == nil && err != nil) {
				t.Fatalf("started: %t, error %v", started, err)
			}
			if deletes != c.deletes {
				t.Errorf("it deletes the one of uid %q, want %q", deletes, c.deletes)
			}
			if c.started {
				isOrdered(t, made)
			}
		})
	}
}

// isOrdered checks the Workflow that Start created.
func isOrdered(t *testing.T, in *dynamicfake.FakeDynamicClient) {
	t.Helper()
	w, err := in.Resource(workflows).Namespace("argo").Get(t.Context(), "recycle-"+instance, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
		"metadata": map[string]any{
			"name": "recycle-" + instance, "namespace": "argo",
			"labels":          map[string]any{"app.kubernetes.io/name": "eks-recycle", "eks-recycle.io/fleet": fleet, "eks-recycle.io/instance-id": instance},
			"annotations":     map[string]any{"eks-recycle.io/node": "node-1", "eks-recycle.io/asg": "workers", "eks-recycle.io/zone": "eu-central-1a"},
			"ownerReferences": []any{map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "nightly-1", "uid": fleet}},
		},
		"spec": map[string]any{
			"workflowTemplateRef": map[string]any{"name": "recycle-node"},
			"arguments":           map[string]any{"parameters": []any{map[string]any{"name": "a", "value": "1"}, map[string]any{"name": "b", "value": "2"}}},
			// the template's are a matter of days, a fleet may take 30
			"ttlStrategy": map[string]any{"secondsAfterSuccess": int64(45 * 86400), "secondsAfterFailure": int64(45 * 86400)},
		},
	}
	if diff := cmp.Diff(want, w.Object); diff != "" {
		t.Errorf("workflow (-want +got):\n%s", diff)
	}
}

// paged lets a list end after a page of two.
func paged(fake *ktesting.Fake, all []runtime.Object, list func(items []runtime.Object, more string) runtime.Object) {
	start := 0 // the fakes do not hand on how the list is to be continued
	fake.PrependReactor("list", "workflows", func(ktesting.Action) (bool, runtime.Object, error) {
		page, more := all[start:min(start+2, len(all))], ""
		if start += len(page); start < len(all) {
			more = strconv.Itoa(start)
		}
		return true, list(page, more), nil
	})
}

func TestChildrenAndOutcomesAreReadByPages(t *testing.T) {
	asked, made := client(t), dynamicClient()
	var all, wholes []runtime.Object
	for i := range 5 {
		c := child(fmt.Sprint(i), fleet, "Running")
		all, wholes = append(all, c), append(wholes, whole(t, c))
	}
	paged(&asked.Fake, all, func(items []runtime.Object, more string) runtime.Object {
		list := &metav1.List{ListMeta: metav1.ListMeta{Continue: more}}
		for _, o := range items {
			list.Items = append(list.Items, runtime.RawExtension{Object: o})
		}
		return list
	})
	paged(&made.Fake, wholes, func(items []runtime.Object, more string) runtime.Object {
		list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowList"}}
		list.SetContinue(more)
		for _, o := range items {
			list.Items = append(list.Items, *o.(*unstructured.Unstructured))
		}
		return list
	})
	w := argo.Workflows{Metadata: asked, Dynamic: made}
	children, err := w.Running(t.Context(), "argo")
	if err != nil || len(children) != 5 {
		t.Errorf("%d children, error %v", len(children), err)
	}
	n := 0
	if err := w.Outcomes(t.Context(), "argo", fleet, func(argo.Outcome) { n++ }); err != nil || n != 5 {
		t.Errorf("%d outcomes, error %v", n, err)
	}
}

func TestRunningAreThoseOfAllFleetsThatHaveNotEnded(t *testing.T) {
	asked := client(t, child("i-1", fleet, "Running"), child("i-2", fleet, "Succeeded"), child("i-3", "fleet-2", ""), child("i-4", "fleet-2", "Failed"), parent("fleet-2", false))
	children, err := argo.Workflows{Metadata: asked}.Running(t.Context(), "argo")
	var got []string
	for _, c := range children {
		got = append(got, c.Instance)
		if c.Succeeded() || c.Ended || c.Group != "workers" || c.Zone != "eu-central-1a" || c.Node != "node-of-"+c.Instance {
			t.Errorf("%+v", c)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"i-1", "i-3"}, got); err != nil || diff != "" {
		t.Errorf("error %v, running (-want +got):\n%s", err, diff)
	}
}

// What has succeeded but is not completed yet still runs its exit handler.
func TestSucceededIsWhatHasEndedWell(t *testing.T) {
	for _, c := range []struct {
		child argo.Child
		want  bool
	}{{argo.Child{Phase: "Succeeded", Ended: true}, true}, {argo.Child{Phase: "Succeeded"}, false}, {argo.Child{Phase: "Failed", Ended: true}, false}} {
		if c.child.Succeeded() != c.want {
			t.Errorf("%+v has succeeded: %t", c.child, !c.want)
		}
	}
}

func TestFollowingShowsTheFleetsChildrenOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		asked := client(t, child("i-1", fleet, "Running"), child("i-2", "fleet-2", "Running"))
		f, err := argo.Workflows{Metadata: asked}.Follow(ctx, "argo", fleet)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		<-f.Changed
		if children := f.Children(); len(children) != 1 || children[0].Instance != "i-1" || children[0].Ended {
			t.Errorf("%+v", children)
		}
		for _, change := range []func() error{
			func() error { return asked.Tracker().Update(workflows, child("i-1", fleet, "Succeeded"), "argo") },
			func() error { return asked.Tracker().Create(workflows, child("i-3", fleet, ""), "argo") },
			func() error { return asked.Tracker().Delete(workflows, "argo", "recycle-i-3") },
		} {
			if err := change(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-f.Changed:
			case <-time.After(time.Minute):
				t.Fatal("a change is not seen")
			}
		}
		if children := f.Children(); len(children) != 1 || !children[0].Succeeded() {
			t.Errorf("%+v", children)
		}
		for _, action := range asked.Actions() {
			var selector string
			switch a := action.(type) {
			case ktesting.ListActionImpl:
				selector = a.GetListRestrictions().Labels.String()
			case ktesting.WatchActionImpl:
				selector = a.GetWatchRestrictions().Labels.String()
			default:
				continue
			}
			if selector != "eks-recycle.io/fleet="+fleet {
				t.Errorf("it asks to %s %q", action.GetVerb(), selector)
			}
		}
	})
}

// Without the permission there is nothing to wait for.
func TestFollowingThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		asked := client(t)
		asked.PrependReactor("list", "workflows", func(ktesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(workflows.GroupResource(), "", errors.New("no"))
		})
		began := time.Now()
		_, err := argo.Workflows{Metadata: asked}.Follow(ctx, "argo", fleet)
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "following the workflows of the fleet") || time.Since(began) > time.Minute {
			t.Errorf("error after %s: %v", time.Since(began), err)
		}
		cancel()
		time.Sleep(time.Second) // the informer sees it
	})
}

func TestStopAsksForAStop(t *testing.T) {
	made := dynamicClient()
	if err := made.Tracker().Create(workflows, whole(t, child(instance, fleet, "Running")), "argo"); err != nil {
		t.Fatal(err)
	}
	w := argo.Workflows{Dynamic: made}
	for _, name := range []string{"recycle-" + instance, "gone"} {
		if err := w.Stop(t.Context(), "argo", name); err != nil {
			t.Error(err)
		}
	}
	o, err := made.Resource(workflows).Namespace("argo").Get(t.Context(), "recycle-"+instance, metav1.GetOptions{})
	if how, _, _ := unstructured.NestedString(o.Object, "spec", "shutdown"); err != nil || how != "Stop" {
		t.Errorf("shutdown is %q, error %v", how, err)
	}
}

// The message of a child that failed is what its steps said last, in the order in which they ran.
func TestOutcomeOfAChildThatFailed(t *testing.T) {
	pod := func(step, phase, at, said, says string) map[string]any {
		n := map[string]any{"type": "Pod", "templateName": step, "phase": phase, "startedAt": at, "message": says}
		if said != "" {
			n["outputs"] = map[string]any{"parameters": []any{map[string]any{"name": "pods-waiting", "value": "3"}, map[string]any{"name": "message", "value": said}}}
		}
		return n
	}
	for name, c := range map[string]struct {
		nodes map[string]any
		want  string
	}{
		"a step and its exit handler": {map[string]any{
			"a": pod("settle", "Succeeded", "2026-01-01T03:00:00Z", "left on standby", ""), "b": pod("standby", "Succeeded", "2026-01-01T00:00:00Z", "is replaced", ""),
			"c": pod("drain", "Failed", "2026-01-01T01:00:00Z", "not done yet", ""), "d": pod("drain", "Failed", "2026-01-01T02:00:00Z", "3 pods still run", ""),
		}, "drain: 3 pods still run; settle: left on standby"},
		"later steps whose names come first": {map[string]any{
			"a": pod("standby", "Failed", "2026-01-01T00:00:00Z", "no replacement", ""), "b": pod("settle", "Succeeded", "2026-01-01T00:00:01Z", "is back", ""),
		}, "standby: no replacement; settle: is back"},
		"an attempt without words of its own": {map[string]any{"a": pod("taint", "Error", "2026-01-01T00:00:00Z", "", "pod deleted")}, "taint: pod deleted"},
		"nodes that are no pods":              {map[string]any{"a": map[string]any{"type": "Retry", "templateName": "drain", "phase": "Failed", "message": "No more retries left"}}, "child failed"},
		"compressed nodes":                    {nil, "child failed"},
	} {
		t.Run(name, func(t *testing.T) {
			made := dynamicClient()
			w := whole(t, child(instance, fleet, "Failed"))
			w.SetCreationTimestamp(metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)))
			w.Object["status"] = map[string]any{"phase": "Failed", "message": "child failed", "finishedAt": "2026-01-01T04:00:00Z", "nodes": c.nodes}
			if err := made.Tracker().Create(workflows, w, "argo"); err != nil {
				t.Fatal(err)
			}
			o, err := argo.Workflows{Dynamic: made}.Outcome(t.Context(), "argo", "recycle-"+instance)
			if err != nil || o.Message != c.want || o.Finished.Sub(o.Created) != 4*time.Hour || !o.Ended || o.Succeeded() {
				t.Errorf("%+v, error %v", o, err)
			}
		})
	}
}

// A controller that has an instanceID leaves alone what does not carry it.
func TestChildrenCarryTheInstanceIDOfTheirController(t *testing.T) {
	const label = "workflows.argoproj.io/controller-instanceid"
	for _, id := range []string{"", "team-a"} {
		of := parent("fleet", false)
		if id != "" {
			of.Labels[label] = id
		}
		made := dynamicClient()
		w := argo.Workflows{Dynamic: made, Metadata: client(t, of)}
		controller, err := w.Controller(t.Context(), "argo", "fleet")
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Start(t.Context(), argo.Submission{
			Namespace: "argo", Template: "recycle-node", Fleet: fleet, Parent: argo.Parent{Name: "fleet", UID: "fleet", Controller: controller}, Child: argo.Child{Instance: instance},
		})
		if err != nil {
			t.Fatal(err)
		}
		child, err := made.Resource(workflows).Namespace("argo").Get(t.Context(), argo.ChildName(instance), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got, labelled := child.GetLabels()[label]; got != id || labelled != (id != "") {
			t.Errorf("instanceID %q: the child has %q", id, got)
		}
	}
}
