package awssim_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// post makes a call that no SDK would, and gives the answer.
func (w *world) post(service string, form url.Values) (int, string) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.ctx, http.MethodPost, "http://awssim/", strings.NewReader(form.Encode()))
	w.ok(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=sandbox/20260314/"+region+"/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := w.sim.HTTPClient().Do(req)
	w.ok(err)
	body, err := io.ReadAll(resp.Body)
	w.ok(err)
	w.ok(resp.Body.Close())
	return resp.StatusCode, string(body)
}

func TestUnknownParametersAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, service, action, parameter, value string
		code                                    string // of the error; "": none
	}{
		{"a typing error in a name", "autoscaling", "EnterStandby", "ShouldDecrementDesiredCapcity", "true", "ValidationError"},
		{"what another action takes", "autoscaling", "SetDesiredCapacity", "MinSize", "1", "ValidationError"},
		{"what AWS knows and the simulator does not play", "autoscaling", "CreateAutoScalingGroup", "InstanceMaintenancePolicy.MinHealthyPercentage", "90", "ValidationError"},
		{"a list spelled as EC2 has it", "autoscaling", "DescribeAutoScalingGroups", "Filters.1.Key", "tag-key", "ValidationError"},
		{"a field of a structure", "ec2", "DescribeInstances", "Filter.1.Names", "tag-key", "UnknownParameter"},
		{"a list where one value belongs", "ec2", "DescribeInstanceAttribute", "InstanceId.1", "i-1", "UnknownParameter"},
		{"a dry run outside EC2", "autoscaling", "DescribeAutoScalingGroups", "DryRun", "true", "ValidationError"},
		{"before a dry run says that all is well", "ec2", "StopInstances", "Hibernate", "true", "UnknownParameter"},
		{"of STS", "sts", "GetCallerIdentity", "Name", "x", "ValidationError"},
		{"an empty list is none", "autoscaling", "DescribeAutoScalingGroups", "AutoScalingGroupNames", "", ""},
		{"an empty list of structures is none", "autoscaling", "DescribeAutoScalingGroups", "Filters", "", ""},
		{"no place in a list is too far", "ec2", "DescribeInstances", "Filter.17.Value.230", "x", "InvalidParameterValue"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				version := map[string]string{"autoscaling": "2011-01-01", "ec2": "2016-11-15", "sts": "2011-06-15"}[c.service]
				form := url.Values{"Action": {c.action}, "Version": {version}, c.parameter: {c.value}}
				if c.service == "ec2" && c.action == "StopInstances" {
					form.Set("DryRun", "true")
				}
				status, body := w.post(c.service, form)
				if c.code == "" {
					w.want(status, http.StatusOK, "status")
					return
				}
				w.want(status, http.StatusBadRequest, "status")
				w.want(strings.Contains(body, "<Code>"+c.code+"</Code>"), true, "code in "+body)
				if c.code != "InvalidParameterValue" {
					w.want(strings.Contains(body, "The parameter "+c.parameter+" is not recognized"), true, "message in "+body)
				}
			})
		})
	}
}

func TestWhatIsWithoutEffectIsTaken(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.group(1, 2, 1, func(in *autoscaling.CreateAutoScalingGroupInput) {
			in.MixedInstancesPolicy = &types.MixedInstancesPolicy{
				InstancesDistribution: &types.InstancesDistribution{OnDemandBaseCapacity: aws.Int32(1), SpotAllocationStrategy: aws.String("capacity-optimized")},
				LaunchTemplate: &types.LaunchTemplate{LaunchTemplateSpecification: in.LaunchTemplate, Overrides: []types.LaunchTemplateOverrides{
					{InstanceType: aws.String("m5.large"), WeightedCapacity: aws.String("1")},
				}},
			}
			in.LaunchTemplate = nil
			in.DefaultCooldown, in.HealthCheckGracePeriod, in.HealthCheckType = aws.Int32(1), aws.Int32(1), aws.String("ELB")
			in.TargetGroupARNs, in.LoadBalancerNames = []string{"arn:t"}, []string{"old"}
			in.TerminationPolicies = []string{"OldestInstance"}
		})
		_, err := w.asg.SetDesiredCapacity(w.ctx, &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String(name), DesiredCapacity: aws.Int32(1), HonorCooldown: aws.Bool(false)})
		w.ok(err)
		w.want(w.describe().TargetGroupARNs, []string{"arn:t"}, "target groups")
		w.want(w.describe().LoadBalancerNames, []string{"old"}, "load balancers")
	})
}
