package argo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// What a fleet writes on the Workflows that it creates, one a node.
const (
	// LabelFleet is the uid of the Workflow that created this one.
	LabelFleet = "eks-recycle.io/fleet"
	// LabelInstance is the instance that it recycles.
	LabelInstance = "eks-recycle.io/instance-id"
	// AnnotationGroup and AnnotationZone say what budget it uses up.
	AnnotationGroup = "eks-recycle.io/asg"
	AnnotationZone  = "eks-recycle.io/zone"
	// AnnotationNode is the name of its Node.
	AnnotationNode = "eks-recycle.io/node"
)

// phase is the label in which the workflow-controller repeats a Workflow's phase.
const phase = "workflows.argoproj.io/phase"

// instanceID is the label by which a workflow-controller that has an instanceID tells its own Workflows: it leaves others alone
// (https://argo-workflows.readthedocs.io/en/latest/scaling/#instance-id).
const instanceID = "workflows.argoproj.io/controller-instanceid"

var workflows = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "workflows"}

// Child is a Workflow that recycles one node for a fleet. Phase is empty until the controller has seen it.
type Child struct {
	Name, UID, Fleet            string
	Instance, Node, Group, Zone string
	Phase                       string
	Ended                       bool
	Created                     time.Time
}

// Succeeded reports that the child has ended well.
func (c Child) Succeeded() bool { return c.Ended && c.Phase == "Succeeded" }

// ChildName is the name of the Workflow that recycles an instance. There is one name for each, so that no instance is
// recycled twice at a time, by whatever fleets.
func ChildName(instance string) string { return "recycle-" + instance }

func childOf(o metav1.Object) Child {
	l, a := o.GetLabels(), o.GetAnnotations()
	return Child{
		Name: o.GetName(), UID: string(o.GetUID()), Fleet: l[LabelFleet], Instance: l[LabelInstance],
		Node: a[AnnotationNode], Group: a[AnnotationGroup], Zone: a[AnnotationZone], Phase: l[phase], Ended: l[completed] == "true",
		Created: o.GetCreationTimestamp().Time,
	}
}

// ofFleet selects the children of one fleet.
func ofFleet(fleet string) string { return labels.Set{LabelFleet: fleet}.String() }

// childrenAPage keeps a page of metadata, some 2 KiB each, within a megabyte.
const childrenAPage = 500

// Running lists the children of all fleets that have not ended: as many as there are nodes in progress, not more.
func (w Workflows) Running(ctx context.Context, namespace string) ([]Child, error) {
	return w.children(ctx, namespace, LabelInstance+","+completed+"!=true")
}

// Children lists those of one fleet.
func (w Workflows) Children(ctx context.Context, namespace, fleet string) ([]Child, error) {
	return w.children(ctx, namespace, ofFleet(fleet))
}

func (w Workflows) children(ctx context.Context, namespace, selector string) (all []Child, err error) {
	options := metav1.ListOptions{LabelSelector: selector, Limit: childrenAPage}
	for {
		page, err := w.Metadata.Resource(workflows).Namespace(namespace).List(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("listing workflows with %q: %w", selector, err)
		}
		for i := range page.Items {
			all = append(all, childOf(&page.Items[i]))
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return all, nil
		}
	}
}

// Parent is the Workflow that a fleet runs in; zero if a person runs it by hand. Controller is the instanceID of its
// workflow-controller, if that has one.
type Parent struct{ Name, UID, Controller string }

// Controller reads the instanceID of the workflow-controller that runs a Workflow, or "".
func (w Workflows) Controller(ctx context.Context, namespace, name string) (string, error) {
	found, err := w.Metadata.Resource(workflows).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return "", fmt.Errorf("reading workflow %q: %w", name, err)
	}
	if err != nil {
		return "", nil //nolint:nilerr // the fleet outlives it, and its children have no controller of their own then
	}
	return found.GetLabels()[instanceID], nil
}

// Submission is what a fleet asks for: a node to be recycled by a WorkflowTemplate.
type Submission struct {
	Namespace, Template string
	Fleet               string
	Parent              Parent
	Child               Child
	Parameters          map[string]string
}

// ErrTaken says that there is a Workflow for the instance already, which another fleet still looks after.
var ErrTaken = errors.New("another fleet has a workflow for it")

