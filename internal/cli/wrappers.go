package cli

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/eks"
)

// The SDK's clients have hundreds of methods. In a program that uses text/template (urfave/cli does, for its help) the
// linker keeps all methods of every type that an interface value can lead to, also by a field. These types hold the calls
// that a recycle makes as functions, which lead to no client: the binary is a third smaller for it.

type call[In, Options, Out any] func(context.Context, *In, ...func(*Options)) (*Out, error)

type groups struct {
	describeAutoScalingGroups      call[autoscaling.DescribeAutoScalingGroupsInput, autoscaling.Options, autoscaling.DescribeAutoScalingGroupsOutput]
	describeScalingActivities      call[autoscaling.DescribeScalingActivitiesInput, autoscaling.Options, autoscaling.DescribeScalingActivitiesOutput]
	describeInstanceRefreshes      call[autoscaling.DescribeInstanceRefreshesInput, autoscaling.Options, autoscaling.DescribeInstanceRefreshesOutput]
	enterStandby                   call[autoscaling.EnterStandbyInput, autoscaling.Options, autoscaling.EnterStandbyOutput]
	exitStandby                    call[autoscaling.ExitStandbyInput, autoscaling.Options, autoscaling.ExitStandbyOutput]
	detachInstances                call[autoscaling.DetachInstancesInput, autoscaling.Options, autoscaling.DetachInstancesOutput]
	setDesiredCapacity             call[autoscaling.SetDesiredCapacityInput, autoscaling.Options, autoscaling.SetDesiredCapacityOutput]
	terminateInGroup               call[autoscaling.TerminateInstanceInAutoScalingGroupInput, autoscaling.Options, autoscaling.TerminateInstanceInAutoScalingGroupOutput]
	suspendProcesses               call[autoscaling.SuspendProcessesInput, autoscaling.Options, autoscaling.SuspendProcessesOutput]
	describeLifecycleHooks         call[autoscaling.DescribeLifecycleHooksInput, autoscaling.Options, autoscaling.DescribeLifecycleHooksOutput]
	recordLifecycleActionHeartbeat call[autoscaling.RecordLifecycleActionHeartbeatInput, autoscaling.Options, autoscaling.RecordLifecycleActionHeartbeatOutput]
	completeLifecycleAction        call[autoscaling.CompleteLifecycleActionInput, autoscaling.Options, autoscaling.CompleteLifecycleActionOutput]
	resumeProcesses                call[autoscaling.ResumeProcessesInput, autoscaling.Options, autoscaling.ResumeProcessesOutput]
}

func newGroups(client *autoscaling.Client) groups {
	return groups{
		describeAutoScalingGroups:      client.DescribeAutoScalingGroups,
		describeScalingActivities:      client.DescribeScalingActivities,
		describeInstanceRefreshes:      client.DescribeInstanceRefreshes,
		enterStandby:                   client.EnterStandby,
		exitStandby:                    client.ExitStandby,
		detachInstances:                client.DetachInstances,
		setDesiredCapacity:             client.SetDesiredCapacity,
		terminateInGroup:               client.TerminateInstanceInAutoScalingGroup,
		suspendProcesses:               client.SuspendProcesses,
		describeLifecycleHooks:         client.DescribeLifecycleHooks,
		recordLifecycleActionHeartbeat: client.RecordLifecycleActionHeartbeat,
		completeLifecycleAction:        client.CompleteLifecycleAction,
		resumeProcesses:                client.ResumeProcesses,
	}
}

func (w groups) DescribeAutoScalingGroups(ctx context.Context, in *autoscaling.DescribeAutoScalingGroupsInput, opts ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingGroupsOutput, error) {
	return w.describeAutoScalingGroups(ctx, in, opts...)
}

func (w groups) DescribeScalingActivities(ctx context.Context, in *autoscaling.DescribeScalingActivitiesInput, opts ...func(*autoscaling.Options)) (*autoscaling.DescribeScalingActivitiesOutput, error) {
	return w.describeScalingActivities(ctx, in, opts...)
}

func (w groups) DescribeInstanceRefreshes(ctx context.Context, in *autoscaling.DescribeInstanceRefreshesInput, opts ...func(*autoscaling.Options)) (*autoscaling.DescribeInstanceRefreshesOutput, error) {
	return w.describeInstanceRefreshes(ctx, in, opts...)
}

func (w groups) EnterStandby(ctx context.Context, in *autoscaling.EnterStandbyInput, opts ...func(*autoscaling.Options)) (*autoscaling.EnterStandbyOutput, error) {
	return w.enterStandby(ctx, in, opts...)
}

func (w groups) ExitStandby(ctx context.Context, in *autoscaling.ExitStandbyInput, opts ...func(*autoscaling.Options)) (*autoscaling.ExitStandbyOutput, error) {
	return w.exitStandby(ctx, in, opts...)
}

func (w groups) DetachInstances(ctx context.Context, in *autoscaling.DetachInstancesInput, opts ...func(*autoscaling.Options)) (*autoscaling.DetachInstancesOutput, error) {
	return w.detachInstances(ctx, in, opts...)
}

func (w groups) SetDesiredCapacity(ctx context.Context, in *autoscaling.SetDesiredCapacityInput, opts ...func(*autoscaling.Options)) (*autoscaling.SetDesiredCapacityOutput, error) {
	return w.setDesiredCapacity(ctx, in, opts...)
}

func (w groups) TerminateInstanceInAutoScalingGroup(ctx context.Context, in *autoscaling.TerminateInstanceInAutoScalingGroupInput, opts ...func(*autoscaling.Options)) (*autoscaling.TerminateInstanceInAutoScalingGroupOutput, error) {
	return w.terminateInGroup(ctx, in, opts...)
}

