package cli_test

import (
	"context"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apitypes "k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
)

// argoFake answers for the simulation's workflows, which are called like their uids: whether they run, have ended, or never
// were.
type argoFake struct {
	metadata.Getter
	*simulation
}

func (a argoFake) Resource(schema.GroupVersionResource) metadata.Getter { return a }

func (a argoFake) Namespace(string) metadata.ResourceInterface { return a }

func (a argoFake) Get(_ context.Context, name string, _ metav1.GetOptions, _ ...string) (*metav1.PartialObjectMetadata, error) {
	a.mu.Lock()
	running, known := a.workflows[name]
	a.mu.Unlock()
	if !known {
		return nil, apierrors.NewNotFound(workflowsResource.GroupResource(), name)
	}
	found := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, UID: apitypes.UID(name)}}
	if !running {
		found.Labels = map[string]string{"workflows.argoproj.io/completed": "true"}
	}
	return found, nil
}

// workflowRuns says that a workflow runs from now on, or has ended.
func (g *simulation) workflowRuns(uid string, running bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.workflows[uid] = running
}

// workflowName is that of the workflow that a step runs in. A person has none.
func workflowName(uid string) string {
	if strings.HasSuffix(uid, "restore") {
		return uid
	}
	return "argo/" + uid
}
