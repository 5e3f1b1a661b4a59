package awssim_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

func TestARNsNameThePartitionOfTheRegion(t *testing.T) {
	for region, partition := range map[string]string{"eu-central-1": "aws", "cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov"} {
		t.Run(region, func(t *testing.T) {
			inWorld(t, func(c *awssim.Config) { c.Region = region }, func(w *world) {
				w = newWorld(w.T, w.sim, region)
				_, err := w.asg.CreateAutoScalingGroup(w.ctx, &autoscaling.CreateAutoScalingGroupInput{
					AutoScalingGroupName: aws.String(name), MinSize: aws.Int32(0), MaxSize: aws.Int32(1), AvailabilityZones: []string{region + "a"},
					LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("nodes")},
				})
				w.ok(err)
				who, err := w.sts.GetCallerIdentity(w.ctx, &sts.GetCallerIdentityInput{})
				w.ok(err)
				cluster, err := w.eks.DescribeCluster(w.ctx, &eks.DescribeClusterInput{Name: aws.String("sandbox")})
				w.ok(err)
				_, err = w.sim.AddInstance(awssim.InstanceSpec{})
				w.ok(err)
				w.ok(w.end(w.sim.State().Instances[0].ID))
				calls := w.sim.Calls(0)
				g := w.describe()
				for what, arn := range map[string]string{
					"caller": *who.Arn, "group": *g.AutoScalingGroupARN, "role": *g.ServiceLinkedRoleARN,
					"cluster": *cluster.Cluster.Arn, "instance in the call log": calls[len(calls)-1].Resources[0].ARN,
				} {
					w.want(strings.Join(strings.Split(arn, ":")[:2], ":"), "arn:"+partition, what)
				}
			})
		})
	}
}
