package asg

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Source says which groups a selection reads. All that is given has to match.
type Source struct {
	Names      []string
	NodeGroups []string // EKS managed node groups, by name
	Cluster    string   // of those node groups; empty means any
	Tags       []TagMatch
}

// TagMatch is a tag that a group must have. With Any the key is enough.
type TagMatch struct {
	Key, Value string
	Any        bool
}

// Inventory is a group as a selection sees it: its members, how many it wants, and what it would launch now.
type Inventory struct {
	Name     string
	Size     int // those on standby, which have been replaced, do not count
	Members  []Serving
	Launches Plan
}

// Serving is a member of an inventory with what it was launched from.
type Serving struct {
	ID, Lifecycle, Type string
	Template            Template
	Configuration       string
}

// Launched is what a selection keeps of an instance: it reads thousands.
type Launched struct {
	ID, State, Zone, Image, Group string
	PrivateDNSName                string
	LaunchTime                    time.Time
	Retiring                      bool
}

// Limits of one call
// (https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeAutoScalingGroups.html and
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html).
const (
	namesACall  = 50
	groupsAPage = 100
	idsACall    = 200
)

// Inventories reads the groups of a source, sorted by name. A group or node group that is named and not there is an error.
func (c *Client) Inventories(ctx context.Context, s Source) ([]Inventory, error) {
	var inventories []Inventory
	var names, nodeGroups []string // that exist, whatever else is asked of them
	for _, in := range s.inputs() {
		for more := true; more; more = aws.ToString(in.NextToken) != "" {
			out, err := c.Reader.DescribeAutoScalingGroups(ctx, in)
			if err != nil {
				return nil, fmt.Errorf("describing Auto Scaling groups: %w", err)
			}
			for i := range out.AutoScalingGroups {
				g := &out.AutoScalingGroups[i]
				tags := tagsOf(g.Tags)
				names, nodeGroups = append(names, aws.ToString(g.AutoScalingGroupName)), append(nodeGroups, tags[nodeGroupTag])
				if s.matches(tags) {
					inventories = append(inventories, inventoryOf(g))
				}
			}
			in.NextToken = out.NextToken
		}
	}
	if missing := without(s.Names, names); len(missing) > 0 {
		return nil, hint.Errorf("check the names, the region (--region, AWS_REGION) and the account of the credentials: aws autoscaling describe-auto-scaling-groups",
			"there is no Auto Scaling group %s in this region and account", quoted(missing))
	}
	if missing := without(s.NodeGroups, nodeGroups); len(s.Names) == 0 && len(missing) > 0 {
		return nil, hint.Errorf("check the names, --cluster and --region: aws eks list-nodegroups --cluster-name CLUSTER",
			"there is no Auto Scaling group of managed node group %s in this region and account", quoted(missing))
	}
	slices.SortFunc(inventories, func(a, b Inventory) int { return strings.Compare(a.Name, b.Name) })
	return inventories, nil
}

// inputs are the calls that read a source. AWS is asked for the narrowest part of it, and matches compares the rest: no
// document says what several filters of one name mean, nor names and filters together.
func (s Source) inputs() (calls []*autoscaling.DescribeAutoScalingGroupsInput) {
	if len(s.Names) > 0 {
		for part := range slices.Chunk(unique(s.Names), namesACall) {
			calls = append(calls, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: part, MaxRecords: aws.Int32(groupsAPage)})
		}
		return calls
	}
	filters := map[string][]string{}
	if len(s.NodeGroups) > 0 {
		filters["tag:"+nodeGroupTag] = s.NodeGroups
		if s.Cluster != "" {
			filters["tag:"+clusterNameTag] = []string{s.Cluster}
		}
	} else {
		for _, t := range s.Tags {
			name, value := "tag:"+t.Key, t.Value
			if t.Any {
				name, value = "tag-key", t.Key
			}
			if filters[name] == nil {
				filters[name] = []string{value}
			}
		}
	}
	in := &autoscaling.DescribeAutoScalingGroupsInput{MaxRecords: aws.Int32(groupsAPage)}
	for _, name := range slices.Sorted(maps.Keys(filters)) {
		in.Filters = append(in.Filters, astypes.Filter{Name: aws.String(name), Values: filters[name]})
	}
	return append(calls, in)
}

