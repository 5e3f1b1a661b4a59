package cli_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// checker watches the account and the cluster while recycles run, after every call and every transition, and writes down
// what must never happen. It knows nothing of the code under test: names of taints, labels and Leases are its own, so that
// a mistake there cannot excuse itself here. It tells steps from everybody else by the access key of their calls.
type checker struct {
	mu          sync.Mutex
	group       awssim.GroupView
	nodes       map[string]*corev1.Node // by instance
	pods        map[string]*corev1.Pod
	leases      map[string]*coordinationv1.Lease
	served      map[string]bool      // instances whose node has been Ready once
	targets     map[string]string    // instance by workflow uid, which is also its access key
	closed      map[string]time.Time // when a target's node was first closed, by instance
	forced      time.Duration        // max-wait, if pods may be evicted after it; 0: never
	lost        int                  // capacity that others took away, and that the group has not made good yet
	excess      int                  // capacity that others made superfluous: so much may scale-in take
	owed        int                  // what steps have added to the desired capacity and not yet taken away
	desired     []int                // what it may be at the end
	min, max    int
	suspended   map[string]bool      // processes that others have suspended
	begun       map[string]time.Time // the last call of each workflow and action, when it was sent
	suspendedAt time.Time
	stale       time.Duration   // how far reads of AWS may lag
	unclear     map[string]bool // processes of which nobody can say who has suspended them
	returned    map[string]bool // instances that others have brought back into service
	shutDown    map[string]bool // instances that steps have stopped or terminated
	violations  []string
	broughtBack bool // somebody else takes a target out of Standby
}

// Names that the recycle promises to people and to other programs.
const (
	leavingTaint  = "eks-recycle.io/leaving"
	replacesLabel = "eks-recycle.io/replaces"
	leasePrefix   = "eks-recycle-"
	ownDomain     = "eks-recycle.io/"
	scaleDownKey  = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
	excludeKey    = "node.kubernetes.io/exclude-from-external-load-balancers"
	stepKeyPrefix = "wf-"
)

// lateness is how long before the call that takes the instance a pod may have appeared without anyone being able to know of
// it: the time of the last look. What appears while the call is on its way nobody can know either.
const lateness = 2 * time.Second

func newChecker() *checker {
	return &checker{
		nodes: map[string]*corev1.Node{}, pods: map[string]*corev1.Pod{}, leases: map[string]*coordinationv1.Lease{},
		served: map[string]bool{}, begun: map[string]time.Time{}, unclear: map[string]bool{}, returned: map[string]bool{}, shutDown: map[string]bool{}, targets: map[string]string{}, closed: map[string]time.Time{}, suspended: map[string]bool{},
	}
}

func (w *checker) violated(rule int, format string, args ...any) {
	w.violations = append(w.violations, fmt.Sprintf("rule %d, %s: ", rule, time.Now().UTC().Format("15:04:05.000"))+fmt.Sprintf(format, args...))
}

// begin takes the state of things before the scenario.
func (w *checker) begin(s awssim.State, o options, stale time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g := s.Groups[0]
	w.group = awssim.GroupView{Name: g.Name, Min: g.Min, Max: g.Max, Desired: g.Desired}
	for _, i := range s.Instances {
		w.group.Members = append(w.group.Members, awssim.MemberView{
			Instance: i.ID, State: i.State, LifecycleState: i.LifecycleState, NodeName: i.NodeName, Weight: i.Weight, Healthy: i.Healthy,
		})
	}
	if o.EvictOnTimeout {
		w.forced = o.MaxWait
	}
	w.stale = stale
	w.desired, w.min, w.max = []int{g.Desired}, g.Min, g.Max
	for _, process := range g.Suspended {
		w.suspended[process] = true
	}
}

// aws is told of every call and every transition.
func (w *checker) aws(c awssim.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.group
	if g, ok := c.Group(group); ok {
		w.group = g
		for _, m := range g.Members {
			if m.LifecycleState == "InService" {
				delete(w.closed, m.Instance) // the next recycle of it begins anew
			}
		}
	}
	switch {
	case c.Event != nil:
		w.event(before, *c.Event)
	case c.Call.Effect && !c.Call.ReadOnly && c.Call.Params["DryRun"] != "true" && isStep(c.Call.AccessKey):
		w.call(*c.Call)
	}
	w.recover()
}

