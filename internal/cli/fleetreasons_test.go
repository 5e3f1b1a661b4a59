package cli_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	corev1 "k8s.io/api/core/v1"
	apiversion "k8s.io/apimachinery/pkg/version"
	fakediscovery "k8s.io/client-go/discovery/fake"
)

// launches lets a group launch from a version of the launch template "nodes" from now on.
func (w *world) launches(name, version string) {
	w.Helper()
	_, err := w.groups.UpdateAutoScalingGroup(w.Context(), &autoscaling.UpdateAutoScalingGroupInput{
		AutoScalingGroupName: &name, LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("nodes"), Version: &version},
	})
	if err != nil {
		w.Error(err)
	}
}

// defaults makes a version the default of the launch template "nodes".
func (w *world) defaults(version string) {
	w.Helper()
	if _, err := w.ec2.ModifyLaunchTemplate(w.Context(), &ec2.ModifyLaunchTemplateInput{LaunchTemplateName: aws.String("nodes"), DefaultVersion: &version}); err != nil {
		w.Error(err)
	}
}

// A node waits for its turn while others are recycled. When that comes, nobody may want it recycled any more.
func TestFleetLooksAgainWhetherThereIsStillAReason(t *testing.T) {
	onEach := func(w *world, ids []string, edit func(*corev1.Node)) {
		for _, id := range ids {
			w.editNode(id, edit)
		}
	}
	pressure := func(status corev1.ConditionStatus) func(*corev1.Node) {
		return func(n *corev1.Node) {
			n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: "MemoryPressure", Status: status})
			n.Status.Conditions = slices.DeleteFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == "MemoryPressure" && c.Status != status })
		}
	}
	requested := func(value string) func(*corev1.Node) {
		return func(n *corev1.Node) { n.Annotations["eks-recycle.io/recycle"] = value }
	}
	kubelet := func(version string) func(*corev1.Node) {
		return func(n *corev1.Node) { n.Status.NodeInfo.KubeletVersion = version }
	}
	for name, c := range map[string]struct {
		flags  string
		before func(w *world, ids []string)
		while  func(w *world, waiting []string) // the first one is in progress
		says   string                           // of those passed over; "": all are recycled
	}{
		"the group is rolled back to the version of before": {
			"--drifted", func(w *world, _ []string) { w.launches("old", "2") }, func(w *world, _ []string) { w.launches("old", "1") },
			"no longer holds: launch template version 1, group launches 2, AMI ami-1, group launches ami-2",
		},
		"the template's default is rolled back": {
			"--drifted", func(w *world, _ []string) { w.launches("old", "$Default"); w.defaults("2") }, func(w *world, _ []string) { w.defaults("1") },
			"no longer holds: launch template version 1, group launches 2, AMI ami-1, group launches ami-2",
		},
		"the group goes on to a third version": {
			"--drifted", func(w *world, _ []string) { w.launches("old", "2") },
			func(w *world, _ []string) { w.template("nodes", "ami-3", "m5.large"); w.launches("old", "3") }, "",
		},
		"the condition has cleared": {
			"--condition MemoryPressure", func(w *world, ids []string) { onEach(w, ids, pressure("True")) }, func(w *world, ids []string) { onEach(w, ids, pressure("False")) },
			"no longer holds: condition MemoryPressure=True",
		},
		"the request is withdrawn": {
			"--requested", func(w *world, ids []string) { onEach(w, ids, requested("requested")) }, func(w *world, ids []string) { onEach(w, ids, requested("")) },
			"no longer holds: requested",
		},
		"the kubelet was upgraded in place": {
			"--kubelet-older-than-control-plane", func(w *world, ids []string) { onEach(w, ids, kubelet("v1.32.3")) }, func(w *world, ids []string) { onEach(w, ids, kubelet("v1.33.1")) },
			"no longer holds: kubelet v1.32.3, control plane v1.33.9",
		},
		"the label is gone that it was found by": {
			"--node-selector team=a", func(w *world, ids []string) { onEach(w, ids, func(n *corev1.Node) { n.Labels["team"] = "a" }) },
			func(w *world, ids []string) { onEach(w, ids, func(n *corev1.Node) { delete(n.Labels, "team") }) },
			"it does not match the node selector any more",
		},
		"one of two reasons is left": {
			"--requested --drifted", func(w *world, ids []string) { w.launches("old", "2"); onEach(w, ids, requested("requested")) },
			func(w *world, ids []string) { onEach(w, ids, requested("")) }, "",
		},
		"age does not pass": {"--min-age 1m", func(*world, []string) {}, func(w *world, _ []string) { w.launches("old", "2") }, ""},
		"somebody puts it on standby": {
			"--drifted", func(w *world, _ []string) { w.launches("old", "2") }, func(w *world, ids []string) {
				_, err := w.groups.EnterStandby(w.Context(), &autoscaling.EnterStandbyInput{AutoScalingGroupName: aws.String("old"), InstanceIds: ids, ShouldDecrementDesiredCapacity: aws.Bool(true)})
				if err != nil {
					w.Error(err)
				}
			}, "it is not in service any more",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.kube.Discovery().(*fakediscovery.FakeDiscovery).FakedServerVersion = &apiversion.Info{GitVersion: "v1.33.9-eks-1a2b3c"}
				w.template("nodes", "ami-1", "m5.large")
				w.template("nodes", "ami-2", "m5.large")
				ids := w.anotherGroup("old", 3, func(in *autoscaling.CreateAutoScalingGroupInput) { in.LaunchTemplate.Version = aws.String("1") })
				c.before(w, ids)
				a := newArgoWorld(w, nil)
				a.run = func(child map[string]string) string {
					if len(a.order) == 1 {
						time.Sleep(10 * time.Minute)
						c.while(w, without(ids, child["instance-id"]))
					}
					return ""
				}
				a.parent("fleet-1")
				o, _ := a.fleet(w.Context(), "fleet-1", append(strings.Fields(c.flags), "--asg", "old", "--poll-window", "30m")...)
				begun, skipped := 3, 0
				if c.says != "" {
					begun, skipped = 1, 2
				}
				if o.code != 0 || len(a.order) != begun || o.result.Fleet == nil || o.result.Fleet.Skipped != skipped || strings.Count(o.stderr, "node is passed over") != skipped {
					w.Fatalf("exit %d: %+v; begun %v\n%s", o.code, o.result, a.order, o.stderr)
				}
				if !strings.Contains(o.stderr, c.says) {
					w.Errorf("it does not say %q:\n%s", c.says, o.stderr)
				}
				for _, n := range o.result.Fleet.Nodes {
					if n.Outcome == "Skipped" && (n.Reason != c.says || n.Workflow != "" || n.NodeName == "" || n.ASGName != "old") {
						w.Errorf("%+v", n)
					}
				}
			})
		})
	}
}