func (s Source) matches(tags map[string]string) bool {
	if len(s.NodeGroups) > 0 && (!slices.Contains(s.NodeGroups, tags[nodeGroupTag]) || (s.Cluster != "" && tags[clusterNameTag] != s.Cluster)) {
		return false
	}
	return !slices.ContainsFunc(s.Tags, func(t TagMatch) bool {
		value, has := tags[t.Key]
		return !has || (!t.Any && value != t.Value)
	})
}

func tagsOf(in []astypes.TagDescription) map[string]string {
	tags := make(map[string]string, len(in))
	for _, t := range in {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return tags
}

func inventoryOf(g *astypes.AutoScalingGroup) Inventory {
	p := Inventory{Name: aws.ToString(g.AutoScalingGroupName), Launches: planOf(g), Members: make([]Serving, 0, len(g.Instances))}
	weighted, serving := false, 0
	for _, i := range g.Instances {
		weighted = weighted || i.WeightedCapacity != nil
		if serves(string(i.LifecycleState)) {
			serving++
		}
		p.Members = append(p.Members, Serving{
			ID: aws.ToString(i.InstanceId), Lifecycle: string(i.LifecycleState), Type: aws.ToString(i.InstanceType),
			Template: templateOf(i.LaunchTemplate), Configuration: aws.ToString(i.LaunchConfigurationName),
		})
	}
	if p.Size = int(aws.ToInt32(g.DesiredCapacity)); weighted { // then that is no number of instances
		p.Size = serving
	}
	return p
}

// Inventory reads one group anew. One that does not exist any more has a name and nothing else.
func (c *Client) Inventory(ctx context.Context, name string) (Inventory, error) {
	out, err := c.Reader.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{name}})
	switch {
	case err != nil:
		return Inventory{}, fmt.Errorf("describing Auto Scaling group %q: %w", name, err)
	case len(out.AutoScalingGroups) == 0:
		return Inventory{Name: name}, nil
	default:
		return inventoryOf(&out.AutoScalingGroups[0]), nil
	}
}

// Launched describes the instances that EC2 knows of these, by id. They are asked for by a filter: an id among them that
// EC2 does not know would fail a call that names ids. It is not asked by group, which would take fewer calls for whole
// groups, because a page of 1,000 instances is some 8 MB of XML and the step's memory is small.
func (c *Client) Launched(ctx context.Context, ids []string) (map[string]Launched, error) {
	found := make(map[string]Launched, len(ids))
	for part := range slices.Chunk(ids, idsACall) {
		err := c.eachInstance(ctx, func(in ec2types.Instance) {
			i := fromEC2(in)
			found[i.ID] = Launched{
				ID: i.ID, State: i.State, Zone: i.Zone, Image: aws.ToString(in.ImageId), Group: i.Tags[groupTag],
				PrivateDNSName: i.PrivateDNSName, LaunchTime: i.LaunchTime, Retiring: i.Retiring(),
			}
		}, ec2types.Filter{Name: aws.String("instance-id"), Values: part})
		if err != nil && !awserr.IsInstanceNotFound(err) { // which is as good as none
			return nil, fmt.Errorf("describing instances: %w", err)
		}
	}
	return found, nil
}

// eachInstance reads the instances that all of the filters match, page by page.
func (c *Client) eachInstance(ctx context.Context, each func(ec2types.Instance), filters ...ec2types.Filter) error {
	in := &ec2.DescribeInstancesInput{Filters: filters}
	for more := true; more; more = aws.ToString(in.NextToken) != "" {
		out, err := c.Instances.DescribeInstances(ctx, in)
		if err != nil {
			return err
		}
		for _, r := range out.Reservations {
			for _, i := range r.Instances {
				each(i)
			}
		}
		in.NextToken = out.NextToken
	}
	return nil
}

func unique(all []string) []string {
	all = slices.Clone(all)
	slices.Sort(all)
	return slices.Compact(all)
}

// without lists what is in all and not in some.
func without(all, some []string) []string {
	return slices.DeleteFunc(unique(all), func(s string) bool { return slices.Contains(some, s) })
}

func quoted(names []string) string { return `"` + strings.Join(names, `", "`) + `"` }
