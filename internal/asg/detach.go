package asg

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Retirement is what is written on an instance before it leaves its group.
type Retirement struct {
	At                                 time.Time
	Workflow, Group, Node, Replacement string
	Action                             Action
}

// MarkRetiring tags the instance. It is done before the detach: from then on a later run knows how to go on, and what
// may be cleaned up one day.
func (c *Client) MarkRetiring(ctx context.Context, id string, r Retirement) error {
	_, err := c.Instances.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: []ec2types.Tag{
		{Key: aws.String(TagRetiredAt), Value: aws.String(r.At.UTC().Format(time.RFC3339))},
		{Key: aws.String(TagWorkflow), Value: aws.String(r.Workflow)},
		{Key: aws.String(TagGroup), Value: aws.String(r.Group)},
		{Key: aws.String(TagNode), Value: aws.String(r.Node)},
		{Key: aws.String(TagReplacement), Value: aws.String(r.Replacement)},
		{Key: aws.String(TagAction), Value: aws.String(string(r.Action))},
	}})
	if err != nil {
		return fmt.Errorf("tagging instance %q: %w", id, err)
	}
	return nil
}

// MayRetire asks EC2 whether it would let the instance be shut down, by a call with DryRun. Auto Scaling's permissions are those
// on the group, EC2's those on the instance: without this one, the instance would run on in no group once it is detached.
func (c *Client) MayRetire(ctx context.Context, id string, action Action) error {
	err := action.call(ctx, c.Instances, id, true)
	if err == nil || awserr.IsDryRunAllowed(err) {
		return nil
	}
	err = fmt.Errorf("asking whether instance %q may be shut down: %w", id, err)
	if awserr.IsDenied(err) {
		return hint.Wrap(err, "the IAM policy ties this to the tag kubernetes.io/cluster/<name>=owned: is it on the instance, not only on the group?")
	}
	return err
}

// UnmarkRetiring takes the tags of MarkRetiring away.
func (c *Client) UnmarkRetiring(ctx context.Context, id string) error {
	_, err := c.Instances.DeleteTags(ctx, &ec2.DeleteTagsInput{Resources: []string{id}, Tags: []ec2types.Tag{
		{Key: aws.String(TagRetiredAt)}, {Key: aws.String(TagWorkflow)}, {Key: aws.String(TagGroup)}, {Key: aws.String(TagNode)}, {Key: aws.String(TagReplacement)}, {Key: aws.String(TagAction)},
	}})
	if err != nil {
		return fmt.Errorf("removing tags of instance %q: %w", id, err)
	}
	return nil
}

// Detach takes a target on standby out of its group, and returns the group as it is when the target is gone from it. The group is
// read again unless it was read a moment ago.
//
// The desired capacity must not be decremented: it already counts the replacement, and Auto Scaling would terminate another
// instance (https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-detach-attach-instances.html). Should AWS
// refuse to detach from Standby all the same, an instance that may be terminated is terminated by its group, once ready returns no
// error; terminates says so.
func (c *Client) Detach(ctx context.Context, g Group, id string, mayTerminate bool, ready func(context.Context) error) (after Group, terminates bool, err error) {
	asked, refused, group := false, false, g.Name
	err = c.Wait.Until(ctx, func(ctx context.Context) (done bool, status string, err error) {
		if asked || refused || !g.Fresh() {
			if g, err = c.Group(ctx, group); err != nil {
				return false, "", err
			}
		}
		m, member := g.Member(id)
		if !member {
			return true, "", nil
		}
		status = fmt.Sprintf("instance %s is %s in Auto Scaling group %s", id, m.Lifecycle, group)
		switch {
		case m.Lifecycle == Standby && asked:
			return false, status, nil
		case m.Lifecycle == Standby && refused:
			if err := ready(ctx); err != nil {
				return false, "", err
			}
			terminates = true
			err = c.terminateInGroup(ctx, id)
			asked = err == nil // after an error that goes away by itself the next look asks again
			return false, status, err
		case m.Lifecycle == Standby:
			c.Log.InfoContext(ctx, "detaching instance", "instance", id, "asg", group)
			err = c.detach(ctx, group, id)
			asked = err == nil
			if awserr.IsWrongState(err) { // it moved on in that moment, or AWS never detaches from there
				refused = mayTerminate
				again, lookErr := c.Group(ctx, group)
				if now, _ := again.Member(id); lookErr == nil && now.Lifecycle == Standby && !refused {
					return false, "", hint.Wrap(err, "submit again with action=terminate, or bring the node back: step restore --instance-id "+id)
				}
				return false, "checking again: " + err.Error(), lookErr
			}
			return false, status, err
		case m.Lifecycle == Retained, m.Lifecycle == InService:
			return false, "", fmt.Errorf("detaching instance %q: somebody else moved it to lifecycle state %q in Auto Scaling group %q", id, m.Lifecycle, group)
		case strings.HasPrefix(m.Lifecycle, "Terminat"): // the instance ends as intended
			return false, status, nil
		case m.Lifecycle == Detaching, m.Lifecycle == EnteringStandby, strings.HasPrefix(m.Lifecycle, Pending):
			return false, status, nil
		default:
			return false, "", fmt.Errorf("detaching instance %q: Auto Scaling group %q moved it to lifecycle state %q", id, group, m.Lifecycle)
		}
	})
	return g, terminates, err
}

