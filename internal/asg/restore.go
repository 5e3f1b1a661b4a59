package asg

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// PlanReturn decides how to bring the target back. ExitStandby raises the desired capacity by the target's weight. That
// is right when the group is whole without the target; while it is short of it, the desired capacity has to be lowered by
// as much, or the group would launch one instance more once it can. It is never lowered while members are booting: the
// group could then let one of the others go. So it could if a launch succeeded between this look and the change, which is why
// the caller has scale-in suspended, and why the group is read again after each such change.
func PlanReturn(g Group, id string, baseline []string) Stage {
	h := handover(g, id, baseline)
	target, _ := g.Member(id)
	newer := len(h.Candidates) > 0 || len(h.Booting) > 0
	switch {
	case g.capacity(id, serves) >= g.Desired || (newer && (g.Weighted || len(h.Booting) > 0)):
		return Surplus
	case g.Desired-target.Weight >= g.Min:
		return Lowering
	default:
		return Raising
	}
}

func surplus(group string, desired int32) string {
	return fmt.Sprintf("Auto Scaling group %q now has desired capacity %d, one instance more than before: the group was whole without it, and lowering it could make Auto Scaling terminate another instance",
		group, desired)
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

// Checkpoint is what a bring-back writes down before each change, so that one which was killed is neither done twice nor left
// half done: the desired capacity alone does not tell whether it was lowered already. Desired is that of the group before.
type Checkpoint struct {
	Stage   Stage `json:"stage,omitempty"`
	Desired int32 `json:"desired,omitempty"`
	Weight  int32 `json:"weight,omitempty"` // of the target
}

// IsLow reports that the desired capacity is lowered, or may be.
func (m Checkpoint) IsLow() bool { return m.Stage == Lowering || m.Stage == Exiting }

// IsUnreconciled reports that the desired capacity may not fit the members in service yet.
func (m Checkpoint) IsUnreconciled() bool { return m.Stage != "" && m.Stage != Surplus }

// Return brings a target back into service. Keep stores the checkpoint where the next attempt finds it.
type Return struct {
	Group, ID  string
	Baseline   []string
	Checkpoint Checkpoint
	Keep       func(context.Context, Checkpoint) error
	sure       bool // that a desired capacity as before is no stale read of a moment in which another recycle had lowered it
}

// BringBack returns the target to service and says what remains different from before, or "".
func (c *Client) BringBack(ctx context.Context, r *Return) (note string, err error) {
	exited := false
	err = c.unhurried().Until(ctx, func(ctx context.Context) (done bool, status string, err error) {
		m, _, err := c.member(ctx, r.Group, r.ID)
		if err != nil {
			return false, "", err
		}
		status = fmt.Sprintf("instance %s is %s in Auto Scaling group %s", r.ID, m.Lifecycle, r.Group)
		switch {
		case m.Lifecycle == InService && r.Checkpoint.Stage == "":
			return true, status, nil
		case m.Lifecycle == InService:
			err = c.alone(ctx, r.Group, func(ctx context.Context) error { note, done, err = c.reconcileDesired(ctx, r); return err })
			return done && err == nil, status, err
		case m.Lifecycle == Standby && !exited:
			err = c.alone(ctx, r.Group, func(ctx context.Context) error { exited, err = c.exit(ctx, r); return err })
		}
		return false, status, err
	})
	return note, err
}

// CancelReturn takes back what a bring-back has changed of the desired capacity, for a target that stays on standby or was
// lost meanwhile. A capacity that was lowered for it is raised again, by no more than the weight of one member. One that was
// raised for it is only told: lowering it could make Auto Scaling terminate another instance.
func (c *Client) CancelReturn(ctx context.Context, group, id string, m Checkpoint) (note string, err error) {
	if m.Stage == "" {
		return "", nil
	}
	err = c.alone(ctx, group, func(ctx context.Context) error {
		g, err := c.Group(ctx, group)
		if errors.Is(err, ErrNoGroup) {
			return nil
		}
		target, member := g.Member(id)
		switch {
		case err != nil:
			return err
		case member && serves(target.Lifecycle):
			return nil
		case m.IsLow() && g.Desired == m.Desired-m.Weight && m.Weight > 0 && m.Weight <= heaviest(g):
			return c.setDesired(ctx, group, m.Desired)
		case !m.IsLow() && target.Lifecycle != Standby && g.Desired > m.Desired:
			note = surplus(group, g.Desired)
		}
		return nil
	})
	return note, err
}

// heaviest is the most capacity that one member has.
func heaviest(g Group) int32 {
	most := int32(1)
	for _, m := range g.Members {
		most = max(most, m.Weight)
	}
	return most
}

// ErrDead is the cause of an error that ends a bring-back of an instance which is terminated: its group would replace it.
var ErrDead = errors.New("it is terminated")

// ErrNotRunning is the cause of an error that ends a bring-back of an instance which was stopped on standby.
var ErrNotRunning = errors.New("it does not run")

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

// unhurried is a wait whose reads are a whole interval apart from the first on: AWS's answers may lag, and two that agree are
// believed.
func (c *Client) unhurried() poll.Loop {
	wait := c.Wait
	wait.First = 0
	return wait
}

// steady reads the group until two reads, an interval apart, show the same desired capacity. No recycle changes it meanwhile,
// but one may have done so just before, and the first read may be older than that.
func (c *Client) steady(ctx context.Context, r *Return) (m Member, g Group, err error) {
	last := int32(-1)
	err = c.unhurried().Until(ctx, func(ctx context.Context) (done bool, status string, err error) {
		m, g, err = c.member(ctx, r.Group, r.ID)
		done, last = err == nil && g.Desired == last, g.Desired
		return done, fmt.Sprintf("the desired capacity of Auto Scaling group %s is %d, as far as is known", r.Group, g.Desired), err
	})
	return m, g, err
}

// exit takes the target out of Standby, after lowering the desired capacity if that is the plan.
func (c *Client) exit(ctx context.Context, r *Return) (exited bool, err error) {
	m, g, err := c.member(ctx, r.Group, r.ID)
	if err != nil || m.Lifecycle != Standby {
		return err == nil, err
	}
	i, err := c.Instance(ctx, r.ID)
	if err != nil {
		return false, err
	}
	if i.Gone() {
		return false, fmt.Errorf("bringing instance %q back into service: %w", r.ID, ErrDead)
	}
	if i.State != "running" { // the group would take it for unhealthy, terminate and replace it
		return false, hint.Errorf("start it, wait until its Node is Ready, then run this again: aws ec2 start-instances --instance-ids "+r.ID+"; or submit the recycle again",
			"bringing instance %q back into service: %w: it is %s", r.ID, ErrNotRunning, i.State)
	}
	if g.Suspends(Launch) {
		return false, hint.Errorf("resume it: aws autoscaling resume-processes --auto-scaling-group-name "+r.Group+" --scaling-processes Launch",
			"bringing instance %q back into service: process Launch of Auto Scaling group %q is suspended", r.ID, r.Group)
	}
	if r.Checkpoint.Stage == "" || r.Checkpoint.Stage == Lowering && g.Desired == r.Checkpoint.Desired || g.Desired != r.Checkpoint.Desired && g.Desired != r.Checkpoint.Desired-m.Weight {
		if m, g, err = c.steady(ctx, r); err != nil || m.Lifecycle != Standby {
			return err == nil, err
		}
		if err := r.keep(ctx, Checkpoint{PlanReturn(g, r.ID, r.Baseline), g.Desired, m.Weight}); err != nil {
			return false, err
		}
	}
	if r.Checkpoint.Stage == Lowering {
		if err := c.setDesired(ctx, r.Group, r.Checkpoint.Desired-m.Weight); err != nil {
			return false, err
		}
		if err := r.keep(ctx, Checkpoint{Exiting, r.Checkpoint.Desired, m.Weight}); err != nil {
			return false, err
		}
		if _, g, err = c.member(ctx, r.Group, r.ID); err != nil {
			return false, err
		}
		if g.Desired = r.Checkpoint.Desired; PlanReturn(g, r.ID, r.Baseline) != Lowering { // a launch has succeeded in that moment
			return false, c.raiseAgain(ctx, r)
		}
	}
	c.Log.InfoContext(ctx, "bringing instance back into service", "instance", r.ID, "asg", r.Group)
	err = c.exitStandby(ctx, g, r.ID)
	switch {
	case r.Checkpoint.Stage != Exiting:
		return err == nil, err
	case err == nil:
		return true, r.keep(ctx, Checkpoint{Exited, r.Checkpoint.Desired, m.Weight})
	case !c.Wait.Transient(err): // it raises the capacity again, and did not
		return false, errors.Join(err, c.raiseAgain(ctx, r))
	}
	return false, err
}

// raiseAgain takes back that the desired capacity was lowered, or may have been.
func (c *Client) raiseAgain(ctx context.Context, r *Return) error {
	if err := r.keep(ctx, Checkpoint{Lowering, r.Checkpoint.Desired, r.Checkpoint.Weight}); err != nil {
		return err
	}
	if err := c.setDesired(ctx, r.Group, r.Checkpoint.Desired); err != nil {
		return err
	}
	return r.keep(ctx, Checkpoint{})
}

// keep takes a checkpoint only once it is stored: what nobody else would find must not be acted on.
func (r *Return) keep(ctx context.Context, m Checkpoint) error {
	if err := r.Keep(ctx, m); err != nil {
		return err
	}
	r.Checkpoint = m
	return nil
}

// reconcileDesired ends a return once the target is back: it lowers the desired capacity of a group at its minimum, and says what is
// left over. A launch may have succeeded after all in the moment for which the capacity was lower than it had to be.
func (c *Client) reconcileDesired(ctx context.Context, r *Return) (note string, done bool, err error) {
	m, g, err := c.member(ctx, r.Group, r.ID)
	before, now := r.Checkpoint.Desired, g.capacity(r.ID, serves)+m.Weight
	switch raising := r.Checkpoint.Stage == Raising; {
	case err != nil:
		return "", false, err
	case r.Checkpoint.Stage == Surplus:
		return surplus(g.Name, g.Desired), true, nil
	case raising && g.Desired == before+m.Weight && now-before < smallest(g): // what weights leave beyond it is no launch
		if err := c.setDesired(ctx, r.Group, before); err != nil {
			return "", false, err
		}
		return "", false, r.keep(ctx, Checkpoint{Exited, before, m.Weight}) // who raises it from now on means it
	case raising && g.Desired > before: // a launch succeeded meanwhile, or somebody else set it
		return surplus(g.Name, g.Desired), true, nil
	case raising && !r.sure:
		r.sure = true
		return "", false, nil
	case g.Desired == before && now-before >= smallest(g):
		if now > g.Max {
			return "", false, hint.Errorf(fmt.Sprintf("the group is at its maximum size %d; raise it by one and run this again", g.Max),
				"bringing instance %q of Auto Scaling group %q back into service: a launch succeeded meanwhile, so the group has one instance too many", r.ID, r.Group)
		}
		return surplus(g.Name, now), true, c.setDesired(ctx, r.Group, now)
	}
	return "", true, nil
}

// smallest is the least capacity by which the group could be scaled in.
func smallest(g Group) int32 {
	least := int32(math.MaxInt32)
	for _, m := range g.Members {
		least = min(least, m.Weight)
	}
	return least
}

func (c *Client) setDesired(ctx context.Context, group string, desired int32) error {
	c.Log.InfoContext(ctx, "setting desired capacity", "asg", group, "desired", desired)
	_, err := c.Writer.SetDesiredCapacity(ctx, &autoscaling.SetDesiredCapacityInput{
		AutoScalingGroupName: aws.String(group), DesiredCapacity: aws.Int32(desired), HonorCooldown: aws.Bool(false),
	})
	if err != nil {
		return fmt.Errorf("setting the desired capacity of Auto Scaling group %q to %d: %w", group, desired, err)
	}
	return nil
}