func isStep(accessKey string) bool { return strings.HasPrefix(accessKey, stepKeyPrefix) }

// recover forgets the losses of a group that is whole again: what is missing from now on is missing anew.
func (w *checker) recover() {
	if w.lost > 0 && w.capacity("", false) >= w.group.Desired {
		w.lost = 0
	}
}

// serving is the capacity without one instance: members in service, and members on standby whose node is still open, each
// with a Ready node on a running instance.
func (w *checker) serving(without string) int { return w.capacity(without, true) }

func (w *checker) capacity(without string, standby bool) int {
	sum := 0
	for _, m := range w.group.Members {
		n := w.nodes[m.Instance]
		if m.Instance == without || n == nil || !isReady(n) || m.State != "running" {
			continue
		}
		switch m.LifecycleState {
		case "InService":
			sum += m.Weight
		case "EnteringStandby", "Standby":
			if standby && !isClosed(n) {
				sum += m.Weight
			}
		}
	}
	return sum
}

func (w *checker) event(before awssim.GroupView, e awssim.Event) {
	switch e.Kind {
	case awssim.KindDesired:
		w.desiredChanged(e)
	case awssim.KindMin, awssim.KindMax:
		w.limitChanged(e)
	case awssim.KindProcess:
		if !isStep(e.AccessKey) {
			w.suspended[e.Process] = e.To == "suspended"
			w.unclear[e.Process] = e.To == "suspended" && w.suspending()
			w.suspendedAt = time.Now()
		}
	case awssim.KindInstance:
		if m := memberOf(before, e.Instance); e.Cause == awssim.CauseOutside && e.From == "running" && m != nil && m.LifecycleState != "Detaching" {
			w.lost += m.Weight
		}
	case awssim.KindLifecycle:
		w.returned[e.Instance] = e.From == "Standby" && !isStep(e.AccessKey) || e.To == "InService" && w.returned[e.Instance]
		if e.To == "Terminating" {
			w.terminated(before, e)
		}
	}
}

// suspending reports that a recycle is about to suspend a process, or has: what another hand suspends then cannot be distinguished
// from that.
func (w *checker) suspending() bool {
	for name, lease := range w.leases {
		if lease.Annotations[ownDomain+"suspends"] != "" || strings.HasPrefix(name, leasePrefix+"asg-") {
			return true
		}
	}
	return false
}

func (w *checker) desiredChanged(e awssim.Event) {
	from, _ := strconv.Atoi(e.From)
	to, _ := strconv.Atoi(e.To)
	if isStep(e.AccessKey) {
		w.owed += to - from
		return
	}
	if w.broughtBack { // the recycle that it interferes with may take the instance, and with it what it added, out again
		w.desired, w.owed = append(w.desired, to), w.owed+to-from
		return
	}
	w.desired = []int{to}
	for added := 1; added <= w.owed; added++ { // the new value may or may not include what steps have added for a moment
		w.desired = append(w.desired, to-added)
	}
	if w.owed < 0 {
		w.desired = append(w.desired, to-w.owed)
	}
	w.lost += max(to-from, 0)
	w.excess += max(from-to, 0)
}

func (w *checker) limitChanged(e awssim.Event) {
	to, _ := strconv.Atoi(e.To)
	switch {
	case isStep(e.AccessKey):
		w.violated(4, "workflow %s set the group's %s size from %s to %s", e.AccessKey, e.Kind, e.From, e.To)
	case e.Kind == awssim.KindMin:
		w.min = to
	default:
		w.max = to
	}
}

// terminated checks a member that its group terminates: a scale-in must have its cause outside of the recycles.
func (w *checker) terminated(before awssim.GroupView, e awssim.Event) {
	m := memberOf(before, e.Instance)
	if m == nil {
		return
	}
	switch e.Cause {
	case awssim.CauseScaleIn:
		if w.excess < m.Weight {
			w.violated(3, "the group scaled in instance %s, and nobody but a recycle had made it superfluous", e.Instance)
			return
		}
		w.excess -= m.Weight
		w.lost += m.Weight // it may take one that serves, for one that does not yet
	case awssim.CauseRefresh:
		w.lost += m.Weight
	}
}

