package workflows_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/iampolicy"
	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

func TestRBACIsExact(t *testing.T) {
	tests := map[string]map[string][]string{
		"base/cluster-role.yaml": {
			"nodes":         {"get", "list", "watch", "patch", "delete"},
			"pods":          {"list", "watch"},
			"pods/eviction": {"create"},
			"events":        {"create"},

			"poddisruptionbudgets.policy":      {"list"}, // to say why one blocks
			"volumeattachments.storage.k8s.io": {"list", "watch"},
			"persistentvolumeclaims":           {"get"}, // of pods that stay
		},
		"base/role.yaml": {
			"leases.coordination.k8s.io":      {"get", "list", "create", "update", "delete"},
			"workflows.argoproj.io":           {"get", "list", "watch", "create", "patch", "delete"},
			"workflowtaskresults.argoproj.io": {"create", "patch"},
		},
		"components/events/role.yaml": {
			"workflows.argoproj.io": {"create"},
		},
	}
	for file, want := range tests {
		t.Run(file, func(t *testing.T) {
			var role rbacv1.ClusterRole
			if err := yaml.UnmarshalStrict(read(t, file), &role); err != nil {
				t.Fatal(err)
			}
			got := map[string][]string{}
			for _, rule := range role.Rules {
				for _, group := range rule.APIGroups {
					for _, resource := range rule.Resources {
						name := strings.TrimSuffix(resource+"."+group, ".")
						got[name] = append(got[name], rule.Verbs...)
					}
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("permissions (-want +got):\n%s", diff)
			}
		})
	}
}

const (
	group        = "arn:aws:autoscaling:eu-central-1:111122223333:autoScalingGroup:0f0f:autoScalingGroupName/workers"
	instance     = "arn:aws:ec2:eu-central-1:111122223333:instance/i-0123456789abcdef0"
	groupInChina = "arn:aws-cn:autoscaling:cn-north-1:111122223333:autoScalingGroup:0f0f:autoScalingGroupName/workers"
)

func policyFor(t *testing.T, cluster string) iampolicy.Policy {
	t.Helper()
	// What the installation page tells a user to do with sed.
	document := bytes.ReplaceAll(read(t, "base", "iam-policy.json"), []byte("CLUSTER_NAME"), []byte(cluster))
	policy, err := iampolicy.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func TestIAMPolicy(t *testing.T) {
	ours := map[string]string{"kubernetes.io/cluster/prod": "owned"}
	shared := map[string]string{"kubernetes.io/cluster/prod": "shared"}
	theirs := map[string]string{"kubernetes.io/cluster/staging": "owned"}
	on := func(call, arn string, tags map[string]string, params ...string) iampolicy.Request {
		service, action, _ := strings.Cut(call, ":")
		r := iampolicy.Request{Service: service, Action: action, Params: map[string]string{}}
		if arn != "" {
			r.Resources = []iampolicy.Resource{{ARN: arn, Tags: tags}}
		}
		for _, p := range params {
			k, v, _ := strings.Cut(p, "=")
			r.Params[k] = v
		}
		return r
	}
	const retiredAt, workflow = "Tag.1.Key=eks-recycle.io/retired-at", "Tag.2.Key=eks-recycle.io/workflow"

	allowed := []iampolicy.Request{
		on("autoscaling:DescribeAutoScalingGroups", "", nil),
		on("autoscaling:DescribeInstanceRefreshes", "", nil),
		on("autoscaling:DescribeScalingActivities", "", nil),
		on("ec2:DescribeInstances", "", nil),
		on("ec2:DescribeVolumes", "", nil),
		on("ec2:DescribeLaunchTemplateVersions", "", nil),
		on("sts:GetCallerIdentity", "", nil),
		on("eks:DescribeCluster", "arn:aws:eks:eu-central-1:111122223333:cluster/prod", nil),
		on("autoscaling:EnterStandby", group, ours),
		on("autoscaling:ExitStandby", group, ours),
		on("autoscaling:DetachInstances", group, ours),
		on("autoscaling:SuspendProcesses", group, ours),
		on("autoscaling:ResumeProcesses", group, ours),
		on("autoscaling:DetachInstances", groupInChina, ours),
		on("autoscaling:SetDesiredCapacity", group, ours, "DesiredCapacity=3"),
		on("autoscaling:TerminateInstanceInAutoScalingGroup", group, ours),
		on("ec2:StopInstances", instance, ours),
		on("ec2:TerminateInstances", instance, ours),
		on("ec2:CreateTags", instance, ours, retiredAt, workflow),
		on("ec2:DeleteTags", instance, ours, retiredAt, workflow),
	}
	refused := []iampolicy.Request{
		on("eks:DescribeCluster", "arn:aws:eks:eu-central-1:111122223333:cluster/staging", nil),
		on("autoscaling:EnterStandby", group, theirs),
		on("autoscaling:ExitStandby", group, shared),
		on("autoscaling:SuspendProcesses", group, theirs),
		on("autoscaling:DetachInstances", group, nil),
		on("autoscaling:SetDesiredCapacity", group, theirs, "DesiredCapacity=3"),
		on("autoscaling:UpdateAutoScalingGroup", group, ours, "DesiredCapacity=3"),
		on("autoscaling:TerminateInstanceInAutoScalingGroup", group, theirs),
		on("autoscaling:DeleteAutoScalingGroup", group, ours),
		on("ec2:StopInstances", instance, theirs),
		on("ec2:TerminateInstances", instance, nil),
		on("ec2:CreateTags", instance, theirs, retiredAt),
		on("ec2:CreateTags", instance, ours, retiredAt, "Tag.2.Key=kubernetes.io/cluster/prod"),
		on("ec2:CreateTags", instance, ours),
		on("ec2:DeleteTags", instance, ours, "Tag.1.Key=Name"),
		on("ec2:CreateTags", "arn:aws:ec2:eu-central-1:111122223333:volume/vol-1", ours, retiredAt),
		on("ec2:RunInstances", instance, ours),
		on("ec2:DeleteVolume", "arn:aws:ec2:eu-central-1:111122223333:volume/vol-1", ours),
		on("ec2:ModifyInstanceAttribute", instance, ours),
		on("ec2:StartInstances", instance, ours),
	}
	policy := policyFor(t, "prod")
	for _, r := range allowed {
		if err := policy.Check(r); err != nil {
			t.Error(err)
		}
	}
	for _, r := range refused {
		if policy.Check(r) == nil {
			t.Errorf("allowed: %+v", r)
		}
	}
}

func TestIAMPolicyIsTight(t *testing.T) {
	for _, s := range policyFor(t, "prod").Statement {
		for _, action := range s.Action {
			if strings.Contains(action, "*") {
				t.Errorf("%s: action %q has a wildcard", s.Sid, action)
			}
			_, name, _ := strings.Cut(action, ":")
			if strings.HasPrefix(name, "Describe") {
				continue
			}
			if slices.Contains(s.Resource, "*") || s.Condition["StringEquals"] == nil {
				t.Errorf("%s: %q is not tied to a resource and a tag", s.Sid, action)
			}
		}
	}
	// The limit of a managed policy, which does not count white space.
	size := 0
	for _, r := range string(read(t, "base", "iam-policy.json")) {
		if !unicode.IsSpace(r) {
			size++
		}
	}
	if size > 6144 {
		t.Errorf("the policy has %d characters, more than AWS takes", size)
	}
}
