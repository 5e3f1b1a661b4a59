package contract

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"golang.org/x/sys/unix"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// What follows is the path of a real account, against the simulator behind HTTPS.

// remaining is what is there that costs money or is in the way.
func (s *simulated) remaining(t *testing.T) (out []string) {
	t.Helper()
	if err := s.sim.Configure(func(c *awssim.Config) { c.StaleReads, c.FaultRate = 0, 0 }); err != nil {
		t.Fatal(err)
	}
	for _, g := range s.sim.State().Groups {
		out = append(out, "group "+g.Name)
	}
	for _, i := range s.sim.State().Instances {
		if i.State != "terminated" {
			out = append(out, "instance "+i.State)
		}
	}
	clear(s.deny)
	c := newClients(s.account().cfg)
	templates, err := c.ec2.DescribeLaunchTemplates(t.Context(), &ec2.DescribeLaunchTemplatesInput{})
	queues, err2 := c.sqs.ListQueues(t.Context(), &sqs.ListQueuesInput{})
	rules, err3 := c.bus.ListRules(t.Context(), &eventbridge.ListRulesInput{})
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	for _, l := range templates.LaunchTemplates {
		out = append(out, "template "+aws.ToString(l.LaunchTemplateName))
	}
	for _, r := range rules.Rules {
		out = append(out, "rule "+aws.ToString(r.Name))
	}
	return append(out, queues.QueueUrls...)
}

func (s *simulated) nothingRemains(t *testing.T) {
	t.Helper()
	if left := s.remaining(t); len(left) > 0 {
		t.Errorf("there remain %v\n%s", left, s.out)
	}
}

// detachOne is a check that leaves an instance outside of the group.
func detachOne(t *testing.T) func(context.Context, *fixture) {
	return func(ctx context.Context, f *fixture) {
		g, err := f.describe(ctx)
		if err != nil || g == nil || len(g.Instances) == 0 {
			return // interrupted
		}
		id := aws.ToString(g.Instances[0].InstanceId)
		_, err = f.asg.DetachInstances(ctx, &autoscaling.DetachInstancesInput{
			AutoScalingGroupName: aws.String(f.name()), InstanceIds: []string{id}, ShouldDecrementDesiredCapacity: aws.Bool(false),
		})
		if err == nil {
			err = f.until(ctx, "it is detached", func(ctx context.Context) (bool, string, error) {
				out, err := f.asg.DescribeAutoScalingInstances(ctx, &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: []string{id}})
				return err == nil && len(out.AutoScalingInstances) == 0, "it is a member", err
			})
		}
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}
}

func TestDeniedCreation(t *testing.T) {
	for _, action := range []string{"CreateLaunchTemplate", "CreateQueue", "PutRule", "PutTargets", "CreateAutoScalingGroup"} {
		t.Run("denied at "+action+", everything made before is deleted", func(t *testing.T) {
			s := newSimulated(t, nil)
			s.deny[action] = true
			err := s.account().run(t.Context(), func(context.Context, *fixture) { t.Error("the checks were run") })
			if !denied(err) || !strings.Contains(err.Error(), action) {
				t.Errorf("got %v, want that %s is denied", err, action)
			}
			s.nothingRemains(t)
		})
	}
}