func memberOf(g awssim.GroupView, id string) *awssim.MemberView {
	i := slices.IndexFunc(g.Members, func(m awssim.MemberView) bool { return m.Instance == id })
	if i < 0 {
		return nil
	}
	return &g.Members[i]
}

// call is a call of a step that took effect.
func (w *checker) call(c awssim.Call) {
	target := w.targets[c.AccessKey]
	if target == anyTarget { // a sweep works on what it holds
		target = w.heldBy(c.AccessKey)
	}
	for key, value := range c.Params {
		named := strings.HasPrefix(key, "InstanceId") || strings.HasPrefix(key, "ResourceId")
		if named && value != target {
			w.violated(3, "workflow %s of instance %s called %s for %s", c.AccessKey, target, c.Action, value)
		}
	}
	// A claim is what keeps two recycles from acting on one instance.
	if !w.holds(c.AccessKey, target) {
		w.violated(6, "workflow %s called %s for instance %s without its claim: %s", c.AccessKey, c.Action, target, w.claim(target))
	}
	switch c.Action {
	case "DetachInstances":
		w.mustBeWhole(target, "detached")
	case "StopInstances", "TerminateInstances", "TerminateInstanceInAutoScalingGroup":
		if m := memberOf(w.group, target); m != nil && m.LifecycleState != "Standby" && c.Action != "TerminateInstanceInAutoScalingGroup" {
			w.violated(1, "workflow %s called %s for instance %s, which is %s", c.AccessKey, c.Action, target, m.LifecycleState)
		}
		w.mustBeWhole(target, "shut down")
		w.mustBeEmpty(c.AccessKey, target, c.Action)
		w.shutDown[target] = true
	case "SuspendProcesses":
		for process, theirs := range w.suspended { // a read that lagged did not show it, and AWS does not say who was first
			w.unclear[process] = w.unclear[process] || theirs && w.stale > 0 && time.Since(w.suspendedAt) <= w.stale+lateness
		}
	case "ExitStandby", "EnterStandby", "SetDesiredCapacity", "CreateTags", "DeleteTags", "ResumeProcesses":
	default:
		w.violated(3, "workflow %s called %s", c.AccessKey, c.Action)
	}
}

// mustBeWhole: without the instance, the group has its desired capacity, Ready, but for what others took away.
func (w *checker) mustBeWhole(id, what string) {
	if m := memberOf(w.group, id); m != nil && m.State != "running" {
		return // it was lost before
	}
	if serving := w.serving(id); serving < w.group.Desired-w.owed-w.lost-w.unready(id) {
		w.violated(1, "instance %s is %s while %d of %d are serving without it (%d lost to others)", id, what, serving, w.group.Desired-w.owed, w.lost)
	}
}

// unready is the capacity of members in service, or on standby and not closed yet, whose node was Ready and is not at this moment, or was deleted: it is the
// group's, a recycle neither takes it away nor waits for it.
func (w *checker) unready(without string) int {
	sum := 0
	for _, m := range w.group.Members {
		n := w.nodes[m.Instance]
		counted := m.LifecycleState == "InService" || strings.HasSuffix(m.LifecycleState, "Standby") && w.closed[m.Instance].IsZero()
		if m.Instance != without && counted && m.State == "running" && w.served[m.Instance] && (n == nil || !isReady(n)) {
			sum += m.Weight
		}
	}
	return sum
}

// mustBeEmpty: no pod that runs to completion is on the instance's node.
func (w *checker) mustBeEmpty(uid, id, what string) {
	n := w.nodes[id]
	if n == nil {
		return
	}
	if since := w.closed[id]; w.forced > 0 && !since.IsZero() && time.Since(since) >= w.forced-lateness { // the beginning is kept to the second
		return
	}
	for _, p := range w.pods {
		if p.Spec.NodeName == n.Name && matters(p) && !isLost(p, n) && w.begun[uid+what].Sub(p.CreationTimestamp.Time) > lateness {
			w.violated(2, "%s of instance %s while pod %s runs on it since %s", what, id, p.Name, p.CreationTimestamp.UTC().Format("15:04:05"))
		}
	}
}

