package awssim_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

func TestInstanceRefresh(t *testing.T) {
	status := func(w *world) types.InstanceRefresh {
		out, err := w.asg.DescribeInstanceRefreshes(w.ctx, &autoscaling.DescribeInstanceRefreshesInput{AutoScalingGroupName: aws.String(name)})
		w.ok(err)
		return out.InstanceRefreshes[0]
	}
	start := func(w *world, standby types.StandbyInstances) error {
		_, err := w.asg.StartInstanceRefresh(w.ctx, &autoscaling.StartInstanceRefreshInput{AutoScalingGroupName: aws.String(name), Preferences: &types.RefreshPreferences{StandbyInstances: standby}})
		return err
	}
	for _, c := range []struct {
		name  string
		story func(w *world, ids []string)
	}{
		{"replaces all, one by one", func(w *world, ids []string) {
			w.ok(start(w, ""))
			w.refused(start(w, ""), "InstanceRefreshInProgress", "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.")
			w.pass(10 * time.Second)
			w.want(status(w).Status, "InProgress", "status")
			w.pass(10 * time.Minute)
			w.want(status(w).Status, "Successful", "status in the end")
			for _, id := range ids {
				w.want(w.state(id), "", "old member")
			}
			w.want(len(w.in("InService")), 3, "in service")
		}},
		{"waits an hour for Standby, and fails", func(w *world, ids []string) {
			w.ok(w.standby(true, ids[0]))
			w.pass(time.Minute)
			w.ok(start(w, ""))
			w.pass(30 * time.Minute)
			w.want(status(w).Status, "InProgress", "status")
			w.pass(time.Hour)
			w.want(status(w).Status, "Failed", "status in the end")
			w.want(w.state(ids[0]), "Standby", "state")
		}},
		{"terminates Standby instances where told", func(w *world, ids []string) {
			w.ok(w.standby(true, ids[0]))
			w.pass(time.Minute)
			w.ok(start(w, types.StandbyInstancesTerminate))
			w.pass(time.Hour)
			w.want(status(w).Status, "Successful", "status")
			w.want(w.state(ids[0]), "", "state")
		}},
		{"is cancelled", func(w *world, _ []string) {
			w.ok(start(w, ""))
			in := &autoscaling.CancelInstanceRefreshInput{AutoScalingGroupName: aws.String(name)}
			_, err := w.asg.CancelInstanceRefresh(w.ctx, in)
			w.ok(err)
			w.pass(time.Minute)
			w.want(status(w).Status, "Cancelled", "status")
			_, err = w.asg.CancelInstanceRefresh(w.ctx, in)
			w.refused(err, "ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found for Auto Scaling group workers")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) { c.story(w, w.group(1, 4, 3)) })
		})
	}
}
