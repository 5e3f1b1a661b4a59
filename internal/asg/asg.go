// Package asg is the recycle's view of Auto Scaling and EC2: one instance and the group it belongs to. It reads them
// into plain values, decides on those values in pure functions, and makes the few calls that change something. It knows
// nothing of Kubernetes; whether a replacement's Node is Ready is asked elsewhere.
package asg

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// GroupReader is what is read of Auto Scaling.
type GroupReader interface {
	DescribeAutoScalingGroups(context.Context, *autoscaling.DescribeAutoScalingGroupsInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingGroupsOutput, error)
	DescribeScalingActivities(context.Context, *autoscaling.DescribeScalingActivitiesInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeScalingActivitiesOutput, error)
	DescribeInstanceRefreshes(context.Context, *autoscaling.DescribeInstanceRefreshesInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeInstanceRefreshesOutput, error)
	DescribeLifecycleHooks(context.Context, *autoscaling.DescribeLifecycleHooksInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeLifecycleHooksOutput, error)
}

// GroupWriter is what is changed in Auto Scaling.
type GroupWriter interface {
	EnterStandby(context.Context, *autoscaling.EnterStandbyInput, ...func(*autoscaling.Options)) (*autoscaling.EnterStandbyOutput, error)
	ExitStandby(context.Context, *autoscaling.ExitStandbyInput, ...func(*autoscaling.Options)) (*autoscaling.ExitStandbyOutput, error)
	DetachInstances(context.Context, *autoscaling.DetachInstancesInput, ...func(*autoscaling.Options)) (*autoscaling.DetachInstancesOutput, error)
	TerminateInstanceInAutoScalingGroup(context.Context, *autoscaling.TerminateInstanceInAutoScalingGroupInput, ...func(*autoscaling.Options)) (*autoscaling.TerminateInstanceInAutoScalingGroupOutput, error)
	SetDesiredCapacity(context.Context, *autoscaling.SetDesiredCapacityInput, ...func(*autoscaling.Options)) (*autoscaling.SetDesiredCapacityOutput, error)
	SuspendProcesses(context.Context, *autoscaling.SuspendProcessesInput, ...func(*autoscaling.Options)) (*autoscaling.SuspendProcessesOutput, error)
	ResumeProcesses(context.Context, *autoscaling.ResumeProcessesInput, ...func(*autoscaling.Options)) (*autoscaling.ResumeProcessesOutput, error)
	RecordLifecycleActionHeartbeat(context.Context, *autoscaling.RecordLifecycleActionHeartbeatInput, ...func(*autoscaling.Options)) (*autoscaling.RecordLifecycleActionHeartbeatOutput, error)
	CompleteLifecycleAction(context.Context, *autoscaling.CompleteLifecycleActionInput, ...func(*autoscaling.Options)) (*autoscaling.CompleteLifecycleActionOutput, error)
}

// InstanceAPI is what is read and changed in EC2.
type InstanceAPI interface {
	DescribeInstances(context.Context, *ec2.DescribeInstancesInput, ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error)
	DescribeInstanceAttribute(context.Context, *ec2.DescribeInstanceAttributeInput, ...func(*ec2.Options)) (*ec2.DescribeInstanceAttributeOutput, error)
	CreateTags(context.Context, *ec2.CreateTagsInput, ...func(*ec2.Options)) (*ec2.CreateTagsOutput, error)
	DeleteTags(context.Context, *ec2.DeleteTagsInput, ...func(*ec2.Options)) (*ec2.DeleteTagsOutput, error)
	StopInstances(context.Context, *ec2.StopInstancesInput, ...func(*ec2.Options)) (*ec2.StopInstancesOutput, error)
	TerminateInstances(context.Context, *ec2.TerminateInstancesInput, ...func(*ec2.Options)) (*ec2.TerminateInstancesOutput, error)
}

// Client reads and changes one account and region. Alone runs act while no other recycle changes the group's desired
// capacity: AWS takes an absolute number, with no condition on what it was. Nil means that there is no other.
type Client struct {
	Reader    GroupReader
	Writer    GroupWriter
	Instances InstanceAPI
	Volumes   VolumeReader // needed by VolumesOf alone
	Alone     func(ctx context.Context, group string, act func(context.Context) error) error
	Wait      poll.Loop
	Log       *slog.Logger
	guard     *guard
}