func matters(p *corev1.Pod) bool {
	daemon := slices.ContainsFunc(p.OwnerReferences, func(o metav1.OwnerReference) bool { return o.Kind == "DaemonSet" })
	return !daemon && p.Spec.RestartPolicy != corev1.RestartPolicyAlways && p.Status.Phase == corev1.PodRunning
}

// isLost: it should have ended a minute ago, and the kubelet that ends it does not report.
func isLost(p *corev1.Pod, n *corev1.Node) bool {
	return p.DeletionTimestamp != nil && time.Since(p.DeletionTimestamp.Time) > time.Minute && !isReady(n)
}

func (w *checker) holds(uid, target string) bool {
	lease := w.leases[leasePrefix+target]
	return lease != nil && lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity == uid && time.Now().Before(expiryOf(lease))
}

// anyTarget is that of a sweep.
const anyTarget = "any"

// heldBy is the instance that somebody holds the claim on.
func (w *checker) heldBy(uid string) string {
	for name := range w.leases {
		if id, of := strings.CutPrefix(name, leasePrefix); of && w.holds(uid, id) {
			return id
		}
	}
	return ""
}

func (w *checker) claim(target string) string {
	lease := w.leases[leasePrefix+target]
	if lease == nil || lease.Spec.HolderIdentity == nil {
		return "nobody holds it"
	}
	return fmt.Sprintf("%s holds it until %s", *lease.Spec.HolderIdentity, expiryOf(lease).UTC().Format("15:04:05.000"))
}

func expiryOf(lease *coordinationv1.Lease) time.Time {
	return lease.Spec.RenewTime.Add(time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second)
}

// kube is told of every change in the cluster.
func (w *checker) kube(resource string, before, after object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch resource {
	case "pods":
		track(w.pods, before, after)
	case "leases":
		track(w.leases, before, after)
	case "nodes":
		was, _ := before.(*corev1.Node)
		is, _ := after.(*corev1.Node)
		if isForged(was) || isForged(is) {
			return
		}
		w.node(was, is)
		w.recover()
	}
}

// forgedPrefix begins the names of Nodes that only say that they are some instance.
const forgedPrefix = "forged-"

func isForged(n *corev1.Node) bool { return n != nil && strings.HasPrefix(n.Name, forgedPrefix) }

func track[T object](all map[string]T, before, after object) {
	if after == nil {
		delete(all, before.GetName())
		return
	}
	all[after.GetName()] = after.(T) //nolint:forcetypeassert // each resource holds one type
}

func (w *checker) node(was, is *corev1.Node) {
	id := instanceOf(was, is)
	if is == nil {
		delete(w.nodes, id)
		return
	}
	w.nodes[id] = is
	if isReady(is) {
		w.served[id] = true
	}
	if isClosed(is) && (was == nil || !isClosed(was)) {
		if w.closed[id].IsZero() { // opened by others and closed again: the wait for its pods goes on
			w.closed[id] = time.Now()
		}
		if m := memberOf(w.group, id); m != nil && w.returned[id] && m.LifecycleState != "Standby" {
			return // somebody else has just brought it back, and the recycle has yet to see it
		}
		w.mustBeWhole(id, "closed")
		w.mustBeReplaced(id)
	}
}

// mustBeReplaced: a particular newer member has taken the target's place, and its node is Ready; or the group is whole
// without either.
func (w *checker) mustBeReplaced(id string) {
	if w.serving(id) >= w.group.Desired-w.lost-w.unready(id) {
		return // it had one once
	}
	for _, m := range w.group.Members {
		if n := w.nodes[m.Instance]; n != nil && n.Labels[replacesLabel] == id && isReady(n) && m.LifecycleState == "InService" {
			return
		}
	}
	w.violated(1, "instance %s is closed and no member has taken its place", id)
}

func instanceOf(nodes ...*corev1.Node) string {
	for _, n := range nodes {
		if n != nil {
			return n.Spec.ProviderID[strings.LastIndex(n.Spec.ProviderID, "/")+1:]
		}
	}
	return ""
}

func isReady(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

func isClosed(n *corev1.Node) bool {
	return n.Spec.Unschedulable && slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool {
		return t.Key == leavingTaint && t.Effect == corev1.TaintEffectNoSchedule
	})
}
