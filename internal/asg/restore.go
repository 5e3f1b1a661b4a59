package asg

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Return is how a target gets from Standby back into service without the group letting another instance go.
type Return struct {
	LowerFirst  bool // lower the desired capacity by the target's weight, then ExitStandby raises it again
	LowerAfter  bool // the same, but the group is at its minimum: only once the target is in service
	SurplusNote string
}

// PlanReturn decides how to bring the target back. ExitStandby raises the desired capacity by the target's weight. That
// is right when the group is whole without the target; while it is short of it, the desired capacity has to be lowered by
// as much, or the group would launch one instance more once it can. It is never lowered while members are booting: the
// group could then let one of the others go.
func PlanReturn(g Group, id string, baseline []string) Return {
	h := handover(g, id, baseline)
	target, _ := g.Member(id)
	newer := len(h.Candidates) > 0 || h.Booting > 0
	switch {
	case newer && (g.Weighted || h.Booting > 0 || active(g, id) >= g.Desired):
		return Return{SurplusNote: surplus(g.Name, g.Desired+target.Weight)}
	case active(g, id) >= g.Desired: // lowered already, by a run that ended before ExitStandby
		return Return{}
	}
	if g.Desired-target.Weight >= g.Min {
		return Return{LowerFirst: true}
	}
	return Return{LowerAfter: true}
}

func surplus(group string, desired int32) string {
	return fmt.Sprintf("Auto Scaling group %q now has desired capacity %d, one instance more than before: its replacement was launched already, and lowering the capacity would let some instance go",
		group, desired)
}

// active is the capacity of all members but the target that are in service or on their way there.
func active(g Group, id string) int32 {
	var sum int32
	for _, m := range g.Members {
		if m.ID != id && (m.Lifecycle == InService || strings.HasPrefix(m.Lifecycle, Pending)) {
			sum += m.Weight
		}
	}
	return sum
}

// Handover reads how far the group is with replacing the target, and changes nothing.
func (c *Client) Handover(ctx context.Context, group, id string, baseline []string) (Handover, error) {
	g, err := c.Group(ctx, group)
	return handover(g, id, baseline), err
}

// BringBack returns the target to service and says what remains different from before, or "".
func (c *Client) BringBack(ctx context.Context, group, id string, baseline []string) (note string, err error) {
	var plan Return
	var original int32
	lowered, exited := false, false
	err = c.Wait.Until(ctx, func(ctx context.Context) (bool, string, error) {
		g, err := c.Group(ctx, group)
		if err != nil {
			return false, "", err
		}
		m, member := g.Member(id)
		if !member {
			return false, "", fmt.Errorf("bringing instance %q back into service: it is no longer a member of Auto Scaling group %q", id, group)
		}
		status := fmt.Sprintf("instance %s is %s in Auto Scaling group %s", id, m.Lifecycle, group)
		switch {
		case m.Lifecycle == InService && exited && plan.LowerAfter && active(g, id)+m.Weight < g.Desired:
			return true, "", c.setDesired(ctx, group, g.Desired-m.Weight)
		case m.Lifecycle == InService:
			if exited && plan.LowerAfter {
				plan.SurplusNote = surplus(g.Name, g.Desired) // a launch succeeded meanwhile
			}
			return true, "", nil
		case m.Lifecycle != Standby || exited:
			return false, status, nil
		}
		if slices.Contains(g.Suspended, "Launch") {
			return false, "", hint.Errorf("resume it: aws autoscaling resume-processes --auto-scaling-group-name "+group+" --scaling-processes Launch",
				"bringing instance %q back into service: process Launch of Auto Scaling group %q is suspended", id, group)
		}
		if !lowered {
			plan = PlanReturn(g, id, baseline)
		}
		if plan.LowerFirst && !lowered {
			if err := c.setDesired(ctx, group, g.Desired-m.Weight); err != nil {
				return false, "", err
			}
			lowered, original = true, g.Desired
		}
		c.Log.InfoContext(ctx, "bringing instance back into service", "instance", id, "asg", group)
		if err := c.exitStandby(ctx, g, id); err != nil {
			if lowered && !c.Wait.Transient(err) { // it raises the capacity again, and did not
				err = errors.Join(err, c.setDesired(ctx, group, original))
			}
			return false, "", err
		}
		exited = true
		return false, status, nil
	})
	return plan.SurplusNote, err
}

func (c *Client) setDesired(ctx context.Context, group string, desired int32) error {
	c.Log.InfoContext(ctx, "setting desired capacity", "asg", group, "desired", desired)
	_, err := c.Writer.UpdateAutoScalingGroup(ctx, &autoscaling.UpdateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String(group), DesiredCapacity: aws.Int32(desired),
	})
	if err != nil {
		return fmt.Errorf("setting the desired capacity of Auto Scaling group %q to %d: %w", group, desired, err)
	}
	return nil
}
