package asg

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// protection is an attribute of an instance that keeps it from being shut down.
type protection struct {
	attribute  ec2types.InstanceAttributeName
	name, flag string // for people, and of the AWS CLI
}

// Stop protection also forbids to terminate the instance (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Stop_Start.html).
var (
	stopProtection        = protection{ec2types.InstanceAttributeNameDisableApiStop, "stop protection", "--no-disable-api-stop"}
	terminationProtection = protection{ec2types.InstanceAttributeNameDisableApiTermination, "termination protection", "--no-disable-api-termination"}
)

// CheckProtection refuses an instance whose protection forbids the action. EC2 says so only to the call itself: one with DryRun
// asks for permissions alone. Where the attributes may not be read, warning says so, and nothing is refused.
func (c *Client) CheckProtection(ctx context.Context, id string, action Action) (warning string, err error) {
	forbids := []protection{stopProtection, terminationProtection}
	if action == Stop {
		forbids = forbids[:1]
	}
	for _, p := range forbids {
		out, err := c.Instances.DescribeInstanceAttribute(ctx, &ec2.DescribeInstanceAttributeInput{InstanceId: aws.String(id), Attribute: p.attribute})
		if awserr.IsDenied(err) {
			return fmt.Sprintf("whether instance %s is protected is not known, allow ec2:DescribeInstanceAttribute", id), nil
		}
		if err != nil {
			return "", fmt.Errorf("reading the protection of instance %q: %w", id, err)
		}
		for _, value := range []*ec2types.AttributeBooleanValue{out.DisableApiStop, out.DisableApiTermination} {
			if value != nil && aws.ToBool(value.Value) {
				return "", hint.Errorf("take it off, then submit again: aws ec2 modify-instance-attribute --instance-id "+id+" "+p.flag,
					"instance %q has %s: it cannot be %s", id, p.name, action.Past())
			}
		}
	}
	return "", nil
}

// protectedHint says how to go on where protection was switched on after the instance left its group.
func protectedHint(id string, err error) error {
	if !awserr.IsProtected(err) {
		return err
	}
	return hint.Wrap(err, "take the protection off, then submit again: aws ec2 modify-instance-attribute --instance-id "+id+" "+stopProtection.flag+", or "+terminationProtection.flag)
}
