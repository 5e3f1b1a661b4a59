package cli_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/cli"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// simulation is the account and the cluster in which one schedule plays.
type simulation struct {
	schedule
	base      cli.Options // of all steps
	sim       *awssim.Sim
	api       *apiServer
	checker   *checker
	someone   *awsWire     // another hand's client
	ids       []string     // of the first members
	firstNode *corev1.Node // as it was before
	start     time.Time
	quiet     atomic.Bool // the mishaps are over
	runs      []*run
	beside    []*run // that others ran

	mu        sync.Mutex
	workflows map[string]bool // that run, or have ended
	stats     stats
	trace     []entry
	began     time.Time
}

// stats count what schedules have been through.
type stats struct {
	Schedules, Calls, Faults, Crashes, Acts     int
	Recycled, BroughtBack, LeftStanding, Others int
	Pending, Refused, Pressed                   int
	Mix                                         map[string]int // of acts, and of what steps found and how they ended
}

// saw counts something of the mix.
func (s *stats) saw(what string) {
	if s.Mix == nil {
		s.Mix = map[string]int{}
	}
	s.Mix[what]++
}

func (s *stats) add(o stats) {
	s.Schedules += o.Schedules
	s.Calls += o.Calls
	s.Faults += o.Faults
	s.Crashes += o.Crashes
	s.Acts += o.Acts
	s.Recycled += o.Recycled
	s.BroughtBack += o.BroughtBack
	s.LeftStanding += o.LeftStanding
	s.Others += o.Others
	s.Pending += o.Pending
	s.Refused += o.Refused
	s.Pressed += o.Pressed
	for what, n := range o.Mix {
		if s.Mix == nil {
			s.Mix = map[string]int{}
		}
		s.Mix[what] += n
	}
}

// entry is a line of the scenario, formatted only if someone wants to read it.
type entry struct {
	at        time.Time
	who, what string
	event     *awssim.Event // in place of what
	err       error
}

func (g *simulation) note(who, what string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trace = append(g.trace, entry{at: time.Now(), who: who, what: what, err: err})
}

func (g *simulation) count(n *int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	*n++
}

func (g *simulation) scenario() string {
	var out strings.Builder
	for _, e := range g.trace {
		if v := e.event; v != nil {
			e.what = strings.Join([]string{v.Kind, v.Instance, v.Node, v.Process, v.From, "→", v.To, v.Cause, v.AccessKey}, " ")
		}
		fmt.Fprintf(&out, "%9.3fs %-8s %s", e.at.Sub(g.began).Seconds(), e.who, e.what)
		if e.err != nil {
			fmt.Fprintf(&out, ": %v", e.err)
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// verdict is what became of a schedule.
type verdict struct {
	violations []string
	scenario   func() string
	stats      stats
}

// play plays a schedule in a bubble of virtual time.
func play(t *testing.T, base cli.Options, s schedule) (v verdict) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		g := newSimulation(ctx, base, s)
		defer func() {
			if p := recover(); p != nil {
				v = verdict{violations: []string{fmt.Sprintf("panic: %v", p)}, scenario: g.scenario}
			}
			close(g.api.over)
			cancel()
			g.sim.Close()
		}()
		g.run(ctx)
		g.stats.Schedules = 1
		v = verdict{g.checker.violations, g.scenario, g.stats}
	})
	return v
}

// newSimulation makes a group whose members serve already; only then things take the time that the schedule gives them.
func newSimulation(ctx context.Context, base cli.Options, s schedule) *simulation {
	g := &simulation{schedule: s, base: base, api: newAPIServer(), checker: newChecker(), workflows: map[string]bool{}, began: time.Now()}
	g.api.observe = g.checker.kube
	config := awssim.Config{
		Region: "eu-central-1", NoCallLog: true, Kubernetes: &kubeClient{server: g.api, door: open{}}, MarkNodesReady: true, Seed: s.Seed,
	}
	g.sim = awssim.New(config)
	g.sim.Start(ctx)
	g.someone = &awsWire{transport: awssim.Transport(g.sim), region: config.Region, key: "someone", door: open{}}
	g.createGroup(ctx)
	pause(ctx, 2*time.Second)
	g.must(g.sim.Configure(s.Cloud.apply))
	g.sim.Observe(g.watch)
	for _, i := range g.sim.State().Instances {
		g.ids = append(g.ids, i.ID)
	}
	g.prepareNode()
	return g
}