// A hundred nodes for which there is no reason any more do not wait for one another, nor does each cost calls.
func TestFleetPassesOverManyAtOnce(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.template("nodes", "ami-1", "m5.large")
		w.template("nodes", "ami-2", "m5.large")
		w.anotherGroup("old", 100, func(in *autoscaling.CreateAutoScalingGroupInput) {
			in.LaunchTemplate.Version, in.MaxSize = aws.String("1"), aws.Int32(100)
		})
		w.launches("old", "2")
		a := newArgoWorld(w, nil)
		var ended time.Time
		a.run = func(map[string]string) string {
			time.Sleep(10 * time.Minute)
			w.launches("old", "1")
			w.sim.ForgetCalls()
			ended = time.Now()
			return ""
		}
		a.parent("fleet-1")
		o, _ := a.fleet(w.Context(), "fleet-1", "--asg", "old", "--drifted", "--poll-window", "30m")
		if o.code != 0 || o.result.Fleet.Recycled != 1 || o.result.Fleet.Skipped != 99 || o.result.Fleet.NotStarted != 0 {
			w.Fatalf("exit %d: %s\n%s", o.code, o.result.Message, o.stderr)
		}
		if took := time.Since(ended); took > time.Minute {
			w.Errorf("it took %s", took)
		}
		if calls := w.sim.Calls(0); len(calls) > 2 {
			w.Errorf("%d calls", len(calls))
		}
	})
}

// A share is one of what the group is to have. While recycles are in progress it has members on standby besides, and groups
// that are done have no candidates: neither changes what a later attempt allows.
func TestFleetsShareStaysTheSame(t *testing.T) {
	for name, c := range map[string]struct {
		flags      []string
		peak, late int
	}{
		"of each group": {[]string{"--max-unavailable", "50%"}, 6, 5},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.template("nodes", "ami-1", "m5.large")
				small := w.anotherGroup("small", 2, nil)
				large := w.anotherGroup("large", 10, func(in *autoscaling.CreateAutoScalingGroupInput) { in.MaxSize = aws.Int32(10) })
				for i, id := range slices.Concat(small, large) {
					w.pod(id, "batch-"+id, time.Hour+time.Duration(i)*7*time.Minute, nil)
				}
				a := newArgoWorld(w, nil)
				began, late := time.Now(), 0
				a.run = func(child map[string]string) string {
					if time.Since(began) > 80*time.Minute { // the small group is done
						a.mu.Lock()
						late = max(late, len(a.inProgress))
						a.mu.Unlock()
					}
					return a.recycleChild(child)
				}
				a.parent("fleet-1")
				o, attempts := a.fleet(w.Context(), "fleet-1", append(c.flags, "--asg", "small,large", "--poll-window", "10m")...)
				if o.code != 0 || o.result.Fleet.Recycled != 12 || attempts < 6 {
					w.Fatalf("exit %d after %d attempts: %s\n%s", o.code, attempts, o.result.Message, o.stderr)
				}
				if a.peak != c.peak || late != c.late {
					w.Errorf("%d at once, want %d; in the end %d, want %d", a.peak, c.peak, late, c.late)
				}
			})
		})
	}
}
