package asg

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// clusterNameTag is on every instance and group of an EKS managed node group.
const clusterNameTag = "eks:cluster-name"

// Guard makes a client change only instances and groups that are tagged for a cluster, whatever leads a step to others: a Node,
// a record or an event of somebody who may write in one cluster and not in the other. It is the only place where that is
// checked. A cluster of "" is any.
func (c *Client) Guard(cluster string) {
	if cluster == "" || c.guard != nil {
		return
	}
	c.guard = &guard{cluster: cluster, reader: c.Reader, instances: c.Instances, seen: map[string]bool{}}
	c.Writer, c.Instances = guardedGroups{c.Writer, c.guard}, guardedInstances{c.Instances, c.guard}
}

type guard struct {
	cluster   string
	reader    GroupReader
	instances InstanceAPI
	mu        sync.Mutex
	seen      map[string]bool // tagged for the cluster
}

func (g *guard) tagged(tags map[string]string) bool {
	_, owned := tags[clusterTagPrefix+g.cluster]
	return owned || tags[clusterNameTag] == g.cluster
}

func (g *guard) known(key string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.seen[key]
}

func (g *guard) refuse(what string) error {
	return hint.Errorf("is this the right cluster (--cluster)? members of its groups and the groups themselves carry this tag",
		"%s is not tagged for cluster %q (%s%s): it is left alone", what, g.cluster, clusterTagPrefix, g.cluster)
}

// note remembers what is tagged for the cluster, of all that is read: then a change takes no call more.
func (g *guard) note(key string, tags map[string]string) {
	if g == nil || !g.tagged(tags) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen[key] = true
}

func (g *guard) group(ctx context.Context, name *string) error {
	key := "group " + aws.ToString(name)
	if g.known(key) {
		return nil
	}
	out, err := g.reader.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{aws.ToString(name)}})
	if err != nil {
		return fmt.Errorf("describing Auto Scaling group %q: %w", aws.ToString(name), err)
	}
	if len(out.AutoScalingGroups) == 0 { // AWS says so to the call itself
		return nil
	}
	if g.note(key, tagsOf(out.AutoScalingGroups[0].Tags)); !g.known(key) {
		return g.refuse(fmt.Sprintf("Auto Scaling group %q", aws.ToString(name)))
	}
	return nil
}

func (g *guard) check(ctx context.Context, ids []string) error {
	unknown := slices.DeleteFunc(slices.Clone(ids), g.known)
	if len(unknown) == 0 {
		return nil
	}
	out, err := g.instances.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: unknown})
	if err != nil {
		return fmt.Errorf("describing instances: %w", err)
	}
	for _, r := range out.Reservations {
		for _, i := range r.Instances {
			id := aws.ToString(i.InstanceId)
			if g.note(id, fromEC2(i).Tags); !g.known(id) {
				return g.refuse(fmt.Sprintf("instance %q", id))
			}
		}
	}
	return nil
}

// checked makes a call if it may be made.
func checked[I, O, F any](ctx context.Context, refused error, call func(context.Context, *I, ...F) (*O, error), in *I, opts []F) (*O, error) {
	if refused != nil {
		return nil, refused
	}
	return call(ctx, in, opts...)
}

type guardedGroups struct {
	GroupWriter
	guard *guard
}

func (w guardedGroups) EnterStandby(ctx context.Context, in *autoscaling.EnterStandbyInput, opts ...func(*autoscaling.Options)) (*autoscaling.EnterStandbyOutput, error) {
	return checked(ctx, w.guard.group(ctx, in.AutoScalingGroupName), w.GroupWriter.EnterStandby, in, opts)
}

func (w guardedGroups) ExitStandby(ctx context.Context, in *autoscaling.ExitStandbyInput, opts ...func(*autoscaling.Options)) (*autoscaling.ExitStandbyOutput, error) {
	return checked(ctx, w.guard.group(ctx, in.AutoScalingGroupName), w.GroupWriter.ExitStandby, in, opts)
}

