package asg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

var instanceID = regexp.MustCompile(`^i-([0-9a-f]{8}|[0-9a-f]{17})$`)

// CheckInstanceID refuses strings that cannot be an EC2 instance id.
func CheckInstanceID(id string) error {
	if instanceID.MatchString(id) {
		return nil
	}
	return hint.Errorf(`an instance id looks like "i-0123456789abcdef0"; to name a Node use --node`, "instance id %q is malformed", id)
}

// groupTag is set by Auto Scaling on each member and taken away when the member leaves.
const groupTag = "aws:autoscaling:groupName"

// Lookup reads an instance and the group it is a member of: two calls. known is the group that a record names, or "": it is
// asked about an instance that EC2 does not know. That one has the state Unknown if its group lists it still.
func (c *Client) Lookup(ctx context.Context, id, known string) (Target, error) {
	instance, err := c.Instance(ctx, id)
	missing := err
	switch {
	case errors.Is(err, ErrUnknown) && known != "":
		instance = Instance{ID: id, State: Unknown, Tags: map[string]string{}}
	case err != nil:
		return Target{}, err
	}
	target := Target{Instance: instance}
	name := cmp.Or(instance.Tags[groupTag], known, instance.Tags[TagGroup]) // ours, on an instance that a retire step is taking out
	if name == "" {
		return target, nil
	}
	group, err := c.Group(ctx, name)
	if err != nil && !errors.Is(err, ErrNoGroup) { // which is deleted since the instance left it
		return Target{}, err
	}
	if _, member := group.Member(id); member {
		target.Group = &group
		return target, nil
	}
	if instance.State == Unknown {
		return target, missing
	}
	return target, nil
}

// Lookups reads several instances and the groups that list them, by a call for each kind and page: groups are the records', by
// instance. An instance that nobody knows has the state Unknown.
func (c *Client) Lookups(ctx context.Context, groups map[string]string) (map[string]Target, error) {
	targets := make(map[string]Target, len(groups))
	var names []string
	for id, group := range groups {
		targets[id] = Target{Instance: Instance{ID: id, State: Unknown, Tags: map[string]string{}}}
		names = append(names, group)
	}
	for part := range slices.Chunk(slices.Sorted(maps.Keys(groups)), idsACall) {
		err := c.eachInstance(ctx, func(in ec2types.Instance) {
			i := fromEC2(in)
			targets[i.ID] = Target{Instance: i}
			names = append(names, i.Tags[groupTag])
		}, ec2types.Filter{Name: aws.String("instance-id"), Values: part})
		if err != nil && !awserr.IsInstanceNotFound(err) {
			return nil, fmt.Errorf("describing instances: %w", err)
		}
	}
	names = slices.DeleteFunc(unique(names), func(name string) bool { return name == "" })
	for part := range slices.Chunk(names, namesACall) {
		in := &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: part, MaxRecords: aws.Int32(groupsAPage)}
		for more := true; more; more = aws.ToString(in.NextToken) != "" {
			out, err := c.Reader.DescribeAutoScalingGroups(ctx, in)
			if err != nil {
				return nil, fmt.Errorf("describing Auto Scaling groups: %w", err)
			}
			for _, g := range out.AutoScalingGroups {
				group := fromAutoScaling(g)
				for _, m := range group.Members {
					if t, asked := targets[m.ID]; asked {
						t.Group = &group
						targets[m.ID] = t
					}
				}
			}
			in.NextToken = out.NextToken
		}
	}
	return targets, nil
}

// OwnGroup is the name of the group that the target is or was a member of, as AWS and its retirement's tags say, or "".
func (t Target) OwnGroup() string {
	if t.Group != nil {
		return t.Group.Name
	}
	return cmp.Or(t.Instance.Tags[groupTag], t.Instance.Tags[TagGroup])
}

// WasMember reports whether the activities of a group, of the last six weeks, name an instance.
func (c *Client) WasMember(ctx context.Context, group, id string) (bool, error) {
	_, found, err := c.activity(ctx, group, id, "")
	return found, err
}

// ErrUnknown is the end of the error for an instance that does not exist.
var ErrUnknown = errors.New("is unknown to EC2 in this region and account")

// Instance describes one instance. Its error is ErrUnknown if there is none of that id.
func (c *Client) Instance(ctx context.Context, id string) (Instance, error) {
	out, err := c.Instances.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if awserr.IsInstanceNotFound(err) || awserr.IsInstanceMalformed(err) || (err == nil && (len(out.Reservations) == 0 || len(out.Reservations[0].Instances) == 0)) {
		return Instance{}, hint.Errorf("check the id, the region (--region, AWS_REGION) and the account of the credentials",
			"instance %q %w", id, ErrUnknown)
	}
	if err != nil {
		return Instance{}, fmt.Errorf("describing instance %q: %w", id, err)
	}
	i := fromEC2(out.Reservations[0].Instances[0])
	c.guard.note(i.ID, i.Tags)
	return i, nil
}

