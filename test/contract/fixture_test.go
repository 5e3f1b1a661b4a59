package contract

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	bustypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

const (
	instanceType = "t4g.nano"
	image        = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-minimal-kernel-default-arm64"
)

// fixture is what the checks of one run share: a group of one instance, min 1, max 3, and a queue with its events.
type fixture struct {
	clients
	pace
	region, account, subnet, id string
	queueURL                    string
}

// name is that of everything in this run.
func (f *fixture) name() string { return prefix + f.id }

func (f *fixture) tags() []ec2types.Tag {
	return []ec2types.Tag{{Key: aws.String(tagKey), Value: aws.String(f.id)}, {Key: aws.String("Name"), Value: aws.String(f.name())}}
}

// create makes everything in an order that cleaning up goes backwards: the group goes first, then what remains of its
// instances.
func (f *fixture) create(ctx context.Context, made *ledger) error {
	return firstError(
		func() error { return made.add(f.templateItem(), func() error { return f.createTemplate(ctx) }) },
		func() error { return made.add(f.queueItem(), func() error { return f.createQueue(ctx) }) },
		func() error { return made.add(f.ruleItem(), func() error { return f.createRule(ctx) }) },
		func() error { return f.putTarget(ctx) },
		func() error { return made.add(f.instancesItem(), nil) },
		func() error { return made.add(f.groupItem(), func() error { return f.createGroup(ctx) }) },
		func() error { return f.awaitService(ctx) },
	)
}

func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// createTemplate gives the instances no public address, as that costs more than they do.
func (f *fixture) createTemplate(ctx context.Context) error {
	tagged := func(kind ec2types.ResourceType) ec2types.LaunchTemplateTagSpecificationRequest {
		return ec2types.LaunchTemplateTagSpecificationRequest{ResourceType: kind, Tags: f.tags()}
	}
	_, err := f.ec2.CreateLaunchTemplate(ctx, &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: aws.String(f.name()),
		TagSpecifications:  []ec2types.TagSpecification{{ResourceType: ec2types.ResourceTypeLaunchTemplate, Tags: f.tags()}},
		LaunchTemplateData: &ec2types.RequestLaunchTemplateData{
			InstanceType: instanceType, ImageId: aws.String(image),
			MetadataOptions:   &ec2types.LaunchTemplateInstanceMetadataOptionsRequest{HttpTokens: ec2types.LaunchTemplateHttpTokensStateRequired},
			NetworkInterfaces: []ec2types.LaunchTemplateInstanceNetworkInterfaceSpecificationRequest{{DeviceIndex: aws.Int32(0), AssociatePublicIpAddress: aws.Bool(false)}},
			TagSpecifications: []ec2types.LaunchTemplateTagSpecificationRequest{tagged(ec2types.ResourceTypeInstance), tagged(ec2types.ResourceTypeVolume)},
		},
	})
	return err
}

func (f *fixture) ruleARN() string {
	return fmt.Sprintf("arn:%s:events:%s:%s:rule/%s", f.partition(), f.region, f.account, f.name())
}

func (f *fixture) queueARN() string {
	return fmt.Sprintf("arn:%s:sqs:%s:%s:%s", f.partition(), f.region, f.account, f.name())
}

func (f *fixture) partition() string {
	switch {
	case len(f.region) > 3 && f.region[:3] == "cn-":
		return "aws-cn"
	case len(f.region) > 7 && f.region[:7] == "us-gov-":
		return "aws-us-gov"
	}
	return "aws"
}

func (f *fixture) createQueue(ctx context.Context) error {
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"events","Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},
		"Action":"sqs:SendMessage","Resource":%q,"Condition":{"ArnEquals":{"aws:SourceArn":%q}}}]}`, f.queueARN(), f.ruleARN())
	out, err := f.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{
		QueueName: aws.String(f.name()), Attributes: map[string]string{"Policy": policy, "MessageRetentionPeriod": "3600"},
		Tags: map[string]string{tagKey: f.id},
	})
	if err != nil {
		return err
	}
	f.queueURL = aws.ToString(out.QueueUrl)
	return nil
}

func (f *fixture) createRule(ctx context.Context) error {
	pattern := fmt.Sprintf(`{"source":["aws.autoscaling"],"detail-type":["EC2 Instance-terminate Lifecycle Action"],"detail":{"AutoScalingGroupName":[%q]}}`, f.name())
	_, err := f.bus.PutRule(ctx, &eventbridge.PutRuleInput{
		Name: aws.String(f.name()), EventPattern: aws.String(pattern), Tags: []bustypes.Tag{{Key: aws.String(tagKey), Value: aws.String(f.id)}},
	})
	return err
}

func (f *fixture) putTarget(ctx context.Context) error {
	out, err := f.bus.PutTargets(ctx, &eventbridge.PutTargetsInput{
		Rule: aws.String(f.name()), Targets: []bustypes.Target{{Id: aws.String("queue"), Arn: aws.String(f.queueARN())}},
	})
	if err == nil && out.FailedEntryCount > 0 {
		err = fmt.Errorf("%s: %s", aws.ToString(out.FailedEntries[0].ErrorCode), aws.ToString(out.FailedEntries[0].ErrorMessage))
	}
	if err != nil {
		return fmt.Errorf("giving event rule %s its target: %w", f.name(), err)
	}
	return nil
}

func (f *fixture) createGroup(ctx context.Context) error {
	var tags []astypes.Tag
	for _, t := range f.tags() {
		tags = append(tags, astypes.Tag{Key: t.Key, Value: t.Value, PropagateAtLaunch: aws.Bool(true)})
	}
	_, err := f.asg.CreateAutoScalingGroup(ctx, &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String(f.name()), MinSize: aws.Int32(1), MaxSize: aws.Int32(3), DesiredCapacity: aws.Int32(1),
		VPCZoneIdentifier: aws.String(f.subnet), Tags: tags,
		LaunchTemplate: &astypes.LaunchTemplateSpecification{LaunchTemplateName: aws.String(f.name()), Version: aws.String("$Default")},
	})
	return err
}

func (f *fixture) awaitService(ctx context.Context) error {
	return f.until(ctx, "the group's first instance is in service", func(ctx context.Context) (bool, string, error) {
		g, err := f.describe(ctx)
		if err != nil || g == nil || len(g.Instances) == 0 {
			return false, "it has no instance; " + f.newestActivity(ctx), err
		}
		state := g.Instances[0].LifecycleState
		return state == astypes.LifecycleStateInService, "it is " + string(state), nil
	})
}

// describe is nil for a group that is not there.
func (f *fixture) describe(ctx context.Context) (*astypes.AutoScalingGroup, error) {
	out, err := f.asg.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{f.name()}})
	if err != nil || len(out.AutoScalingGroups) == 0 {
		return nil, err
	}
	return &out.AutoScalingGroups[0], nil
}

// newestActivity says why there is no instance, such as a subnet without room.
func (f *fixture) newestActivity(ctx context.Context) string {
	out, err := f.asg.DescribeScalingActivities(ctx, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: aws.String(f.name()), MaxRecords: aws.Int32(1)})
	if err != nil || len(out.Activities) == 0 {
		return "it has done nothing yet"
	}
	a := out.Activities[0]
	return fmt.Sprintf("%s: %s %s", aws.ToString(a.Description), a.StatusCode, aws.ToString(a.StatusMessage))
}
