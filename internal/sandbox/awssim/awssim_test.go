package awssim_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// world is a simulator with the real SDK in front of it, in virtual time.
type world struct {
	*testing.T
	ctx context.Context
	sim *awssim.Sim
	asg *autoscaling.Client
	ec2 *ec2.Client
	sts *sts.Client
	eks *eks.Client
	sqs *sqs.Client
	bus *eventbridge.Client
}

const (
	region = "eu-central-1"
	name   = "workers"
)

// inWorld runs a test in a bubble where a minute takes no time.
func inWorld(t *testing.T, change func(*awssim.Config), story func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg := awssim.DefaultConfig()
		if change != nil {
			change(&cfg)
		}
		sim := awssim.New(cfg)
		sim.Start(t.Context())
		defer sim.Close()
		story(newWorld(t, sim, region))
	})
}

func newWorld(t *testing.T, sim *awssim.Sim, region string) *world {
	cfg := aws.Config{
		Region: region, HTTPClient: sim.HTTPClient(), BaseEndpoint: aws.String("http://awssim"),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "sandbox", SecretAccessKey: "sandbox"}, nil
		}),
	}
	return &world{t, t.Context(), sim, autoscaling.NewFromConfig(cfg), ec2.NewFromConfig(cfg), sts.NewFromConfig(cfg), eks.NewFromConfig(cfg), sqs.NewFromConfig(cfg), eventbridge.NewFromConfig(cfg)}
}

// group creates one and waits until it is whole.
func (w *world) group(least, most, desired int32, change ...func(*autoscaling.CreateAutoScalingGroupInput)) []string {
	w.Helper()
	in := &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String(name), MinSize: &least, MaxSize: &most, DesiredCapacity: &desired,
		AvailabilityZones: []string{region + "a", region + "b", region + "c"},
		LaunchTemplate:    &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("nodes"), Version: aws.String("$Latest")},
		Tags:              []types.Tag{{Key: aws.String("kubernetes.io/cluster/sandbox"), Value: aws.String("owned"), PropagateAtLaunch: aws.Bool(true)}},
	}
	for _, c := range change {
		c(in)
	}
	_, err := w.asg.CreateAutoScalingGroup(w.ctx, in)
	w.ok(err)
	w.pass(2 * time.Minute)
	return w.in("InService")
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// pass lets virtual time go by.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *world) describe() types.AutoScalingGroup {
	w.Helper()
	out, err := w.asg.DescribeAutoScalingGroups(w.ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{name}})
	w.ok(err)
	if len(out.AutoScalingGroups) != 1 {
		w.Fatalf("%d groups, want one", len(out.AutoScalingGroups))
	}
	return out.AutoScalingGroups[0]
}

// in are the members in a lifecycle state.
func (w *world) in(state types.LifecycleState) []string {
	w.Helper()
	var out []string
	for _, i := range w.describe().Instances {
		if i.LifecycleState == state {
			out = append(out, *i.InstanceId)
		}
	}
	return out
}

func (w *world) state(id string) types.LifecycleState {
	w.Helper()
	out, err := w.asg.DescribeAutoScalingInstances(w.ctx, &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: []string{id}})
	w.ok(err)
	if len(out.AutoScalingInstances) == 0 {
		return ""
	}
	return types.LifecycleState(*out.AutoScalingInstances[0].LifecycleState)
}

func (w *world) instance(id string) ec2types.Instance {
	w.Helper()
	out, err := w.ec2.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	w.ok(err)
	return out.Reservations[0].Instances[0]
}

func (w *world) standby(decrement bool, ids ...string) error {
	_, err := w.asg.EnterStandby(w.ctx, &autoscaling.EnterStandbyInput{AutoScalingGroupName: aws.String(name), InstanceIds: ids, ShouldDecrementDesiredCapacity: &decrement})
	return err
}

func (w *world) exit(ids ...string) error {
	_, err := w.asg.ExitStandby(w.ctx, &autoscaling.ExitStandbyInput{AutoScalingGroupName: aws.String(name), InstanceIds: ids})
	return err
}

func (w *world) detach(decrement bool, ids ...string) error {
	_, err := w.asg.DetachInstances(w.ctx, &autoscaling.DetachInstancesInput{AutoScalingGroupName: aws.String(name), InstanceIds: ids, ShouldDecrementDesiredCapacity: &decrement})
	return err
}

func (w *world) terminate(decrement bool, id string) error {
	_, err := w.asg.TerminateInstanceInAutoScalingGroup(w.ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{InstanceId: &id, ShouldDecrementDesiredCapacity: &decrement})
	return err
}

func (w *world) suspend(processes ...string) {
	w.Helper()
	_, err := w.asg.SuspendProcesses(w.ctx, &autoscaling.SuspendProcessesInput{AutoScalingGroupName: aws.String(name), ScalingProcesses: processes})
	w.ok(err)
}

func (w *world) resume(processes ...string) {
	w.Helper()
	_, err := w.asg.ResumeProcesses(w.ctx, &autoscaling.ResumeProcessesInput{AutoScalingGroupName: aws.String(name), ScalingProcesses: processes})
	w.ok(err)
}

func (w *world) activities() []types.Activity {
	w.Helper()
	out, err := w.asg.DescribeScalingActivities(w.ctx, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: aws.String(name)})
	w.ok(err)
	return out.Activities
}

// refused wants an error of AWS with its code and message.
func (w *world) refused(err error, code, format string, args ...any) {
	w.Helper()
	var api smithy.APIError
	want := fmt.Sprintf(format, args...)
	switch {
	case !errors.As(err, &api):
		w.Errorf("got error %v, want %s: %s", err, code, want)
	case api.ErrorCode() != code || api.ErrorMessage() != want:
		w.Errorf("got %s: %s\nwant %s: %s", api.ErrorCode(), api.ErrorMessage(), code, want)
	}
}

func (w *world) want(got, want any, what string) {
	w.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestGroupComesIntoService(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ids := w.group(1, 5, 3)
		w.want(len(ids), 3, "members in service")
		zones := map[string]int{}
		for _, id := range ids {
			inst := w.instance(id)
			zones[*inst.Placement.AvailabilityZone]++
			w.want(inst.State.Name, "running", "state")
			w.want(inst.RootDeviceType, "ebs", "root device")
		}
		w.want(len(zones), 3, "zones in use")
	})
}
