package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// AlarmOptions say what an alarm is about: an instance, or a group.
type AlarmOptions struct {
	Name     string
	At       time.Time // when it went off; zero: not known
	Group    string
	CoolDown time.Duration
	Template string
}

func alarmFlags() []cli.Flag {
	return append([]cli.Flag{
		text("alarm", "", "`NAME` of the alarm, for people"),
		text("alarm-time", "", "`TIME` at which it went off, RFC 3339; one longer ago than the cool-down starts nothing"),
		text("instance-id", "", "EC2 `ID` of the instance that it is about, or …"),
		text("asg-name", "", "… `NAME` of the Auto Scaling group, of which the oldest node in service is taken"),
		length("cool-down", time.Hour, "how long after one alarm no other one starts a recycle in the same group"),
		text("template", "recycle-node", "`NAME` of the WorkflowTemplate that recycles the node"),
		length("recycle-poll-window", 20*time.Minute, "poll window of the recycle"),
	}, mannerFlags()...)
}

func readAlarm(c *cli.Context, o *Options) error {
	o.Alarm = AlarmOptions{Name: set(c, "alarm"), Group: set(c, "asg-name"), CoolDown: duration(c, "cool-down"), Template: c.String("template")}
	o.Fleet = FleetOptions{Template: o.Alarm.Template, PollWindow: duration(c, "recycle-poll-window")}
	if at := set(c, "alarm-time"); at != "" {
		var err error
		if o.Alarm.At, err = parseAlarmTime(at); err != nil {
			return hint.Errorf("for example 2026-01-31T22:00:00Z", "--alarm-time %q is malformed", at)
		}
	}
	switch problems := validation.IsDNS1123Subdomain(o.Alarm.Template); {
	case (o.InstanceID == "") == (o.Alarm.Group == "") && o.InstanceID == "":
		return hint.Errorf("the alarm's metric has one of the dimensions InstanceId and AutoScalingGroupName", "give --instance-id or --asg-name")
	case o.Alarm.Group != "" && !matches(groupForm, o.Alarm.Group):
		return fmt.Errorf("--asg-name %q is malformed", o.Alarm.Group)
	case strings.ContainsFunc(o.Alarm.Name, unicode.IsControl):
		return fmt.Errorf("--alarm %q has control characters", o.Alarm.Name)
	case len(problems) > 0:
		return fmt.Errorf("--template %q is malformed: %s", o.Alarm.Template, problems[0])
	}
	return nil
}

// parseAlarmTime reads RFC 3339, and CloudWatch's form of it, whose offset has no colon
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html).
func parseAlarmTime(text string) (at time.Time, err error) {
	if at, err = time.Parse("2006-01-02T15:04:05.999999999Z0700", text); err != nil {
		at, err = time.Parse(time.RFC3339, text)
	}
	return at, err
}

// alarm starts one recycle, as a fleet of one would, and does not wait for it. An alarm that is to start none is no failure:
// the result says why.
func alarm(ctx context.Context, r *session) error {
	if !argo.IsWorkflow(r.Workflow) && !r.DryRun {
		return hint.Errorf("argo submit --from workflowtemplate/recycle-alarm; with --dry-run it works anywhere", "step alarm runs in a workflow")
	}
	if age := time.Since(r.Alarm.At); !r.Alarm.At.IsZero() && age > r.Alarm.CoolDown {
		return r.done("no recycle is started: alarm %q went off %s ago", r.Alarm.Name, age.Round(time.Second))
	}
	chosen, because, err := r.alarmed(ctx)
	switch {
	case err != nil:
		return err
	case because != "":
		return r.done("no recycle is started: %s", because)
	}
	r.result.InstanceID, r.result.NodeName, r.result.ASGName = chosen.InstanceID, chosen.NodeName, chosen.ASGName
	name := argo.ChildName(chosen.InstanceID)
	if r.DryRun {
		r.change("workflow %s: create, for instance %s (node %s)", name, chosen.InstanceID, chosen.NodeName)
		return r.done("would recycle node %s", chosen.NodeName)
	}
	_, err = r.claims.CoolDown(ctx, chosen.ASGName, r.Alarm.CoolDown)
	var cools *claim.HeldError
	if errors.As(err, &cools) {
		return r.done("no recycle is started: %v", cools)
	}
	if err != nil {
		return err
	}
	f := &fleetRun{session: r}
	started, err := r.argo.Start(ctx, argo.Order{
		Namespace: r.LeaseNamespace, Template: r.Alarm.Template, Fleet: r.WorkflowUID, Parameters: f.parameters(chosen),
		Child: argo.Child{Name: name, Instance: chosen.InstanceID, Node: chosen.NodeName, Group: chosen.ASGName, Zone: chosen.Zone},
	})
	switch {
	case errors.Is(err, argo.ErrTaken):
		return r.done("no recycle is started: %v", err)
	case err != nil:
		return err
	case !started:
		return r.done("workflow %s recycles node %s already", name, chosen.NodeName)
	}
	r.change("workflow %s: created, for instance %s (node %s)", name, chosen.InstanceID, chosen.NodeName)
	return r.done("workflow %s recycles node %s because of alarm %q", name, chosen.NodeName, r.Alarm.Name)
}

// alarmed finds the node to recycle: the instance's, or the oldest of the group. because says why there is none.
func (r *session) alarmed(ctx context.Context) (chosen Candidate, because string, err error) {
	group := r.Alarm.Group
	if r.InstanceID != "" {
		target, err := r.asg.Lookup(ctx, r.InstanceID)
		switch {
		case errors.Is(err, asg.ErrUnknown):
			return chosen, err.Error(), nil
		case err != nil:
			return chosen, "", err
		case target.Group == nil:
			return chosen, fmt.Sprintf("instance %s belongs to no Auto Scaling group", r.InstanceID), nil
		case target.Lifecycle() != asg.InService:
			return chosen, fmt.Sprintf("instance %s is %s", r.InstanceID, target.Lifecycle()), nil
		case group != "" && group != target.Group.Name:
			return chosen, fmt.Sprintf("instance %s is in Auto Scaling group %s, not in %s", r.InstanceID, target.Group.Name, group), nil
		}
		group = target.Group.Name
	}
	r.Select = SelectOptions{ASGs: []string{group}}
	all, err := r.selectNodes(ctx)
	if err != nil {
		return chosen, "", err
	}
	for _, c := range all.nodes {
		if r.InstanceID == "" || c.InstanceID == r.InstanceID {
			return c, "", nil
		}
	}
	if r.InstanceID != "" {
		return chosen, fmt.Sprintf("instance %s has no Node, is being recycled, or is to be left alone", r.InstanceID), nil
	}
	return chosen, strings.TrimSpace(fmt.Sprintf("Auto Scaling group %s has no node in service that may be recycled", group)), nil
}
