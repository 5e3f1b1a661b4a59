package cli

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/eks-recycle/eks-recycle/internal/fleet"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/util/validation"
)

func alarmFlags() []cli.Flag {
	return append([]cli.Flag{
		text("alarm", "", "`NAME` of the alarm, for people"),
		text("alarm-time", "", "`TIME` at which it went off, RFC 3339; one longer ago than the cool-down starts nothing"),
		text("instance-id", "", "EC2 `ID` of the instance that it is about, or …"),
		text("asg-name", "", "… `NAME` of the Auto Scaling group, of which the oldest node in service is taken"),
		length("cool-down", time.Hour, "how long after one alarm no other one starts a recycle in the same group"),
		text("template", "recycle-node", "`NAME` of the WorkflowTemplate that recycles the node"),
	}, mannerFlags()...)
}

func readAlarm(c *cli.Context, o *Options) error {
	o.Alarm = fleet.Alarm{Name: set(c, "alarm"), InstanceID: set(c, "instance-id"), Group: set(c, "asg-name"), CoolDown: duration(c, "cool-down")}
	o.Fleet = fleet.Request{Cluster: o.Cluster, DryRun: o.DryRun, Template: c.String("template"), Parameters: parameters(c)}
	if at := set(c, "alarm-time"); at != "" {
		var err error
		if o.Alarm.At, err = parseAlarmTime(at); err != nil {
			return hint.Errorf("for example 2026-01-31T22:00:00Z", "--alarm-time %q is malformed", at)
		}
	}
	switch problems := validation.IsDNS1123Subdomain(o.Fleet.Template); {
	case o.Alarm.InstanceID == "" && o.Alarm.Group == "":
		return hint.Errorf("the alarm's metric has one of the dimensions InstanceId and AutoScalingGroupName", "give --instance-id or --asg-name")
	case o.Alarm.Group != "" && !matches(groupForm, o.Alarm.Group):
		return fmt.Errorf("--asg-name %q is malformed", o.Alarm.Group)
	case strings.ContainsFunc(o.Alarm.Name, unicode.IsControl):
		return fmt.Errorf("--alarm %q has control characters", o.Alarm.Name)
	case len(problems) > 0:
		return fmt.Errorf("--template %q is malformed: %s", o.Fleet.Template, problems[0])
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

func runAlarm(ctx context.Context, i *invocation) error {
	return i.manyNodes().StartForAlarm(ctx, i.Alarm)
}
