package asg_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/poll"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// account is a simulated AWS account in virtual time, behind the real SDK, with one group of three.
type account struct {
	*testing.T
	sim        *awssim.Sim
	groups     *autoscaling.Client
	ec2        *ec2.Client
	client     *asg.Client
	ids        []string       // the first members
	checkpoint asg.Checkpoint // of a bring-back
}

const group = "workers"

func inAccount(t *testing.T, minimum, maximum int32, change func(*awssim.Config), story func(*account)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		config := awssim.DefaultConfig()
		if change != nil {
			change(&config)
		}
		a := &account{T: t, sim: awssim.New(config)}
		a.sim.Start(t.Context())
		t.Cleanup(a.sim.Close)
		cfg := aws.Config{
			Region: "eu-central-1", HTTPClient: a.sim.HTTPClient(), BaseEndpoint: aws.String("http://awssim"),
			Retryer: func() aws.Retryer { return aws.NopRetryer{} },
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "sandbox", SecretAccessKey: "sandbox"}, nil
			}),
		}
		a.groups, a.ec2 = autoscaling.NewFromConfig(cfg), ec2.NewFromConfig(cfg)
		log := slog.New(slog.DiscardHandler)
		client := asg.New(a.groups, a.ec2)
		client.Log, client.Wait = log, poll.Loop{Interval: 5 * time.Second, Transient: awserr.IsTransient, Log: log}
		a.client = &client
		_, err := a.groups.CreateAutoScalingGroup(t.Context(), &autoscaling.CreateAutoScalingGroupInput{
			AutoScalingGroupName: aws.String(group), MinSize: &minimum, DesiredCapacity: aws.Int32(3), MaxSize: &maximum,
			AvailabilityZones: []string{"eu-central-1a", "eu-central-1b"},
			LaunchTemplate:    &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("workers"), Version: aws.String("1")},
		})
		a.must(err)
		time.Sleep(2 * time.Minute)
		a.ids = a.group().MemberIDs()
		a.sim.ForgetCalls()
		story(a)
	})
}

func (a *account) must(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

func (a *account) group() asg.Group {
	a.Helper()
	g, err := a.client.Group(a.Context(), group)
	a.must(err)
	return g
}

func (a *account) target(id string) asg.Target {
	a.Helper()
	t, err := a.client.Lookup(a.Context(), id, "")
	a.must(err)
	return t
}

func (a *account) configure(change func(*awssim.Config)) {
	a.Helper()
	a.must(a.sim.Configure(change))
}

// noLaunches lets every launch fail from now on.
func noLaunches(c *awssim.Config) { c.LaunchFailure = "InsufficientInstanceCapacity" }

// onStandby puts the first member on standby, and waits for its replacement if there is to be one.
func (a *account) onStandby() (baseline []string) {
	a.Helper()
	baseline, err := a.client.Baseline(a.Context(), a.target(a.ids[0]))
	a.must(err)
	_, err = a.client.Advance(a.Context(), asg.Group{Name: group}, a.ids[0], baseline)
	a.must(err)
	time.Sleep(3 * time.Minute)
	a.sim.ForgetCalls()
	return baseline
}

// actions lists the calls that changed something.
func (a *account) actions() (names []string) {
	for _, call := range a.sim.Calls(0) {
		if !call.ReadOnly {
			names = append(names, call.Action)
		}
	}
	return names
}

// settled waits until the group has had time to react, and checks its sizes and that no other first member is gone.
func (a *account) settled(desired int32, inService int) {
	a.Helper()
	time.Sleep(10 * time.Minute)
	g := a.group()
	if g.Desired != desired {
		a.Errorf("desired capacity is %d, want %d", g.Desired, desired)
	}
	var serving []string
	for _, m := range g.Members {
		if m.Lifecycle == asg.InService {
			serving = append(serving, m.ID)
		}
	}
	if len(serving) != inService {
		a.Errorf("in service are %v, want %d", serving, inService)
	}
	for _, id := range a.ids[1:] {
		if !slices.Contains(serving, id) {
			a.Errorf("instance %s is no longer in service", id)
		}
	}
}

func (a *account) state(id string) string {
	a.Helper()
	i, err := a.client.Instance(a.Context(), id)
	a.must(err)
	return i.State
}

// soon bounds a wait.
func (a *account) soon() (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(a.Context(), 15*time.Minute, errors.New("the window ended"))
}
