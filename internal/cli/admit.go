package cli

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/eks-recycle/eks-recycle/internal/fleet"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

func admitFlags() []cli.Flag {
	return append([]cli.Flag{
		text("instance-id", "", "EC2 `ID` of the instance to recycle, or …"),
		text("node", "", "… `NAME` of its Node, or …"),
		text("asg-name", "", "… `NAME` of an Auto Scaling group, of which the oldest node in service is taken"),
		text("max-unavailable", "1", "`NUMBER` of nodes, or share such as 25%, of the group that may be in progress at a time, including those that others recycle"),
		text("reason", "", "`WHY`, for people"),
		text("reason-time", "", "since `WHEN` there is a reason, RFC 3339; one longer ago than the cool-down starts nothing"),
		length("cool-down", 0, "how long after this no other one with a cool-down starts a recycle in the same group; 0 means none"),
		&cli.BoolFlag{Name: "scheduled-event", EnvVars: env("scheduled-event"), Usage: "the reason is a scheduled event of EC2: look whether it still is one"},
		text("template", "recycle-node", "`NAME` of the WorkflowTemplate that recycles the node"),
	}, mannerFlags()...)
}

func readAdmit(c *cli.Context, o *Options) (err error) {
	q := fleet.Queued{
		InstanceID: set(c, "instance-id"), Node: set(c, "node"), Group: set(c, "asg-name"),
		Reason: set(c, "reason"), CoolDown: duration(c, "cool-down"), Scheduled: c.Bool("scheduled-event"),
	}
	o.Fleet = fleet.Request{Cluster: o.Cluster, DryRun: o.DryRun, Template: c.String("template"), Parameters: parameters(c), Window: o.Recycle.Maintenance}
	if o.Fleet.MaxUnavailable, err = fleet.ParseBudget(c.String("max-unavailable")); err != nil {
		return fmt.Errorf("--max-unavailable %w", err)
	}
	if at := set(c, "reason-time"); at != "" {
		if q.Since, err = time.Parse(time.RFC3339, at); err != nil {
			return hint.Errorf("for example 2026-01-31T22:00:00Z", "--reason-time %q is malformed", at)
		}
	}
	o.Queued = q
	switch problems := validation.IsDNS1123Subdomain(o.Fleet.Template); {
	case q.InstanceID != "" && q.Node != "":
		return fmt.Errorf("give --instance-id or --node, not both")
	case q.InstanceID+q.Node+q.Group == "":
		return fmt.Errorf("give --instance-id, --node or --asg-name")
	case q.Group != "" && !matches(groupForm, q.Group):
		return fmt.Errorf("--asg-name %q is malformed", q.Group)
	case strings.ContainsFunc(q.Reason, unicode.IsControl):
		return fmt.Errorf("--reason %q has control characters", q.Reason)
	case q.Scheduled && q.InstanceID+q.Node == "":
		return fmt.Errorf("--scheduled-event goes with --instance-id or --node")
	case len(problems) > 0:
		return fmt.Errorf("--template %q is malformed: %s", o.Fleet.Template, problems[0])
	}
	return nil
}

func runAdmit(ctx context.Context, i *invocation) error {
	return i.manyNodes().Admit(ctx, i.Queued)
}
