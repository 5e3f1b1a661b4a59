package cli_test

import (
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// schedule is one random scenario: a group, what runs on the node, how the recycle is asked for, and what goes wrong. It is
// drawn before its virtual time begins, so that it can be printed, shrunk and replayed. The zero value of each field is
// the harmless case.
type schedule struct {
	Seed      uint64 // of latencies and of random faults
	Group     groupShape
	Cloud     cloud
	Before    before
	Pods      []podPlan
	Options   options
	Runs      []runPlan // the first one recycles the first member from the start
	Faults    []fault
	Rate      int // per mille of calls that fail or are slow
	Away      []window
	Crashes   []crash
	Acts      []act
	Pending   []pending    // of the first run's pods
	Refused   []refusal    // workflows for the first member beside the first run
	Button    string       // that is pressed when the first workflow of a run fails
	Suspended []suspension // of the first run's workflows
}

// pending is a pod that does not start for a while: the first run's process number At.
type pending struct {
	At  int
	For time.Duration
}

// suspension is a workflow that somebody suspends before its step of that number, and resumes.
type suspension struct {
	Before int
	For    time.Duration
}

// refusal is a workflow for a node that another one recycles: it tries once, fails, and its exit handler runs.
type refusal struct {
	After     time.Duration
	Terminate bool
}

// groupShape is the group at the start. Its maximum is its desired capacity plus Room, its minimum that minus Slack.
type groupShape struct {
	Size, Room, Slack, Zones int
	Weight                   int // 0: instances are not weighted
}

// cloud is how AWS behaves in this scenario.
type cloud struct {
	DetachRefused, AtMaxAllowed             bool
	EnteringStandby, Detaching, Boot, Joins time.Duration
	LaunchFailures                          int  // -1: all until the end of the scenario
	NodeNeverReady, NodeNeverJoins          bool // until the end of the scenario
	StaleReads                              time.Duration
	NodeLeaves                              string        // awssim's word for how, or ""
	NodeLeavesAfter                         time.Duration // it has been Ready; it returns after as long again
}

// before is what people had done to the node and to the group before anything began.
type before struct {
	Cordoned, ScaleDownDisabled, Excluded, RebalanceSuspended bool
}

// podPlan is a pod on the first member's node. After counts from the start.
type podPlan struct {
	Kind   string
	After  time.Duration
	Length time.Duration
}

// Kinds of podPlan.
const (
	batchPod   = "batch"   // runs to completion
	servicePod = "service" // runs until evicted
	daemonPod  = "daemon"  // of a DaemonSet
	blockedPod = "blocked" // a service pod whose budget allows no eviction before Length has passed
	stuckPod   = "stuck"   // a batch pod that is terminating for that long
)

type options struct {
	Terminate, NoEvict, EvictOnTimeout bool
	MaxWait                            time.Duration
}

// runPlan is one recycle: which member, and when it is submitted.
type runPlan struct {
	Member int
	After  time.Duration
}

// fault hits calls of the first run: those from number At on, Run of them.
type fault struct {
	At, Run int
	Kind    string
}

// Kinds of fault. Those that do not fit a call leave it alone.
const (
	awsThrottled  = "aws throttled"
	awsBroken     = "aws 500 before"
	awsBrokenLate = "aws 500 after"
	awsDropped    = "aws dropped before"
	awsLost       = "aws dropped after"
	awsBusy       = "aws busy"
	slow          = "slow"
	kubeThrottled = "kube 429"
	kubeBroken    = "kube 500 before"
	kubeLost      = "kube 500 after"
	kubeConflict  = "kube conflict"
	kubeExpired   = "kube 401"
	kubeCut       = "kube watches dropped"
	kubeGone      = "kube 410"
	awsNotFound   = "aws not found"
	kubeForbidden = "kube 403"
)

// window is a time in which the API server is away.
type window struct{ From, For time.Duration }

// crash ends a process of the first run at its call number At, counted from the last crash.
type crash struct {
	At    int
	After bool   // the call takes effect
	Then  string // what becomes of the workflow
}

// What follows a crash.
const (
	thenRetry     = "retry"     // Argo runs the step again
	thenStop      = "stop"      // argo stop: SIGTERM, then settle
	thenTerminate = "terminate" // argo terminate: no settle
)

// act is what somebody else does in mid-run.
type act struct {
	After time.Duration
	Kind  string
}

// Kinds of act.
const (
	raiseDesired     = "desired + 1"
	lowerDesired     = "desired - 1"
	raiseMax         = "max + 1"
	lowerMin         = "min - 1"
	raiseMin         = "min + 1"
	terminateOther   = "terminate another instance"
	stopOther        = "stop another instance"
	terminateTarget  = "terminate the target"
	stopTarget       = "stop the target"
	rebalance        = "AZRebalance"
	startRefresh     = "instance refresh, waiting for Standby"
	refreshTerminate = "instance refresh, terminating Standby"
	suspendRebalance = "suspend AZRebalance"
	suspendLaunch    = "suspend Launch for a while"
	uncordon         = "uncordon the target's node"
	deleteNode       = "delete the target's node"
	recreateNode     = "delete and recreate the target's node"
	exitStandby      = "bring the target back"
	unreadyOther     = "another node is not Ready for a while"
	sweeps           = "a sweep"
	restores         = "somebody restores the target"
	forgesMarks      = "forged marks on another node"
	forgesRecord     = "a forged record of another instance"
	forgesNode       = "a forged node of another instance"
	deletesForGood   = "delete the target's node, whose kubelet is dead"
	registersLate    = "delete the target's node, which registers ten minutes later"
	protects         = "protect the target for ten minutes"
	kubeletDies      = "the kubelet of the target's node dies"
	otherCluster     = "steps of another cluster behind the same role"
)

// Buttons that somebody presses for a workflow.
const (
	pressRetry    = "argo retry"
	pressRestart  = "argo retry --restart-successful"
	pressResubmit = "argo resubmit"
	pressSuspend  = "argo suspend, and resume"
)

var (
	buttons = []string{pressRetry, pressRestart, pressResubmit}
	minutes = []time.Duration{0, time.Minute, 2 * time.Minute, 3 * time.Minute, 5 * time.Minute, 8 * time.Minute, 13 * time.Minute, 21 * time.Minute}
	acts    = []string{
		raiseDesired, lowerDesired, raiseMax, lowerMin, raiseMin, terminateOther, stopOther, terminateTarget, stopTarget, rebalance, startRefresh,
		refreshTerminate, suspendRebalance, suspendLaunch, uncordon, deleteNode, recreateNode, exitStandby, unreadyOther,
		sweeps, sweeps, restores, forgesMarks, forgesRecord, forgesNode, deletesForGood, registersLate, otherCluster, protects, kubeletDies,
	}
	faults = []string{
		awsThrottled, awsBroken, awsBrokenLate, awsDropped, awsLost, awsBusy, slow,
		kubeThrottled, kubeBroken, kubeLost, kubeConflict, kubeExpired, kubeCut, kubeGone,
		awsNotFound, kubeForbidden,
	}
)

// schedules draws scenarios. Most have few mishaps, as those find most; each dimension is at rest in most of them.
func schedules() *rapid.Generator[schedule] {
	return rapid.Custom(func(t *rapid.T) schedule {
		s := schedule{
			Seed:    uint64(rapid.IntRange(0, 1<<30).Draw(t, "seed")),
			Group:   drawGroup(t),
			Cloud:   drawCloud(t),
			Pods:    rapid.SliceOfN(rapid.Custom(drawPod), 0, 3).Draw(t, "pods"),
			Options: drawOptions(t),
			Runs:    []runPlan{{}},
		}
		if oneIn(t, 8) {
			s.Before = before{flip(t), flip(t), flip(t), flip(t)}
		}
		if oneIn(t, 4) {
			s.Runs = append(s.Runs, rapid.SliceOfN(rapid.Custom(drawRun), 1, s.Group.Size).Draw(t, "runs")...)
		}
		if oneIn(t, 2) {
			s.Faults = rapid.SliceOfN(rapid.Custom(drawFault), 1, 4).Draw(t, "faults")
		}
		s.Rate = rapid.SampledFrom([]int{0, 0, 0, 20, 100}).Draw(t, "rate")
		if oneIn(t, 8) {
			s.Away = []window{{among(t, minutes), among(t, minutes[1:6])}}
		}
		if oneIn(t, 2) {
			s.Crashes = rapid.SliceOfN(rapid.Custom(drawCrash), 1, 4).Draw(t, "crashes")
		}
		if oneIn(t, 4) {
			s.Pending = rapid.SliceOfN(rapid.Custom(drawPending), 1, 2).Draw(t, "pending")
		}
		if oneIn(t, 4) {
			s.Refused = rapid.SliceOfN(rapid.Custom(drawRefusal), 1, 3).Draw(t, "refused")
		}
		if oneIn(t, 3) {
			s.Button = among(t, buttons)
		}
		if oneIn(t, 8) {
			s.Suspended = rapid.SliceOfN(rapid.Custom(drawSuspension), 1, 2).Draw(t, "suspended")
		}
		if oneIn(t, 2) {
			s.Acts = rapid.SliceOfN(rapid.Custom(drawAct), 1, 3).Draw(t, "acts")
		}
		return s
	})
}

func among[T any](t *rapid.T, values []T) T { return rapid.SampledFrom(values).Draw(t, "one of") }

// oneIn is true once in n times; it shrinks to false.
func oneIn(t *rapid.T, n int) bool { return rapid.IntRange(0, n-1).Draw(t, "one in") == n-1 }

func flip(t *rapid.T) bool { return rapid.Bool().Draw(t, "flip") }

func drawGroup(t *rapid.T) groupShape {
	g := groupShape{
		Size: among(t, []int{3, 1, 2, 4, 5, 6}), Room: among(t, []int{2, 0, 1}), Slack: among(t, []int{2, 0, 1}), Zones: among(t, []int{3, 1, 2}),
		Weight: among(t, []int{0, 0, 0, 0, 0, 1, 3}),
	}
	g.Slack = min(g.Slack, g.Size)
	return g
}

func drawCloud(t *rapid.T) cloud {
	seconds := func(s ...int) time.Duration { return time.Duration(among(t, s)) * time.Second }
	c := cloud{
		DetachRefused: oneIn(t, 12), AtMaxAllowed: oneIn(t, 3),
		EnteringStandby: seconds(5, 30, 300), Detaching: seconds(5, 30, 200), Boot: seconds(20, 20, 90), Joins: seconds(15, 15, 60),
	}
	if oneIn(t, 6) {
		c.LaunchFailures = among(t, []int{1, 3, -1})
	}
	if oneIn(t, 15) {
		c.NodeNeverReady = true
	}
	if oneIn(t, 15) {
		c.NodeNeverJoins = true
	}
	if oneIn(t, 6) {
		c.StaleReads = seconds(2, 10, 30)
	}
	if oneIn(t, 15) {
		c.NodeLeaves, c.NodeLeavesAfter = among(t, []string{awssim.LeaveNotReady, awssim.LeaveDeleted}), seconds(1, 30, 240)
	}
	return c
}

func drawPod(t *rapid.T) podPlan {
	return podPlan{among(t, []string{servicePod, batchPod, batchPod, daemonPod, blockedPod, stuckPod}), among(t, minutes), among(t, minutes[1:7])}
}

func drawOptions(t *rapid.T) options {
	o := options{Terminate: oneIn(t, 3), NoEvict: oneIn(t, 6), MaxWait: 2 * time.Hour}
	if oneIn(t, 4) {
		o.MaxWait = 4 * time.Minute
		o.EvictOnTimeout = flip(t) && !o.NoEvict
	}
	return o
}

func drawRun(t *rapid.T) runPlan {
	return runPlan{rapid.IntRange(0, 5).Draw(t, "member"), among(t, minutes)}
}

func drawFault(t *rapid.T) fault {
	return fault{rapid.IntRange(1, 80).Draw(t, "at"), among(t, []int{1, 1, 1, 2, 4, 6}), among(t, faults)}
}

func drawCrash(t *rapid.T) crash {
	return crash{rapid.IntRange(1, 60).Draw(t, "at"), flip(t), among(t, []string{thenRetry, thenRetry, thenStop, thenTerminate})}
}

func drawAct(t *rapid.T) act {
	return act{time.Duration(rapid.IntRange(0, 900).Draw(t, "after")) * time.Second, among(t, acts)}
}

func drawPending(t *rapid.T) pending {
	return pending{rapid.IntRange(1, 8).Draw(t, "at"), among(t, []time.Duration{10 * time.Minute, time.Minute, 45 * time.Minute})}
}

func drawSuspension(t *rapid.T) suspension {
	return suspension{rapid.IntRange(0, len(recycleSteps)-1).Draw(t, "before"), among(t, []time.Duration{10 * time.Minute, time.Minute, 3 * time.Hour, 30 * time.Hour})}
}

func drawRefusal(t *rapid.T) refusal {
	return refusal{time.Duration(rapid.IntRange(0, 900).Draw(t, "after")) * time.Second, flip(t)}
}

// String is the schedule as a person reads it: what is at rest is left out.
func (s schedule) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "group %+v cloud %+v options %+v seed %d", s.Group, s.Cloud, s.Options, s.Seed)
	if s.Before != (before{}) {
		fmt.Fprintf(&out, "\n  before %+v", s.Before)
	}
	say := func(name string, n int, what any) {
		if n > 0 {
			fmt.Fprintf(&out, "\n  %s %+v", name, what)
		}
	}
	say("runs", len(s.Runs)-1, s.Runs)
	say("pods", len(s.Pods), s.Pods)
	say("faults", len(s.Faults), s.Faults)
	say("fault rate per mille", s.Rate, s.Rate)
	say("API server away", len(s.Away), s.Away)
	say("crashes", len(s.Crashes), s.Crashes)
	say("acts", len(s.Acts), s.Acts)
	say("pods pending", len(s.Pending), s.Pending)
	say("refused workflows", len(s.Refused), s.Refused)
	say("suspended", len(s.Suspended), s.Suspended)
	say("after a failure", len(s.Button), s.Button)
	return out.String()
}
