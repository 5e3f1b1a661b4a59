package asg

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/eks-recycle/eks-recycle/internal/awserr"
)

// ScheduledEvent is what EC2 will do with an instance: stop, retire or reboot it, or maintain its host.
type ScheduledEvent struct {
	Code      string
	NotBefore time.Time
}

// ScheduledEvents reads what EC2 will do with an instance. It shows an event for a week after its end, with a description that
// begins so (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceStatusEvent.html). The error is ErrUnknown if there
// is no such instance.
func (c *Client) ScheduledEvents(ctx context.Context, id string) (all []ScheduledEvent, err error) {
	out, err := c.Instances.DescribeInstanceStatus(ctx, &ec2.DescribeInstanceStatusInput{InstanceIds: []string{id}, IncludeAllInstances: aws.Bool(true)})
	if awserr.IsInstanceNotFound(err) {
		return nil, fmt.Errorf("instance %q %w", id, ErrUnknown)
	}
	if err != nil {
		return nil, fmt.Errorf("describing the status of instance %q: %w", id, err)
	}
	for _, s := range out.InstanceStatuses {
		for _, e := range s.Events {
			if d := aws.ToString(e.Description); !strings.HasPrefix(d, "[Completed]") && !strings.HasPrefix(d, "[Canceled]") {
				all = append(all, ScheduledEvent{Code: string(e.Code), NotBefore: aws.ToTime(e.NotBefore)})
			}
		}
	}
	return all, nil
}
