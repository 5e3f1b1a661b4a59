package contract

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// alive are the states of an instance that is not terminated.
func alive() []string { return []string{"pending", "running", "stopping", "stopped", "shutting-down"} }

// absent takes the answer that there is no such thing for its deletion.
func absent(err error, codes ...string) (bool, string, error) {
	if slices.Contains(codes, code(err)) {
		return true, "", nil
	}
	return err == nil, "", err
}

func (f *fixture) templateItem() item {
	return item{
		what: "launch template " + f.name(),
		delete: func(ctx context.Context) (bool, string, error) {
			_, err := f.ec2.DeleteLaunchTemplate(ctx, &ec2.DeleteLaunchTemplateInput{LaunchTemplateName: aws.String(f.name())})
			return absent(err, "InvalidLaunchTemplateName.NotFoundException")
		},
		command: fmt.Sprintf("aws ec2 delete-launch-template --region %s --launch-template-name %s", f.region, f.name()),
	}
}

func (f *fixture) queueItem() item {
	const none, noneJSON = "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"
	return item{
		what: "queue " + f.name(),
		delete: func(ctx context.Context) (bool, string, error) {
			out, err := f.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String(f.name())})
			if err != nil {
				return absent(err, none, noneJSON)
			}
			_, err = f.sqs.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: out.QueueUrl})
			return absent(err, none, noneJSON)
		},
		command: fmt.Sprintf(`aws sqs delete-queue --region %[1]s --queue-url "$(aws sqs get-queue-url --region %[1]s --queue-name %[2]s --output text)"`, f.region, f.name()),
	}
}

func (f *fixture) ruleItem() item {
	return item{
		what: "event rule " + f.name(),
		delete: func(ctx context.Context) (bool, string, error) {
			_, err := f.bus.RemoveTargets(ctx, &eventbridge.RemoveTargetsInput{Rule: aws.String(f.name()), Ids: []string{"queue"}})
			if gone, _, err := absent(err, "ResourceNotFoundException"); !gone {
				return false, "", err
			}
			_, err = f.bus.DeleteRule(ctx, &eventbridge.DeleteRuleInput{Name: aws.String(f.name())})
			return absent(err, "ResourceNotFoundException")
		},
		command: fmt.Sprintf("aws events remove-targets --region %[1]s --rule %[2]s --ids queue; aws events delete-rule --region %[1]s --name %[2]s", f.region, f.name()),
	}
}

func groupCommand(region, name string) string {
	return fmt.Sprintf("aws autoscaling delete-auto-scaling-group --region %s --auto-scaling-group-name %s --force-delete", region, name)
}

// groupItem deletes a group with its members. One that cannot be deleted is to launch nothing, as its instances are
// terminated next.
func (f *fixture) groupItem() item {
	return item{
		what: "Auto Scaling group " + f.name(),
		delete: func(ctx context.Context) (bool, string, error) {
			g, err := f.describe(ctx)
			if err == nil && g == nil {
				return true, "", nil
			}
			if err == nil && g.Status != nil {
				return false, "its status is " + *g.Status, nil
			}
			_, failed := f.asg.DeleteAutoScalingGroup(ctx, &autoscaling.DeleteAutoScalingGroupInput{AutoScalingGroupName: aws.String(f.name()), ForceDelete: aws.Bool(true)})
			if failed != nil {
				_, _ = f.asg.UpdateAutoScalingGroup(ctx, &autoscaling.UpdateAutoScalingGroupInput{
					AutoScalingGroupName: aws.String(f.name()), MinSize: aws.Int32(0), MaxSize: aws.Int32(0), DesiredCapacity: aws.Int32(0),
				})
				return false, "", failed
			}
			return false, "its deletion has begun", err
		},
		command: groupCommand(f.region, f.name()),
	}
}

func (f *fixture) aliveFilters() []ec2types.Filter {
	return []ec2types.Filter{{Name: aws.String("tag:" + tagKey), Values: []string{f.id}}, {Name: aws.String("instance-state-name"), Values: alive()}}
}

// instancesItem terminates the instances that are no longer in the group. EC2 is eventually consistent: it has to show none
// several times.
func (f *fixture) instancesItem() item {
	none := 0
	return item{
		what: "instances tagged " + tagKey + "=" + f.id,
		delete: func(ctx context.Context) (bool, string, error) {
			var running, ending []string
			pages := ec2.NewDescribeInstancesPaginator(f.ec2, &ec2.DescribeInstancesInput{Filters: f.aliveFilters()})
			for pages.HasMorePages() {
				page, err := pages.NextPage(ctx)
				if err != nil {
					return false, "", err
				}
				for _, r := range page.Reservations {
					for _, i := range r.Instances {
						if i.State.Name == ec2types.InstanceStateNameShuttingDown {
							ending = append(ending, aws.ToString(i.InstanceId))
						} else {
							running = append(running, aws.ToString(i.InstanceId))
						}
					}
				}
			}
			if len(running)+len(ending) == 0 {
				none++
				return none == 3, "EC2 shows none", nil
			}
			none = 0
			if len(running) == 0 {
				return false, fmt.Sprintf("%v are shutting down", ending), nil
			}
			_, err := f.ec2.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: running})
			return false, fmt.Sprintf("%v are to be terminated", running), err
		},
		command: fmt.Sprintf("aws ec2 terminate-instances --region %[1]s --instance-ids $(aws ec2 describe-instances --region %[1]s --filters Name=tag:%[2]s,Values=%[3]s Name=instance-state-name,Values=pending,running,stopping,stopped "+
			"--query 'Reservations[].Instances[].InstanceId' --output text)", f.region, tagKey, f.id),
	}
}
