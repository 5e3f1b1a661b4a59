package cli_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

func TestRecycleStopsTheInstanceAndLeavesTheGroupAsItWas(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.pod(w.ids[0], "batch", 20*time.Hour, nil)
		before := time.Now()
		w.recycle(w.ids[0])
		if took := time.Since(before); took < 20*time.Hour || took > 20*time.Hour+30*time.Minute {
			w.Errorf("the recycle took %s, want the pod's 20 h and little more", took)
		}
		if state := w.instanceState(w.ids[0]); state != "stopped" {
			w.Errorf("instance is %s", state)
		}
		if w.nodeOf(w.ids[0]) != nil {
			w.Error("the Node is still there")
		}
		want := []string{"SuspendProcesses", "EnterStandby", "CreateTags", "DetachInstances", "StopInstances", "ResumeProcesses"}
		if diff := cmp.Diff(want, w.actions()); diff != "" {
			w.Errorf("calls that change something (-want +got):\n%s", diff)
		}
		w.whole(w.ids[1:]...)
	})
}

func TestRecycleAgainAfterItIsDoneChangesNothing(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.recycle(w.ids[0], "--action", "terminate")
		calls := len(w.actions())
		w.recycle(w.ids[0], "--action", "terminate")
		if more := w.actions()[calls:]; len(more) > 0 {
			w.Errorf("the second run called %v", more)
		}
		w.whole(w.ids[1:]...)
	})
}

func TestEveryStepRunTwiceDoesItsWorkOnce(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.pod(w.ids[0], "web", 0, func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyAlways })
		for _, name := range []string{"standby", "taint", "drain", "evict", "retire"} {
			w.done(name, "--instance-id", w.ids[0])
			calls := len(w.actions())
			w.done(name, "--instance-id", w.ids[0])
			if more := w.actions()[calls:]; len(more) > 0 {
				w.Errorf("the second run of %s called %v", name, more)
			}
		}
		w.done("settle", "--instance-id", w.ids[0], "--workflow-status", "Succeeded")
		w.whole(w.ids[1:]...)
	})
}

func TestStandbyNamesTheReplacement(t *testing.T) {
	for _, naming := range []string{awssim.NamingIP, awssim.NamingResource, awssim.NamingInstanceID} {
		t.Run(naming, func(t *testing.T) {
			inWorld(t, func(c *awssim.Config) { c.NodeNaming = naming }, func(w *world) {
				o := w.done("standby", "--node", w.nodeOf(w.ids[1]).Name)
				if o.result.InstanceID != w.ids[1] || o.result.ASGName != group || o.result.Region != "eu-central-1" {
					w.Errorf("result %+v", o.result)
				}
				if replacement := o.result.ReplacementInstance; replacement == "" || slices.Contains(w.ids, replacement) || o.result.ReplacementNode != w.nodeOf(replacement).Name {
					w.Errorf("replacement %q on node %q", replacement, o.result.ReplacementNode)
				}
				n := w.nodeOf(w.ids[1])
				if len(n.Spec.Taints) != 1 || n.Spec.Taints[0].Effect != corev1.TaintEffectPreferNoSchedule {
					w.Errorf("taints of the leaving node: %v", n.Spec.Taints)
				}
			})
		})
	}
}

func TestStandbyWaitsForTheReplacementsNodeToBeReady(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.NodeReady = 40 * time.Minute }, func(w *world) {
		w.Log("the first three nodes are not Ready yet either, which is nobody's business")
		o := w.step("standby", "--instance-id", w.ids[0], "--replacement-timeout", "2h")
		if o.code != 75 || !strings.Contains(o.result.Message, "is not Ready") {
			w.Fatalf("exit %d: %s", o.code, o.result.Message)
		}
		w.done("standby", "--instance-id", w.ids[0], "--replacement-timeout", "2h")
	})
}

func TestDrainActsOnTheLastPodsEndAtOnce(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.done("standby", "--instance-id", w.ids[0])
		w.done("taint", "--instance-id", w.ids[0])
		w.pod(w.ids[0], "long", 7*time.Minute+13*time.Second, nil)
		before := time.Now()
		w.done("drain", "--instance-id", w.ids[0])
		if took := time.Since(before); took != 7*time.Minute+13*time.Second {
			w.Errorf("drain took %s after a pod of 7m13s", took)
		}
	})
}

