package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// groupLabel names on each worker node the group it belongs to.
const groupLabel = "alpha.eksctl.io/nodegroup-name"

// observed is what was seen while the recycle ran, for the verdict.
type observed struct {
	mu          sync.Mutex
	nodes       map[string]bool // of the group: Ready and open to new pods
	complete    bool            // all nodes there were at the start are counted
	fewestNodes int
	fewestWeb   int32
	finished    map[string]bool // batch pods seen finishing
	others      []string        // moves of members other than the target and its replacement
	replacement string
	mutations   []string
	calls       int
	phase       wfv1.WorkflowPhase
	pods        int
}

// follow tells the transcript until the workflow ends.
func (d *demo) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.seen.fewestWeb, d.seen.nodes, d.seen.finished = replicas, map[string]bool{}, map[string]bool{}

	factory := informers.NewSharedInformerFactory(d.kube, 0)
	pods := informers.NewSharedInformerFactoryWithOptions(d.kube, 0, informers.WithNamespace(namespace))
	if err := errors.Join(d.watchNodes(factory), d.watchPods(pods), d.watchService(pods)); err != nil {
		return err
	}
	for _, f := range []informers.SharedInformerFactory{factory, pods} {
		f.Start(ctx.Done())
		f.WaitForCacheSync(ctx.Done())
	}
	if err := d.countFromHere(ctx); err != nil {
		return err
	}
	var background sync.WaitGroup
	background.Go(func() { d.watchAWS(ctx) })
	err := d.watchWorkflow(ctx)
	cancel()
	background.Wait()
	factory.Shutdown()
	pods.Shutdown()
	return err
}

// countFromHere starts the count of open nodes with those there are.
func (d *demo) countFromHere(ctx context.Context) error {
	nodes, err := d.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: groupLabel + "=" + d.cluster.Group})
	if err != nil {
		return err
	}
	for i := range nodes.Items {
		d.count(&nodes.Items[i], false)
	}
	d.seen.mu.Lock()
	defer d.seen.mu.Unlock()
	d.seen.complete, d.seen.fewestNodes = true, len(d.seen.nodes)
	return nil
}

func (d *demo) watchNodes(f informers.SharedInformerFactory) error {
	_, err := f.Core().V1().Nodes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) {
			if n, ok := o.(*corev1.Node); ok {
				d.count(n, false)
				if d.started(n.CreationTimestamp.Time) {
					d.transcript.say("node", "%s has joined the cluster", n.Name)
				}
			}
		},
		UpdateFunc: func(before, after any) {
			was, ok1 := before.(*corev1.Node)
			is, ok2 := after.(*corev1.Node)
			if !ok1 || !ok2 {
				return
			}
			d.count(is, false)
			for _, change := range nodeChanges(was, is) {
				d.transcript.say("node", "%s %s", is.Name, change)
			}
		},
		DeleteFunc: func(o any) {
			if n, ok := o.(*corev1.Node); ok {
				d.count(n, true)
				d.transcript.say("node", "%s is deleted", n.Name)
			}
		},
	})
	return err
}

func nodeChanges(was, is *corev1.Node) []string {
	var changes []string
	if !ready(was) && ready(is) {
		changes = append(changes, "is Ready")
	}
	if !was.Spec.Unschedulable && is.Spec.Unschedulable {
		changes = append(changes, "is cordoned")
	}
	for _, t := range is.Spec.Taints {
		if !slices.Contains(was.Spec.Taints, t) && strings.Contains(t.Key, "eks-recycle") {
			changes = append(changes, fmt.Sprintf("is tainted %s:%s", t.Key, t.Effect))
		}
	}
	if _, had := was.Labels[corev1.LabelNodeExcludeBalancers]; !had {
		if _, has := is.Labels[corev1.LabelNodeExcludeBalancers]; has {
			changes = append(changes, "leaves the service load balancers")
		}
	}
	return changes
}

func ready(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// count keeps the lowest number of nodes that take new pods.
func (d *demo) count(n *corev1.Node, gone bool) {
	if n.Labels[groupLabel] != d.cluster.Group {
		return
	}
	d.seen.mu.Lock()
	defer d.seen.mu.Unlock()
	delete(d.seen.nodes, n.Name)
	if !gone && ready(n) && !n.Spec.Unschedulable {
		d.seen.nodes[n.Name] = true
	}
	if d.seen.complete {
		d.seen.fewestNodes = min(d.seen.fewestNodes, len(d.seen.nodes))
	}
}

func (d *demo) watchPods(f informers.SharedInformerFactory) error {
	_, err := f.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) {
			if p, ok := o.(*corev1.Pod); ok && d.started(p.CreationTimestamp.Time) && p.Labels["app"] == "web" {
				d.transcript.say("pods", "%s takes the place of an evicted pod", p.Name)
			}
		},
		UpdateFunc: func(before, after any) {
			was, ok1 := before.(*corev1.Pod)
			is, ok2 := after.(*corev1.Pod)
			switch {
			case !ok1 || !ok2:
			case was.Status.Phase != corev1.PodSucceeded && is.Status.Phase == corev1.PodSucceeded:
				d.seen.mu.Lock()
				d.seen.finished[is.Name] = true
				d.seen.mu.Unlock()
				d.transcript.say("pods", "%s has finished by itself", is.Name)
			case was.DeletionTimestamp == nil && is.DeletionTimestamp != nil:
				d.transcript.say("pods", "%s is evicted from %s", is.Name, is.Spec.NodeName)
			case was.Status.Phase == corev1.PodPending && is.Status.Phase == corev1.PodRunning:
				d.transcript.say("pods", "%s runs on %s", is.Name, is.Spec.NodeName)
			}
		},
	})
	return err
}

