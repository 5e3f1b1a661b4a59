package asg

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Handover is how far a group is with replacing the target.
type Handover struct {
	Group      Group
	Lifecycle  string   // of the target
	Candidates []Member // InService members that joined after the baseline, in stable order
	Booting    []string // ids of members that joined after the baseline and are not InService yet
	id         string
	weight     int32 // of the target
	others     int32 // weight of the older members in service
}

// Stands reports that the target is on standby.
func (h Handover) Stands() bool { return h.Lifecycle == Standby }

// Enough reports that newcomers of this weight in all take the target's place. In a weighted group one of another type can
// weigh less than the target; it suffices if the group has what it wants without the target.
func (h Handover) Enough(weight int32) bool {
	return weight >= h.weight || (weight > 0 && len(h.Booting) == 0 && h.Group.capacity(h.id, func(state string) bool { return state == InService }) >= h.Group.Desired)
}

// Whole reports that the group has what it wants in service without the target, if newcomers of this weight in all serve.
func (h Handover) Whole(newcomers int32) bool { return h.others+newcomers >= h.Group.Desired }

// Describe says in one line what the hand-over waits for. failure is the newest failed launch, or "".
func (h Handover) Describe(id, failure string) string {
	parts := []string{fmt.Sprintf("instance %s is %s", id, h.Lifecycle)}
	switch {
	case failure != "":
		parts = append(parts, "the newest launch failed: "+failure)
	case len(h.Candidates) > 0:
	case len(h.Booting) > 0:
		parts = append(parts, fmt.Sprintf("%d replacement(s) booting", len(h.Booting)))
	default:
		parts = append(parts, "no replacement launched yet")
	}
	return strings.Join(parts, ", ")
}

// Advance puts the target on standby if it is still in service, and reports how far the group is, which it reads again unless it
// was read a moment ago. The desired capacity
// is not decremented, so that the group launches a replacement; EnterStandby returns long before that is there
// (https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_EnterStandby.html).
func (c *Client) Advance(ctx context.Context, g Group, id string, baseline []string) (Handover, error) {
	group := g.Name
	if !g.Fresh() {
		var err error
		if g, err = c.Group(ctx, group); err != nil {
			return Handover{}, err
		}
	}
	h := handover(g, id, baseline)
	switch h.Lifecycle {
	case EnteringStandby, Standby:
		return h, nil
	case InService:
		c.Log.InfoContext(ctx, "putting instance on standby", "instance", id, "asg", group)
		_, err := c.Writer.EnterStandby(ctx, &autoscaling.EnterStandbyInput{
			AutoScalingGroupName: aws.String(group), InstanceIds: []string{id}, ShouldDecrementDesiredCapacity: aws.Bool(false),
		})
		if err != nil && !awserr.IsWrongState(err) { // wrong state: it took effect before, or something else acts on it; look again
			return h, fmt.Errorf("putting instance %q of Auto Scaling group %q on standby: %w", id, group, err)
		}
		return h, nil
	case "":
		return h, fmt.Errorf("instance %q left Auto Scaling group %q meanwhile", id, group)
	default:
		return h, fmt.Errorf("instance %q of Auto Scaling group %q changed to lifecycle state %q meanwhile", id, group, h.Lifecycle)
	}
}

func handover(g Group, id string, baseline []string) Handover {
	target, _ := g.Member(id)
	h := Handover{Group: g, Lifecycle: target.Lifecycle, id: id, weight: target.Weight}
	for _, m := range g.Members {
		switch {
		case m.ID == id:
		case slices.Contains(baseline, m.ID):
			if m.Lifecycle == InService {
				h.others += m.Weight
			}
		case m.Lifecycle == InService:
			h.Candidates = append(h.Candidates, m)
		case strings.HasPrefix(m.Lifecycle, Pending):
			h.Booting = append(h.Booting, m.ID)
		}
	}
	sort.Slice(h.Candidates, func(i, j int) bool { return h.Candidates[i].ID < h.Candidates[j].ID })
	return h
}

// Baseline lists the members that cannot be the target's replacement because they were there before it went on standby.
// For a target in service these are all members, but those that boot in a group which has more than it wants: Capacity
// Rebalancing has launched them in the target's place already, and no other one will come. For one that someone else has put on
// standby, the group's activities tell when that was.
func (c *Client) Baseline(ctx context.Context, t Target) ([]string, error) {
	if t.Lifecycle() == InService {
		surplus := t.Group.capacity("", serves) > t.Group.Desired
		return slices.DeleteFunc(t.Group.MemberIDs(), func(id string) bool {
			m, _ := t.Group.Member(id)
			return surplus && strings.HasPrefix(m.Lifecycle, Pending)
		}), nil
	}
	since, err := c.standbySince(ctx, t.Group.Name, t.Instance.ID)
	if err != nil {
		return nil, err
	}
	newer, err := c.launchedSince(ctx, t.Group.Name, since)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(t.Group.MemberIDs(), func(id string) bool { return id != t.Instance.ID && newer[id] }), nil
}

// launchedSince asks by the tag that Auto Scaling puts on its instances: to ask by id fails as a whole if EC2 no longer
// knows one that the group still lists.
func (c *Client) launchedSince(ctx context.Context, group string, since time.Time) (newer map[string]bool, err error) {
	newer = map[string]bool{}
	err = c.eachInstance(ctx, func(i ec2types.Instance) {
		newer[aws.ToString(i.InstanceId)] = !aws.ToTime(i.LaunchTime).Before(since)
	}, ec2types.Filter{Name: aws.String("tag:" + groupTag), Values: []string{group}})
	if err != nil {
		return nil, fmt.Errorf("describing the members of Auto Scaling group %q: %w", group, err)
	}
	return newer, nil
}

// notOfAnID splits a sentence at what no instance id has: one id of 8 digits can be the beginning of one of 17.
func notOfAnID(r rune) bool { return r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// standbySince reads from the activities when an instance was put on standby.
func (c *Client) standbySince(ctx context.Context, group, id string) (time.Time, error) {
	at, found, err := c.activity(ctx, group, id, "to Standby")
	if err != nil || found {
		return at, err
	}
	return time.Time{}, hint.Errorf("bring it back first: step restore --instance-id "+id+", then submit again",
		"instance %q of Auto Scaling group %q is on standby, but the group no longer says since when: cannot identify its replacement", id, group)
}

// TerminatingSince reads when the group began to terminate an instance, from the newest activity that says so.
func (c *Client) TerminatingSince(ctx context.Context, group, id string) (at time.Time, found bool, err error) {
	return c.activity(ctx, group, id, "Terminating")
}

// activity finds the newest activity of a group that names an instance and says what. Auto Scaling keeps activities for six
// weeks and names the instance in the description only.
func (c *Client) activity(ctx context.Context, group, id, what string) (at time.Time, found bool, err error) {
	in := &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: aws.String(group)}
	for more := true; more; more = aws.ToString(in.NextToken) != "" {
		page, err := c.Reader.DescribeScalingActivities(ctx, in)
		if awserr.IsGroupNotFound(err) {
			return at, false, nil
		}
		if err != nil {
			return at, false, fmt.Errorf("describing scaling activities of Auto Scaling group %q: %w", group, err)
		}
		for _, a := range page.Activities {
			if d := aws.ToString(a.Description); strings.Contains(d, what) && slices.Contains(strings.FieldsFunc(d, notOfAnID), id) {
				return aws.ToTime(a.StartTime), true, nil
			}
		}
		in.NextToken = page.NextToken
	}
	return at, false, nil
}