func TestDrainCountsOnlyPodsThatMatter(t *testing.T) {
	always := func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyAlways }
	yes := true
	for name, c := range map[string]struct {
		flags  []string
		change func(*corev1.Pod)
		counts bool
	}{
		"a batch pod, no selector":              {nil, nil, true},
		"a service pod, no selector":            {nil, always, false},
		"a service pod that the selector names": {[]string{"--label-selector", "app=web"}, func(p *corev1.Pod) { always(p); p.Labels = map[string]string{"app": "web"} }, true},
		"a key alone":                           {[]string{"--label-selector", "app"}, func(p *corev1.Pod) { p.Labels = map[string]string{"app": "x"} }, true},
		"a batch pod that the selector leaves":  {[]string{"--label-selector", "app=web"}, nil, false},
		"a pod of another namespace":            {[]string{"--namespace", "team-a,team-b"}, nil, false},
		"a pod of one of the namespaces":        {[]string{"--namespace", "team-a,default"}, nil, true},
		"a Succeeded pod":                       {nil, func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, false},
		"a Failed pod":                          {nil, func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, false},
		"a DaemonSet's pod": {[]string{"--label-selector", "app"}, func(p *corev1.Pod) {
			p.Labels = map[string]string{"app": "x"}
			p.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Controller: &yes}}
		}, false},
		"a mirror pod": {nil, func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} }, false},
		"the recycle's own pod": {nil, func(p *corev1.Pod) {
			p.Namespace, p.Labels = "eks-recycle", map[string]string{"app.kubernetes.io/name": "eks-recycle"}
		}, false},
		"a pod with its label elsewhere":         {nil, func(p *corev1.Pod) { p.Labels = map[string]string{"app.kubernetes.io/name": "eks-recycle"} }, true},
		"a terminating pod counts until it goes": {nil, func(p *corev1.Pod) { now := metav1.Now(); p.DeletionTimestamp = &now; p.Finalizers = []string{"x/y"} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.close(w.ids[0])
				w.pod(w.ids[0], "one", 0, c.change)
				o := w.step("drain", append([]string{"--instance-id", w.ids[0], "--poll-window", "1m"}, c.flags...)...)
				if want := map[bool]int{true: 75, false: 0}[c.counts]; o.code != want {
					w.Errorf("exit %d, want %d: %s", o.code, want, o.result.Message)
				}
			})
		})
	}
}

func TestMaxWaitSpansAttemptsAndWorkflows(t *testing.T) {
	for _, c := range []struct {
		onTimeout string
		code      int
		message   string
	}{
		{"fail", 1, "still run after 50m0s: default/stuck"},
		{"evict", 0, "gave up waiting for 1 pod(s)"},
	} {
		t.Run(c.onTimeout, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				flags := []string{"--instance-id", w.ids[0], "--max-wait", "50m", "--on-timeout", c.onTimeout}
				w.done("standby", flags...)
				w.done("taint", flags...)
				w.pod(w.ids[0], "stuck", 0, nil)
				before := time.Now()
				for _, holder := range []string{"wf-1", "wf-1"} {
					if o := w.stepAs(w.Context(), holder, "drain", flags...); o.code != 75 {
						w.Fatalf("exit %d", o.code)
					}
				}
				time.Sleep(6 * time.Minute) // the claim of wf-1 expires
				o := w.stepAs(w.Context(), "wf-2", "drain", flags...)
				if o.code != c.code || !strings.Contains(o.result.Message, c.message) {
					w.Errorf("exit %d: %s", o.code, o.result.Message)
				}
				if took := time.Since(before); took > 51*time.Minute {
					w.Errorf("it took %s", took)
				}
				if c.onTimeout == "evict" {
					if o := w.stepAs(w.Context(), "wf-2", "evict", flags...); o.code != 0 {
						w.Errorf("evict: exit %d: %s", o.code, o.result.Message)
					}
					if pods, _ := w.kube.CoreV1().Pods("").List(context.Background(), metav1.ListOptions{}); len(pods.Items) > 0 {
						w.Error("the pod is still there")
					}
				}
			})
		})
	}
}

