package contract

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// readChecks are about answers in pages. They come last, as they need activities to read.
func readChecks() []check {
	return []check{
		{"scaling activities are told newest first once they are over, and pages of one hold the same", func(w *world) {
			w.inService(1)
			all, err := w.asg.DescribeScalingActivities(w.ctx, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: aws.String(w.name())})
			w.ok(err)
			over := slices.DeleteFunc(slices.Clone(all.Activities), func(a astypes.Activity) bool { return a.EndTime == nil })
			w.want(slices.IsSortedFunc(over, func(a, b astypes.Activity) int { return b.StartTime.Compare(*a.StartTime) }), true, "newest first")
			var paged []string
			pages := autoscaling.NewDescribeScalingActivitiesPaginator(w.asg, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: aws.String(w.name()), MaxRecords: aws.Int32(1)})
			for pages.HasMorePages() {
				page, err := pages.NextPage(w.ctx)
				w.ok(err)
				for _, a := range page.Activities {
					paged = append(paged, aws.ToString(a.ActivityId))
				}
			}
			w.want(sorted(paged), sorted(idsOf(all.Activities)), "activities in pages")
		}},
		{"the description of an activity that succeeded ends with a colon and the id of the instance", func(w *world) {
			all, err := w.asg.DescribeScalingActivities(w.ctx, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: aws.String(w.name())})
			w.ok(err)
			for _, a := range all.Activities {
				if _, id, _ := strings.Cut(aws.ToString(a.Description), ": "); a.StatusCode == astypes.ScalingActivityStatusCodeSuccessful && !strings.HasPrefix(id, "i-") {
					w.Errorf("description %q", aws.ToString(a.Description))
				}
			}
		}},
		{"instances in pages of five are those of one page", func(w *world) {
			filters := []ec2types.Filter{w.ours()}
			all, err := w.ec2.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{Filters: filters})
			w.ok(err)
			var paged []ec2types.Reservation
			pages := ec2.NewDescribeInstancesPaginator(w.ec2, &ec2.DescribeInstancesInput{Filters: filters, MaxResults: aws.Int32(5)})
			for pages.HasMorePages() {
				page, err := pages.NextPage(w.ctx)
				w.ok(err)
				paged = append(paged, page.Reservations...)
			}
			w.want(sorted(instanceIDs(paged)), sorted(instanceIDs(all.Reservations)), "instances in pages")
		}},
		{"tags of the group in pages of one are those that it was made with", func(w *world) {
			var keys []string
			pages := autoscaling.NewDescribeTagsPaginator(w.asg, &autoscaling.DescribeTagsInput{
				Filters: []astypes.Filter{{Name: aws.String("auto-scaling-group"), Values: []string{w.name()}}}, MaxRecords: aws.Int32(1),
			})
			for pages.HasMorePages() {
				page, err := pages.NextPage(w.ctx)
				w.ok(err)
				for _, t := range page.Tags {
					keys = append(keys, aws.ToString(t.Key))
				}
			}
			w.want(sorted(keys), []string{"Name", tagKey}, "tags")
		}},
	}
}

func sorted(in []string) []string { return slices.Sorted(slices.Values(in)) }

func idsOf(in []astypes.Activity) (out []string) {
	for _, a := range in {
		out = append(out, aws.ToString(a.ActivityId))
	}
	return out
}

func instanceIDs(in []ec2types.Reservation) (out []string) {
	for _, r := range in {
		for _, i := range r.Instances {
			out = append(out, aws.ToString(i.InstanceId))
		}
	}
	return out
}
