package asg

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// LifecycleAction is an instance that a lifecycle hook of its group keeps waiting. AWS is told the instance, not the token of the
// event: a token can be forged, or be another instance's.
type LifecycleAction struct{ Group, Name, Instance string }

// Results of a lifecycle action. A terminating instance is terminated after either, unless an instance lifecycle policy retains it
// after ABANDON, which also ends the group's other hooks for it
// (https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_CompleteLifecycleAction.html).
const (
	Continue = "CONTINUE"
	Abandon  = "ABANDON"
)

// Hook says how long a lifecycle hook waits: Heartbeat for a sign of life, Global in all, which is the lesser of 48 hours
// and 100 times Heartbeat (https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LifecycleHook.html).
type Hook struct{ Heartbeat, Global time.Duration }

// ErrNoAction says that no lifecycle action of a hook waits for an instance: it is completed, or its time ran out.
var ErrNoAction = errors.New("no lifecycle action waits for it")

// ErrNoHook says that a group has no hook of that name.
var ErrNoHook = errors.New("no lifecycle hook")

// Hook describes a lifecycle hook of a group.
func (c *Client) Hook(ctx context.Context, group, name string) (Hook, error) {
	out, err := c.Reader.DescribeLifecycleHooks(ctx, &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: aws.String(group), LifecycleHookNames: []string{name}})
	switch {
	case awserr.IsGroupNotFound(err):
		return Hook{}, hint.Errorf("check its name, the region and the account of the credentials", "describing lifecycle hook %q: Auto Scaling group %q does not exist", name, group)
	case err != nil:
		return Hook{}, fmt.Errorf("describing lifecycle hook %q of Auto Scaling group %q: %w", name, group, err)
	case len(out.LifecycleHooks) == 0:
		return Hook{}, hint.Errorf("aws autoscaling describe-lifecycle-hooks lists those that it has", "Auto Scaling group %q has %w %q", group, ErrNoHook, name)
	}
	h := out.LifecycleHooks[0]
	seconds := func(n *int32) time.Duration { return time.Duration(aws.ToInt32(n)) * time.Second }
	return Hook{Heartbeat: seconds(h.HeartbeatTimeout), Global: seconds(h.GlobalTimeout)}, nil
}

// Heartbeat makes the hook wait for another heartbeat timeout, but not beyond its global one. Its error is ErrNoAction if
// nothing waits.
func (c *Client) Heartbeat(ctx context.Context, a LifecycleAction) error {
	_, err := c.Writer.RecordLifecycleActionHeartbeat(ctx, &autoscaling.RecordLifecycleActionHeartbeatInput{
		AutoScalingGroupName: &a.Group, LifecycleHookName: &a.Name, InstanceId: &a.Instance,
	})
	return a.failed("recording a heartbeat of", err)
}

// Complete ends the wait, with CONTINUE or ABANDON. Its error is ErrNoAction if nothing waits.
func (c *Client) Complete(ctx context.Context, a LifecycleAction, result string) error {
	_, err := c.Writer.CompleteLifecycleAction(ctx, &autoscaling.CompleteLifecycleActionInput{
		AutoScalingGroupName: &a.Group, LifecycleHookName: &a.Name, InstanceId: &a.Instance, LifecycleActionResult: &result,
	})
	return a.failed("completing", err)
}

func (a LifecycleAction) failed(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case awserr.IsNoLifecycleAction(err):
		return hint.Errorf("the action may be completed, or the hook's time has run out",
			"%s the lifecycle action of instance %q in Auto Scaling group %q, hook %q: %w", doing, a.Instance, a.Group, a.Name, ErrNoAction)
	default:
		return fmt.Errorf("%s the lifecycle action of instance %q in Auto Scaling group %q, hook %q: %w", doing, a.Instance, a.Group, a.Name, err)
	}
}

// TerminateRetained ends an instance that an instance lifecycle policy has kept. It counts in no desired capacity any more, so none
// is lowered (https://docs.aws.amazon.com/autoscaling/ec2/userguide/configure-instance-retention.html).
func (c *Client) TerminateRetained(ctx context.Context, id string) error {
	_, err := c.Writer.TerminateInstanceInAutoScalingGroup(ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{
		InstanceId: &id, ShouldDecrementDesiredCapacity: aws.Bool(false),
	})
	if err != nil {
		return fmt.Errorf("terminating the retained instance %q: %w", id, err)
	}
	return nil
}

// StateInPool reads the lifecycle state of an instance, also of one in a warm pool, which its group does not list; "" if it belongs
// to no group (https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingInstances.html).
func (c *Client) StateInPool(ctx context.Context, id string) (string, error) {
	out, err := c.Reader.DescribeAutoScalingInstances(ctx, &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: []string{id}})
	if err != nil {
		return "", fmt.Errorf("describing instance %q in its Auto Scaling group: %w", id, err)
	}
	if len(out.AutoScalingInstances) == 0 {
		return "", nil
	}
	return aws.ToString(out.AutoScalingInstances[0].LifecycleState), nil
}