func TestEvictNamesTheBudgetAndKeepsTrying(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.close(w.ids[0])
		w.pod(w.ids[0], "web", 0, func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyAlways })
		w.pod(w.ids[0], "batch", 15*time.Minute, nil)
		w.block("web", "web-pdb")
		o := w.step("evict", "--instance-id", w.ids[0], "--poll-window", "5m")
		if o.code != 75 || !strings.Contains(o.result.Message, "default/web is blocked: The disruption budget web-pdb") || !strings.Contains(o.result.Message, "default/batch finishes by itself") {
			w.Fatalf("exit %d: %s", o.code, o.result.Message)
		}
		w.block("web", "")
		w.done("evict", "--instance-id", w.ids[0])
		p, err := w.kube.CoreV1().Pods("default").Get(context.Background(), "batch", metav1.GetOptions{})
		if err != nil || p.Status.Phase != corev1.PodSucceeded {
			w.Errorf("the batch pod did not finish by itself: %v %v", p.Status.Phase, err)
		}
	})
}

// AWS documents a detach from Standby. Should it refuse all the same, an instance that is to be terminated is terminated by its
// group, and one that is to be stopped stays on standby.
func TestDetachRefusedFromStandby(t *testing.T) {
	refused := func(c *awssim.Config) { c.DetachFromStandby = awssim.DetachRefuse }
	inWorld(t, refused, func(w *world) {
		w.recycle(w.ids[0], "--action", "terminate")
		want := []string{"SuspendProcesses", "EnterStandby", "CreateTags", "DetachInstances", "TerminateInstanceInAutoScalingGroup", "ResumeProcesses"}
		if diff := cmp.Diff(want, w.actions()); diff != "" {
			w.Errorf("calls that change something (-want +got):\n%s", diff)
		}
		w.whole(w.ids[1:]...)
		if state := w.instanceState(w.ids[0]); state != "terminated" {
			w.Errorf("instance is %s", state)
		}
	})
	inWorld(t, refused, func(w *world) {
		w.close(w.ids[0])
		for _, name := range []string{"drain", "evict"} {
			w.done(name, "--instance-id", w.ids[0])
		}
		o := w.step("retire", "--instance-id", w.ids[0])
		if o.code != 1 || !strings.Contains(o.result.Hint, "action=terminate") || w.instanceState(w.ids[0]) != "running" {
			w.Errorf("retire: exit %d, hint %q, instance is %s", o.code, o.result.Hint, w.instanceState(w.ids[0]))
		}
		w.recycle(w.ids[0], "--action", "terminate")
		w.whole(w.ids[1:]...)
	})
}

func TestRetireRefusesANodeWithPodsThatMatter(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		for _, name := range []string{"standby", "taint", "drain", "evict"} {
			w.done(name, "--instance-id", w.ids[0])
		}
		w.pod(w.ids[0], "late", time.Hour, nil)
		o := w.step("retire", "--instance-id", w.ids[0])
		if o.code != 75 || !strings.Contains(o.result.Message, "default/late") {
			w.Fatalf("exit %d: %s", o.code, o.result.Message)
		}
		if slices.Contains(w.actions(), "DetachInstances") {
			w.Error("it detached the instance all the same")
		}
	})
}

func TestAFailedLaunchBringsTheNodeBack(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		if err := w.sim.Configure(func(c *awssim.Config) { c.LaunchFailure = "InsufficientInstanceCapacity" }); err != nil {
			w.Fatal(err)
		}
		o := w.step("standby", "--instance-id", w.ids[0], "--replacement-timeout", "10m")
		if o.code != 1 || !strings.Contains(o.result.Message, "InsufficientInstanceCapacity") {
			w.Fatalf("exit %d: %s", o.code, o.result.Message)
		}
		o = w.done("settle", "--instance-id", w.ids[0], "--workflow-status", "Failed")
		if !strings.Contains(o.result.Message, "is back in service") || !strings.Contains(o.result.Message, "InsufficientInstanceCapacity") {
			w.Errorf("message: %s", o.result.Message)
		}
		w.whole(w.ids...)
	})
}

func TestSettleLeavesANodeWithReplacementOnStandbyAndTheNextRunGoesOn(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.pod(w.ids[0], "batch", 2*time.Hour, nil)
		w.done("standby", "--instance-id", w.ids[0])
		w.done("taint", "--instance-id", w.ids[0])
		o := w.done("settle", "--instance-id", w.ids[0], "--workflow-status", "Failed")
		if !strings.Contains(o.result.Message, "stays on standby") {
			w.Errorf("message: %s", o.result.Message)
		}
		w.recycle(w.ids[0])
		w.whole(w.ids[1:]...)
	})
}