func (c *Client) alone(ctx context.Context, group string, act func(context.Context) error) error {
	if c.Alone == nil {
		return act(ctx)
	}
	return c.Alone(ctx, group, act)
}

// Lifecycle states of a group's member that the steps tell apart
// (https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html). Every other value, also one
// not known yet, is treated as "not in service and not ours to act on".
const (
	InService       = "InService"
	EnteringStandby = "EnteringStandby"
	Standby         = "Standby"
	Detaching       = "Detaching"
	Pending         = "Pending"
	TerminatingWait = "Terminating:Wait"
	Retained        = "Terminating:Retained" // by an instance lifecycle policy, after its termination hook was abandoned
)

// Tags on an instance that is being taken out of its group. They outlive the Node and the claim, so a later run finds
// out from them how far the recycle came.
const (
	TagRetiredAt   = "eks-recycle.io/retired-at"
	TagWorkflow    = "eks-recycle.io/workflow"
	TagGroup       = "eks-recycle.io/asg"
	TagNode        = "eks-recycle.io/node"
	TagReplacement = "eks-recycle.io/replacement"
	TagAction      = "eks-recycle.io/action"
)

// Instance is an EC2 instance.
type Instance struct {
	ID, State, Type, Zone     string
	PrivateDNSName            string
	LaunchTime                time.Time
	Spot, RootOnInstanceStore bool
	Tags                      map[string]string
}

// Retiring reports that a retire step has marked the instance; it may or may not have left its group since.
func (i Instance) Retiring() bool { return i.Tags[TagRetiredAt] != "" }

// Gone reports that the instance is terminated or about to be, or that EC2 does not know it any more.
func (i Instance) Gone() bool {
	return i.State == "terminated" || i.State == "shutting-down" || i.State == Unknown
}

// Unknown is the state of an instance that EC2 does not know, though its group or a recycle does.
const Unknown = "unknown"

// StartedAgain reports that the instance has been started since its retirement began: it is somebody's now, whatever its tags say.
// EC2's LaunchTime is that of the last start (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html).
func (i Instance) StartedAgain() bool {
	at, err := i.RetiredAt()
	return err == nil && i.LaunchTime.After(at)
}

// Member is an instance as its group lists it. Weight is its share of the desired capacity, 1 in most groups.
type Member struct {
	ID, Lifecycle, Health string
	Weight                int32
}

// Group is an Auto Scaling group. Weighted says that capacity is counted in units other than instances, Rebalances that the
// group replaces a Spot Instance once EC2 recommends it (Capacity Rebalancing).
type Group struct {
	Name              string
	Min, Max, Desired int32
	Members           []Member
	Suspended         []string
	Tags              map[string]string
	Weighted          bool
	Rebalances        bool
	ReadAt            time.Time
}

// Fresh reports that the group was read a moment ago: what depends on it needs no other read, as each may lag by as much.
func (g Group) Fresh() bool { return time.Since(g.ReadAt) < 2*time.Second }

// Suspends reports whether a process of the group is suspended, by whomever.
func (g Group) Suspends(process string) bool { return slices.Contains(g.Suspended, process) }

// Member returns the group's entry for an instance.
func (g Group) Member(id string) (Member, bool) {
	for _, m := range g.Members {
		if m.ID == id {
			return m, true
		}
	}
	return Member{}, false
}

// MemberIDs lists the ids of all members.
func (g Group) MemberIDs() []string {
	ids := make([]string, 0, len(g.Members))
	for _, m := range g.Members {
		ids = append(ids, m.ID)
	}
	return ids
}

// Target is the instance to recycle with its group; Group is nil for an instance that belongs to none.
type Target struct {
	Instance Instance
	Group    *Group
}

// Lifecycle returns the target's lifecycle state, or "" when it belongs to no group.
func (t Target) Lifecycle() string {
	if t.Group == nil {
		return ""
	}
	m, _ := t.Group.Member(t.Instance.ID)
	return m.Lifecycle
}

// IsServing reports that the target is in service or on its way there.
func (t Target) IsServing() bool {
	state := t.Lifecycle()
	return state == InService || strings.HasPrefix(state, Pending)
}
