package asg

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// TagKeep is set by people on a stopped instance that is to stay. Any value but "false" keeps it.
const TagKeep = "eks-recycle.io/keep"

// VolumeReader is what is read of EBS.
type VolumeReader interface {
	DescribeVolumes(context.Context, *ec2.DescribeVolumesInput, ...func(*ec2.Options)) (*ec2.DescribeVolumesOutput, error)
}

// RetiredAt is when a retire step marked the instance, before it stopped it.
func (i Instance) RetiredAt() (time.Time, error) {
	at, err := time.Parse(time.RFC3339, i.Tags[TagRetiredAt])
	if err != nil {
		return at, fmt.Errorf("reading tag %s of instance %q: %w", TagRetiredAt, i.ID, err)
	}
	return at, nil
}

// Of reports whether the instance is tagged for the cluster, owned or shared. Every instance is of the cluster "".
func (i Instance) Of(cluster string) bool {
	_, tagged := i.Tags[clusterTagPrefix+cluster]
	return tagged || cluster == ""
}

// Reapable says why an instance may not be terminated, or "" if it is one that a recycle stopped more than olderThan ago
// and that nobody has claimed for anything since. EC2's LaunchTime is that of the last start
// (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html): one that was started again and stopped again is
// somebody's, whatever the tags still say.
func Reapable(i Instance, now time.Time, olderThan time.Duration) (why string) {
	at, err := i.RetiredAt()
	keep, tagged := i.Tags[TagKeep]
	_, member := i.Tags[groupTag]
	switch {
	case i.State != "stopped":
		return "it is " + i.State
	case i.Tags[TagRetiredAt] == "":
		return "no recycle retired it"
	case err != nil:
		return fmt.Sprintf("its tag %s is malformed", TagRetiredAt)
	case i.Tags[TagAction] != Stop{}.String():
		return fmt.Sprintf("its tag %s is not %q", TagAction, Stop{})
	case member:
		return "it is a member of an Auto Scaling group"
	case tagged && keep != "false":
		return fmt.Sprintf("its tag %s keeps it", TagKeep)
	case i.StartedAgain():
		return "it was started again after its recycle"
	case now.Sub(at) <= olderThan:
		return "it was retired less than " + olderThan.String() + " ago"
	}
	return ""
}

// Retired lists the stopped instances that a retire step marked, the longest retired first.
func (c *Client) Retired(ctx context.Context) (all []Instance, err error) {
	pages := ec2.NewDescribeInstancesPaginator(c.Instances, &ec2.DescribeInstancesInput{Filters: []ec2types.Filter{
		{Name: aws.String("tag-key"), Values: []string{TagRetiredAt}},
		{Name: aws.String("instance-state-name"), Values: []string{"stopped"}},
	}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing stopped instances: %w", err)
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				all = append(all, fromEC2(i))
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Instance) int {
		first, _ := a.RetiredAt() // the malformed ones first: they are passed over
		second, _ := b.RetiredAt()
		return first.Compare(second)
	})
	return all, nil
}

// Reap terminates an instance if, looked at again, nothing says why not. It does not wait until it is terminated: EC2 takes
// nothing back that it has accepted.
func (c *Client) Reap(ctx context.Context, id string, whyNot func(Instance) string) (why string, err error) {
	asked := false
	err = c.Wait.Until(ctx, func(ctx context.Context) (bool, string, error) {
		i, err := c.Instance(ctx, id)
		if errors.Is(err, ErrUnknown) || (err == nil && i.Gone()) {
			if !asked {
				why = "somebody else terminated it"
			}
			return true, "", nil
		}
		if err != nil {
			return false, "", err
		}
		if why = whyNot(i); why != "" {
			return true, "", nil
		}
		asked = true
		err = c.shutDown(ctx, id, Terminate{})
		return err == nil, "", mendable(err)
	})
	return why, err
}

// mendable adds what people can do about an instance that may not be terminated.
func mendable(err error) error {
	switch {
	case awserr.IsProtected(err):
		return hint.Wrap(err, "it has termination protection: aws ec2 modify-instance-attribute --no-disable-api-termination --instance-id ID, or tag it "+TagKeep)
	case awserr.IsDenied(err):
		return hint.Wrap(err, "the IAM policy ties this to the tag kubernetes.io/cluster/<name>=owned; instances of other clusters are left alone with --cluster")
	}
	return err
}
