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
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiversion "k8s.io/apimachinery/pkg/version"
	fakediscovery "k8s.io/client-go/discovery/fake"

	"github.com/eks-recycle/eks-recycle/internal/fleet"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// selected runs step select, which has to end well, to change nothing, and to say the same a second time.
func (w *world) selected(flags ...string) []fleet.Candidate {
	w.Helper()
	w.sim.ForgetCalls()
	o := w.step("select", flags...)
	if o.code != 0 {
		w.Fatalf("step select %v: exit %d\n%s", flags, o.code, o.stderr)
	}
	if again := w.step("select", flags...); cmp.Diff(o.result.Nodes, again.result.Nodes) != "" {
		w.Errorf("a second run differs:\n%s", cmp.Diff(o.result.Nodes, again.result.Nodes))
	}
	if changes := w.actions(); len(changes) > 0 {
		w.Errorf("it changed something: %v", changes)
	}
	return o.result.Nodes
}

func idsOf(nodes []fleet.Candidate) (ids []string) {
	for _, n := range nodes {
		ids = append(ids, n.InstanceID)
	}
	return ids
}

func sorted(ids []string) []string { return slices.Sorted(slices.Values(ids)) }

// same compares the nodes selected with some instances, in any order.
func (w *world) same(what string, got []fleet.Candidate, want ...string) {
	w.Helper()
	if diff := cmp.Diff(sorted(want), sorted(idsOf(got))); diff != "" {
		w.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (w *world) template(name, image string, kind ec2types.InstanceType) {
	w.Helper()
	data := &ec2types.RequestLaunchTemplateData{ImageId: &image, InstanceType: kind}
	_, err := w.ec2.CreateLaunchTemplateVersion(w.Context(), &ec2.CreateLaunchTemplateVersionInput{LaunchTemplateName: &name, LaunchTemplateData: data})
	if err != nil {
		_, err = w.ec2.CreateLaunchTemplate(w.Context(), &ec2.CreateLaunchTemplateInput{LaunchTemplateName: &name, LaunchTemplateData: data})
	}
	if err != nil {
		w.Fatal(err)
	}
}

// another makes a second group and waits for its nodes.
func (w *world) anotherGroup(name string, size int32, change func(*autoscaling.CreateAutoScalingGroupInput)) []string {
	w.Helper()
	in := &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: &name, MinSize: aws.Int32(0), MaxSize: aws.Int32(9), DesiredCapacity: &size, AvailabilityZones: []string{w.region + "a", w.region + "b"},
		LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("nodes"), Version: aws.String("$Latest")},
	}
	if change != nil {
		change(in)
	}
	if _, err := w.groups.CreateAutoScalingGroup(w.Context(), in); err != nil {
		w.Fatal(err)
	}
	time.Sleep(3 * time.Minute)
	return w.membersOf(name)
}

func (w *world) membersOf(name string) (ids []string) {
	out, err := w.groups.DescribeAutoScalingGroups(w.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{name}})
	if err != nil {
		w.Fatal(err)
	}
	for _, m := range out.AutoScalingGroups[0].Instances {
		ids = append(ids, *m.InstanceId)
	}
	return ids
}

func (w *world) grow(name string, size int32) {
	w.Helper()
	if _, err := w.groups.SetDesiredCapacity(w.Context(), &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: &name, DesiredCapacity: &size}); err != nil {
		w.Fatal(err)
	}
	time.Sleep(3 * time.Minute)
}

func (w *world) editNode(id string, edit func(*corev1.Node)) {
	w.Helper()
	n := w.nodeOf(id)
	if n.Annotations == nil {
		n.Annotations = map[string]string{}
	}
	edit(n)
	if _, err := w.kube.CoreV1().Nodes().Update(w.Context(), n, metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}
}

func TestSelectByAge(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		time.Sleep(24 * time.Hour)
		w.grow(group, 5)
		old := w.selected("--asg", group, "--min-age", "1d")
		w.same("older than a day", old, w.ids...)
		for _, n := range old {
			if n.Reasons[0] != "older than 1d" || n.Age != "1d" || n.ASGName != group || n.Zone == "" || n.NodeName != w.nodeOf(n.InstanceID).Name {
				t.Errorf("%+v", n)
			}
		}
		all := w.selected("--asg", group)
		if len(all) != 5 || !slices.Equal(all[0].Reasons, []string{"all"}) || cmp.Diff(sorted(w.ids), sorted(idsOf(all[:3]))) != "" {
			t.Errorf("all, oldest first: %+v", all)
		}
		if two := w.selected("--asg", group, "--limit", "2"); cmp.Diff(all[:2], two) != "" {
			t.Errorf("the first two: %+v", two)
		}
		w.same("launched before the younger ones", w.selected("--asg", group, "--launched-before", time.Now().Add(-time.Hour).Format(time.RFC3339)), w.ids...)
		w.same("older than two days", w.selected("--asg", group, "--min-age", "2d"))
	})
}

