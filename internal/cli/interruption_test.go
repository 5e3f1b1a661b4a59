package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func runs(grace int64) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.RestartPolicy, p.Spec.TerminationGracePeriodSeconds = corev1.RestartPolicyAlways, &grace
	}
}

func finishes(grace int64) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = &grace }
}

// Within the notice: the node is cordoned at once, what can move goes at once, and what matters when its grace period just fits.
func TestInterruptionWithinTheNotice(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		id := w.ids[0]
		w.pod(id, "web", 0, runs(30))
		w.pod(id, "slow", 0, runs(600))
		w.pod(id, "batch", 0, finishes(30))
		w.pod(id, "soon", 40*time.Second, finishes(30))
		w.pod(id, "daemon", 0, func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Name: "d", Controller: aws.Bool(true)}}
		})
		noticed := time.Now().Truncate(time.Second)
		time.Sleep(15 * time.Second) // until the pod of the workflow runs
		o := w.step("interruption", "--instance-id", id, "--noticed-at", noticed.UTC().Format(time.RFC3339))
		if o.code != 0 || !strings.Contains(o.result.Message, "is cordoned and empty, 3 pod(s) evicted") {
			w.Errorf("exit %d %q\n%s", o.code, o.result.Message, o.stderr)
		}
		for pod, want := range map[string]struct {
			from, to time.Duration
			grace    int64 // asked for; 0: the pod's own
		}{
			"web":   {15 * time.Second, 17 * time.Second, 0},
			"slow":  {15 * time.Second, 17 * time.Second, 100},
			"batch": {85 * time.Second, 87 * time.Second, 29},
		} {
			e, evicted := w.evictions[pod]
			at, asked := e.at.Sub(noticed), int64(0)
			if e.grace != nil {
				asked = *e.grace
			}
			if !evicted || at < want.from || at > want.to || asked > want.grace || asked < want.grace-2 {
				w.Errorf("pod %s: evicted %t after %s with grace %d, want within %s to %s with %d", pod, evicted, at, asked, want.from, want.to, want.grace)
			}
		}
		if len(w.evictions) != 3 {
			w.Errorf("evicted: %v", w.evictions)
		}
		n := w.nodeOf(id)
		if !n.Spec.Unschedulable || n.Labels["node.kubernetes.io/exclude-from-external-load-balancers"] != "true" || n.Annotations["eks-recycle.io/interruption"] != noticed.UTC().Format(time.RFC3339) {
			w.Errorf("node: %v %v %v", n.Spec, n.Labels, n.Annotations)
		}
		if calls := w.actions(); len(calls) != 0 {
			w.Errorf("calls to AWS that change something: %v", calls)
		}
		w.unclaimed()
	})
}

// A budget that blocks an eviction to the end is named, and nothing is deleted by force.
func TestAnInterruptionThatABudgetBlocks(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		id := w.ids[0]
		w.pod(id, "web", 0, runs(30))
		w.block("web", "one-at-least")
		began := time.Now()
		o := w.step("interruption", "--instance-id", id, "--noticed-at", began.UTC().Format(time.RFC3339))
		if o.code != 1 || !strings.Contains(o.stderr, "one-at-least") || !strings.Contains(o.stderr, "is over with pods on node") {
			w.Errorf("exit %d\n%s", o.code, o.stderr)
		}
		if took := time.Since(began); took < 115*time.Second || took > 121*time.Second {
			w.Errorf("it tried for %s", took)
		}
	})
}

// A late notice is acted on all the same, as long as the node is there.
func TestALateInterruption(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		id := w.ids[0]
		w.pod(id, "batch", 0, finishes(30))
		o := w.step("interruption", "--instance-id", id, "--noticed-at", time.Now().Add(-5*time.Minute).UTC().Format(time.RFC3339))
		if o.code != 0 || len(o.result.Warnings) != 1 || !strings.Contains(o.result.Warnings[0], "was over 3m0s ago") {
			w.Errorf("exit %d %v\n%s", o.code, o.result.Warnings, o.stderr)
		}
		if _, evicted := w.evictions["batch"]; !evicted {
			w.Error("the pod was not told")
		}
		if err := w.sim.ActOutside(id, "terminate"); err != nil {
			w.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if o := w.step("interruption", "--instance-id", id, "--noticed-at", time.Now().UTC().Format(time.RFC3339)); o.code != 0 || !strings.Contains(o.result.Message, "gone") {
			w.Errorf("after its end: exit %d %q", o.code, o.result.Message)
		}
	})
}

func TestInterruptionRefuses(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		for _, c := range []struct{ flags, stderr string }{
			{"--instance-id " + w.ids[0], `--noticed-at "" is malformed`},
			{"--instance-id " + w.ids[0] + " --noticed-at now", `--noticed-at "now" is malformed`},
			{"--noticed-at 2026-01-31T22:00:00Z", "give exactly one of --instance-id and --node"},
		} {
			if o := w.step("interruption", strings.Fields(c.flags)...); o.code != 2 || !strings.Contains(o.stderr, c.stderr) {
				w.Errorf("%s: exit %d\n%s", c.flags, o.code, o.stderr)
			}
		}
		if n := w.nodeOf(w.ids[0]); n.Spec.Unschedulable {
			w.Error("the node is cordoned")
		}
	})
}