func TestRestoreBringsANodeBackOnRequest(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.done("standby", "--instance-id", w.ids[0])
		w.done("taint", "--instance-id", w.ids[0])
		o := w.done("restore", "--instance-id", w.ids[0])
		if inService := w.members("InService"); len(inService) != 4 {
			w.Errorf("in service: %v", inService)
		}
		if len(o.result.Warnings) != 1 || !strings.Contains(o.result.Warnings[0], "desired capacity 4") {
			w.Errorf("warnings: %v", o.result.Warnings)
		}
		w.nothingLeft()
	})
}

func TestDryRunChangesNothing(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.pod(w.ids[0], "batch", 0, nil)
		before := w.nodeOf(w.ids[0])
		for _, name := range []string{"standby", "taint", "drain", "evict", "retire", "restore", "settle"} {
			if o := w.step(name, "--instance-id", w.ids[0], "--dry-run"); o.code != 0 {
				w.Errorf("%s: exit %d: %s", name, o.code, o.stderr)
			}
		}
		if actions := w.actions(); len(actions) > 0 {
			w.Errorf("calls: %v", actions)
		}
		if diff := cmp.Diff(before, w.nodeOf(w.ids[0])); diff != "" {
			w.Errorf("the node changed:\n%s", diff)
		}
		w.nothingLeft()
	})
}

func TestTwoRecyclesOfOneNodeNeverBothAct(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.pod(w.ids[0], "batch", time.Hour, nil)
		w.done("standby", "--instance-id", w.ids[0])
		w.done("taint", "--instance-id", w.ids[0])
		running := make(chan outcome)
		go func() { running <- w.step("drain", "--instance-id", w.ids[0]) }()
		time.Sleep(time.Minute)
		o := w.stepAs(w.Context(), "wf-2", "retire", "--instance-id", w.ids[0], "--poll-window", "2m")
		if o.code != 75 || !strings.Contains(o.result.Message, "is claimed by wf-1") {
			w.Errorf("exit %d: %s", o.code, o.result.Message)
		}
		if first := <-running; first.code != 75 {
			w.Errorf("the holder's drain: exit %d: %s", first.code, first.result.Message)
		}
	})
}

// A workflow that waits for another one's claim learns in the end that the other has brought the node back.
func TestANodeThatAnotherRecycleBroughtBackIsNotClosed(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.done("standby", "--instance-id", w.ids[0])
		time.Sleep(10 * time.Minute) // the pod of the next step does not start
		w.doneAs("wf-2", "restore", "--instance-id", w.ids[0])
		o := w.step("taint", "--instance-id", w.ids[0])
		if o.code != 1 || !strings.Contains(o.result.Message, "may not be cordoned") {
			w.Errorf("exit %d: %s", o.code, o.result.Message)
		}
		w.done("settle", "--instance-id", w.ids[0], "--workflow-status", "Failed")
		if len(w.members("InService")) != 4 { // the one that came, and restore said so
			w.Errorf("in service: %v", w.members("InService"))
		}
		w.nothingLeft()
	})
}

func TestSIGTERMMeansRunMeAgain(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.close(w.ids[0])
		w.pod(w.ids[0], "batch", 0, nil)
		ctx, cancel := context.WithTimeout(w.Context(), 3*time.Minute) // as main does on a signal
		defer cancel()
		if o := w.stepAs(ctx, "wf-1", "drain", "--instance-id", w.ids[0]); o.code != 75 || len(o.result.Pods) != 1 {
			w.Errorf("exit %d, pods %v", o.code, o.result.Pods)
		}
	})
}

func TestThrottlingAndBusyGroupsAreWaitedOut(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		for _, fault := range []awssim.Fault{
			{Service: "autoscaling", Action: "EnterStandby", Count: 6, Kind: "error-before", Code: "Throttling", Status: 400},
			{Service: "autoscaling", Action: "DetachInstances", Count: 2, Kind: "error-before", Code: "ScalingActivityInProgress", Status: 400},
			{Service: "autoscaling", Action: "DescribeAutoScalingGroups", Count: 5, Kind: "error-before", Code: "ResourceContention", Status: 500},
			{Service: "ec2", Action: "StopInstances", Count: 1, Kind: "drop-after"},
			{Service: "autoscaling", Action: "EnterStandby", Count: 1, Kind: "error-after", Code: "InternalFailure", Status: 500},
		} {
			if err := w.sim.AddFaults(fault); err != nil {
				w.Fatal(err)
			}
		}
		w.recycle(w.ids[0])
		w.whole(w.ids[1:]...)
	})
}

