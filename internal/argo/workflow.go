package argo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Workflows reads and creates workflows. What can be told from their metadata it reads there: the status of one can have a
// megabyte. Dynamic is for the rest.
type Workflows struct {
	Metadata metadata.Interface
	Dynamic  dynamic.Interface
}

// New makes both clients of one cluster: of metadata in protobuf, and of whole Workflows, which have none, in JSON.
func New(config *rest.Config) (w Workflows, err error) {
	if w.Metadata, err = metadata.NewForConfig(config); err != nil {
		return w, err
	}
	w.Dynamic, err = dynamic.NewForConfig(config)
	return w, err
}

// completed is the label that the workflow-controller puts on a Workflow that has ended
// (https://argo-workflows.readthedocs.io/en/latest/workflow-concepts/).
const completed = "workflows.argoproj.io/completed"

// IsWorkflow reports whether a name is one of a workflow, namespace/name, rather than of a person.
func IsWorkflow(name string) bool {
	namespace, name, found := strings.Cut(name, "/")
	return found && namespace != "" && name != ""
}

// Ended reports whether a workflow, namespace/name, has ended or is gone. A later one of the same name has another uid; an
// empty uid takes any.
func (w Workflows) Ended(ctx context.Context, name, uid string) (bool, error) {
	if w.Metadata == nil {
		return false, fmt.Errorf("asking for workflow %q: no way to Argo Workflows is known", name)
	}
	namespace, short, _ := strings.Cut(name, "/")
	workflow, err := w.Metadata.Resource(workflows).Namespace(namespace).Get(ctx, short, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && !named(err):
		return false, hint.Errorf("sweep from the cluster that Argo Workflows runs in", "asking for workflow %q: there is no Argo Workflows in this cluster", name)
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("asking for workflow %q: %w", name, err)
	}
	return workflow.Labels[completed] == "true" || (uid != "" && string(workflow.UID) != uid), nil
}

// named tells the answer "no object of that name" from "no such resource", which names nothing.
func named(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Name != ""
}