// Start creates the child of an order. One that is there already is taken for it if it runs or belongs to this fleet. What
// an earlier fleet left, which has ended like its child, is deleted first. started is false if nothing had to be created.
func (w Workflows) Start(ctx context.Context, o Submission) (started bool, err error) {
	name := ChildName(o.Child.Instance)
	client := w.Dynamic.Resource(workflows).Namespace(o.Namespace)
	_, err = client.Create(ctx, o.workflow(name), metav1.CreateOptions{FieldManager: "eks-recycle"})
	if err == nil {
		return true, nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return false, fmt.Errorf("creating workflow %q: %w", name, err)
	}
	there, err := w.Metadata.Resource(workflows).Namespace(o.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("reading workflow %q: %w", name, err)
	}
	if c := childOf(there); !c.Ended || c.Fleet == o.Fleet {
		return false, nil
	}
	for _, owner := range there.OwnerReferences {
		ended, err := w.Ended(ctx, o.Namespace+"/"+owner.Name, string(owner.UID))
		if err != nil {
			return false, err
		}
		if !ended {
			return false, fmt.Errorf("starting workflow %q: %w", name, ErrTaken)
		}
	}
	uid := there.UID
	if err := client.Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}); err != nil && !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("deleting the ended workflow %q of an earlier fleet: %w", name, err)
	}
	if _, err = client.Create(ctx, o.workflow(name), metav1.CreateOptions{FieldManager: "eks-recycle"}); err != nil {
		return false, fmt.Errorf("creating workflow %q: %w", name, err)
	}
	return true, nil
}

// kept is how many seconds a child is kept after its end if its fleet does not go first and take it along: for the fleet it
// is the record of what is done. A fleet goes on for 30 days at most, and is kept for 14 itself. Both fields are given, as
// either comes before what the template says (https://argo-workflows.readthedocs.io/en/latest/fields/#ttlstrategy).
const kept = int64(45 * 24 * 3600)

// What a workflow that an event starts says of it, for the sweep and for people.
const (
	LabelEvent         = "eks-recycle.io/event"
	LabelEventInstance = "eks-recycle.io/event-instance-id"
)

// Triggered is a workflow that an event starts.
type Triggered struct {
	Namespace, Template, Name string
	Event, Instance           string
	Controller                string // instanceID of its workflow-controller, if that has one
	Parameters                map[string]string
}

// Create creates the workflow of an event. created is false if there is one of that name already, which is that of an earlier
// delivery.
func (w Workflows) Create(ctx context.Context, t Triggered) (created bool, err error) {
	o := Workflow(t.Template, t.Name, t.Parameters)
	o.SetNamespace(t.Namespace)
	all := o.GetLabels()
	all[LabelEvent] = t.Event
	if t.Instance != "" {
		all[LabelEventInstance] = t.Instance
	}
	if t.Controller != "" {
		all[instanceID] = t.Controller
	}
	o.SetLabels(all)
	_, err = w.Dynamic.Resource(workflows).Namespace(t.Namespace).Create(ctx, o, metav1.CreateOptions{FieldManager: "eks-recycle"})
	switch {
	case apierrors.IsAlreadyExists(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("creating workflow %q: %w", t.Name, err)
	}
	return true, nil
}

// CreatedFor lists when the workflows were created that one kind of event started, by instance: the newest of each.
func (w Workflows) CreatedFor(ctx context.Context, namespace, event string) (map[string]time.Time, error) {
	newest := map[string]time.Time{}
	options := metav1.ListOptions{LabelSelector: labels.Set{LabelEvent: event}.String(), Limit: childrenAPage}
	for {
		page, err := w.Metadata.Resource(workflows).Namespace(namespace).List(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("listing the workflows of %s events: %w", event, err)
		}
		for i := range page.Items {
			id, at := page.Items[i].Labels[LabelEventInstance], page.Items[i].CreationTimestamp.Time
			if at.After(newest[id]) {
				newest[id] = at
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return newest, nil
		}
	}
}

// Workflow is one that names a template and its arguments and nothing else: a controller with templateReferencing Strict takes
// little more.
func Workflow(template, name string, parameters map[string]string) *unstructured.Unstructured {
	w := &unstructured.Unstructured{}
	w.SetAPIVersion("argoproj.io/v1alpha1")
	w.SetKind("Workflow")
	w.SetName(name)
	w.SetLabels(map[string]string{"app.kubernetes.io/name": "eks-recycle"})
	all := []any{}
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		all = append(all, map[string]any{"name": name, "value": parameters[name]})
	}
	w.Object["spec"] = map[string]any{
		"workflowTemplateRef": map[string]any{"name": template},
		"arguments":           map[string]any{"parameters": all},
	}
	return w
}

func (o Submission) workflow(name string) *unstructured.Unstructured {
	w := Workflow(o.Template, name, o.Parameters)
	w.SetNamespace(o.Namespace)
	all := w.GetLabels()
	all[LabelFleet], all[LabelInstance] = o.Fleet, o.Child.Instance
	if o.Parent.Controller != "" {
		all[instanceID] = o.Parent.Controller
	}
	w.SetLabels(all)
	w.SetAnnotations(map[string]string{AnnotationNode: o.Child.Node, AnnotationGroup: o.Child.Group, AnnotationZone: o.Child.Zone})
	if o.Parent.UID != "" {
		w.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: w.GetAPIVersion(), Kind: w.GetKind(), Name: o.Parent.Name, UID: types.UID(o.Parent.UID)}})
		if spec, ok := w.Object["spec"].(map[string]any); ok {
			spec["ttlStrategy"] = map[string]any{"secondsAfterSuccess": kept, "secondsAfterFailure": kept}
		}
	}
	return w
}

