package cli

import (
	"time"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/recycle"
	"github.com/urfave/cli/v2"
)

// hookFlags name the lifecycle action that the steps of drain-terminating keep waiting.
func hookFlags() []cli.Flag {
	return []cli.Flag{
		text("asg-name", "", "`NAME` of the Auto Scaling group that terminates the instance"),
		text("lifecycle-hook", "", "`NAME` of the lifecycle hook that keeps it waiting; heartbeats are recorded while the step runs"),
		text("lifecycle-began", "", "`TIME` of the event, RFC 3339; the hook's global timeout is counted from it, or else from the first attempt"),
	}
}

func completeFlags() []cli.Flag {
	return join([]cli.Flag{text("instance-id", "", "EC2 `ID` of the instance that waits")}, hookFlags(), podFlags(), []cli.Flag{
		text("result", asg.Continue, "CONTINUE, or ABANDON, which ends the group's other hooks for the instance too"),
		text("workflow-status", "", "how the workflow ended; empty means that it succeeded"),
		text("on-failure", recycle.WaitOn, "the result if it did not succeed: CONTINUE, ABANDON, or wait, which leaves it to the hook's heartbeat timeout"),
	})
}

const (
	hookForm  = `^[A-Za-z0-9_/-]{1,255}$` // https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_PutLifecycleHook.html
	groupForm = `^[^\x00-\x1f\x7f:]{1,255}$`
)

func readHook(c *cli.Context, o *Options) (err error) {
	id := o.Recycle.InstanceID
	l := recycle.Hook{
		LifecycleAction: asg.LifecycleAction{Group: set(c, "asg-name"), Name: set(c, "lifecycle-hook"), Instance: id},
		Result:          c.String("result"), OnFailure: c.String("on-failure"),
	}
	began := set(c, "lifecycle-began")
	if l.Name+l.Group+began == "" && has(c, "workflow-uid") && has(c, "max-wait") {
		return nil // a step of a recycle that no hook began
	}
	switch {
	case id == "":
		return hint.Errorf("the event says it: EC2InstanceId", "give --instance-id with a lifecycle action")
	case !matches(groupForm, l.Group):
		return hint.Errorf("the event says it: AutoScalingGroupName", "--asg-name %q is missing or malformed", l.Group)
	case !matches(hookForm, l.Name):
		return hint.Errorf("the event says it: LifecycleHookName", "--lifecycle-hook %q is missing or malformed", l.Name)
	case began != "":
		if l.Began, err = time.Parse(time.RFC3339, began); err != nil {
			return hint.Errorf("the event's time, for example 2026-01-31T22:00:00Z", "--lifecycle-began %q is malformed", began)
		}
	}
	o.Recycle.Hook = l
	return nil
}

func interruptionFlags() []cli.Flag {
	return append([]cli.Flag{
		text("instance-id", "", "EC2 `ID` of the instance, or …"),
		text("node", "", "… `NAME` of its Node; exactly one of the two"),
		text("noticed-at", "", "`TIME` of the event, RFC 3339; the instance is taken two minutes later"),
	}, podFlags()...)
}

func readInterruption(c *cli.Context, o *Options) (err error) {
	if o.Recycle.NoticedAt, err = time.Parse(time.RFC3339, set(c, "noticed-at")); err != nil {
		return hint.Errorf("the event's time, for example 2026-01-31T22:00:00Z", "--noticed-at %q is malformed", c.String("noticed-at"))
	}
	return nil
}
