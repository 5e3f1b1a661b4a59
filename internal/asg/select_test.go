package asg_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/asg"
)

// pages answers by pages of three and writes down what it was asked.
type pages struct {
	groups []string
	asked  []string
}

const aPage = 3

func part(all []string, token *string) (now []string, next *string) {
	start := 0
	_, _ = fmt.Sscan(aws.ToString(token), &start)
	end := min(start+aPage, len(all))
	if end < len(all) {
		next = aws.String(fmt.Sprint(end))
	}
	return all[start:end], next
}

func (p *pages) DescribeAutoScalingGroups(_ context.Context, in *autoscaling.DescribeAutoScalingGroupsInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingGroupsOutput, error) {
	var filters []string
	for _, f := range in.Filters {
		filters = append(filters, *f.Name+"="+strings.Join(f.Values, ","))
	}
	p.asked = append(p.asked, fmt.Sprintf("%d names, filters %v", len(in.AutoScalingGroupNames), filters))
	all := p.groups
	if len(in.AutoScalingGroupNames) > 0 {
		all = in.AutoScalingGroupNames
	}
	out := &autoscaling.DescribeAutoScalingGroupsOutput{}
	var names []string
	names, out.NextToken = part(all, in.NextToken)
	for _, name := range names {
		out.AutoScalingGroups = append(out.AutoScalingGroups, astypes.AutoScalingGroup{
			AutoScalingGroupName: aws.String(name), Tags: []astypes.TagDescription{{Key: aws.String("a"), Value: aws.String("1")}, {Key: aws.String("b"), Value: aws.String("2")}},
		})
	}
	return out, nil
}

func (p *pages) DescribeInstances(_ context.Context, in *ec2.DescribeInstancesInput, _ ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error) {
	p.asked = append(p.asked, fmt.Sprintf("%s of %d", *in.Filters[0].Name, len(in.Filters[0].Values)))
	out := &ec2.DescribeInstancesOutput{}
	var ids []string
	ids, out.NextToken = part(in.Filters[0].Values, in.NextToken)
	for _, id := range ids {
		out.Reservations = append(out.Reservations, ec2types.Reservation{Instances: []ec2types.Instance{{InstanceId: aws.String(id)}}})
	}
	return out, nil
}

func numbered(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("n-%03d", i))
	}
	return all
}

func TestPoolsAreReadByPages(t *testing.T) {
	for name, c := range map[string]struct {
		source asg.Source
		groups int
		asked  []string // the kinds of calls
	}{
		"by name, fifty a call": {asg.Source{Names: numbered(53)}, 53, []string{"50 names, filters []", "3 names, filters []"}},
		"by tags":               {asg.Source{Tags: []asg.TagMatch{{Key: "a", Value: "1"}, {Key: "b", Any: true}}}, 7, []string{"0 names, filters [tag-key=b tag:a=1]"}},
		"one key twice, of which AWS is asked for one": {
			asg.Source{Tags: []asg.TagMatch{{Key: "a", Value: "1"}, {Key: "a", Value: "2"}}}, 0, []string{"0 names, filters [tag:a=1]"},
		},
		"names and tags, which are compared here": {
			asg.Source{Names: numbered(2), Tags: []asg.TagMatch{{Key: "c", Any: true}}}, 0, []string{"2 names, filters []"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &pages{groups: numbered(7)}
			inventories, err := (&asg.Client{Reader: asg.GroupReader{DescribeAutoScalingGroups: p.DescribeAutoScalingGroups}}).Inventories(t.Context(), c.source)
			if err != nil || len(inventories) != c.groups {
				t.Errorf("%d groups, %v", len(inventories), err)
			}
			if diff := cmp.Diff(c.asked, slices.Compact(p.asked)); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInstancesAreReadTwoHundredACall(t *testing.T) {
	p := &pages{}
	found, err := (&asg.Client{Instances: asg.InstanceAPI{DescribeInstances: p.DescribeInstances}}).Launched(t.Context(), numbered(403))
	if err != nil || len(found) != 403 {
		t.Errorf("%d instances, %v", len(found), err)
	}
	if diff := cmp.Diff([]string{"instance-id of 200", "instance-id of 3"}, slices.Compact(p.asked)); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}