func TestDeniedDeletion(t *testing.T) {
	for _, c := range []struct{ action, command, remains string }{
		{"DeleteAutoScalingGroup", "aws autoscaling delete-auto-scaling-group --region eu-central-1 --auto-scaling-group-name eks-recycle-contract-", "group"},
		{"TerminateInstances", "aws ec2 terminate-instances --region eu-central-1 --instance-ids $(aws ec2 describe-instances", "instance"},
		{"RemoveTargets", "aws events remove-targets --region eu-central-1 --rule eks-recycle-contract-", "rule"},
		{"DeleteRule", "aws events delete-rule --region eu-central-1 --name eks-recycle-contract-", "rule"},
		{"DeleteQueue", "aws sqs delete-queue --region eu-central-1 --queue-url", "https"},
		{"DeleteLaunchTemplate", "aws ec2 delete-launch-template --region eu-central-1 --launch-template-name eks-recycle-contract-", "template"},
	} {
		t.Run("denied at "+c.action+", that is named with its command and all else is deleted", func(t *testing.T) {
			s := newSimulated(t, nil)
			s.deny[c.action] = true
			err := s.account().run(t.Context(), detachOne(t))
			if !denied(err) {
				t.Errorf("got %v, want that it is denied", err)
			}
			for _, said := range []string{"NOT DELETED", c.command} {
				if !strings.Contains(s.out.String(), said) {
					t.Errorf("%q is not in what was said:\n%s", said, s.out)
				}
			}
			left := s.remaining(t)
			others := slices.DeleteFunc(slices.Clone(left), func(what string) bool {
				return strings.HasPrefix(what, c.remains) || c.remains == "https" && strings.HasPrefix(what, "http")
			})
			if len(left) == 0 || len(others) > 0 {
				t.Errorf("there remain %v, want what could not be deleted", left)
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run("in the middle of the checks by "+signal.String()+", everything is deleted", func(t *testing.T) {
			s := newSimulated(t, nil)
			err := s.account().run(t.Context(), func(ctx context.Context, f *fixture) {
				detachOne(t)(ctx, f)
				interrupt(t, signal)
				<-ctx.Done()
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want that it was interrupted", err)
			}
			s.nothingRemains(t)
		})
	}
}

// interrupt sends a signal to this thread, which then has it before the call returns. One to the process may come when the run that
// listens for it is over, and would end the test.
func interrupt(t *testing.T, signal syscall.Signal) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Tgkill(os.Getpid(), unix.Gettid(), signal); err != nil {
		t.Error(err)
	}
}

// Each call is carried out, and its answer comes too late.
func TestInterruptedAtEachCall(t *testing.T) {
	calls := 0
	for n := 1; ; n++ {
		s := newSimulated(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		seen := 0
		s.during = func(action string) {
			if readOnly(action) {
				return
			}
			if seen++; seen == n {
				cancel()
			}
		}
		err := s.account().run(ctx, detachOne(t))
		cancelled := ctx.Err() != nil
		cancel()
		if !cancelled {
			if err != nil {
				t.Error(err)
			}
			break
		}
		calls++
		if left := s.remaining(t); len(left) > 0 {
			t.Errorf("interrupted at change %d, %v, there remain %v", n, s.changes(), left)
		}
	}
	if calls < 10 {
		t.Errorf("interrupted at %d calls, want all changes", calls)
	}
}

func TestSecondInterruptDoesNotEndTheDeletion(t *testing.T) {
	s := newSimulated(t, nil)
	s.during = func(action string) {
		if strings.HasPrefix(action, "Delete") {
			interrupt(t, syscall.SIGINT)
		}
	}
	if err := s.account().run(t.Context(), detachOne(t)); err != nil {
		t.Error(err)
	}
	s.nothingRemains(t)
}

func TestPanicOfTheChecks(t *testing.T) {
	s := newSimulated(t, nil)
	func() {
		defer func() {
			if p := recover(); p != "boom" {
				t.Errorf("recovered %v, want the panic of the checks", p)
			}
		}()
		_ = s.account().run(t.Context(), func(ctx context.Context, f *fixture) {
			detachOne(t)(ctx, f)
			panic("boom")
		})
	}()
	s.nothingRemains(t)
}

func TestTimeLimit(t *testing.T) {
	s := newSimulated(t, nil)
	a := s.account()
	a.limit = 300 * time.Millisecond
	err := a.run(t.Context(), func(ctx context.Context, _ *fixture) { <-ctx.Done() })
	if err == nil || !strings.Contains(err.Error(), "the run took longer than 300ms") {
		t.Errorf("got %v, want that it took too long", err)
	}
	s.nothingRemains(t)
}

func TestGroupThatCannotLaunch(t *testing.T) {
	s := newSimulated(t, func(c *awssim.Config) { c.LaunchFailure = "InsufficientInstanceCapacity" })
	a := s.account()
	a.pace.patience = time.Second
	err := a.run(t.Context(), func(context.Context, *fixture) { t.Error("the checks were run") })
	if err == nil || !strings.Contains(err.Error(), "Launching EC2 instance failed") {
		t.Errorf("got %v, want why there is no instance", err)
	}
	s.nothingRemains(t)
}
