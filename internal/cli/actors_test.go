package cli_test

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// act is what somebody else does, who knows nothing of the recycle and is not careful either. What AWS refuses is nothing
// to anyone.
func (g *simulation) act(ctx context.Context, kind string) {
	g.note("someone", kind, nil)
	g.count(&g.stats.Acts)
	g.locked(func() { g.stats.saw(kind) })
	state := g.groupState()
	units := max(g.Group.Weight, 1)
	target := g.ids[0]
	switch kind {
	case raiseDesired:
		g.resize(ctx, "DesiredCapacity", state.Desired+units)
	case lowerDesired:
		g.resize(ctx, "DesiredCapacity", state.Desired-units)
	case raiseMax:
		g.resize(ctx, "MaxSize", state.Max+units)
	case lowerMin:
		g.resize(ctx, "MinSize", max(state.Min-units, 0))
	case raiseMin:
		g.resize(ctx, "MinSize", min(state.Min+units, state.Max))
	case terminateOther, stopOther:
		if other := g.another(); other != "" {
			g.outside(other, map[string]string{terminateOther: "terminate", stopOther: "stop"}[kind])
		}
	case terminateTarget:
		g.outside(target, "terminate")
	case stopTarget:
		g.outside(target, "stop")
	case rebalance:
		_, err := g.sim.Rebalance(group)
		g.must(err)
	case startRefresh, refreshTerminate:
		form := url.Values{"AutoScalingGroupName": {group}}
		form.Set("Preferences.StandbyInstances", map[string]string{startRefresh: "Wait", refreshTerminate: "Terminate"}[kind])
		g.ask(ctx, "StartInstanceRefresh", form)
	case suspendRebalance:
		_ = g.someone.processes(ctx, "SuspendProcesses", ptr(group), []string{"AZRebalance"})
	case suspendLaunch:
		_ = g.someone.processes(ctx, "SuspendProcesses", ptr(group), []string{"Launch"})
		pause(ctx, 4*time.Minute)
		_ = g.someone.processes(ctx, "ResumeProcesses", ptr(group), []string{"Launch"})
	case uncordon:
		g.editNode(target, func(n *corev1.Node) { n.Spec.Unschedulable = false })
	case deleteNode:
		g.dropNode(target)
	case recreateNode:
		if n := g.dropNode(target); n != nil {
			pause(ctx, 5*time.Second)
			g.register(n)
		}
	case deletesForGood:
		g.dropNode(target)
	case registersLate:
		if n := g.dropNode(target); n != nil {
			pause(ctx, 10*time.Minute)
			g.register(n)
		}
	case sweeps:
		g.byHand(ctx, "wf-sweep", "sweep")
	case restores:
		g.byHand(ctx, "wf-someone", "restore")
	case forgesMarks:
		if other := g.another(); other != "" {
			g.editNode(other, func(n *corev1.Node) {
				n.Labels[replacesLabel], n.Labels[ownDomain+"leaving"], n.Annotations[ownDomain+"workflow"] = target, other, "argo/nobody"
			})
		}
	case forgesRecord:
		if other := g.another(); other != "" {
			forgeRecord(g.api, other)
		}
	case forgesNode:
		if other := g.another(); other != "" {
			n := g.nodeOf(other).DeepCopy()
			if n == nil {
				return
			}
			n.Name, n.UID, n.ResourceVersion = forgedPrefix+other, "", ""
			n.Labels[ownDomain+"leaving"] = other
			_, _ = g.api.create("nodes", n)
			pause(ctx, 5*time.Minute)
			_ = g.api.remove("nodes", "", n.Name, nil)
		}
	case protects:
		g.must(g.sim.ProtectFromStop(target, true))
		pause(ctx, 10*time.Minute)
		g.must(g.sim.ProtectFromStop(target, false))
	case kubeletDies:
		g.kubeletDies(ctx, target)
	case otherCluster:
		g.fromAnotherCluster(ctx)
	case exitStandby:
		g.checker.bringsBack(true)
		_ = g.someone.move(ctx, "ExitStandby", ptr(group), []string{target}, nil)
		g.checker.bringsBack(false)
	case unreadyOther:
		if other := g.another(); other != "" {
			g.setReady(other, corev1.ConditionUnknown)
			pause(ctx, 3*time.Minute)
			g.setReady(other, corev1.ConditionTrue)
		}
	}
}

