package asg

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Action is what becomes of the instance after it left its group: Stop or Terminate.
type Action interface {
	String() string          // as flags and tags have it
	Past() string            // "stopped"
	possible(Instance) error // says why not, before anything is touched
	ended(Instance) bool     // the instance is what the action makes of it
	ending(Instance) bool    // on its way there
	forbids() []protection   // what must not be set on the instance
	call(ctx context.Context, api InstanceAPI, id string, dryRun bool) error
}

// Stop stops the instance, which keeps its volumes.
type Stop struct{}

// Terminate terminates the instance.
type Terminate struct{}

// ParseAction reads an action as flags and tags have it.
func ParseAction(text string) (Action, error) {
	for _, a := range []Action{Stop{}, Terminate{}} {
		if a.String() == text {
			return a, nil
		}
	}
	return nil, hint.Errorf("stop or terminate", "action %q is unknown", text)
}

func (Stop) String() string { return "stop" }

// Past is what an instance is afterwards.
func (Stop) Past() string { return "stopped" }

func (Stop) possible(i Instance) error {
	switch {
	case i.Spot:
		return hint.Errorf("use --action terminate", "instance %q is a spot instance and cannot be stopped", i.ID)
	case i.RootOnInstanceStore:
		return hint.Errorf("use --action terminate", "instance %q has its root volume on the instance store and cannot be stopped", i.ID)
	}
	return nil
}

func (Stop) forbids() []protection { return []protection{stopProtection} }

func (Stop) ended(i Instance) bool  { return i.State == "stopped" }
func (Stop) ending(i Instance) bool { return i.State == "stopping" }

func (Stop) call(ctx context.Context, api InstanceAPI, id string, dryRun bool) error {
	in := &ec2.StopInstancesInput{InstanceIds: []string{id}}
	if dryRun {
		in.DryRun = aws.Bool(true)
	}
	_, err := api.StopInstances(ctx, in)
	if err == nil {
		return nil
	}
	err = protectedHint(id, fmt.Errorf("stopping instance %q: %w", id, err))
	if awserr.IsStopUnsupported(err) {
		return hint.Wrap(err, "submit again with action=terminate")
	}
	return err
}

func (Terminate) String() string { return "terminate" }

// Past is what an instance is afterwards.
func (Terminate) Past() string { return "terminated" }

func (Terminate) possible(Instance) error { return nil }

func (Terminate) forbids() []protection {
	return []protection{stopProtection, terminationProtection}
}

func (Terminate) ended(i Instance) bool  { return i.State == "terminated" }
func (Terminate) ending(i Instance) bool { return i.Gone() }

func (Terminate) call(ctx context.Context, api InstanceAPI, id string, dryRun bool) error {
	in := &ec2.TerminateInstancesInput{InstanceIds: []string{id}}
	if dryRun {
		in.DryRun = aws.Bool(true)
	}
	if _, err := api.TerminateInstances(ctx, in); err != nil {
		return protectedHint(id, fmt.Errorf("terminating instance %q: %w", id, err))
	}
	return nil
}
