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
	c.guard = &guard{cluster: cluster, reader: c.Reader, instances: c.Instances}
	g, w, i := c.guard, &c.Writer, &c.Instances
	w.EnterStandby = checked(w.EnterStandby, g.group, func(in *autoscaling.EnterStandbyInput) *string { return in.AutoScalingGroupName })
	w.ExitStandby = checked(w.ExitStandby, g.group, func(in *autoscaling.ExitStandbyInput) *string { return in.AutoScalingGroupName })
	w.DetachInstances = checked(w.DetachInstances, g.group, func(in *autoscaling.DetachInstancesInput) *string { return in.AutoScalingGroupName })
	w.SetDesiredCapacity = checked(w.SetDesiredCapacity, g.group, func(in *autoscaling.SetDesiredCapacityInput) *string { return in.AutoScalingGroupName })
	w.SuspendProcesses = checked(w.SuspendProcesses, g.group, func(in *autoscaling.SuspendProcessesInput) *string { return in.AutoScalingGroupName })
	w.ResumeProcesses = checked(w.ResumeProcesses, g.group, func(in *autoscaling.ResumeProcessesInput) *string { return in.AutoScalingGroupName })
	w.RecordLifecycleActionHeartbeat = checked(w.RecordLifecycleActionHeartbeat, g.group, func(in *autoscaling.RecordLifecycleActionHeartbeatInput) *string { return in.AutoScalingGroupName })
	w.CompleteLifecycleAction = checked(w.CompleteLifecycleAction, g.group, func(in *autoscaling.CompleteLifecycleActionInput) *string { return in.AutoScalingGroupName })
	w.TerminateInstanceInAutoScalingGroup = checked(w.TerminateInstanceInAutoScalingGroup, g.check, func(in *autoscaling.TerminateInstanceInAutoScalingGroupInput) []string {
		return []string{aws.ToString(in.InstanceId)}
	})
	i.CreateTags = checked(i.CreateTags, g.check, func(in *ec2.CreateTagsInput) []string { return in.Resources })
	i.DeleteTags = checked(i.DeleteTags, g.check, func(in *ec2.DeleteTagsInput) []string { return in.Resources })
	i.StopInstances = checked(i.StopInstances, g.check, func(in *ec2.StopInstancesInput) []string { return in.InstanceIds })
	i.TerminateInstances = checked(i.TerminateInstances, g.check, func(in *ec2.TerminateInstancesInput) []string { return in.InstanceIds })
}

type guard struct {
	cluster   string
	reader    GroupReader
	instances InstanceAPI
	seen      sync.Map // by key: what is tagged for the cluster
}

func (g *guard) tagged(tags map[string]string) bool {
	_, owned := tags[clusterTagPrefix+g.cluster]
	return owned || tags[clusterNameTag] == g.cluster
}

func (g *guard) known(key string) bool {
	_, known := g.seen.Load(key)
	return known
}

func (g *guard) refuse(what string) error {
	return hint.Errorf("is this the right cluster (--cluster)? members of its groups and the groups themselves carry this tag",
		"%s is not tagged for cluster %q (%s%s): it is left alone", what, g.cluster, clusterTagPrefix, g.cluster)
}

// note remembers what is tagged for the cluster, of all that is read: then a change takes no call more.
func (g *guard) note(key string, tags map[string]string) {
	if g != nil && g.tagged(tags) {
		g.seen.Store(key, true)
	}
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

// checked is a call that is made if check allows it for what of its input names groups or instances.
func checked[In, Options, Out, Names any](inner call[In, Options, Out], check func(context.Context, Names) error, names func(*In) Names) call[In, Options, Out] {
	return func(ctx context.Context, in *In, options ...func(*Options)) (*Out, error) {
		if err := check(ctx, names(in)); err != nil {
			return nil, err
		}
		return inner(ctx, in, options...)
	}
}
