package argo_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	metadatafake "k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/rest"
	ktesting "k8s.io/client-go/testing"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

var workflows = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "workflows"}

func client(t *testing.T, objects ...*metav1.PartialObjectMetadata) *metadatafake.FakeMetadataClient {
	t.Helper()
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	client := metadatafake.NewSimpleMetadataClient(scheme)
	for _, o := range objects {
		if err := client.Tracker().Create(workflows, o, o.Namespace); err != nil {
			t.Fatal(err)
		}
	}
	return client
}

func TestWhetherAWorkflowHasEnded(t *testing.T) {
	there := func(completed string) *metav1.PartialObjectMetadata {
		return &metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: "argoproj.io/v1alpha1", Kind: "Workflow"},
			ObjectMeta: metav1.ObjectMeta{Name: "wf", Namespace: "argo", UID: "uid-1", Labels: map[string]string{"workflows.argoproj.io/completed": completed}},
		}
	}
	for name, c := range map[string]struct {
		workflow, uid string
		there         *metav1.PartialObjectMetadata
		want          bool
	}{
		"it runs":                          {"argo/wf", "uid-1", there("false"), false},
		"it runs, and its uid is unknown":  {"argo/wf", "", there(""), false},
		"it has completed":                 {"argo/wf", "uid-1", there("true"), true},
		"it was deleted":                   {"argo/other", "uid-1", there(""), true},
		"it is in another namespace":       {"default/wf", "uid-1", there(""), true},
		"its name has been given to a new": {"argo/wf", "uid-0", there(""), true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := argo.Workflows{Metadata: client(t, c.there)}.Ended(t.Context(), c.workflow, c.uid)
			if err != nil || got != c.want {
				t.Errorf("ended: %t, error %v", got, err)
			}
		})
	}
}

// A sweep must not take every recycle for dead because it looks in a cluster that has no workflows at all.
func TestNoAnswerIsNoEnd(t *testing.T) {
	for name, c := range map[string]struct {
		answer error
		says   string
		hint   string
	}{
		"without Argo":           {nil, "there is no Argo Workflows in this cluster", "sweep from the cluster"},
		"without the permission": {apierrors.NewForbidden(workflows.GroupResource(), "wf", errors.New("no")), `asking for workflow "argo/wf"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var asked metadata.Interface
			if c.answer == nil { // what an API server says of a resource that it does not know
				server := httptest.NewServer(http.NotFoundHandler())
				defer server.Close()
				var err error
				if asked, err = metadata.NewForConfig(&rest.Config{Host: server.URL}); err != nil {
					t.Fatal(err)
				}
			} else {
				fake := client(t)
				fake.PrependReactor("get", "workflows", func(ktesting.Action) (bool, runtime.Object, error) { return true, nil, c.answer })
				asked = fake
			}
			ended, err := argo.Workflows{Metadata: asked}.Ended(t.Context(), "argo/wf", "uid-1")
			if ended || err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(hint.Of(err), c.hint) {
				t.Errorf("ended: %t, error %v, hint %q", ended, err, hint.Of(err))
			}
		})
	}
}

func TestNamesOfWorkflowsAndOfPeople(t *testing.T) {
	for name, want := range map[string]bool{"argo/recycle-x": true, "alice@laptop": false, "": false, "/": false, "argo/": false} {
		if got := argo.IsWorkflow(name); got != want {
			t.Errorf("%q is a workflow: %t", name, got)
		}
	}
}
