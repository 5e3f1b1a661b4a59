package workflows_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/iampolicy"
	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const (
	group        = "arn:aws:autoscaling:eu-central-1:111122223333:autoScalingGroup:0f0f:autoScalingGroupName/workers"
	instance     = "arn:aws:ec2:eu-central-1:111122223333:instance/i-0123456789abcdef0"
	groupInChina = "arn:aws-cn:autoscaling:cn-north-1:111122223333:autoScalingGroup:0f0f:autoScalingGroupName/workers"
)

func policyFor(t *testing.T, account, cluster string) iampolicy.Policy {
	t.Helper()
	// What the installation page tells a user to do with sed.
	document := bytes.ReplaceAll(read(t, "base", "accounts", account+".json"), []byte("CLUSTER_NAME"), []byte(cluster))
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
		on("ec2:DescribeVolumes", "", nil), // which only a reap needs
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
	policy := policyFor(t, "eks-recycle", "prod")
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

// What each service account may change is tied to resources and to the tag of one cluster.
func TestIAMPoliciesAreTight(t *testing.T) {
	for _, account := range []string{"eks-recycle", "eks-recycle-fleet", "eks-recycle-sweep", "eks-recycle-reap", "eks-recycle-events"} {
		t.Run(account, func(t *testing.T) {
			for _, s := range policyFor(t, account, "prod").Statement {
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
					if account == "eks-recycle-fleet" || account == "eks-recycle-events" {
						t.Errorf("%s: %q changes something", s.Sid, action)
					}
				}
			}
			// The limit of a managed policy, which does not count white space.
			size := 0
			for _, r := range string(read(t, "base", "accounts", account+".json")) {
				if !unicode.IsSpace(r) {
					size++
				}
			}
			if size > 6144 {
				t.Errorf("the policy has %d characters, more than AWS takes", size)
			}
		})
	}
}

// CloudFormation cannot read a file: the stack of the events repeats one policy.
func TestTheStackHasThePolicyOfTheEvents(t *testing.T) {
	var stack struct {
		Resources map[string]struct {
			Properties struct{ PolicyDocument json.RawMessage }
		}
	}
	if err := yaml.Unmarshal(read(t, "components", "events", "aws", "events.yaml"), &stack); err != nil {
		t.Fatal(err)
	}
	of, err := iampolicy.Parse(stack.Resources["DispatcherPolicy"].Properties.PolicyDocument)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(policyFor(t, "eks-recycle-events", "prod"), of); diff != "" {
		t.Errorf("the stack's policy (-file +stack):\n%s", diff)
	}
}