// forgeRecord makes a record of another instance that says that it retires, and that its capacity was lowered.
func forgeRecord(server *apiServer, id string) {
	holder := "nobody"
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name: leasePrefix + id, Namespace: "eks-recycle", Labels: map[string]string{"app.kubernetes.io/name": "eks-recycle"},
		Annotations: map[string]string{
			ownDomain + "workflow": "argo/nobody", ownDomain + "asg": group,
			ownDomain + "record": `{"retiringSince":"1999-01-01T00:00:00Z","replaced":true,"action":"terminate","return":"{\"stage\":\"lowering\",\"desired\":9,\"weight\":7}"}`,
		},
	}}
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &holder, ptr(int32(1)), &metav1.MicroTime{Time: time.Now()}
	_, _ = server.create("leases", lease)
}

func (g *simulation) ask(ctx context.Context, action string, form url.Values) {
	_, err := g.someone.call(ctx, "autoscaling", action, form)
	if err != nil {
		g.note("someone", action, err)
	}
}

func (g *simulation) resize(ctx context.Context, field string, size int) {
	g.ask(ctx, "UpdateAutoScalingGroup", url.Values{"AutoScalingGroupName": {group}, field: {strconv.Itoa(size)}})
}

func (g *simulation) outside(id, action string) {
	if err := g.sim.ActOutside(id, action); err != nil {
		g.note("someone", action+" "+id, err)
	}
}

func (g *simulation) groupState() awssim.GroupState {
	return g.sim.State().Groups[0]
}

// another is a member in service that no run recycles.
func (g *simulation) another() string {
	for _, i := range g.sim.State().Instances {
		if i.LifecycleState == "InService" && i.State == "running" && !slices.Contains(g.targets(), i.ID) {
			return i.ID
		}
	}
	return ""
}

func (g *simulation) targets() (ids []string) {
	for _, l := range g.runs {
		if !slices.Contains(ids, l.target) {
			ids = append(ids, l.target)
		}
	}
	return ids
}

func (g *simulation) dropNode(id string) *corev1.Node {
	n := g.nodeOf(id)
	if n != nil {
		_ = g.api.remove("nodes", "", n.Name, nil)
	}
	return n
}

// kubeletDies is what the control plane sees of that: the Node is not Ready any more, and five minutes later its pods are told to
// end, which none of them does.
func (g *simulation) kubeletDies(ctx context.Context, id string) {
	n := g.nodeOf(id)
	if n == nil {
		return
	}
	g.api.locked(func() { g.api.dead[n.Name] = true })
	g.setReady(id, corev1.ConditionUnknown)
	pause(ctx, 5*time.Minute)
	pods, _ := g.api.list("pods", "", func(o object) bool { return o.(*corev1.Pod).Spec.NodeName == n.Name })
	for _, p := range pods {
		_, _ = g.api.change("pods", p.GetNamespace(), p.GetName(), func(o object) error {
			if p := o.(*corev1.Pod); p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodRunning {
				p.DeletionTimestamp = ptr(metav1.NewTime(time.Now().Add(30 * time.Second)))
			}
			return nil
		})
	}
}

// register makes the Node anew as its kubelet would, if the instance runs one: of what others wrote on it nothing is left.
func (g *simulation) register(n *corev1.Node) {
	id := instanceOf(n)
	if !slices.ContainsFunc(g.sim.State().Instances, func(i awssim.InstanceState) bool { return i.ID == id && i.State == "running" }) {
		return
	}
	fresh := n.DeepCopy()
	fresh.ResourceVersion, fresh.Annotations = "", map[string]string{}
	fresh.Spec.Taints, fresh.Spec.Unschedulable = nil, false
	maps.DeleteFunc(fresh.Labels, func(key, _ string) bool { return strings.HasPrefix(key, ownDomain) || key == excludeKey })
	_, _ = g.api.create("nodes", fresh)
}

func (g *simulation) setReady(id string, status corev1.ConditionStatus) {
	g.editNode(id, func(n *corev1.Node) {
		for i := range n.Status.Conditions {
			if n.Status.Conditions[i].Type == corev1.NodeReady {
				n.Status.Conditions[i].Status = status
			}
		}
	})
}