// A recycle was given up, someone brought the node back by hand, and weeks later it is recycled again.
func TestMarksOfAnEarlierLifeMeanNothing(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		flags := []string{"--instance-id", w.ids[0], "--max-wait", "50m", "--on-timeout", "evict"}
		w.done("standby", flags...)
		w.done("taint", flags...)
		w.pod(w.ids[0], "first", 0, nil)
		w.step("drain", flags...)
		first := w.result("standby", flags...)
		w.exitStandby(w.ids[0])
		n := w.nodeOf(w.ids[0])
		n.Spec.Unschedulable = false
		if _, err := w.kube.CoreV1().Nodes().Update(w.Context(), n, metav1.UpdateOptions{}); err != nil {
			w.Fatal(err)
		}
		time.Sleep(24 * 14 * time.Hour)

		o := w.doneAs("wf-2", "standby", flags...)
		if o.result.ReplacementInstance == "" || o.result.ReplacementInstance == first.ReplacementInstance {
			w.Errorf("the replacement is %q, that of the first recycle", o.result.ReplacementInstance)
		}
		w.doneAs("wf-2", "taint", flags...)
		if o := w.stepAs(w.Context(), "wf-2", "drain", flags...); o.code != 75 {
			w.Errorf("drain: exit %d, want the whole wait once more: %s", o.code, o.result.Message)
		}
	})
}

func TestTwoRecyclesOfOneGroupTakeAReplacementEach(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		results := make(chan outcome, 2)
		for i, holder := range []string{"wf-1", "wf-2"} {
			go func() { results <- w.doneAs(holder, "standby", "--instance-id", w.ids[i]) }()
		}
		a, b := <-results, <-results
		if a.result.ReplacementInstance == b.result.ReplacementInstance {
			w.Fatalf("both took %s", a.result.ReplacementInstance)
		}
		for i, holder := range []string{"wf-1", "wf-2"} {
			for _, name := range []string{"taint", "drain", "evict", "retire"} {
				w.doneAs(holder, name, "--instance-id", w.ids[i])
			}
		}
		w.whole(w.ids[2])
	})
}

// Spot reclaim, a broken host, or a person in the console.
func TestAnInstanceLostInMidDrainLeavesNothing(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.done("standby", "--instance-id", w.ids[0])
		w.done("taint", "--instance-id", w.ids[0])
		if err := w.sim.ActOutside(w.ids[0], "terminate"); err != nil {
			w.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		for _, step := range []string{"drain", "evict", "retire"} {
			w.done(step, "--instance-id", w.ids[0])
		}
		w.done("settle", "--instance-id", w.ids[0], "--workflow-status", "Succeeded")
		w.whole(w.ids[1:]...)
		if members := w.group().Instances; len(members) != 3 {
			w.Errorf("%d members are listed, the dead one among them", len(members))
		}
	})
}

func TestAPodThatComesDuringTheDetachIsWaitedFor(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		for _, name := range []string{"standby", "taint", "drain", "evict"} {
			w.done(name, "--instance-id", w.ids[0])
		}
		go func() {
			time.Sleep(5 * time.Second) // the instance is Detaching for 30
			w.pod(w.ids[0], "late", time.Hour, nil)
		}()
		w.done("retire", "--instance-id", w.ids[0])
		p, err := w.kube.CoreV1().Pods("default").Get(w.Context(), "late", metav1.GetOptions{})
		if err != nil || p.Status.Phase != corev1.PodSucceeded {
			w.Errorf("the late pod did not finish by itself: %s, %v", p.Status.Phase, err)
		}
	})
}

func TestMissingPermissionToStopIsSaidBeforeAnythingIsTouched(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		if err := w.sim.AddFaults(awssim.Fault{Service: "ec2", Action: "StopInstances", Kind: awssim.FaultErrorBefore, Code: "UnauthorizedOperation", Status: 403}); err != nil {
			w.Fatal(err)
		}
		o := w.step("standby", "--instance-id", w.ids[0])
		if o.code != 1 || !strings.Contains(o.result.Hint, "kubernetes.io/cluster/") {
			w.Errorf("exit %d: %s (%s)", o.code, o.result.Message, o.result.Hint)
		}
		if actions := w.actions(); len(actions) > 0 {
			w.Errorf("calls: %v", actions)
		}
		w.nothingLeft()
	})
}