func (g *simulation) must(err error) {
	if err != nil {
		panic(err)
	}
}

func (g *simulation) createGroup(ctx context.Context) {
	units := max(g.Group.Weight, 1)
	form := url.Values{
		"AutoScalingGroupName": {group}, "MinSize": {fmt.Sprint((g.Group.Size - g.Group.Slack) * units)}, "MaxSize": {fmt.Sprint((g.Group.Size + g.Group.Room) * units)},
		"DesiredCapacity": {fmt.Sprint(g.Group.Size * units)},
	}
	tag := map[string]string{"Key": "kubernetes.io/cluster/" + homeCluster, "Value": "owned", "PropagateAtLaunch": "true", "ResourceType": "auto-scaling-group", "ResourceId": group}
	for field, value := range tag {
		form.Set("Tags.member.1."+field, value)
	}
	for i := range g.Group.Zones {
		form.Set(fmt.Sprintf("AvailabilityZones.member.%d", i+1), "eu-central-1"+string(rune('a'+i)))
	}
	if g.Group.Weight == 0 {
		form.Set("LaunchTemplate.LaunchTemplateName", "workers")
		form.Set("LaunchTemplate.Version", "1")
	} else {
		policy := "MixedInstancesPolicy.LaunchTemplate."
		form.Set(policy+"LaunchTemplateSpecification.LaunchTemplateName", "workers")
		form.Set(policy+"LaunchTemplateSpecification.Version", "1")
		form.Set(policy+"Overrides.member.1.InstanceType", "m5.large")
		form.Set(policy+"Overrides.member.1.WeightedCapacity", fmt.Sprint(g.Group.Weight))
	}
	_, err := g.someone.call(ctx, "autoscaling", "CreateAutoScalingGroup", form)
	g.must(err)
	if g.Before.RebalanceSuspended {
		g.must(g.someone.processes(ctx, "SuspendProcesses", ptr(group), []string{"AZRebalance"}))
	}
}

func ptr[T any](v T) *T { return &v }

func (c cloud) apply(into *awssim.Config) {
	usual := awssim.DefaultConfig()
	into.Boot, into.NodeJoin, into.NodeReady = c.Boot, c.Joins, usual.NodeReady
	into.EnteringStandby, into.ExitingStandby, into.Detaching = c.EnteringStandby, usual.ExitingStandby, c.Detaching
	into.Stopping, into.Starting, into.Terminating = usual.Stopping, usual.Starting, usual.Terminating
	into.Reconcile, into.HealthCheck, into.LaunchRetry = usual.Reconcile, usual.HealthCheck, usual.LaunchRetry
	into.NodeNeverReady, into.NodeNeverJoins = c.NodeNeverReady, c.NodeNeverJoins
	into.StaleReads = c.StaleReads
	if c.NodeLeaves != "" {
		into.NodeLeaves, into.NodeLeavesAfter, into.NodeReturnsAfter = c.NodeLeaves, c.NodeLeavesAfter, c.NodeLeavesAfter
	}
	if c.DetachRefused {
		into.DetachFromStandby = awssim.DetachRefuse
	}
	if c.AtMaxAllowed {
		into.ExitStandbyAtMax = awssim.AtMaxAllow
	}
	if c.LaunchFailures != 0 {
		into.LaunchFailure, into.LaunchFailures = "InsufficientInstanceCapacity", max(c.LaunchFailures, 0)
	}
}

// watch passes on what happens in AWS, and writes down what of it is news to a reader.
func (g *simulation) watch(c awssim.Change) {
	g.checker.aws(c)
	if c.Event != nil {
		event := *c.Event
		g.mu.Lock()
		defer g.mu.Unlock()
		g.trace = append(g.trace, entry{at: time.Now(), who: "aws", event: &event})
	}
}

// prepareNode leaves on the first member's node what people had put there.
func (g *simulation) prepareNode() {
	g.editNode(g.ids[0], func(n *corev1.Node) {
		n.Spec.Unschedulable = g.Before.Cordoned
		if g.Before.ScaleDownDisabled {
			n.Annotations[scaleDownKey] = "false"
		}
		if g.Before.Excluded {
			n.Labels[excludeKey] = "theirs"
		}
	})
	g.firstNode = g.nodeOf(g.ids[0])
}