func TestSelectByDrift(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.template("nodes", "ami-1", "m5.large")
		old := w.anotherGroup("drifting", 3, nil)
		w.same("nothing has drifted yet", w.selected("--asg", "drifting", "--drifted"))
		w.template("nodes", "ami-2", "m6i.large")
		w.grow("drifting", 4)
		drifted := w.selected("--asg", "drifting", "--drifted")
		w.same("launched from the first version", drifted, old...)
		want := []string{"launch template version 1, group launches 2", "AMI ami-1, group launches ami-2", "instance type m5.large, group launches m6i.large"}
		if diff := cmp.Diff(want, drifted[0].Reasons); diff != "" {
			t.Errorf("reasons (-want +got):\n%s", diff)
		}
		asked := 0
		for _, call := range w.sim.Calls(0) {
			if call.Action == "DescribeLaunchTemplateVersions" {
				asked++
			}
		}
		if asked != 2 { // selected runs it twice
			t.Errorf("the template was read %d times in two runs", asked)
		}
		if _, err := w.ec2.DeleteLaunchTemplate(w.Context(), &ec2.DeleteLaunchTemplateInput{LaunchTemplateName: aws.String("nodes")}); err != nil {
			w.Fatal(err)
		}
		o := w.step("select", "--asg", "drifting", "--drifted")
		if len(o.result.Nodes) > 0 || len(o.result.Warnings) != 1 || !strings.Contains(o.result.Warnings[0], "launch template nodes of Auto Scaling group drifting does not exist") {
			t.Errorf("a template that is gone: %+v", o.result)
		}
	})
}

func TestSelectFromSources(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		tag := func(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }
		managed := w.anotherGroup("eks-pool-1", 2, func(in *autoscaling.CreateAutoScalingGroupInput) {
			in.Tags = []types.Tag{tag("eks:nodegroup-name", "pool"), tag("eks:cluster-name", "sandbox"), tag("kubernetes.io/cluster/sandbox", "owned")}
		})
		theirs := w.anotherGroup("eks-pool-2", 2, func(in *autoscaling.CreateAutoScalingGroupInput) {
			in.Tags = []types.Tag{tag("eks:nodegroup-name", "pool"), tag("eks:cluster-name", "other")}
		})
		both := slices.Concat(w.ids, managed)
		for _, c := range []struct {
			flags string
			want  []string
		}{
			{"--asg workers,eks-pool-2", slices.Concat(w.ids, theirs)},
			{"--tag kubernetes.io/cluster/sandbox=owned", both},
			{"--tag kubernetes.io/cluster/sandbox", both},
			{"--tag kubernetes.io/cluster/sandbox=shared", nil},
			{"--tag kubernetes.io/cluster/sandbox,eks:nodegroup-name=pool", managed},
			{"--nodegroup pool", slices.Concat(managed, theirs)},
			{"--nodegroup pool --cluster sandbox", managed},
			{"--node-selector alpha.eksctl.io/nodegroup-name=workers", w.ids},
			{"--node-selector eks.amazonaws.com/nodegroup", slices.Concat(managed, theirs)},
			{"--node-selector eks.amazonaws.com/nodegroup --tag kubernetes.io/cluster/sandbox=owned", managed},
			{"--asg workers --node-selector eks.amazonaws.com/nodegroup", nil},
			{"--asg workers --tag eks:nodegroup-name", nil},
			{"--node-selector no=one", nil},
		} {
			w.same(c.flags, w.selected(strings.Fields(c.flags)...), c.want...)
		}
		for flags, want := range map[string]string{
			"--asg workers,gone,lost":  `there is no Auto Scaling group "gone", "lost" in this region and account`,
			"--nodegroup pool,swimmer": `there is no Auto Scaling group of managed node group "swimmer" in this region and account`,
		} {
			if o := w.step("select", strings.Fields(flags)...); o.code != 1 || o.result.Message != want || o.result.Hint == "" {
				t.Errorf("%s: exit %d, %+v", flags, o.code, o.result)
			}
		}
	})
}

