package awssim_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// scheduled lists the descriptions of the events of an instance.
func (w *world) scheduled(id string) (out []string) {
	w.Helper()
	status, err := w.ec2.DescribeInstanceStatus(w.ctx, &ec2.DescribeInstanceStatusInput{InstanceIds: []string{id}, IncludeAllInstances: aws.Bool(true)})
	w.ok(err)
	for _, e := range status.InstanceStatuses[0].Events {
		out = append(out, *e.Description)
	}
	return out
}

func TestAnswersThatLagShowAnEventAsItWas(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.StaleReads = time.Hour }, func(w *world) {
		id, err := w.sim.AddInstance(awssim.InstanceSpec{})
		w.ok(err)
		w.pass(2 * time.Hour)
		w.ok(w.sim.ScheduleEvent(id, awssim.ScheduledEvent{Code: "instance-stop", Description: "stop"}))
		w.pass(2 * time.Hour)
		w.ok(w.sim.ScheduleEvent(id, awssim.ScheduledEvent{Code: "instance-stop", Description: "[Canceled] stop"}))
		w.pass(time.Second)
		w.want(w.scheduled(id), []string{"stop"}, "events a moment later")
		w.pass(2 * time.Hour)
		w.want(w.scheduled(id), []string{"[Canceled] stop"}, "events in the end")
	})
}
