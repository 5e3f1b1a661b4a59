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

// call is one call of a service, with the signature of the SDK's client.
//
// The SDK's clients have hundreds of methods. In a program that uses text/template (urfave/cli does, for its help) the linker
// keeps all methods of every type that an interface value can lead to, also by a field. A function leads to no client: the
// program is a third smaller for it.
type call[In, Options, Out any] func(context.Context, *In, ...func(*Options)) (*Out, error)

// GroupReader is what is read of Auto Scaling.
type GroupReader struct {
	DescribeAutoScalingGroups    call[autoscaling.DescribeAutoScalingGroupsInput, autoscaling.Options, autoscaling.DescribeAutoScalingGroupsOutput]
	DescribeAutoScalingInstances call[autoscaling.DescribeAutoScalingInstancesInput, autoscaling.Options, autoscaling.DescribeAutoScalingInstancesOutput]
	DescribeScalingActivities    call[autoscaling.DescribeScalingActivitiesInput, autoscaling.Options, autoscaling.DescribeScalingActivitiesOutput]
	DescribeInstanceRefreshes    call[autoscaling.DescribeInstanceRefreshesInput, autoscaling.Options, autoscaling.DescribeInstanceRefreshesOutput]
	DescribeLifecycleHooks       call[autoscaling.DescribeLifecycleHooksInput, autoscaling.Options, autoscaling.DescribeLifecycleHooksOutput]
}

// GroupWriter is what is changed in Auto Scaling.
type GroupWriter struct {
	EnterStandby                        call[autoscaling.EnterStandbyInput, autoscaling.Options, autoscaling.EnterStandbyOutput]
	ExitStandby                         call[autoscaling.ExitStandbyInput, autoscaling.Options, autoscaling.ExitStandbyOutput]
	DetachInstances                     call[autoscaling.DetachInstancesInput, autoscaling.Options, autoscaling.DetachInstancesOutput]
	TerminateInstanceInAutoScalingGroup call[autoscaling.TerminateInstanceInAutoScalingGroupInput, autoscaling.Options, autoscaling.TerminateInstanceInAutoScalingGroupOutput]
	SetDesiredCapacity                  call[autoscaling.SetDesiredCapacityInput, autoscaling.Options, autoscaling.SetDesiredCapacityOutput]
	SuspendProcesses                    call[autoscaling.SuspendProcessesInput, autoscaling.Options, autoscaling.SuspendProcessesOutput]
	ResumeProcesses                     call[autoscaling.ResumeProcessesInput, autoscaling.Options, autoscaling.ResumeProcessesOutput]
	RecordLifecycleActionHeartbeat      call[autoscaling.RecordLifecycleActionHeartbeatInput, autoscaling.Options, autoscaling.RecordLifecycleActionHeartbeatOutput]
	CompleteLifecycleAction             call[autoscaling.CompleteLifecycleActionInput, autoscaling.Options, autoscaling.CompleteLifecycleActionOutput]
}

// InstanceAPI is what is read and changed in EC2. Volumes are read for a reap alone, and launch templates for a selection by drift.
type InstanceAPI struct {
	DescribeInstances              call[ec2.DescribeInstancesInput, ec2.Options, ec2.DescribeInstancesOutput]
	DescribeInstanceStatus         call[ec2.DescribeInstanceStatusInput, ec2.Options, ec2.DescribeInstanceStatusOutput]
	DescribeInstanceAttribute      call[ec2.DescribeInstanceAttributeInput, ec2.Options, ec2.DescribeInstanceAttributeOutput]
	DescribeVolumes                call[ec2.DescribeVolumesInput, ec2.Options, ec2.DescribeVolumesOutput]
	DescribeLaunchTemplateVersions call[ec2.DescribeLaunchTemplateVersionsInput, ec2.Options, ec2.DescribeLaunchTemplateVersionsOutput]
	CreateTags                     call[ec2.CreateTagsInput, ec2.Options, ec2.CreateTagsOutput]
	DeleteTags                     call[ec2.DeleteTagsInput, ec2.Options, ec2.DeleteTagsOutput]
	StopInstances                  call[ec2.StopInstancesInput, ec2.Options, ec2.StopInstancesOutput]
	TerminateInstances             call[ec2.TerminateInstancesInput, ec2.Options, ec2.TerminateInstancesOutput]
}

