package asg

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Sizes of requests: what the APIs take at most
// (https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingGroups.html), and for instances what
// a filter takes (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Filter.html).
const (
	groupsARequest    = 50
	instancesARequest = 200
)

// Tag is a key that a group must carry, with one of the values; none means any.
type Tag struct {
	Key    string
	Values []string
}

// Groups reads groups by name, by tags, or by both. A name that does not exist is an error that says so.
func (c *Client) Groups(ctx context.Context, names []string, tags []Tag) ([]Group, error) {
	if len(names) == 0 {
		return c.groups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{Filters: filters(tags), MaxRecords: aws.Int32(100)})
	}
	var all []Group
	for chunk := range slices.Chunk(names, groupsARequest) {
		found, err := c.groups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: chunk, MaxRecords: aws.Int32(groupsARequest)})
		if err != nil {
			return nil, err
		}
		for _, name := range chunk {
			if !slices.ContainsFunc(found, func(g Group) bool { return g.Name == name }) {
				return nil, hint.Errorf("aws autoscaling describe-auto-scaling-groups lists the names; is it the right region and account?", "Auto Scaling group %q does not exist", name)
			}
		}
		all = append(all, found...)
	}
	return slices.DeleteFunc(all, func(g Group) bool {
		return slices.ContainsFunc(tags, func(t Tag) bool {
			value, there := g.Tags[t.Key]
			return !there || (len(t.Values) > 0 && !slices.Contains(t.Values, value))
		})
	}), nil
}

func filters(tags []Tag) (all []astypes.Filter) {
	for _, t := range tags {
		if len(t.Values) == 0 {
			all = append(all, astypes.Filter{Name: aws.String("tag-key"), Values: []string{t.Key}})
			continue
		}
		all = append(all, astypes.Filter{Name: aws.String("tag:" + t.Key), Values: t.Values})
	}
	return all
}

func (c *Client) groups(ctx context.Context, in *autoscaling.DescribeAutoScalingGroupsInput) (all []Group, err error) {
	for {
		out, err := c.Reader.DescribeAutoScalingGroups(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("describing Auto Scaling groups: %w", err)
		}
		for _, g := range out.AutoScalingGroups {
			all = append(all, fromAutoScaling(g))
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return all, nil
		}
	}
}

// InstancesOf reads the instances of ids, as many as there are of them. It asks by a filter: a list of ids would fail as a
// whole if EC2 has forgotten one of them.
func (c *Client) InstancesOf(ctx context.Context, ids []string) (map[string]Instance, error) {
	found := make(map[string]Instance, len(ids))
	for chunk := range slices.Chunk(ids, instancesARequest) {
		in := &ec2.DescribeInstancesInput{Filters: []ec2types.Filter{{Name: aws.String("instance-id"), Values: chunk}}}
		for {
			out, err := c.Instances.DescribeInstances(ctx, in)
			if err != nil {
				return nil, fmt.Errorf("describing %d instances, %s and more: %w", len(chunk), chunk[0], err)
			}
			for _, r := range out.Reservations {
				for _, i := range r.Instances {
					found[aws.ToString(i.InstanceId)] = fromEC2(i)
				}
			}
			if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
				break
			}
		}
	}
	return found, nil
}

// GroupOf is the name of the group that an instance is a member of, or "".
func (i Instance) GroupOf() string { return i.Tags[groupTag] }

// ParseTag reads "key=value" or "key".
func ParseTag(text string) (Tag, error) {
	key, value, found := strings.Cut(text, "=")
	if key == "" {
		return Tag{}, fmt.Errorf("tag %q is neither key=value nor key", text)
	}
	if !found {
		return Tag{Key: key}, nil
	}
	return Tag{key, []string{value}}, nil
}
