package cli_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/cli"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// run is one recycle as Argo runs it: a workflow, and after a stop or a termination another one.
type run struct {
	runPlan
	*mishaps
	target    string
	options   cli.Options
	workflows int
	succeeded bool     // it needs nobody in the end
	warnings  []string // that steps gave people
	last      string   // what the last settle or restore said
	processes int
	pending   []pending
	suspended []suspension
	failed    int        // the step that ended the last workflow
	elsewhere *apiServer // of another cluster, if the steps run there
}

// recycleSteps are those of the workflow, in order; settle is its exit handler.
var recycleSteps = []string{"standby", "taint", "drain", "evict", "retire"}

const (
	stepAttempts  = 60
	retryPause    = 10 * time.Second // Argo's back-off and the start of a pod
	resubmitPause = time.Minute
)

// submit runs workflows until one of them ends without having been stopped or terminated.
func (l *run) submit(ctx context.Context) (succeeded bool) {
	for {
		l.workflows++
		uid := fmt.Sprintf("%s.%d", l.name, l.workflows)
		succeeded, stopped := l.workflow(ctx, uid, 0)
		if !succeeded && !stopped && l.Button != "" && !l.quiet.Load() {
			pause(ctx, resubmitPause)
			succeeded, stopped = l.press(ctx, uid)
		}
		if !stopped {
			return succeeded
		}
		pause(ctx, resubmitPause)
	}
}

// press is what somebody does in the UI after a failure.
func (l *run) press(ctx context.Context, uid string) (succeeded, stopped bool) {
	l.count(&l.stats.Pressed)
	l.locked(func() { l.simulation.stats.saw(l.Button) })
	l.note("someone", l.Button, nil)
	switch l.Button {
	case pressRetry: // steps that succeeded keep their result
		return l.workflow(ctx, uid, l.failed)
	case pressResubmit:
		l.workflows++
		return l.workflow(ctx, fmt.Sprintf("%s.%d", l.name, l.workflows), 0)
	default:
		return l.workflow(ctx, uid, 0)
	}
}

// workflow runs the steps from the one of that number on, and settle.
func (l *run) workflow(ctx context.Context, uid string, from int) (succeeded, stopped bool) {
	l.checker.knows(uid, l.target)
	l.workflowRuns(uid, true)
	defer l.workflowRuns(uid, false)
	status := "Succeeded"
	for i := from; i < len(recycleSteps); i++ {
		l.failed = i
		for _, s := range l.suspended {
			if s.Before == i && !l.quiet.Load() {
				l.locked(func() { l.simulation.stats.saw(pressSuspend) })
				pause(ctx, s.For)
			}
		}
		code, end := l.step(ctx, uid, recycleSteps[i], "")
		if end == thenTerminate {
			return false, true
		}
		if code != 0 {
			status, stopped = "Failed", end == thenStop
			break
		}
	}
	_, end := l.step(ctx, uid, "settle", status)
	return status == "Succeeded", stopped || end != ""
}

// step runs a step until it is done or fails, as the workflow's retries do. end says what ended the workflow, or "".
func (l *run) step(ctx context.Context, uid, name, status string) (code int, end string) {
	for range stepAttempts {
		code, crashed := l.once(ctx, uid, name, status)
		switch {
		case crashed != nil && crashed.Then != thenRetry:
			return code, crashed.Then
		case crashed == nil && code != 75:
			return code, ""
		}
		pause(ctx, retryPause)
	}
	return 75, ""
}