// Client reads and changes one account and region. Alone runs act while no other recycle changes the group's desired
// capacity: AWS takes an absolute number, with no condition on what it was. Nil means that there is no other.
type Client struct {
	Reader    GroupReader
	Writer    GroupWriter
	Instances InstanceAPI
	Alone     func(ctx context.Context, group string, act func(context.Context) error) error
	Wait      poll.Loop
	Log       *slog.Logger
	guard     *guard
}

// New makes a client that cannot wait yet.
func New(groups *autoscaling.Client, instances *ec2.Client) Client {
	return Client{
		Reader: GroupReader{
			DescribeAutoScalingGroups:    groups.DescribeAutoScalingGroups,
			DescribeAutoScalingInstances: groups.DescribeAutoScalingInstances,
			DescribeScalingActivities:    groups.DescribeScalingActivities,
			DescribeInstanceRefreshes:    groups.DescribeInstanceRefreshes,
			DescribeLifecycleHooks:       groups.DescribeLifecycleHooks,
		},
		Writer: GroupWriter{
			EnterStandby:                        groups.EnterStandby,
			ExitStandby:                         groups.ExitStandby,
			DetachInstances:                     groups.DetachInstances,
			TerminateInstanceInAutoScalingGroup: groups.TerminateInstanceInAutoScalingGroup,
			SetDesiredCapacity:                  groups.SetDesiredCapacity,
			SuspendProcesses:                    groups.SuspendProcesses,
			ResumeProcesses:                     groups.ResumeProcesses,
			RecordLifecycleActionHeartbeat:      groups.RecordLifecycleActionHeartbeat,
			CompleteLifecycleAction:             groups.CompleteLifecycleAction,
		},
		Instances: InstanceAPI{
			DescribeInstances:              instances.DescribeInstances,
			DescribeInstanceStatus:         instances.DescribeInstanceStatus,
			DescribeInstanceAttribute:      instances.DescribeInstanceAttribute,
			DescribeVolumes:                instances.DescribeVolumes,
			DescribeLaunchTemplateVersions: instances.DescribeLaunchTemplateVersions,
			CreateTags:                     instances.CreateTags,
			DeleteTags:                     instances.DeleteTags,
			StopInstances:                  instances.StopInstances,
			TerminateInstances:             instances.TerminateInstances,
		},
	}
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
	InService        = "InService"
	EnteringStandby  = "EnteringStandby"
	Standby          = "Standby"
	Detaching        = "Detaching"
	Pending          = "Pending"
	Terminating      = "Terminating"
	TerminatingWait  = "Terminating:Wait"
	WarmedStopped    = "Warmed:Stopped"
	WarmedRunning    = "Warmed:Running"
	WarmedHibernated = "Warmed:Hibernated"
	Retained         = "Terminating:Retained" // by an instance lifecycle policy, after its termination hook was abandoned
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
	ID, Lifecycle string
	Weight        int32
}

// Group is an Auto Scaling group. Weighted says that capacity is counted in units other than instances, Retains that an instance
// whose termination hook is abandoned runs on (instance lifecycle policy), Reuses that one that is scaled in goes to the warm pool
// and may come back.
type Group struct {
	Name              string
	Min, Max, Desired int32
	Members           []Member
	Suspended         []string
	Tags              map[string]string
	Weighted          bool
	Retains, Reuses   bool
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

// capacity is that of the members in some states, without one of them.
func (g Group) capacity(without string, in func(state string) bool) (sum int32) {
	for _, m := range g.Members {
		if m.ID != without && in(m.Lifecycle) {
			sum += m.Weight
		}
	}
	return sum
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
	return serves(t.Lifecycle())
}

// serves reports the lifecycle state of a member that is in service or on its way there.
func serves(state string) bool { return state == InService || strings.HasPrefix(state, Pending) }
