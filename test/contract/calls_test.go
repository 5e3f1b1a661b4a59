package contract

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
)

// The changes of Auto Scaling as a recycle asks for them.

func (w *world) enterStandby(id string) error {
	_, err := w.asg.EnterStandby(w.ctx, &autoscaling.EnterStandbyInput{
		AutoScalingGroupName: aws.String(w.name()), InstanceIds: []string{id}, ShouldDecrementDesiredCapacity: aws.Bool(false),
	})
	return err
}

func (w *world) exitStandby(id string) error {
	_, err := w.asg.ExitStandby(w.ctx, &autoscaling.ExitStandbyInput{AutoScalingGroupName: aws.String(w.name()), InstanceIds: []string{id}})
	return err
}

func (w *world) detach(id string) error {
	_, err := w.asg.DetachInstances(w.ctx, &autoscaling.DetachInstancesInput{
		AutoScalingGroupName: aws.String(w.name()), InstanceIds: []string{id}, ShouldDecrementDesiredCapacity: aws.Bool(false),
	})
	return err
}

func (w *world) terminate(id string) error {
	_, err := w.asg.TerminateInstanceInAutoScalingGroup(w.ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{
		InstanceId: aws.String(id), ShouldDecrementDesiredCapacity: aws.Bool(false),
	})
	return err
}

func (w *world) setDesired(n int32) error {
	_, err := w.asg.SetDesiredCapacity(w.ctx, &autoscaling.SetDesiredCapacityInput{
		AutoScalingGroupName: aws.String(w.name()), DesiredCapacity: aws.Int32(n), HonorCooldown: aws.Bool(false),
	})
	return err
}

func (w *world) setMax(n int32) {
	w.Helper()
	_, err := w.asg.UpdateAutoScalingGroup(w.ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(w.name()), MaxSize: aws.Int32(n)})
	w.ok(err)
}

func (w *world) suspend(process string) {
	w.Helper()
	_, err := w.asg.SuspendProcesses(w.ctx, &autoscaling.SuspendProcessesInput{AutoScalingGroupName: aws.String(w.name()), ScalingProcesses: []string{process}})
	w.ok(err)
}

func (w *world) resume(process string) {
	w.Helper()
	_, err := w.asg.ResumeProcesses(w.ctx, &autoscaling.ResumeProcessesInput{AutoScalingGroupName: aws.String(w.name()), ScalingProcesses: []string{process}})
	w.ok(err)
}

// suspended are the reasons of the suspended processes, by process.
func (w *world) suspended() map[string]string {
	w.Helper()
	out := map[string]string{}
	for _, p := range w.group().SuspendedProcesses {
		out[aws.ToString(p.ProcessName)] = aws.ToString(p.SuspensionReason)
	}
	return out
}