func (c *Client) terminateInGroup(ctx context.Context, id string) error {
	c.Log.WarnContext(ctx, "detach from standby refused: its group terminates the instance", "instance", id)
	_, err := c.Writer.TerminateInstanceInAutoScalingGroup(ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{
		InstanceId: aws.String(id), ShouldDecrementDesiredCapacity: aws.Bool(false),
	})
	if err != nil {
		return fmt.Errorf("terminating instance %q in its Auto Scaling group: %w", id, err)
	}
	return nil
}

func (c *Client) detach(ctx context.Context, group, id string) error {
	_, err := c.Writer.DetachInstances(ctx, &autoscaling.DetachInstancesInput{
		AutoScalingGroupName: aws.String(group), InstanceIds: []string{id}, ShouldDecrementDesiredCapacity: aws.Bool(false),
	})
	if err != nil {
		return fmt.Errorf("detaching instance %q from Auto Scaling group %q: %w", id, group, err)
	}
	return nil
}

// exitStandby tolerates a target that has left Standby meanwhile.
func (c *Client) exitStandby(ctx context.Context, g Group, id string) error {
	_, err := c.Writer.ExitStandby(ctx, &autoscaling.ExitStandbyInput{AutoScalingGroupName: aws.String(g.Name), InstanceIds: []string{id}})
	switch {
	case err == nil, awserr.IsWrongState(err):
		return nil
	case g.Desired >= g.Max:
		return hint.Wrap(fmt.Errorf("bringing instance %q of Auto Scaling group %q back into service: %w", id, g.Name, err),
			fmt.Sprintf("the group is at its maximum size %d; raise it by one and run this again", g.Max))
	default:
		return fmt.Errorf("bringing instance %q of Auto Scaling group %q back into service: %w", id, g.Name, err)
	}
}

// forgottenAfter is how long EC2 may not know an instance until it is taken for terminated.
const forgottenAfter = 2 * time.Minute

// ShutDown stops or terminates an instance that belongs to no group and waits until that is done. Each time before it acts
// it asks ready, whose error ends it. One that is known to run is not looked at first.
func (c *Client) ShutDown(ctx context.Context, id string, action Action, runs bool, ready func(context.Context) error) error {
	var missing time.Time // since when EC2 does not know it
	return c.Wait.Until(ctx, func(ctx context.Context) (bool, string, error) {
		if runs {
			runs = false
			if err := ready(ctx); err != nil {
				return false, "", err
			}
			return false, "instance " + id + " is running", c.shutDown(ctx, id, action)
		}
		i, err := c.Instance(ctx, id)
		if errors.Is(err, ErrUnknown) { // EC2 is eventually consistent; an hour after its end it has forgotten an instance
			if missing.IsZero() {
				missing = time.Now()
			}
			return time.Since(missing) >= forgottenAfter, err.Error(), nil
		}
		if err != nil {
			return false, "", err
		}
		missing = time.Time{}
		switch {
		case i.State == "terminated", i.State == action.Past():
			return true, "", nil
		case i.Gone(), action == Stop && i.State == "stopping":
			return false, fmt.Sprintf("instance %s is %s", id, i.State), nil
		}
		if err := ready(ctx); err != nil {
			return false, "", err
		}
		return false, fmt.Sprintf("instance %s is %s", id, i.State), c.shutDown(ctx, id, action)
	})
}

func (c *Client) shutDown(ctx context.Context, id string, action Action) error {
	c.Log.InfoContext(ctx, "shutting instance down", "instance", id, "action", action)
	return action.call(ctx, c.Instances, id, false)
}

// Compare says what of a group changed while the target, which was on standby, was detached, and should not have: because of
// someone else or of AWS.
func Compare(before, after Group, id string) (differences []string) {
	if after.Desired != before.Desired {
		differences = append(differences, fmt.Sprintf("desired capacity of Auto Scaling group %s is %d, expected %d: it changed while instance %s was detached", after.Name, after.Desired, before.Desired, id))
	}
	for _, m := range before.Members {
		now, member := after.Member(m.ID)
		if m.ID == id || m.Lifecycle != InService {
			continue
		}
		if !member || now.Lifecycle != InService {
			differences = append(differences, fmt.Sprintf("instance %s of Auto Scaling group %s left service while instance %s was detached", m.ID, after.Name, id))
		}
	}
	return differences
}