func TestSelectPassesOver(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.template("nodes", "ami-1", "")
		ids := w.anotherGroup("mixed", 6, nil)
		karpenter, err := w.sim.AddInstance(awssim.InstanceSpec{NodeLabels: map[string]string{"karpenter.sh/nodepool": "default"}, JoinsCluster: true})
		if err != nil {
			w.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		w.editNode(ids[0], func(n *corev1.Node) { n.Annotations["eks-recycle.io/skip"] = "true" })
		w.editNode(ids[1], func(n *corev1.Node) { n.Annotations["eks-recycle.io/skip"] = "false" })
		w.editNode(ids[2], func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: "eks-recycle.io/leaving", Effect: corev1.TaintEffectPreferNoSchedule}}
		})
		if _, err := w.ec2.CreateTags(w.Context(), &ec2.CreateTagsInput{Resources: []string{ids[3]}, Tags: []ec2types.Tag{{Key: aws.String("eks-recycle.io/retired-at"), Value: aws.String("now")}}}); err != nil {
			w.Fatal(err)
		}
		if err := w.kube.CoreV1().Nodes().Delete(w.Context(), w.nodeOf(ids[4]).Name, metav1.DeleteOptions{}); err != nil {
			w.Fatal(err)
		}
		if _, err := w.groups.EnterStandby(w.Context(), &autoscaling.EnterStandbyInput{AutoScalingGroupName: aws.String("mixed"), InstanceIds: ids[5:], ShouldDecrementDesiredCapacity: aws.Bool(true)}); err != nil {
			w.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.same("what is left", w.selected("--asg", "mixed"), ids[1])
		if log := w.step("select", "--asg", "mixed").stderr; !strings.Contains(log, `skipped="2 in progress, 1 not in service, 1 to be left alone, 1 without a Node"`) {
			t.Error(log)
		}
		w.same("by Node", w.selected("--node-selector", "kubernetes.io/os=linux"), append([]string{ids[1]}, w.ids...)...)
		if log := w.step("select", "--node-selector", "kubernetes.io/os=linux").stderr; !strings.Contains(log, "1 Karpenter's") || karpenter == "" {
			t.Error(log)
		}
	})
}

func TestSelectByWhatTheNodeSays(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.kube.Discovery().(*fakediscovery.FakeDiscovery).FakedServerVersion = &apiversion.Info{GitVersion: "v1.33.9-eks-1a2b3c"}
		w.editNode(w.ids[0], func(n *corev1.Node) { n.Status.NodeInfo.KubeletVersion = "v1.32.3-eks-9" })
		w.editNode(w.ids[1], func(n *corev1.Node) { n.Annotations["eks-recycle.io/recycle"] = "requested" })
		w.editNode(w.ids[2], func(n *corev1.Node) {
			n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: "MemoryPressure", Status: corev1.ConditionTrue})
		})
		for _, c := range []struct {
			flags, reason string
			want          []string
		}{
			{"--kubelet-older-than-control-plane", "kubelet v1.32.3, control plane v1.33.9", w.ids[:1]},
			{"--requested", "requested", w.ids[1:2]},
			{"--condition DiskPressure,MemoryPressure", "condition MemoryPressure=True", w.ids[2:]},
			{"--condition Ready=Unknown", "", nil},
			{"--requested --condition MemoryPressure", "", w.ids[1:]},
		} {
			got := w.selected(append([]string{"--asg", group}, strings.Fields(c.flags)...)...)
			w.same(c.flags, got, c.want...)
			if c.reason != "" && (len(got) != 1 || !slices.Equal(got[0].Reasons, []string{c.reason})) {
				t.Errorf("%s: %+v", c.flags, got)
			}
		}
	})
}

func TestSelectWithoutPermission(t *testing.T) {
	for action, hint := range map[string]string{
		"DescribeLaunchTemplateVersions": "--drifted needs ec2:DescribeLaunchTemplateVersions", "DescribeInstances": "", "DescribeAutoScalingGroups": "",
	} {
		t.Run(action, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				if err := w.sim.AddFaults(awssim.Fault{Action: action, Kind: "error-before", Code: "UnauthorizedOperation", Status: 403}); err != nil {
					w.Fatal(err)
				}
				o := w.step("select", "--asg", group, "--drifted")
				if o.code != 1 || !strings.Contains(o.result.Message, "UnauthorizedOperation") || !strings.Contains(o.result.Message, action) || !strings.HasPrefix(o.result.Hint, hint) {
					t.Errorf("exit %d, %+v", o.code, o.result)
				}
			})
		})
	}
}

// AWS allows commas in the names of groups and in the values of tags.
func TestSelectByANameWithAComma(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ids := w.anotherGroup("workers, blue", 1, nil)
		w.same("a name with a comma, beside another one", w.selected("--asg", `workers\, blue,`+group), append(slices.Clone(w.ids), ids...)...)
		if o := w.step("select", "--asg", "workers, blue"); o.code != 1 || !strings.Contains(o.result.Message, `there is no Auto Scaling group "blue"`) {
			t.Errorf("exit %d: %s", o.code, o.result.Message)
		}
	})
}
