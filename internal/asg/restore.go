package asg

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// PlanReturn decides how to bring the target back. ExitStandby raises the desired capacity by the target's weight. That
// is right when the group is whole without the target; while it is short of it, the desired capacity has to be lowered by
// as much, or the group would launch one instance more once it can. It is never lowered while members are booting: the
// group could then let one of the others go.
func PlanReturn(g Group, id string, baseline []string) Stage {
	h := handover(g, id, baseline)
	target, _ := g.Member(id)
	newer := len(h.Candidates) > 0 || h.Booting > 0
	switch {
	case active(g, id) >= g.Desired || (newer && (g.Weighted || h.Booting > 0)):
		return Surplus
	case g.Desired-target.Weight >= g.Min:
		return Lowering
	default:
		return Raising
	}
}

func surplus(group string, desired int32) string {
	return fmt.Sprintf("Auto Scaling group %q now has desired capacity %d, one instance more than before: the group was whole without it, and lowering the capacity would let some instance go",
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

// Stage is how far a bring-back came.
type Stage string

// The stages. Lowering and Exiting are those of a group that is short of the target: its desired capacity is lowered, then
// ExitStandby raises it again; Exited is when that is done. Raising is for a group at its minimum, where the order is the other way round. Surplus
// raises it for good.
const (
	Lowering Stage = "lowering"
	Exiting  Stage = "exiting"
	Exited   Stage = "exited"
	Raising  Stage = "raising"
	Surplus  Stage = "surplus"
)

// Memo is what a bring-back writes down before each change, so that one which was killed is neither done twice nor left
// half done: the desired capacity alone does not tell whether it was lowered already. Desired is that of the group before.
type Memo struct {
	Stage   Stage `json:"stage,omitempty"`
	Desired int32 `json:"desired,omitempty"`
	Weight  int32 `json:"weight,omitempty"` // of the target
}

// Return brings a target back into service. Keep stores the memo where the next attempt finds it.
type Return struct {
	Group, ID string
	Baseline  []string
	Memo      Memo
	Keep      func(context.Context, Memo) error
}

// BringBack returns the target to service and says what remains different from before, or "".
func (c *Client) BringBack(ctx context.Context, r *Return) (note string, err error) {
	exited := false
	err = c.Wait.Until(ctx, func(ctx context.Context) (done bool, status string, err error) {
		m, _, err := c.member(ctx, r.Group, r.ID)
		if err != nil {
			return false, "", err
		}
		status = fmt.Sprintf("instance %s is %s in Auto Scaling group %s", r.ID, m.Lifecycle, r.Group)
		switch {
		case m.Lifecycle == InService && r.Memo.Stage != Raising:
			note, err = c.evenOut(ctx, r)
			return err == nil, status, err
		case m.Lifecycle == InService:
			err = c.alone(ctx, r.Group, func(ctx context.Context) error { note, err = c.evenOut(ctx, r); return err })
			return err == nil, status, err
		case m.Lifecycle == Standby && !exited:
			err = c.alone(ctx, r.Group, func(ctx context.Context) error { return c.exit(ctx, r) })
			exited = err == nil
		}
		return false, status, err
	})
	return note, err
}

// LeftOver ends the bring-back of an instance that was lost meanwhile: a desired capacity that was lowered for it is raised
// again, and one that was raised for it is told, as lowering it would let some other instance go.
func (c *Client) LeftOver(ctx context.Context, group string, m Memo) (note string, err error) {
	if group == "" || m.Stage == "" {
		return "", nil
	}
	err = c.alone(ctx, group, func(ctx context.Context) error {
		g, err := c.Group(ctx, group)
		switch lowered := m.Stage == Lowering || m.Stage == Exiting; {
		case errors.Is(err, errNoGroup):
			return nil
		case err != nil:
			return err
		case lowered && g.Desired == m.Desired-m.Weight:
			return c.setDesired(ctx, group, m.Desired)
		case !lowered && g.Desired > m.Desired:
			note = surplus(group, g.Desired)
		}
		return nil
	})
	return note, err
}

// ErrDead is the cause of an error that ends a bring-back of an instance which is terminated: its group would replace it.
var ErrDead = errors.New("it is terminated")

// ErrLeft is the cause of an error that ends a bring-back because somebody else has taken the target out of its group.
var ErrLeft = errors.New("it is no longer a member of Auto Scaling group")

func (c *Client) member(ctx context.Context, group, id string) (Member, Group, error) {
	g, err := c.Group(ctx, group)
	if err != nil {
		return Member{}, g, err
	}
	m, member := g.Member(id)
	if !member {
		return m, g, fmt.Errorf("bringing instance %q back into service: %w %q", id, ErrLeft, group)
	}
	return m, g, nil
}

// exit takes the target out of Standby, after lowering the desired capacity if that is the plan.
func (c *Client) exit(ctx context.Context, r *Return) error {
	m, g, err := c.member(ctx, r.Group, r.ID)
	if err != nil || m.Lifecycle != Standby {
		return err
	}
	i, err := c.Instance(ctx, r.ID)
	if err != nil {
		return err
	}
	if i.Gone() {
		return fmt.Errorf("bringing instance %q back into service: %w", r.ID, ErrDead)
	}
	if g.Suspends(Launch) {
		return hint.Errorf("resume it: aws autoscaling resume-processes --auto-scaling-group-name "+r.Group+" --scaling-processes Launch",
			"bringing instance %q back into service: process Launch of Auto Scaling group %q is suspended", r.ID, r.Group)
	}
	if changed := g.Desired != r.Memo.Desired && g.Desired != r.Memo.Desired-m.Weight; r.Memo.Stage == "" || changed {
		if err := r.keep(ctx, Memo{PlanReturn(g, r.ID, r.Baseline), g.Desired, m.Weight}); err != nil {
			return err
		}
	}
	if r.Memo.Stage == Lowering {
		if err := c.setDesired(ctx, r.Group, r.Memo.Desired-m.Weight); err != nil {
			return err
		}
		if err := r.keep(ctx, Memo{Exiting, r.Memo.Desired, m.Weight}); err != nil {
			return err
		}
	}
	c.Log.InfoContext(ctx, "bringing instance back into service", "instance", r.ID, "asg", r.Group)
	err = c.exitStandby(ctx, g, r.ID)
	switch {
	case r.Memo.Stage != Exiting:
		return err
	case err == nil:
		return r.keep(ctx, Memo{Exited, r.Memo.Desired, m.Weight})
	case !c.Wait.Transient(err): // it raises the capacity again, and did not
		return errors.Join(err, r.keep(ctx, Memo{Lowering, r.Memo.Desired, m.Weight}), c.setDesired(ctx, r.Group, r.Memo.Desired))
	}
	return err
}

// keep takes a memo only once it is stored: what nobody else would find must not be acted on.
func (r *Return) keep(ctx context.Context, m Memo) error {
	if err := r.Keep(ctx, m); err != nil {
		return err
	}
	r.Memo = m
	return nil
}

// evenOut lowers the desired capacity of a group at its minimum once the target is back, and says what is left over.
func (c *Client) evenOut(ctx context.Context, r *Return) (note string, err error) {
	m, g, err := c.member(ctx, r.Group, r.ID)
	switch {
	case err != nil:
		return "", err
	case r.Memo.Stage == Surplus:
		return surplus(g.Name, g.Desired), nil
	case r.Memo.Stage != Raising || g.Desired <= r.Memo.Desired:
		return "", nil
	case g.Desired != r.Memo.Desired+m.Weight || active(g, r.ID)+m.Weight > r.Memo.Desired:
		return surplus(g.Name, g.Desired), nil // a launch succeeded meanwhile, or somebody else set it
	}
	if err := c.setDesired(ctx, r.Group, r.Memo.Desired); err != nil {
		return "", err
	}
	return "", r.keep(ctx, Memo{}) // who raises it from now on means it
}

// CallOff takes back what a bring-back of a target on standby has changed, for a recycle that goes on after all.
func (c *Client) CallOff(ctx context.Context, r *Return) error {
	if r.Memo.Stage != Lowering && r.Memo.Stage != Exiting {
		return nil
	}
	return c.alone(ctx, r.Group, func(ctx context.Context) error {
		m, g, err := c.member(ctx, r.Group, r.ID)
		if err != nil || m.Lifecycle != Standby || g.Desired != r.Memo.Desired-m.Weight {
			return err
		}
		return c.setDesired(ctx, r.Group, r.Memo.Desired)
	})
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
