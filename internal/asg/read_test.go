package asg_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

func TestLookupOfAMember(t *testing.T) {
	inAccount(t, 1, 5, nil, func(a *account) {
		target := a.target(a.ids[0])
		if target.Lifecycle() != asg.InService || target.Group.Name != group || target.Group.Desired != 3 || target.Instance.State != "running" || target.Instance.PrivateDNSName == "" {
			a.Errorf("target %+v", target)
		}
		var calls []string
		for _, call := range a.sim.Calls(0) {
			calls = append(calls, call.Action)
		}
		if diff := cmp.Diff([]string{"DescribeInstances", "DescribeAutoScalingGroups"}, calls); diff != "" {
			a.Errorf("calls (-want +got):\n%s", diff)
		}
	})
}

func TestLookupOfAnInstanceOfNoGroup(t *testing.T) {
	for name, prepare := range map[string]func(*account) string{
		"Karpenter's": func(a *account) string {
			id, err := a.sim.AddInstance(awssim.InstanceSpec{Tags: map[string]string{"karpenter.sh/nodepool": "default"}})
			a.must(err)
			return id
		},
		"one that a recycle has taken out": func(a *account) string {
			a.onStandby()
			a.must(a.client.MarkRetiring(a.Context(), a.ids[0], asg.Retirement{At: time.Now(), Group: group, Action: asg.Stop}))
			_, _, err := a.client.Detach(a.Context(), asg.Group{Name: group}, a.ids[0], false, ready)
			a.must(err)
			return a.ids[0]
		},
		"one that a recycle has taken out of a group that is deleted since": func(a *account) string {
			a.onStandby()
			a.must(a.client.MarkRetiring(a.Context(), a.ids[0], asg.Retirement{At: time.Now(), Group: group, Action: asg.Stop}))
			_, _, err := a.client.Detach(a.Context(), asg.Group{Name: group}, a.ids[0], false, ready)
			a.must(err)
			_, err = a.groups.DeleteAutoScalingGroup(a.Context(), &autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: aws.String(group), ForceDelete: aws.Bool(true)})
			a.must(err)
			time.Sleep(10 * time.Minute)
			return a.ids[0]
		},
	} {
		t.Run(name, func(t *testing.T) {
			inAccount(t, 1, 5, nil, func(a *account) {
				target := a.target(prepare(a))
				if target.Group != nil || target.Lifecycle() != "" {
					a.Errorf("target %+v", target)
				}
			})
		})
	}
}

func TestInstancesThatEC2DoesNotKnow(t *testing.T) {
	inAccount(t, 1, 5, nil, func(a *account) {
		for _, id := range []string{"i-00000000000000000", "i-0"} {
			_, err := a.client.Lookup(a.Context(), id, "")
			if err == nil || !strings.Contains(err.Error(), `instance "`+id+`" is unknown to EC2 in this region and account`) || !strings.Contains(hint.Of(err), "--region") {
				a.Errorf("error %v, hint %q", err, hint.Of(err))
			}
		}
		if _, err := a.client.Group(a.Context(), "nosuch"); err == nil || !strings.Contains(err.Error(), `Auto Scaling group "nosuch": it does not exist`) {
			a.Errorf("error %v", err)
		}
	})
}

func TestAWeightedGroupCountsUnits(t *testing.T) {
	inAccount(t, 1, 5, nil, func(a *account) {
		_, err := a.groups.CreateAutoScalingGroup(a.Context(), &autoscaling.CreateAutoScalingGroupInput{
			AutoScalingGroupName: aws.String("mixed"), MinSize: aws.Int32(0), DesiredCapacity: aws.Int32(4), MaxSize: aws.Int32(8), AvailabilityZones: []string{"eu-central-1a"},
			MixedInstancesPolicy: &types.MixedInstancesPolicy{LaunchTemplate: &types.LaunchTemplate{
				LaunchTemplateSpecification: &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("workers"), Version: aws.String("1")},
				Overrides:                   []types.LaunchTemplateOverrides{{InstanceType: aws.String("m5.xlarge"), WeightedCapacity: aws.String("2")}},
			}},
		})
		a.must(err)
		time.Sleep(2 * time.Minute)
		g, err := a.client.Group(a.Context(), "mixed")
		a.must(err)
		if !g.Weighted || len(g.Members) != 2 || g.Members[0].Weight != 2 {
			a.Errorf("group %+v", g)
		}
		if a.group().Weighted || a.group().Members[0].Weight != 1 {
			a.Errorf("group %+v", a.group())
		}
	})
}