func (d *demo) watchService(f informers.SharedInformerFactory) error {
	_, err := f.Apps().V1().Deployments().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(_, after any) {
			if web, ok := after.(*appsv1.Deployment); ok {
				d.seen.mu.Lock()
				defer d.seen.mu.Unlock()
				d.seen.fewestWeb = min(d.seen.fewestWeb, web.Status.AvailableReplicas)
			}
		},
	})
	return err
}

// started reports whether a moment is after the submit.
func (d *demo) started(at time.Time) bool { return at.After(d.submitted) }

// watchAWS tells what changed in the group and who asked for it. awssim's control API has no watch.
func (d *demo) watchAWS(ctx context.Context) {
	every := time.NewTicker(300 * time.Millisecond)
	defer every.Stop()
	for {
		calls, err := d.aws.calls(ctx, d.lastCall)
		if err == nil {
			for _, c := range calls {
				d.lastCall = c.Seq
				d.tellCall(c)
			}
		}
		events, err := d.aws.events(ctx, d.lastEvent)
		if err == nil {
			for _, e := range events {
				d.lastEvent = e.Seq
				d.tellEvent(e)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

func (d *demo) tellCall(c awssim.Call) {
	if !strings.Contains(c.UserAgent, "app/eks-recycle") {
		return
	}
	d.seen.mu.Lock()
	d.seen.calls++
	d.seen.mu.Unlock()
	if c.ReadOnly || c.Params["DryRun"] == "true" {
		return
	}
	d.seen.mu.Lock()
	d.seen.mutations = append(d.seen.mutations, c.Action)
	d.seen.mu.Unlock()
	detail := ""
	if decrement, ok := c.Params["ShouldDecrementDesiredCapacity"]; ok {
		detail = ", decrement desired capacity: " + decrement
	}
	d.transcript.say("aws", "%s %s%s", c.Action, d.target.instance, detail)
}

func (d *demo) tellEvent(e awssim.Event) {
	switch {
	case e.Kind == "desired":
		d.transcript.say("group", "desired capacity %s → %s", e.From, e.To)
	case e.Kind != "lifecycle" || e.Group != d.cluster.Group:
	default:
		from := e.From
		if from == "" {
			from = "new"
		}
		to := e.To
		if to == "" {
			to = "not a member"
		}
		d.transcript.say("group", "%s %s: %s → %s", d.nameOf(e.Instance), e.Instance, from, to)
	}
}

// nameOf tells the target, its replacement and the others apart.
func (d *demo) nameOf(instance string) string {
	d.seen.mu.Lock()
	defer d.seen.mu.Unlock()
	switch instance {
	case d.target.instance:
		return "target"
	case d.seen.replacement:
		return "replacement"
	}
	if d.seen.replacement == "" && !slices.Contains(d.atStart, instance) {
		d.seen.replacement = instance
		return "replacement"
	}
	d.seen.others = append(d.seen.others, instance)
	return "another"
}

// watchWorkflow tells each step's start and end.
func (d *demo) watchWorkflow(ctx context.Context) error {
	watching, err := d.workflows.ArgoprojV1alpha1().Workflows(d.cluster.Namespace).Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", d.workflow).String(),
	})
	if err != nil {
		return fmt.Errorf("watching workflow %q: %w", d.workflow, err)
	}
	defer watching.Stop()
	told := map[string]wfv1.NodePhase{}
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for workflow %q: %w", d.workflow, context.Cause(ctx))
		case event, open := <-watching.ResultChan():
			wf, ok := event.Object.(*wfv1.Workflow)
			if !open || !ok {
				return fmt.Errorf("watching workflow %q: the watch ended", d.workflow)
			}
			d.tellSteps(wf, told)
			if wf.Status.Phase.Completed() {
				d.seen.phase = wf.Status.Phase
				d.transcript.say("workflow", "%s %s after %s", d.workflow, wf.Status.Phase, wf.Status.FinishedAt.Sub(wf.Status.StartedAt.Time))
				return nil
			}
		}
	}
}

func (d *demo) tellSteps(wf *wfv1.Workflow, told map[string]wfv1.NodePhase) {
	var steps []wfv1.NodeStatus
	for _, n := range wf.Status.Nodes {
		if n.Type == wfv1.NodeTypePod && told[n.ID] != n.Phase && (n.Phase == wfv1.NodeRunning || n.Fulfilled()) {
			steps = append(steps, n)
		}
	}
	slices.SortFunc(steps, func(a, b wfv1.NodeStatus) int { return a.StartedAt.Compare(b.StartedAt.Time) })
	for _, n := range steps {
		if told[n.ID] == "" {
			d.seen.pods++
		}
		told[n.ID] = n.Phase
		if n.Phase == wfv1.NodeRunning {
			d.transcript.say("workflow", "step %s runs", n.TemplateName)
			continue
		}
		d.transcript.say("workflow", "step %s %s: %s", n.TemplateName, n.Phase, message(n))
	}
}

func message(n wfv1.NodeStatus) string {
	if n.Outputs != nil {
		for _, p := range n.Outputs.Parameters {
			if p.Name == "message" && p.Value != nil {
				return p.Value.String()
			}
		}
	}
	return n.Message
}