// Tags are written before the detach: without the permission the recycle is parked, and goes on once there is one.
func TestMissingPermissionToTagParksTheRecycle(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.withArgo(workflow("a", "a", ""))
		id := []string{"--instance-id", w.ids[0]}
		for _, step := range recycleSteps[:4] {
			w.run("a", step, id...)
		}
		if err := w.sim.AddFaults(awssim.Fault{Service: "ec2", Action: "CreateTags", Kind: awssim.FaultErrorBefore, Code: "UnauthorizedOperation", Status: 403, Count: 1000}); err != nil {
			w.Fatal(err)
		}
		if o := w.run("a", "retire", id...); o.code != 1 || slices.Contains(w.actions(), "DetachInstances") {
			w.Errorf("exit %d: %s; calls %v", o.code, o.result.Message, w.actions())
		}
		o := w.run("a", "settle", append(id, "--workflow-status", "Failed")...)
		if !slices.Equal(w.members("Standby"), w.ids[:1]) || !w.balances() {
			w.Errorf("settle exits %d: %s; on standby %v, AZRebalance runs: %t", o.code, o.result.Message, w.members("Standby"), w.balances())
		}
		w.sim.ForgetFaults()
		w.withArgo()
		for _, step := range append(slices.Clone(recycleSteps), "settle") {
			if o := w.run("b", step, id...); o.code != 0 {
				w.Fatalf("step %s: %s", step, o.stderr)
			}
		}
		w.whole(w.ids[1:]...)
	})
}

// A pod that tolerates everything may come once its node is drained. It is waited for until max-wait is over, and not longer; then
// on-timeout decides.
func TestALatePodIsWaitedForNoLongerThanMaxWait(t *testing.T) {
	for _, step := range []string{"evict", "retire"} {
		for _, onTimeout := range []string{"fail", "evict"} {
			t.Run(step+" "+onTimeout, func(t *testing.T) {
				inWorld(t, nil, func(w *world) {
					w.withArgo(workflow("a", "a", ""))
					id := []string{"--instance-id", w.ids[0], "--max-wait", "3h", "--on-timeout", onTimeout}
					began := time.Now()
					for _, before := range recycleSteps[:slices.Index(recycleSteps, step)] {
						w.run("a", before, id...)
					}
					w.pod(w.ids[0], "late", 0, nil)
					o := w.run("a", step, id...)
					took := time.Since(began)
					if failed := strings.Contains(o.result.Message, "still run after 3h0m0s: default/late"); failed != (onTimeout == "fail") || (o.code == 1) != failed || took < 3*time.Hour || took > 3*time.Hour+10*time.Minute {
						t.Errorf("exit %d after %s: %s", o.code, took, o.result.Message)
					}
					if o.code == 0 {
						time.Sleep(time.Minute) // what was evicted twice goes
						return
					}
					if o := w.run("a", "settle", append(id, "--workflow-status", "Failed")...); o.code != 0 || !strings.Contains(o.result.Message, "stays on standby") {
						t.Errorf("settle exits %d: %s", o.code, o.result.Message)
					}
				})
			})
		}
	}
}

// Each wait of standby has its own end, and says what it waited for.
func TestTheEndsOfStandbysWaits(t *testing.T) {
	for name, c := range map[string]struct {
		config func(*awssim.Config)
		fault  *awssim.Fault
		code   int
		says   string
		took   time.Duration
	}{
		"a deregistration of 45 minutes": {func(c *awssim.Config) { c.EnteringStandby = 45 * time.Minute }, nil, 0, "is on standby, replaced by", 45 * time.Minute},
		"one that never ends":            {func(c *awssim.Config) { c.EnteringStandby = 100 * time.Hour }, nil, 1, "is still EnteringStandby after 2h0m0s", 2 * time.Hour},
		"a group that is busy for ever": {nil, &awssim.Fault{Service: "autoscaling", Action: "EnterStandby", Kind: awssim.FaultErrorBefore, Code: "ScalingActivityInProgress", Status: 400, Count: 100000},
			1, "no replacement in service after 30m0s", 30 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, c.config, func(w *world) {
				w.withArgo(workflow("a", "a", ""))
				if c.fault != nil {
					w.must(w.sim.AddFaults(*c.fault))
				}
				began := time.Now()
				o := w.run("a", "standby", "--instance-id", w.ids[0])
				if took := time.Since(began); o.code != c.code || !strings.Contains(o.result.Message, c.says) || took < c.took || took > c.took+5*time.Minute {
					t.Errorf("exit %d after %s: %s", o.code, took, o.result.Message)
				}
			})
		})
	}
}
