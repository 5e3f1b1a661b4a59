package cli_test

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// violator makes the calls of a recycle by hand, the forbidden ones too.
type violator struct {
	*simulation
	*awsWire
	uid, target, other string
}

// claims takes the claim on the target in somebody's name for a while.
func (c *violator) claims(holder string, length time.Duration) {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: leasePrefix + c.target, Namespace: "eks-recycle"}}
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds = &holder, ptr(int32(length.Seconds()))
	lease.Spec.RenewTime = ptr(metav1.NewMicroTime(time.Now()))
	_, err := c.api.create("leases", lease)
	c.must(err)
}

func (c *violator) moves(ctx context.Context, action, id string, decrement *bool) {
	c.must(c.move(ctx, action, ptr(group), []string{id}, decrement))
	pause(ctx, 10*time.Minute)
}

// standsBy puts the target on standby and marks the newcomer as its replacement, as it should be.
func (c *violator) standsBy(ctx context.Context) {
	c.claims(c.uid, time.Hour)
	c.moves(ctx, "EnterStandby", c.target, ptr(false))
	for _, m := range c.checker.group.Members {
		if strings.Contains(strings.Join(c.ids, " "), m.Instance) {
			continue
		}
		c.editNode(m.Instance, func(n *corev1.Node) { n.Labels[replacesLabel] = c.target })
	}
}

func (c *violator) closes() {
	c.editNode(c.target, func(n *corev1.Node) {
		n.Spec.Unschedulable = true
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: leavingTaint, Effect: corev1.TaintEffectNoSchedule})
	})
}

func (c *violator) stops(ctx context.Context, id string) {
	c.checker.begins(c.uid, "StopInstances")
	c.must(c.dryable(ctx, "StopInstances", url.Values{"InstanceId.1": {id}}, nil))
}

func (c *violator) sets(ctx context.Context, field string, size int) {
	action := map[string]string{"DesiredCapacity": "SetDesiredCapacity", "MaxSize": "UpdateAutoScalingGroup"}[field]
	_, err := c.call(ctx, "autoscaling", action, url.Values{"AutoScalingGroupName": {group}, field: {strconv.Itoa(size)}})
	c.must(err)
	pause(ctx, 10*time.Minute)
}

// leaves gives back what standsBy and closes took, and ends the scenario.
func (c *violator) leaves() {
	_ = c.api.remove("leases", "eks-recycle", leasePrefix+c.target, nil)
	if c.checker.shutDown[c.target] {
		c.dropNode(c.target)
	}
	for _, id := range append([]string{c.target}, c.newcomers()...) {
		c.editNode(id, func(n *corev1.Node) {
			n.Spec.Unschedulable, n.Spec.Taints = false, nil
			delete(n.Labels, replacesLabel)
		})
	}
	c.atTheEnd()
}

func (c *violator) newcomers() (ids []string) {
	for _, m := range c.checker.group.Members {
		if !strings.Contains(strings.Join(c.ids, " "), m.Instance) {
			ids = append(ids, m.Instance)
		}
	}
	return ids
}

