package contract

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

type clients struct {
	asg *autoscaling.Client
	ec2 *ec2.Client
	sts *sts.Client
	bus *eventbridge.Client // only an event carries the token of a lifecycle action
	sqs *sqs.Client
}

// newClients also retries what Auto Scaling answers while it is busy with a group; the SDK does not.
func newClients(cfg aws.Config) clients {
	cfg = cfg.Copy()
	cfg.Retryer = func() aws.Retryer {
		standard := retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = 8 })
		return retry.AddWithErrorCodes(standard, "ScalingActivityInProgress", "ResourceContention")
	}
	return clients{autoscaling.NewFromConfig(cfg), ec2.NewFromConfig(cfg), sts.NewFromConfig(cfg), eventbridge.NewFromConfig(cfg), sqs.NewFromConfig(cfg)}
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func message(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorMessage()
	}
	return ""
}

func denied(err error) bool {
	switch code(err) {
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation":
		return true
	}
	return false
}

// pace is how long waits take: minutes for AWS, milliseconds for the simulator.
type pace struct {
	poll, patience time.Duration
}

// until polls a condition and gives up with its last status.
func (p pace) until(ctx context.Context, what string, condition func(context.Context) (done bool, status string, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	last := ""
	for {
		done, status, err := condition(ctx)
		if err == nil && done {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("waiting until %s: %w: %s", what, context.Cause(ctx), last)
		}
		if err != nil {
			return fmt.Errorf("waiting until %s: %w", what, err)
		}
		last = status
		select {
		case <-ctx.Done():
		case <-time.After(p.poll):
		}
	}
}