// once runs a step's process.
func (l *run) once(ctx context.Context, uid, name, status string) (code int, crashed *crash) {
	l.processes++
	for _, p := range l.pending {
		if p.At == l.processes && !l.quiet.Load() {
			l.count(&l.stats.Pending)
			pause(ctx, p.For)
		}
	}
	ctx, kill := context.WithCancel(ctx)
	defer kill()
	p := &process{mishaps: l.mishaps, uid: uid, kill: kill}
	aws := &awsWire{transport: awssim.Transport(l.sim), region: "eu-central-1", key: uid, door: p}
	kube := &kubeClient{server: cmp.Or(l.elsewhere, l.api), door: p}
	var out, log bytes.Buffer
	l.note(l.name, "step "+name+" of "+uid, nil)
	o := l.options
	o.WorkflowUID, o.Workflow, o.Recycle.WorkflowStatus = uid, workflowName(uid), status
	code = cli.RunStep(ctx, name, o, cli.Streams{Out: &out, Err: &log, Version: "test", Jitter: l.jitter, Connect: func(context.Context, cli.Options) (*cli.Clients, error) {
		return &cli.Clients{AWS: aws.client(), Kube: typed(kube), Workflows: argo.Workflows{Metadata: argoFake{simulation: l.simulation}}, Region: aws.region}, nil
	}})
	l.heard(log.String())
	if p.gone() {
		return 137, p.end
	}
	var result cli.Result
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		l.checker.say(0, "stdout of step %s is not one JSON object: %q", name, out.String())
	}
	l.note(l.name, fmt.Sprintf("step %s of %s: exit %d: %s %v", name, uid, code, result.Message, result.Warnings), nil)
	l.last = result.Message + " " + result.Hint
	l.locked(func() { l.simulation.stats.saw(fmt.Sprintf("%s exits %d", name, code)) })
	return code, p.end
}

func (g *simulation) locked(do func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	do()
}

// refusedWorkflow is one for the first member beside the first run: one attempt, and its exit handler.
func (g *simulation) refusedWorkflow(ctx context.Context, i int, r refusal) {
	m := &mishaps{simulation: g, name: fmt.Sprintf("wf-refused-%d", i)}
	l := &run{mishaps: m, target: g.ids[0]}
	l.options = g.Options.of(g.base, l.target)
	if r.Terminate {
		l.options.Recycle.Action = asg.Terminate
	}
	uid := l.name + ".1"
	g.count(&g.stats.Refused)
	g.checker.knows(uid, l.target)
	g.workflowRuns(uid, true)
	defer g.workflowRuns(uid, false)
	l.once(ctx, uid, "standby", "")
	l.step(ctx, uid, "settle", "Failed")
	g.locked(func() { g.beside = append(g.beside, l) })
}

// byHand runs a step beside all workflows: a sweep, or what somebody does.
func (g *simulation) byHand(ctx context.Context, name, step string) {
	m := &mishaps{simulation: g, name: name}
	l := &run{mishaps: m, target: g.ids[0]}
	l.options = g.Options.of(g.base, l.target)
	if step == "sweep" {
		l.options.Recycle.InstanceID = ""
	}
	uid := fmt.Sprintf("%s.%d.%s", name, time.Now().UnixNano(), step)
	g.checker.knows(uid, map[bool]string{true: anyTarget, false: l.target}[step == "sweep"])
	g.workflowRuns(uid, true)
	defer g.workflowRuns(uid, false)
	l.step(ctx, uid, step, "")
	g.locked(func() { g.beside = append(g.beside, l) })
}

// fromAnotherCluster runs steps in a cluster behind the same role, whose admin has made what this cluster has: a Node of the
// target, and a record that says that it is retired.
func (g *simulation) fromAnotherCluster(ctx context.Context) {
	elsewhere := newAPIServer()
	defer close(elsewhere.over)
	if n := g.nodeOf(g.ids[0]); n != nil {
		n = n.DeepCopy()
		n.UID, n.ResourceVersion, n.Spec.Unschedulable = "", "", true
		n.Spec.Taints = []corev1.Taint{{Key: leavingTaint, Effect: corev1.TaintEffectNoSchedule}}
		_, err := elsewhere.create("nodes", n)
		g.must(err)
	}
	forgeRecord(elsewhere, g.ids[0])
	for _, step := range []string{"settle", "retire", "sweep", "restore", "standby"} {
		l := &run{mishaps: &mishaps{simulation: g, name: "wf-elsewhere"}, elsewhere: elsewhere}
		l.options = g.Options.of(g.base, g.ids[0])
		l.options.Recycle.Cluster, l.options.Recycle.Action = "other", asg.Terminate
		if step == "sweep" {
			l.options.Recycle.InstanceID = ""
		}
		uid := fmt.Sprintf("%s.%d.%s", l.name, time.Now().UnixNano(), step)
		g.checker.knows(uid, "") // whatever it changes is a violation
		l.once(ctx, uid, step, "Failed")
	}
}

// heard takes in a pod's log. It is there also when the pod was killed before it could give its result.
func (l *run) heard(log string) {
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level=WARN") {
			l.warnings = append(l.warnings, line)
		}
	}
}

