package contract

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

const (
	prefix = "eks-recycle-contract-" // of every name
	tagKey = "eks-recycle-contract"  // on everything; its value is the id of the run
)

// account is where a run takes place.
type account struct {
	cfg    aws.Config
	subnet string
	beside bool // run although something of another run is there
	ask    func(question string) error
	out    io.Writer
	limit  time.Duration // of the checks; cleaning up comes after it
	pace   pace
}

// run makes what the checks need, runs them and deletes everything again: also when they panic, take too long, or are
// interrupted. Before the question is answered it only reads.
func (a account) run(ctx context.Context, checks func(context.Context, *fixture)) (err error) {
	if !regexp.MustCompile(`^subnet-[0-9a-f]+$`).MatchString(a.subnet) {
		return errors.New("CONTRACT_SUBNET names no subnet: set it to that in which the instances are to run, such as subnet-0123456789abcdef0")
	}
	if a.cfg.Region == "" {
		return errors.New("no region is set: AWS_REGION does")
	}
	c := newClients(a.cfg)
	who, err := c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return fmt.Errorf("asking whose credentials these are: %w", err)
	}
	if err := a.refuseOthers(ctx, c); err != nil {
		return err
	}
	f := &fixture{clients: c, pace: a.pace, region: a.cfg.Region, account: aws.ToString(who.Account), subnet: a.subnet, id: newID()}
	if err := a.ask(a.question(f, aws.ToString(who.Arn))); err != nil {
		return err
	}

	ctx, release := interruptible(ctx)
	defer release()
	ctx, cancel := context.WithTimeoutCause(ctx, a.limit, fmt.Errorf("the run took longer than %s", a.limit))
	defer cancel()
	var made ledger
	defer func() { err = errors.Join(err, made.cleanUp(context.WithoutCancel(ctx), a.pace, a.out)) }()
	if err := f.create(ctx, &made); err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	checks(ctx, f)
	return context.Cause(ctx)
}

// interruptible ends the context on a signal. A second one changes nothing, so that cleaning up ends; nor does a terminal or
// a pipe that is no longer there.
func interruptible(ctx context.Context) (context.Context, func()) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	return ctx, func() { stop(); signal.Stop(broken) }
}

func newID() string { return strings.ToLower(rand.Text()[:8]) }

// refuseOthers looks for another run, in progress or killed, whose instances would cost money for ever.
func (a account) refuseOthers(ctx context.Context, c clients) error {
	var found []string
	groups := autoscaling.NewDescribeAutoScalingGroupsPaginator(c.asg, &autoscaling.DescribeAutoScalingGroupsInput{})
	for groups.HasMorePages() {
		page, err := groups.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("looking for other runs: %w", err)
		}
		for _, g := range page.AutoScalingGroups {
			if name := aws.ToString(g.AutoScalingGroupName); strings.HasPrefix(name, prefix) {
				found = append(found, groupCommand(a.cfg.Region, name))
			}
		}
	}
	instances := ec2.NewDescribeInstancesPaginator(c.ec2, &ec2.DescribeInstancesInput{Filters: []ec2types.Filter{
		{Name: aws.String("tag-key"), Values: []string{tagKey}}, {Name: aws.String("instance-state-name"), Values: alive()},
	}})
	for instances.HasMorePages() {
		page, err := instances.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("looking for other runs: %w", err)
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				found = append(found, fmt.Sprintf("aws ec2 terminate-instances --region %s --instance-ids %s", a.cfg.Region, aws.ToString(i.InstanceId)))
			}
		}
	}
	if len(found) == 0 || a.beside {
		return nil
	}
	return fmt.Errorf("something of another run is in this account: that run is in progress, or was killed.\n"+
		"CONTRACT_BESIDE=1 runs beside it. If it was killed, delete what it left:\n  %s", strings.Join(found, "\n  "))
}

func (a account) question(f *fixture, arn string) string {
	return fmt.Sprintf(`This creates real resources.
  account     %s
  region      %s
  caller      %s
  subnet      %s
  creates     launch template, queue, event rule and Auto Scaling group %s,
              and in the group five instances of type %s, one after the other, at most three at a time
  tagged      %s=%s
  takes       about 15 minutes, at most %s; then everything is deleted
  costs       below 0.01 USD
`, f.account, f.region, arn, f.subnet, f.name(), instanceType, tagKey, f.id, a.limit)
}