func (w guardedGroups) DetachInstances(ctx context.Context, in *autoscaling.DetachInstancesInput, opts ...func(*autoscaling.Options)) (*autoscaling.DetachInstancesOutput, error) {
	return checked(ctx, w.guard.group(ctx, in.AutoScalingGroupName), w.GroupWriter.DetachInstances, in, opts)
}

func (w guardedGroups) TerminateInstanceInAutoScalingGroup(ctx context.Context, in *autoscaling.TerminateInstanceInAutoScalingGroupInput, opts ...func(*autoscaling.Options)) (*autoscaling.TerminateInstanceInAutoScalingGroupOutput, error) {
	return checked(ctx, w.guard.check(ctx, []string{aws.ToString(in.InstanceId)}), w.GroupWriter.TerminateInstanceInAutoScalingGroup, in, opts)
}

func (w guardedGroups) SetDesiredCapacity(ctx context.Context, in *autoscaling.SetDesiredCapacityInput, opts ...func(*autoscaling.Options)) (*autoscaling.SetDesiredCapacityOutput, error) {
	return checked(ctx, w.guard.group(ctx, in.AutoScalingGroupName), w.GroupWriter.SetDesiredCapacity, in, opts)
}

func (w guardedGroups) SuspendProcesses(ctx context.Context, in *autoscaling.SuspendProcessesInput, opts ...func(*autoscaling.Options)) (*autoscaling.SuspendProcessesOutput, error) {
	return checked(ctx, w.guard.group(ctx, in.AutoScalingGroupName), w.GroupWriter.SuspendProcesses, in, opts)
}

func (w guardedGroups) ResumeProcesses(ctx context.Context, in *autoscaling.ResumeProcessesInput, opts ...func(*autoscaling.Options)) (*autoscaling.ResumeProcessesOutput, error) {
	return checked(ctx, w.guard.group(ctx, in.AutoScalingGroupName), w.GroupWriter.ResumeProcesses, in, opts)
}

func (w guardedGroups) RecordLifecycleActionHeartbeat(ctx context.Context, in *autoscaling.RecordLifecycleActionHeartbeatInput, opts ...func(*autoscaling.Options)) (*autoscaling.RecordLifecycleActionHeartbeatOutput, error) {
	return checked(ctx, w.guard.group(ctx, in.AutoScalingGroupName), w.GroupWriter.RecordLifecycleActionHeartbeat, in, opts)
}

func (w guardedGroups) CompleteLifecycleAction(ctx context.Context, in *autoscaling.CompleteLifecycleActionInput, opts ...func(*autoscaling.Options)) (*autoscaling.CompleteLifecycleActionOutput, error) {
	return checked(ctx, w.guard.group(ctx, in.AutoScalingGroupName), w.GroupWriter.CompleteLifecycleAction, in, opts)
}

type guardedInstances struct {
	InstanceAPI
	guard *guard
}

func (w guardedInstances) CreateTags(ctx context.Context, in *ec2.CreateTagsInput, opts ...func(*ec2.Options)) (*ec2.CreateTagsOutput, error) {
	return checked(ctx, w.guard.check(ctx, in.Resources), w.InstanceAPI.CreateTags, in, opts)
}

func (w guardedInstances) DeleteTags(ctx context.Context, in *ec2.DeleteTagsInput, opts ...func(*ec2.Options)) (*ec2.DeleteTagsOutput, error) {
	return checked(ctx, w.guard.check(ctx, in.Resources), w.InstanceAPI.DeleteTags, in, opts)
}

func (w guardedInstances) StopInstances(ctx context.Context, in *ec2.StopInstancesInput, opts ...func(*ec2.Options)) (*ec2.StopInstancesOutput, error) {
	return checked(ctx, w.guard.check(ctx, in.InstanceIds), w.InstanceAPI.StopInstances, in, opts)
}

func (w guardedInstances) TerminateInstances(ctx context.Context, in *ec2.TerminateInstancesInput, opts ...func(*ec2.Options)) (*ec2.TerminateInstancesOutput, error) {
	return checked(ctx, w.guard.check(ctx, in.InstanceIds), w.InstanceAPI.TerminateInstances, in, opts)
}