var workflowTemplates = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "workflowtemplates"}

// Parameters reads the names of the parameters that a WorkflowTemplate takes.
func (w Workflows) Parameters(ctx context.Context, namespace, template string) (names []string, err error) {
	found, err := w.Dynamic.Resource(workflowTemplates).Namespace(namespace).Get(ctx, template, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading WorkflowTemplate %q in namespace %q: %w", template, namespace, err)
	}
	parameters, _, _ := unstructured.NestedSlice(found.Object, "spec", "arguments", "parameters")
	for _, p := range parameters {
		if p, _ := p.(map[string]any); text(p, "name") != "" {
			names = append(names, text(p, "name"))
		}
	}
	return names, nil
}

// Submit creates a Workflow from a template, as "argo submit --from" does, and returns its name. Controller is the instanceID of the
// workflow-controller that is to run it, if that has one.
func (w Workflows) Submit(ctx context.Context, namespace, template, controller string, parameters map[string]string) (name string, err error) {
	workflow := Workflow(template, "", parameters)
	workflow.SetGenerateName(template + "-")
	if controller != "" {
		workflow.SetLabels(map[string]string{"app.kubernetes.io/name": "eks-recycle", instanceID: controller})
	}
	created, err := w.Dynamic.Resource(workflows).Namespace(namespace).Create(ctx, workflow, metav1.CreateOptions{FieldManager: "eks-recycle"})
	if err != nil {
		return "", fmt.Errorf("creating a workflow from WorkflowTemplate %q: %w", template, err)
	}
	return created.GetName(), nil
}

// Stop asks a running child to end as "argo stop" does: what it is doing ends, and its exit handler runs.
func (w Workflows) Stop(ctx context.Context, namespace, name string) error {
	_, err := w.Dynamic.Resource(workflows).Namespace(namespace).Patch(ctx, name, types.MergePatchType, []byte(`{"spec":{"shutdown":"Stop"}}`), metav1.PatchOptions{FieldManager: "eks-recycle"})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("stopping workflow %q: %w", name, err)
	}
	return nil
}

// Outcome is how a child ended.
type Outcome struct {
	Child
	Finished time.Time
	Message  string // why it failed, in the words of its steps
	Reason   string // why it failed, where others react to it
}

// Outcome reads how one child ended.
func (w Workflows) Outcome(ctx context.Context, namespace, name string) (Outcome, error) {
	workflow, err := w.Dynamic.Resource(workflows).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return Outcome{}, fmt.Errorf("reading workflow %q: %w", name, err)
	}
	return outcomeOf(workflow), nil
}

// outcomesAPage keeps a page of whole Workflows within a few megabytes, of which decoding makes ten times as much: each has
// 70 KiB after a day's drain, and half a megabyte after a week's.
const outcomesAPage = 10

// Outcomes reads how the children of a fleet ended and hands each to the caller.
func (w Workflows) Outcomes(ctx context.Context, namespace, fleet string, each func(Outcome)) error {
	options := metav1.ListOptions{LabelSelector: ofFleet(fleet), Limit: outcomesAPage}
	for {
		page, err := w.Dynamic.Resource(workflows).Namespace(namespace).List(ctx, options)
		if err != nil {
			return fmt.Errorf("listing the workflows of the fleet: %w", err)
		}
		for i := range page.Items {
			each(outcomeOf(&page.Items[i]))
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}
