package asg

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Action is what becomes of the instance after it left its group, as flags and tags have it.
type Action string

// The actions. Stop leaves the instance its volumes.
const (
	Stop      Action = "stop"
	Terminate Action = "terminate"
)

// ParseAction reads an action as flags and tags have it.
func ParseAction(text string) (Action, error) {
	if a := Action(text); a == Stop || a == Terminate {
		return a, nil
	}
	return "", hint.Errorf("stop or terminate", "action %q is unknown", text)
}

// Past is what an instance is afterwards, for people and as EC2 says it.
func (a Action) Past() string {
	if a == Stop {
		return "stopped"
	}
	return "terminated"
}

// possible says why not, before anything is touched.
func (a Action) possible(i Instance) error {
	switch {
	case a == Stop && i.Spot:
		return hint.Errorf("use --action terminate", "instance %q is a spot instance and cannot be stopped", i.ID)
	case a == Stop && i.RootOnInstanceStore:
		return hint.Errorf("use --action terminate", "instance %q has its root volume on the instance store and cannot be stopped", i.ID)
	}
	return nil
}

func (a Action) call(ctx context.Context, api InstanceAPI, id string, dryRun bool) error {
	if a == Terminate {
		if _, err := api.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}, DryRun: &dryRun}); err != nil {
			return protectedHint(id, fmt.Errorf("terminating instance %q: %w", id, err))
		}
		return nil
	}
	_, err := api.StopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: []string{id}, DryRun: &dryRun})
	if err == nil {
		return nil
	}
	err = protectedHint(id, fmt.Errorf("stopping instance %q: %w", id, err))
	if awserr.IsStopUnsupported(err) {
		return hint.Wrap(err, "submit again with action=terminate")
	}
	return err
}