func TestBaselineOfAnInstanceInServiceAreAllMembers(t *testing.T) {
	inAccount(t, 1, 5, nil, func(a *account) {
		baseline, err := a.client.Baseline(a.Context(), a.target(a.ids[0]))
		a.must(err)
		if diff := cmp.Diff(a.ids, baseline); diff != "" {
			a.Errorf("baseline (-want +got):\n%s", diff)
		}
	})
}

func TestBaselineOfAnInstanceThatSomeoneElsePutOnStandby(t *testing.T) {
	inAccount(t, 1, 5, nil, func(a *account) {
		a.onStandby() // and nobody wrote anything down
		target := a.target(a.ids[0])
		baseline, err := a.client.Baseline(a.Context(), target)
		a.must(err)
		slices.Sort(baseline)
		want := slices.Sorted(slices.Values(a.ids))
		if diff := cmp.Diff(want, baseline); diff != "" {
			a.Errorf("baseline: all but the replacement (-want +got):\n%s", diff)
		}
		a.client.Reader.DescribeScalingActivities = forgotten
		if _, err := a.client.Baseline(a.Context(), target); err == nil || !strings.Contains(err.Error(), "the group no longer says since when") || !strings.Contains(hint.Of(err), "step restore --instance-id "+a.ids[0]) {
			a.Errorf("error %v, hint %q", err, hint.Of(err))
		}
	})
}

// forgotten are the activities of a group, as Auto Scaling forgets them after six weeks.
func forgotten(context.Context, *autoscaling.DescribeScalingActivitiesInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeScalingActivitiesOutput, error) {
	return &autoscaling.DescribeScalingActivitiesOutput{}, nil
}

func TestRefreshInProgress(t *testing.T) {
	inAccount(t, 1, 5, nil, func(a *account) {
		if id, err := a.client.RefreshInProgress(a.Context(), group); err != nil || id != "" {
			a.Errorf("before: %q, %v", id, err)
		}
		started, err := a.groups.StartInstanceRefresh(a.Context(), &autoscaling.StartInstanceRefreshInput{AutoScalingGroupName: aws.String(group)})
		a.must(err)
		if id, err := a.client.RefreshInProgress(a.Context(), group); err != nil || id != *started.InstanceRefreshId {
			a.Errorf("meanwhile: %q, %v", id, err)
		}
		time.Sleep(2 * time.Hour)
		if id, err := a.client.RefreshInProgress(a.Context(), group); err != nil || id != "" {
			a.Errorf("afterwards: %q, %v", id, err)
		}
	})
}

func TestFailedLaunchIsTheNewestOne(t *testing.T) {
	inAccount(t, 1, 5, nil, func(a *account) {
		why := func() string {
			a.Helper()
			text, err := a.client.FailedLaunch(a.Context(), group)
			a.must(err)
			return text
		}
		if text := why(); text != "" {
			a.Errorf("before: %q", text)
		}
		a.configure(noLaunches)
		a.onStandby()
		if text := why(); !strings.Contains(text, "do not have sufficient") {
			a.Errorf("while launches fail: %q", text)
		}
		a.configure(func(c *awssim.Config) { c.LaunchFailure = "" })
		time.Sleep(10 * time.Minute)
		if text := why(); text != "" {
			a.Errorf("after one succeeded: %q", text)
		}
	})
}