// baseOptions are those of every step of every schedule. Parsing them takes as long as a step.
func baseOptions(t *testing.T) cli.Options {
	t.Helper()
	o, err := cli.ParseOptions([]string{
		"step", "standby", "--instance-id", "i-00000000000000000", "--log-level", "warn", "--log-format", "text",
		"--poll-window", "5m", "--poll-interval", "1m", "--replacement-timeout", "10m", "--claim-duration", "2m",
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// homeCluster is the cluster whose tag the group and its members carry.
const homeCluster = "home"

// of adds what a schedule asks for, for one instance.
func (o options) of(base cli.Options, target string) cli.Options {
	r := &base.Recycle
	r.Cluster = homeCluster
	r.InstanceID, r.MaxWait, r.EvictOnTimeout, r.KeepPods = target, o.MaxWait, o.EvictOnTimeout, o.NoEvict
	if o.Terminate {
		r.Action = asg.Terminate
	}
	return base
}

// finish is what people do in the end: nothing goes wrong any more, they submit what is not done again, follow the hints,
// and bring back what cannot be recycled.
func (g *simulation) finish(ctx context.Context) {
	g.quiet.Store(true)
	g.must(g.sim.Configure(func(c *awssim.Config) {
		c.LaunchFailure, c.NodeNeverJoins, c.NodeNeverReady, c.StaleReads, c.NodeLeavesAfter = "", false, false, 0, 0
	}))
	g.note("", "the mishaps are over", nil)
	g.repair(ctx)
	for _, l := range g.runs {
		l.conclude(ctx)
	}
	pause(ctx, 10*time.Minute)
	g.byHand(ctx, "wf-sweep", "sweep")
	pause(ctx, 10*time.Minute)
}

// repair replaces members that never became Ready, and starts kubelets anew whose Node was deleted.
func (g *simulation) repair(ctx context.Context) {
	pause(ctx, 10*time.Minute)
	for _, i := range g.sim.State().Instances {
		n := g.nodeOf(i.ID)
		switch {
		case i.Group == "" || i.State != "running" || n != nil && isReady(n):
		case n == nil && i.ID == g.ids[0]:
			g.register(g.firstNode)
		default:
			g.outside(i.ID, "terminate")
		}
	}
	pause(ctx, 10*time.Minute)
}

func (l *run) conclude(ctx context.Context) {
	if l.succeeded {
		l.count(&l.stats.Recycled)
		return
	}
	for range 4 {
		if l.submit(ctx) {
			l.count(&l.stats.Recycled)
			return
		}
		if !l.follow(ctx, l.last) {
			break
		}
	}
	for range 3 {
		code, _ := l.step(ctx, l.uid("restore"), "restore", "")
		if code == 0 {
			l.count(&l.stats.BroughtBack)
			return
		}
		l.follow(ctx, l.last)
	}
	l.count(&l.stats.Others)
	if !l.over() {
		l.checker.say(5, "instance %s can neither be recycled nor brought back: %s", l.target, l.last)
	}
}

func (l *run) uid(why string) string {
	uid := l.name + "." + why
	l.checker.knows(uid, l.target)
	return uid
}

// over reports that there is no instance any more that anything could be done for.
func (l *run) over() bool {
	for _, i := range l.sim.State().Instances {
		if i.ID == l.target {
			return i.Group == "" || i.State == "terminated"
		}
	}
	return true
}

// follow does what a refusal's hint says, and reports whether there is a point in trying again.
func (l *run) follow(ctx context.Context, said string) bool {
	switch {
	case strings.Contains(said, "cancel-instance-refresh"):
		l.ask(ctx, "CancelInstanceRefresh", named(ptr(group)))
	case strings.Contains(said, "maximum size"):
		l.resize(ctx, "MaxSize", l.groupState().Max+max(l.Group.Weight, 1))
	case strings.Contains(said, "start-instances"):
		l.outside(l.target, "start")
		pause(ctx, 5*time.Minute)
		if n := l.nodeOf(l.target); n == nil && l.target == l.ids[0] {
			l.register(l.firstNode)
		}
	case strings.Contains(said, "still run after"):
	default:
		return false
	}
	pause(ctx, 5*time.Minute)
	return true
}