func fromEC2(in ec2types.Instance) Instance {
	i := Instance{
		ID:                  aws.ToString(in.InstanceId),
		Type:                string(in.InstanceType),
		PrivateDNSName:      aws.ToString(in.PrivateDnsName),
		LaunchTime:          aws.ToTime(in.LaunchTime),
		Spot:                in.InstanceLifecycle == ec2types.InstanceLifecycleTypeSpot,
		RootOnInstanceStore: in.RootDeviceType == ec2types.DeviceTypeInstanceStore,
		Tags:                map[string]string{},
	}
	if in.State != nil {
		i.State = string(in.State.Name)
	}
	if in.Placement != nil {
		i.Zone = aws.ToString(in.Placement.AvailabilityZone)
	}
	for _, tag := range in.Tags {
		i.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return i
}

// ErrNoGroup is the end of the error for a group that does not exist.
var ErrNoGroup = errors.New("it does not exist")

// Group describes one group with all its members.
func (c *Client) Group(ctx context.Context, name string) (Group, error) {
	out, err := c.Reader.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{name}})
	if err != nil {
		return Group{}, fmt.Errorf("describing Auto Scaling group %q: %w", name, err)
	}
	if len(out.AutoScalingGroups) == 0 {
		return Group{}, fmt.Errorf("describing Auto Scaling group %q: %w", name, ErrNoGroup)
	}
	g := fromAutoScaling(out.AutoScalingGroups[0])
	g.ReadAt = time.Now()
	c.guard.note("group "+g.Name, g.Tags)
	for _, m := range g.Members { // a group's members are its cluster's, also one that EC2 has forgotten
		c.guard.note(m.ID, g.Tags)
	}
	return g, nil
}

func fromAutoScaling(in astypes.AutoScalingGroup) Group {
	g := Group{
		Name:    aws.ToString(in.AutoScalingGroupName),
		Min:     aws.ToInt32(in.MinSize),
		Max:     aws.ToInt32(in.MaxSize),
		Desired: aws.ToInt32(in.DesiredCapacity),
		Tags:    tagsOf(in.Tags),
	}
	if p := in.InstanceLifecyclePolicy; p != nil && p.RetentionTriggers != nil {
		g.Retains = p.RetentionTriggers.TerminateHookAbandon == astypes.RetentionActionRetain
	}
	if p := in.WarmPoolConfiguration; p != nil && p.InstanceReusePolicy != nil {
		g.Reuses = aws.ToBool(p.InstanceReusePolicy.ReuseOnScaleIn)
	}
	for _, i := range in.Instances {
		m := Member{ID: aws.ToString(i.InstanceId), Lifecycle: string(i.LifecycleState), Weight: 1}
		if weight, err := strconv.ParseInt(aws.ToString(i.WeightedCapacity), 10, 32); err == nil {
			m.Weight, g.Weighted = int32(weight), true
		}
		g.Members = append(g.Members, m)
	}
	for _, p := range in.SuspendedProcesses {
		g.Suspended = append(g.Suspended, aws.ToString(p.ProcessName))
	}
	return g
}

// RefreshInProgress returns the id of an instance refresh of the group that has not ended, or "".
func (c *Client) RefreshInProgress(ctx context.Context, group string) (string, error) {
	out, err := c.Reader.DescribeInstanceRefreshes(ctx, &autoscaling.DescribeInstanceRefreshesInput{AutoScalingGroupName: aws.String(group), MaxRecords: aws.Int32(1)})
	if err != nil {
		return "", fmt.Errorf("describing instance refreshes of Auto Scaling group %q: %w", group, err)
	}
	for _, r := range out.InstanceRefreshes { // newest first
		switch r.Status {
		case astypes.InstanceRefreshStatusSuccessful, astypes.InstanceRefreshStatusFailed, astypes.InstanceRefreshStatusCancelled,
			astypes.InstanceRefreshStatusRollbackFailed, astypes.InstanceRefreshStatusRollbackSuccessful:
		default:
			return aws.ToString(r.InstanceRefreshId), nil
		}
	}
	return "", nil
}

// FailedLaunch returns why the group's newest launch failed, or "" if it did not fail.
func (c *Client) FailedLaunch(ctx context.Context, group string) (string, error) {
	out, err := c.Reader.DescribeScalingActivities(ctx, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: aws.String(group), MaxRecords: aws.Int32(20)})
	if err != nil {
		return "", fmt.Errorf("describing scaling activities of Auto Scaling group %q: %w", group, err)
	}
	for _, a := range out.Activities { // newest first
		if !strings.HasPrefix(aws.ToString(a.Description), "Launching a new EC2 instance") {
			continue
		}
		if a.StatusCode == astypes.ScalingActivityStatusCodeFailed || a.StatusCode == astypes.ScalingActivityStatusCodeCancelled {
			return aws.ToString(a.StatusMessage), nil
		}
		return "", nil
	}
	return "", nil
}
