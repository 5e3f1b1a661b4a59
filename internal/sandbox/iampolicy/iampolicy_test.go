package iampolicy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/iampolicy"
)

const (
	instance = "arn:aws:ec2:eu-central-1:000000000000:instance/i-1"
	gov      = "arn:aws-us-gov:ec2:us-gov-west-1:000000000000:instance/i-1"
)

func document(statements ...string) []byte {
	return fmt.Appendf(nil, `{"Version":"2012-10-17","Statement":[%s]}`, strings.Join(statements, ","))
}

func statement(effect, action, resource, condition string) string {
	return fmt.Sprintf(`{"Sid":"s","Effect":%q,"Action":%s,"Resource":%s,"Condition":{%s}}`, effect, action, resource, condition)
}

func TestCheck(t *testing.T) {
	stop := func(tags map[string]string) iampolicy.Request {
		return iampolicy.Request{Service: "ec2", Action: "StopInstances", Resources: []iampolicy.Resource{{ARN: instance, Tags: tags}}}
	}
	tagging := func(keys ...string) iampolicy.Request {
		r := iampolicy.Request{
			Service: "ec2", Action: "CreateTags", Params: map[string]string{},
			Resources: []iampolicy.Resource{{ARN: instance}},
		}
		for i, k := range keys {
			r.Params[fmt.Sprintf("Tag.%d.Key", i+1)] = k
			r.Params[fmt.Sprintf("Tag.%d.Value", i+1)] = "v"
		}
		return r
	}
	resize := func(params map[string]string) iampolicy.Request {
		return iampolicy.Request{
			Service: "autoscaling", Action: "UpdateAutoScalingGroup", Params: params,
			Resources: []iampolicy.Resource{{ARN: "arn:aws:autoscaling:eu-central-1:000000000000:autoScalingGroup:u-u:autoScalingGroupName/g"}},
		}
	}
	owned := `"StringEquals":{"aws:ResourceTag/owner":"us"}`
	ours := `"ForAllValues:StringLike":{"aws:TagKeys":"eks-recycle.io/*"}`
	ec2All := statement("Allow", `"ec2:*"`, `"*"`, "")
	sizes := `"Null":{"autoscaling:MinSize":"true","autoscaling:MaxSize":"true"}`
	groups := `"arn:*:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/*"`

	tests := map[string]struct {
		policy []string
		call   iampolicy.Request
		want   string // part of the error; empty when allowed
	}{
		"an action that no statement names": {
			[]string{statement("Allow", `["ec2:StartInstances"]`, `"*"`, "")}, stop(nil), "no statement names the action",
		},
		"an action named in another case": {
			[]string{statement("Allow", `["EC2:stopinstances"]`, `"*"`, "")}, stop(nil), "",
		},
		"a tag as the condition wants it": {
			[]string{statement("Allow", `"ec2:StopInstances"`, `"*"`, owned)}, stop(map[string]string{"owner": "us"}), "",
		},
		"a tag with another value": {
			[]string{statement("Allow", `"ec2:StopInstances"`, `"*"`, owned)}, stop(map[string]string{"owner": "them"}), "them",
		},
		"a tag that is absent": {
			[]string{statement("Allow", `"ec2:StopInstances"`, `"*"`, owned)}, stop(nil), "aws:ResourceTag/owner",
		},
		"one of two resources without the tag": {
			[]string{statement("Allow", `"ec2:StopInstances"`, `"*"`, owned)},
			iampolicy.Request{Service: "ec2", Action: "StopInstances", Resources: []iampolicy.Resource{
				{ARN: instance, Tags: map[string]string{"owner": "us"}}, {ARN: instance + "2"},
			}},
			"i-12",
		},
		"a wildcard for the partition": {
			[]string{statement("Allow", `"ec2:StopInstances"`, `"arn:*:ec2:*:*:instance/*"`, "")},
			iampolicy.Request{Service: "ec2", Action: "StopInstances", Resources: []iampolicy.Resource{{ARN: gov}}}, "",
		},
		"a resource of another type": {
			[]string{statement("Allow", `"ec2:StopInstances"`, `"arn:*:ec2:*:*:volume/*"`, "")}, stop(nil), "does not cover the resource",
		},
		"a statement on ARNs for an action that knows none": {
			[]string{statement("Allow", `"ec2:DescribeInstances"`, `"arn:*:ec2:*:*:instance/*"`, "")},
			iampolicy.Request{Service: "ec2", Action: "DescribeInstances"}, "does not cover the resource",
		},
		"a Deny beside an Allow": {
			[]string{ec2All, statement("Deny", `"ec2:Stop*"`, `"*"`, "")}, stop(nil), "denied",
		},
		"a Deny whose condition does not hold": {
			[]string{ec2All, statement("Deny", `"ec2:Stop*"`, `"*"`, owned)}, stop(nil), "",
		},
		"tag keys that all match": {
			[]string{statement("Allow", `"ec2:CreateTags"`, `"*"`, ours)}, tagging("eks-recycle.io/a", "eks-recycle.io/b"), "",
		},
		"tag keys of which one does not match": {
			[]string{statement("Allow", `"ec2:CreateTags"`, `"*"`, ours)}, tagging("eks-recycle.io/a", "Name"), "Name",
		},
		"no tag keys at all, which ForAllValues lets pass": {
			[]string{statement("Allow", `"ec2:CreateTags"`, `"*"`, ours)}, tagging(), "",
		},
		"no tag keys at all, with a Null condition beside it": {
			[]string{statement("Allow", `"ec2:CreateTags"`, `"*"`, ours+`,"Null":{"aws:TagKeys":"false"}`)}, tagging(), "Null",
		},
		"desired capacity alone": {
			[]string{statement("Allow", `"autoscaling:UpdateAutoScalingGroup"`, groups, sizes)},
			resize(map[string]string{"DesiredCapacity": "3"}), "",
		},
		"a limit beside the desired capacity": {
			[]string{statement("Allow", `"autoscaling:UpdateAutoScalingGroup"`, groups, sizes)},
			resize(map[string]string{"DesiredCapacity": "3", "MinSize": "0"}), "autoscaling:MinSize",
		},
		"the one call that needs no permission": {
			nil, iampolicy.Request{Service: "sts", Action: "GetCallerIdentity"}, "",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := iampolicy.Parse(document(tt.policy...))
			if err != nil {
				t.Fatal(err)
			}
			err = p.Check(tt.call)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("not allowed: %v", err)
			case tt.want != "" && err == nil:
				t.Errorf("allowed, want an error about %q", tt.want)
			case tt.want != "" && !strings.Contains(err.Error(), tt.want):
				t.Errorf("error %q does not mention %q", err, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := map[string][]byte{
		"something else than a policy":       []byte(`[]`),
		"another version":                    []byte(`{"Version":"2008-10-17","Statement":[]}`),
		"an element that it does not know":   document(`{"Effect":"Allow","NotAction":"ec2:*","Resource":"*"}`),
		"an operator that it does not know":  document(statement("Allow", `"ec2:*"`, `"*"`, `"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}`)),
		"a qualifier that it does not know":  document(statement("Allow", `"ec2:*"`, `"*"`, `"ForSome:StringLike":{"aws:TagKeys":"a"}`)),
		"a policy variable":                  document(statement("Allow", `"ec2:*"`, `"arn:aws:ec2:*:*:instance/${aws:username}"`, "")),
		"an effect that it does not know":    document(statement("Perhaps", `"ec2:*"`, `"*"`, "")),
		"an action without a service":        document(statement("Allow", `"StopInstances"`, `"*"`, "")),
		"a resource that is not an ARN":      document(statement("Allow", `"ec2:*"`, `"instance/*"`, "")),
		"a statement without any resources":  document(statement("Allow", `"ec2:*"`, `[]`, "")),
		"a statement that names no actions":  document(statement("Allow", `[]`, `"*"`, "")),
		"a resource list with a wrong shape": document(statement("Allow", `"ec2:*"`, `{}`, "")),
	}
	for name, doc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := iampolicy.Parse(doc); err == nil {
				t.Error("the policy was read")
			}
		})
	}
}