// Each rule of the checker can be broken, and says so; and what is allowed passes.
func TestTheCheckerSeesWhatMustNeverHappen(t *testing.T) {
	base := baseOptions(t)
	for name, c := range map[string]struct {
		does func(context.Context, *violator)
		sees string // "": nothing
	}{
		"a recycle as it should be": {func(ctx context.Context, c *violator) {
			c.standsBy(ctx)
			c.closes()
			c.moves(ctx, "DetachInstances", c.target, ptr(false))
			c.stops(ctx, c.target)
			c.leaves()
		}, ""},
		"a node is closed before there is a replacement": {func(_ context.Context, c *violator) { c.closes() }, "rule 1"},
		"an instance is detached before there is a replacement": {func(ctx context.Context, c *violator) {
			c.claims(c.uid, time.Hour)
			c.must(c.move(ctx, "DetachInstances", ptr(group), []string{c.target}, ptr(false)))
		}, "rule 1"},
		"an instance in service is stopped": {func(ctx context.Context, c *violator) {
			c.claims(c.uid, time.Hour)
			c.stops(ctx, c.target)
		}, "rule 1"},
		"a batch pod runs on what is stopped": {func(ctx context.Context, c *violator) {
			c.standsBy(ctx)
			c.addPod("batch", podPlan{batchPod, 0, time.Hour})
			c.moves(ctx, "DetachInstances", c.target, ptr(false))
			c.stops(ctx, c.target)
		}, "rule 2"},
		"a daemon and a service pod run on what is stopped": {func(ctx context.Context, c *violator) {
			c.standsBy(ctx)
			c.addPod("daemon", podPlan{daemonPod, 0, time.Hour})
			c.addPod("service", podPlan{servicePod, 0, time.Hour})
			c.moves(ctx, "DetachInstances", c.target, ptr(false))
			c.stops(ctx, c.target)
			c.leaves()
		}, ""},
		"another instance is put on standby": {func(ctx context.Context, c *violator) {
			c.claims(c.uid, time.Hour)
			c.moves(ctx, "EnterStandby", c.other, ptr(false))
		}, "rule 3"},
		"another instance goes because the desired capacity was lowered": {func(ctx context.Context, c *violator) {
			c.claims(c.uid, time.Hour)
			c.sets(ctx, "DesiredCapacity", 2)
		}, "rule 3"},
		"another instance goes because of a detach that decrements from standby": {func(ctx context.Context, c *violator) {
			c.standsBy(ctx)
			c.moves(ctx, "DetachInstances", c.target, ptr(true))
		}, "rule 3"},
		"the desired capacity stays raised": {func(ctx context.Context, c *violator) {
			c.claims(c.uid, time.Hour)
			c.sets(ctx, "DesiredCapacity", 4)
			c.leaves()
		}, "rule 4"},
		"the maximum is raised by a step": {func(ctx context.Context, c *violator) {
			c.claims(c.uid, time.Hour)
			c.sets(ctx, "MaxSize", 9)
		}, "rule 4"},
		"the desired capacity is what others set": {func(ctx context.Context, c *violator) {
			c.resize(ctx, "DesiredCapacity", 4)
			pause(ctx, 10*time.Minute)
			c.leaves()
		}, ""},
		"a taint is left": {func(_ context.Context, c *violator) {
			c.editNode(c.other, func(n *corev1.Node) {
				n.Spec.Taints = []corev1.Taint{{Key: leavingTaint, Effect: corev1.TaintEffectPreferNoSchedule}}
			})
			c.leaves()
		}, "rule 5"},
		"an annotation is left": {func(_ context.Context, c *violator) {
			c.editNode(c.other, func(n *corev1.Node) { n.Annotations[ownDomain+"before"] = "{}" })
			c.leaves()
		}, "rule 5"},
		"the node of what is stopped is left": {func(ctx context.Context, c *violator) {
			c.standsBy(ctx)
			c.moves(ctx, "DetachInstances", c.target, ptr(false))
			c.stops(ctx, c.target)
			_ = c.api.remove("leases", "eks-recycle", leasePrefix+c.target, nil)
			c.editNode(c.newcomers()[0], func(n *corev1.Node) { delete(n.Labels, replacesLabel) })
			c.atTheEnd()
		}, "rule 5"},
		"a claim is left": {func(_ context.Context, c *violator) {
			c.claims(c.uid, time.Hour)
			c.atTheEnd()
		}, "rule 5"},
		"AZRebalance is left suspended": {func(ctx context.Context, c *violator) {
			c.claims(c.uid, time.Hour)
			c.must(c.processes(ctx, "SuspendProcesses", ptr(group), []string{"AZRebalance"}))
			c.leaves()
		}, "rule 5"},
		"what somebody else suspended is resumed": {func(ctx context.Context, c *violator) {
			c.must(c.someone.processes(ctx, "SuspendProcesses", ptr(group), []string{"AZRebalance"}))
			c.claims(c.uid, time.Hour)
			c.must(c.processes(ctx, "ResumeProcesses", ptr(group), []string{"AZRebalance"}))
			c.leaves()
		}, "rule 5"},
		"somebody's annotation is gone": {func(_ context.Context, c *violator) {
			c.editNode(c.target, func(n *corev1.Node) { delete(n.Annotations, scaleDownKey) })
			c.leaves()
		}, "rule 5"},
		"nobody holds the claim": {func(ctx context.Context, c *violator) { c.moves(ctx, "EnterStandby", c.target, ptr(false)) }, "rule 6"},
		"somebody else holds the claim": {func(ctx context.Context, c *violator) {
			c.claims("wf-9.1", time.Hour)
			c.moves(ctx, "EnterStandby", c.target, ptr(false))
		}, "rule 6"},
		"the claim has expired": {func(ctx context.Context, c *violator) {
			c.claims(c.uid, time.Minute)
			pause(ctx, time.Minute)
			c.moves(ctx, "EnterStandby", c.target, ptr(false))
		}, "rule 6"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s := schedule{Group: groupShape{Size: 3, Room: 2, Slack: 2, Zones: 1}, Before: before{ScaleDownDisabled: true}, Runs: []runPlan{{}}}
				g := newSimulation(ctx, base, s)
				defer g.sim.Close()
				defer close(g.api.over)
				g.start = time.Now()
				g.checker.begin(g.sim.State(), s.Options, 0)
				someone := *g.someone
				someone.key = "wf-0.1"
				offender := &violator{g, &someone, "wf-0.1", g.ids[0], g.ids[1]}
				g.checker.knows(offender.uid, offender.target)
				c.does(ctx, offender)
				seen := strings.Join(g.checker.violations, "\n")
				if !strings.HasPrefix(seen, c.sees) || c.sees == "" && seen != "" {
					t.Errorf("seen %q, want %q", seen, c.sees)
				}
			})
		})
	}
}
