package cli_test

import (
	"context"
	"net/url"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// The calls of awsWire that change something. Their answers hold nothing that a step reads.

func (w *awsWire) move(ctx context.Context, action string, group *string, ids []string, decrement *bool) error {
	form := members("InstanceIds", ids)
	form.Set("AutoScalingGroupName", aws.ToString(group))
	if decrement != nil {
		form.Set("ShouldDecrementDesiredCapacity", strconv.FormatBool(*decrement))
	}
	_, err := w.call(ctx, "autoscaling", action, form)
	return err
}

func (w *awsWire) EnterStandby(ctx context.Context, in *autoscaling.EnterStandbyInput, _ ...func(*autoscaling.Options)) (*autoscaling.EnterStandbyOutput, error) {
	return &autoscaling.EnterStandbyOutput{}, w.move(ctx, "EnterStandby", in.AutoScalingGroupName, in.InstanceIds, in.ShouldDecrementDesiredCapacity)
}

func (w *awsWire) ExitStandby(ctx context.Context, in *autoscaling.ExitStandbyInput, _ ...func(*autoscaling.Options)) (*autoscaling.ExitStandbyOutput, error) {
	return &autoscaling.ExitStandbyOutput{}, w.move(ctx, "ExitStandby", in.AutoScalingGroupName, in.InstanceIds, nil)
}

func (w *awsWire) DetachInstances(ctx context.Context, in *autoscaling.DetachInstancesInput, _ ...func(*autoscaling.Options)) (*autoscaling.DetachInstancesOutput, error) {
	return &autoscaling.DetachInstancesOutput{}, w.move(ctx, "DetachInstances", in.AutoScalingGroupName, in.InstanceIds, in.ShouldDecrementDesiredCapacity)
}

func (w *awsWire) SetDesiredCapacity(ctx context.Context, in *autoscaling.SetDesiredCapacityInput, _ ...func(*autoscaling.Options)) (*autoscaling.SetDesiredCapacityOutput, error) {
	form := named(in.AutoScalingGroupName)
	form.Set("DesiredCapacity", strconv.Itoa(int(*in.DesiredCapacity)))
	_, err := w.call(ctx, "autoscaling", "SetDesiredCapacity", form)
	return &autoscaling.SetDesiredCapacityOutput{}, err
}

func (w *awsWire) TerminateInstanceInAutoScalingGroup(ctx context.Context, in *autoscaling.TerminateInstanceInAutoScalingGroupInput, _ ...func(*autoscaling.Options)) (*autoscaling.TerminateInstanceInAutoScalingGroupOutput, error) {
	form := url.Values{"InstanceId": {*in.InstanceId}, "ShouldDecrementDesiredCapacity": {strconv.FormatBool(*in.ShouldDecrementDesiredCapacity)}}
	_, err := w.call(ctx, "autoscaling", "TerminateInstanceInAutoScalingGroup", form)
	return &autoscaling.TerminateInstanceInAutoScalingGroupOutput{}, err
}

func (w *awsWire) SuspendProcesses(ctx context.Context, in *autoscaling.SuspendProcessesInput, _ ...func(*autoscaling.Options)) (*autoscaling.SuspendProcessesOutput, error) {
	return &autoscaling.SuspendProcessesOutput{}, w.processes(ctx, "SuspendProcesses", in.AutoScalingGroupName, in.ScalingProcesses)
}

func (w *awsWire) ResumeProcesses(ctx context.Context, in *autoscaling.ResumeProcessesInput, _ ...func(*autoscaling.Options)) (*autoscaling.ResumeProcessesOutput, error) {
	return &autoscaling.ResumeProcessesOutput{}, w.processes(ctx, "ResumeProcesses", in.AutoScalingGroupName, in.ScalingProcesses)
}

func (w *awsWire) processes(ctx context.Context, action string, group *string, processes []string) error {
	form := members("ScalingProcesses", processes)
	form.Set("AutoScalingGroupName", aws.ToString(group))
	_, err := w.call(ctx, "autoscaling", action, form)
	return err
}

func (w *awsWire) DescribeInstanceAttribute(ctx context.Context, in *ec2.DescribeInstanceAttributeInput, _ ...func(*ec2.Options)) (*ec2.DescribeInstanceAttributeOutput, error) {
	answer, err := w.call(ctx, "ec2", "DescribeInstanceAttribute", url.Values{"InstanceId": {aws.ToString(in.InstanceId)}, "Attribute": {string(in.Attribute)}})
	if err != nil {
		return nil, err
	}
	value := &ec2types.AttributeBooleanValue{Value: aws.Bool(answer.find(string(in.Attribute)).text("value") == "true")}
	if in.Attribute == ec2types.InstanceAttributeNameDisableApiStop {
		return &ec2.DescribeInstanceAttributeOutput{DisableApiStop: value}, nil
	}
	return &ec2.DescribeInstanceAttributeOutput{DisableApiTermination: value}, nil
}

func (w *awsWire) CreateTags(ctx context.Context, in *ec2.CreateTagsInput, _ ...func(*ec2.Options)) (*ec2.CreateTagsOutput, error) {
	return &ec2.CreateTagsOutput{}, w.tag(ctx, "CreateTags", in.Resources, in.Tags, in.DryRun)
}

func (w *awsWire) DeleteTags(ctx context.Context, in *ec2.DeleteTagsInput, _ ...func(*ec2.Options)) (*ec2.DeleteTagsOutput, error) {
	return &ec2.DeleteTagsOutput{}, w.tag(ctx, "DeleteTags", in.Resources, in.Tags, in.DryRun)
}

func (w *awsWire) tag(ctx context.Context, action string, ids []string, tags []ec2types.Tag, dry *bool) error {
	form := numbered("ResourceId", ids)
	for i, tag := range tags {
		field := "Tag." + strconv.Itoa(i+1)
		form.Set(field+".Key", aws.ToString(tag.Key))
		if tag.Value != nil {
			form.Set(field+".Value", *tag.Value)
		}
	}
	return w.dryable(ctx, action, form, dry)
}

func (w *awsWire) StopInstances(ctx context.Context, in *ec2.StopInstancesInput, _ ...func(*ec2.Options)) (*ec2.StopInstancesOutput, error) {
	return &ec2.StopInstancesOutput{}, w.dryable(ctx, "StopInstances", numbered("InstanceId", in.InstanceIds), in.DryRun)
}

func (w *awsWire) TerminateInstances(ctx context.Context, in *ec2.TerminateInstancesInput, _ ...func(*ec2.Options)) (*ec2.TerminateInstancesOutput, error) {
	return &ec2.TerminateInstancesOutput{}, w.dryable(ctx, "TerminateInstances", numbered("InstanceId", in.InstanceIds), in.DryRun)
}

func (w *awsWire) dryable(ctx context.Context, action string, form url.Values, dry *bool) error {
	if aws.ToBool(dry) {
		form.Set("DryRun", "true")
	}
	_, err := w.call(ctx, "ec2", action, form)
	return err
}

func (w *awsWire) RecordLifecycleActionHeartbeat(ctx context.Context, in *autoscaling.RecordLifecycleActionHeartbeatInput, _ ...func(*autoscaling.Options)) (*autoscaling.RecordLifecycleActionHeartbeatOutput, error) {
	form := named(in.AutoScalingGroupName)
	form.Set("LifecycleHookName", aws.ToString(in.LifecycleHookName))
	form.Set("InstanceId", aws.ToString(in.InstanceId))
	_, err := w.call(ctx, "autoscaling", "RecordLifecycleActionHeartbeat", form)
	return &autoscaling.RecordLifecycleActionHeartbeatOutput{}, err
}

func (w *awsWire) CompleteLifecycleAction(ctx context.Context, in *autoscaling.CompleteLifecycleActionInput, _ ...func(*autoscaling.Options)) (*autoscaling.CompleteLifecycleActionOutput, error) {
	form := named(in.AutoScalingGroupName)
	form.Set("LifecycleHookName", aws.ToString(in.LifecycleHookName))
	form.Set("InstanceId", aws.ToString(in.InstanceId))
	form.Set("LifecycleActionResult", aws.ToString(in.LifecycleActionResult))
	_, err := w.call(ctx, "autoscaling", "CompleteLifecycleAction", form)
	return &autoscaling.CompleteLifecycleActionOutput{}, err
}
