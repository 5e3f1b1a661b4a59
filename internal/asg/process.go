package asg

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Processes of a group that matter to a recycle
// (https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html).
const (
	Launch = "Launch"
	// AZRebalance evens out the zones by launching an instance in one and terminating another elsewhere. An instance that
	// goes on standby or is detached can set it off.
	AZRebalance = "AZRebalance"
	// ScaleIn takes any instance out of service that is more than the desired capacity.
	ScaleIn = "Terminate"
)

// Suspend suspends one process of a group. One that is suspended already stays so.
func (c *Client) Suspend(ctx context.Context, group, process string) error {
	c.Log.InfoContext(ctx, "suspending process", "asg", group, "process", process)
	_, err := c.Writer.SuspendProcesses(ctx, &autoscaling.SuspendProcessesInput{AutoScalingGroupName: aws.String(group), ScalingProcesses: []string{process}})
	if err == nil {
		return nil
	}
	err = fmt.Errorf("suspending process %s of Auto Scaling group %q: %w", process, group, err)
	if awserr.IsDenied(err) {
		return hint.Wrap(err, "allow autoscaling:SuspendProcesses and autoscaling:ResumeProcesses: see workflows/base/accounts/")
	}
	return err
}

// Resume resumes one process of a group. A group that is gone needs nothing resumed.
func (c *Client) Resume(ctx context.Context, group, process string) error {
	c.Log.InfoContext(ctx, "resuming process", "asg", group, "process", process)
	_, err := c.Writer.ResumeProcesses(ctx, &autoscaling.ResumeProcessesInput{AutoScalingGroupName: aws.String(group), ScalingProcesses: []string{process}})
	if err == nil || awserr.IsGroupNotFound(err) {
		return nil
	}
	return fmt.Errorf("resuming process %s of Auto Scaling group %q: %w", process, group, err)
}