func (w groups) SuspendProcesses(ctx context.Context, in *autoscaling.SuspendProcessesInput, opts ...func(*autoscaling.Options)) (*autoscaling.SuspendProcessesOutput, error) {
	return w.suspendProcesses(ctx, in, opts...)
}

func (w groups) ResumeProcesses(ctx context.Context, in *autoscaling.ResumeProcessesInput, opts ...func(*autoscaling.Options)) (*autoscaling.ResumeProcessesOutput, error) {
	return w.resumeProcesses(ctx, in, opts...)
}

func (w groups) DescribeLifecycleHooks(ctx context.Context, in *autoscaling.DescribeLifecycleHooksInput, opts ...func(*autoscaling.Options)) (*autoscaling.DescribeLifecycleHooksOutput, error) {
	return w.describeLifecycleHooks(ctx, in, opts...)
}

func (w groups) RecordLifecycleActionHeartbeat(ctx context.Context, in *autoscaling.RecordLifecycleActionHeartbeatInput, opts ...func(*autoscaling.Options)) (*autoscaling.RecordLifecycleActionHeartbeatOutput, error) {
	return w.recordLifecycleActionHeartbeat(ctx, in, opts...)
}

func (w groups) CompleteLifecycleAction(ctx context.Context, in *autoscaling.CompleteLifecycleActionInput, opts ...func(*autoscaling.Options)) (*autoscaling.CompleteLifecycleActionOutput, error) {
	return w.completeLifecycleAction(ctx, in, opts...)
}

type instances struct {
	describeInstances              call[ec2.DescribeInstancesInput, ec2.Options, ec2.DescribeInstancesOutput]
	describeLaunchTemplateVersions call[ec2.DescribeLaunchTemplateVersionsInput, ec2.Options, ec2.DescribeLaunchTemplateVersionsOutput]
	describeInstanceAttribute      call[ec2.DescribeInstanceAttributeInput, ec2.Options, ec2.DescribeInstanceAttributeOutput]
	createTags                     call[ec2.CreateTagsInput, ec2.Options, ec2.CreateTagsOutput]
	deleteTags                     call[ec2.DeleteTagsInput, ec2.Options, ec2.DeleteTagsOutput]
	stopInstances                  call[ec2.StopInstancesInput, ec2.Options, ec2.StopInstancesOutput]
	terminateInstances             call[ec2.TerminateInstancesInput, ec2.Options, ec2.TerminateInstancesOutput]
}

func newInstances(client *ec2.Client) instances {
	return instances{
		describeInstances:              client.DescribeInstances,
		describeLaunchTemplateVersions: client.DescribeLaunchTemplateVersions,
		describeInstanceAttribute:      client.DescribeInstanceAttribute,
		createTags:                     client.CreateTags,
		deleteTags:                     client.DeleteTags,
		stopInstances:                  client.StopInstances,
		terminateInstances:             client.TerminateInstances,
	}
}

func (w instances) DescribeInstances(ctx context.Context, in *ec2.DescribeInstancesInput, opts ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error) {
	return w.describeInstances(ctx, in, opts...)
}

func (w instances) DescribeLaunchTemplateVersions(ctx context.Context, in *ec2.DescribeLaunchTemplateVersionsInput, opts ...func(*ec2.Options)) (*ec2.DescribeLaunchTemplateVersionsOutput, error) {
	return w.describeLaunchTemplateVersions(ctx, in, opts...)
}

func (w instances) DescribeInstanceAttribute(ctx context.Context, in *ec2.DescribeInstanceAttributeInput, opts ...func(*ec2.Options)) (*ec2.DescribeInstanceAttributeOutput, error) {
	return w.describeInstanceAttribute(ctx, in, opts...)
}

func (w instances) CreateTags(ctx context.Context, in *ec2.CreateTagsInput, opts ...func(*ec2.Options)) (*ec2.CreateTagsOutput, error) {
	return w.createTags(ctx, in, opts...)
}

func (w instances) DeleteTags(ctx context.Context, in *ec2.DeleteTagsInput, opts ...func(*ec2.Options)) (*ec2.DeleteTagsOutput, error) {
	return w.deleteTags(ctx, in, opts...)
}

func (w instances) StopInstances(ctx context.Context, in *ec2.StopInstancesInput, opts ...func(*ec2.Options)) (*ec2.StopInstancesOutput, error) {
	return w.stopInstances(ctx, in, opts...)
}

func (w instances) TerminateInstances(ctx context.Context, in *ec2.TerminateInstancesInput, opts ...func(*ec2.Options)) (*ec2.TerminateInstancesOutput, error) {
	return w.terminateInstances(ctx, in, opts...)
}

type volumes struct {
	describeVolumes call[ec2.DescribeVolumesInput, ec2.Options, ec2.DescribeVolumesOutput]
}

func newVolumes(client *ec2.Client) volumes {
	return volumes{
		describeVolumes: client.DescribeVolumes,
	}
}

func (w volumes) DescribeVolumes(ctx context.Context, in *ec2.DescribeVolumesInput, opts ...func(*ec2.Options)) (*ec2.DescribeVolumesOutput, error) {
	return w.describeVolumes(ctx, in, opts...)
}

type clusters struct {
	describeCluster call[eks.DescribeClusterInput, eks.Options, eks.DescribeClusterOutput]
}

func newClusters(client *eks.Client) clusters {
	return clusters{
		describeCluster: client.DescribeCluster,
	}
}

func (w clusters) DescribeCluster(ctx context.Context, in *eks.DescribeClusterInput, opts ...func(*eks.Options)) (*eks.DescribeClusterOutput, error) {
	return w.describeCluster(ctx, in, opts...)
}