func (g *simulation) nodeOf(id string) *corev1.Node {
	found, _ := g.api.list("nodes", "", func(o object) bool {
		n := o.(*corev1.Node)
		return strings.HasSuffix(n.Spec.ProviderID, "/"+id) && !isForged(n)
	})
	if len(found) == 0 {
		return nil
	}
	return found[0].(*corev1.Node)
}

func (g *simulation) editNode(id string, edit func(*corev1.Node)) {
	n := g.nodeOf(id)
	if n == nil {
		return
	}
	_, _ = g.api.change("nodes", "", n.Name, func(o object) error { edit(o.(*corev1.Node)); return nil })
}

func (g *simulation) away(now time.Time) bool {
	return !g.quiet.Load() && slices.ContainsFunc(g.Away, func(w window) bool {
		since := now.Sub(g.start)
		return since >= w.From && since < w.From+w.For
	})
}

// run plays the schedule, lets the dust settle and looks at what is left.
func (g *simulation) run(ctx context.Context) {
	g.start = time.Now()
	g.checker.begin(g.sim.State(), g.Options, g.Cloud.StaleReads)
	for i, l := range g.Runs {
		g.runs = append(g.runs, g.newRun(i, l))
	}
	var all sync.WaitGroup
	for i, p := range g.Pods {
		g.plan(p.After, func() { g.addPod(fmt.Sprintf("%s-%d", p.Kind, i), p) })
	}
	for _, a := range g.Acts {
		all.Go(func() { pause(ctx, a.After); g.act(ctx, a.Kind) })
	}
	for i, r := range g.Refused {
		all.Go(func() { pause(ctx, r.After); g.refusedWorkflow(ctx, i, r) })
	}
	for _, w := range g.Away {
		g.plan(w.From, func() { g.api.dropWatches(false) })
	}
	for _, l := range g.runs {
		all.Go(func() { pause(ctx, l.After); l.succeeded = l.submit(ctx) })
	}
	all.Wait()
	g.finish(ctx)
	g.atTheEnd()
}

// plan does something later in the scenario, if it is not over by then.
func (g *simulation) plan(after time.Duration, do func()) { g.api.later(after, do) }

// addPod puts a pod on the first member's node, if there is one: pods that tolerate everything come at any time.
func (g *simulation) addPod(name string, plan podPlan) {
	n := g.nodeOf(g.ids[0])
	if n == nil {
		return
	}
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       corev1.PodSpec{NodeName: n.Name, RestartPolicy: corev1.RestartPolicyAlways},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
	finish := func() {
		if !g.api.runsOn("default", name) {
			return
		}
		_, _ = g.api.change("pods", "default", name, func(o object) error { o.(*corev1.Pod).Status.Phase = corev1.PodSucceeded; return nil })
	}
	switch plan.Kind {
	case batchPod:
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		g.plan(plan.Length, finish)
	case stuckPod:
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		p.DeletionTimestamp = ptr(metav1.Now())
		g.plan(plan.Length, func() { g.api.ends("default", name) })
	case daemonPod:
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "agent", Controller: ptr(true)}}
	case blockedPod:
		g.api.block(name, true)
		g.plan(plan.Length, func() { g.api.block(name, false) })
	}
	if g.api.isDead(n.Name) { // the control plane tells it to end after five minutes
		p.DeletionTimestamp = ptr(metav1.NewTime(time.Now().Add(5*time.Minute + 30*time.Second)))
	}
	g.note("pod", "starts "+name, nil)
	_, err := g.api.create("pods", p)
	g.must(err)
}

func (g *simulation) newRun(i int, l runPlan) *run {
	name := fmt.Sprintf("wf-%d", i)
	m := &mishaps{simulation: g, name: name, rate: g.Rate}
	run := &run{runPlan: l, mishaps: m, target: g.ids[l.Member%len(g.ids)]}
	if i == 0 {
		m.faults, m.crashes, run.pending, run.suspended = g.Faults, g.Crashes, g.Pending, g.Suspended
	}
	run.options = g.Options.of(g.base, run.target)
	return run
}
