package asg

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// TagKeep is set by people on a stopped instance that is to stay. Any value but "false" keeps it.
const TagKeep = "eks-recycle.io/keep"

// TagLaunchTemplate is set by EC2 on what it launches from a launch template, and nobody else can set a tag that begins with aws:
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions).
const TagLaunchTemplate = "aws:ec2launchtemplate:id"

// Templates are the ids of the launch templates from which the Auto Scaling groups tagged for the cluster launch, or launched a member
// that they still have. "" is every cluster.
func (c *Client) Templates(ctx context.Context, cluster string) (map[string]bool, error) {
	var of Source
	if cluster != "" {
		of.Tags = []TagMatch{{Key: clusterTagPrefix + cluster, Any: true}}
	}
	inventories, err := c.Inventories(ctx, of)
	if err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	for _, i := range inventories {
		ids[i.Launches.Template.ID] = true
		for _, o := range i.Launches.Overrides {
			ids[o.Template.ID] = true
		}
		for _, m := range i.Members {
			ids[m.Template.ID] = true
		}
	}
	delete(ids, "")
	return ids, nil
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

// Reapable says why an instance may not be terminated, or "" if it is one that a recycle stopped more than olderThan ago,
// that was launched from one of the templates, and that nobody has claimed for anything since. Whoever may tag instances can set all
// that a recycle sets, but not what it was launched from. EC2's LaunchTime is that of the last start
// (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html): one that was started again and stopped again is
// somebody's, whatever the tags still say.
func Reapable(i Instance, now time.Time, olderThan time.Duration, templates map[string]bool) (why string) {
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
	case i.Tags[TagAction] != string(Stop):
		return fmt.Sprintf("its tag %s is not %q", TagAction, Stop)
	case member:
		return "it is a member of an Auto Scaling group"
	case !templates[i.Tags[TagLaunchTemplate]]:
		return "it was launched from no launch template of the cluster's Auto Scaling groups"
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
	marked := ec2types.Filter{Name: aws.String("tag-key"), Values: []string{TagRetiredAt}}
	stopped := ec2types.Filter{Name: aws.String("instance-state-name"), Values: []string{"stopped"}}
	err = c.eachInstance(ctx, func(i ec2types.Instance) { all = append(all, fromEC2(i)) }, marked, stopped)
	if err != nil {
		return nil, fmt.Errorf("listing stopped instances: %w", err)
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
		err = c.shutDown(ctx, id, Terminate)
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
