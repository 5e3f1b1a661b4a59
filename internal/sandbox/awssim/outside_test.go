package awssim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// An instance lost to a hand outside, whatever its group is doing with it.
func TestLostInAnyLifecycleState(t *testing.T) {
	slow := func(c *awssim.Config) { c.EnteringStandby, c.Detaching = 5*time.Minute, 5*time.Minute }
	for _, c := range []struct {
		name  string
		story func(w *world, ids []string)
	}{
		{"EnteringStandby goes on for its minutes and ends in Standby, listed as healthy", func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.pass(time.Minute)
			w.ok(w.sim.ActOutside(ids[0], "terminate"))
			w.pass(3 * time.Minute)
			w.want(w.state(ids[0]), "EnteringStandby", "state")
			w.pass(30 * time.Minute)
			w.want(w.state(ids[0]), "Standby", "state in the end")
			w.want(w.instance(ids[0]).State.Name, "terminated", "instance")
			w.want(w.health(ids[0]), "Healthy", "health")
			w.want(len(w.in("InService")), 3, "in service")
		}},
		{"stopped in EnteringStandby it is Standby too", func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.ok(w.sim.ActOutside(ids[0], "stop"))
			w.pass(time.Hour)
			w.want(w.state(ids[0]), "Standby", "state in the end")
			w.want(w.instance(ids[0]).State.Name, "stopped", "instance")
		}},
		{"brought back from Standby dead, it is found out and replaced", func(w *world, ids []string) {
			w.ok(w.standby(true, ids[0]))
			w.pass(6 * time.Minute)
			w.ok(w.sim.ActOutside(ids[0], "terminate"))
			w.pass(time.Minute)
			w.ok(w.exit(ids[0]))
			w.pass(5 * time.Minute)
			w.want(w.state(ids[0]), "", "state")
			w.want(len(w.in("InService")), 3, "in service")
		}},
		{"Pending never reaches service and is replaced", func(w *world, _ []string) {
			w.desired(4)
			w.pass(5 * time.Second)
			id := w.in("Pending")[0]
			w.ok(w.sim.ActOutside(id, "terminate"))
			served := false
			w.sim.Observe(func(c awssim.Change) {
				served = served || c.Event != nil && c.Event.Instance == id && c.Event.To == "InService"
			})
			w.pass(10 * time.Minute)
			w.want(served, false, "was in service")
			w.want(w.state(id), "", "state")
			w.want(len(w.in("InService")), 4, "in service")
			said := false
			for _, a := range w.activities() {
				said = said || strings.HasPrefix(aws.ToString(a.StatusMessage), "Instance became unhealthy while waiting for instance to be in InService state.")
			}
			w.want(said, true, "an activity says so")
		}},
		{"Detaching lasts as long as it lasts", func(w *world, ids []string) {
			w.ok(w.detach(false, ids[0]))
			w.ok(w.sim.ActOutside(ids[0], "terminate"))
			w.pass(4 * time.Minute)
			w.want(w.state(ids[0]), "Detaching", "state")
			w.pass(2 * time.Minute)
			w.want(w.state(ids[0]), "", "state in the end")
			w.want(len(w.in("InService")), 3, "in service")
		}},
		{"Terminating is Terminating", func(w *world, ids []string) {
			w.ok(w.terminate(false, ids[0]))
			w.ok(w.sim.ActOutside(ids[0], "terminate"))
			w.pass(5 * time.Minute)
			w.want(w.state(ids[0]), "", "state in the end")
			w.want(len(w.in("InService")), 3, "in service")
		}},
		{"scale-in while one is entering standby takes one in service", func(w *world, ids []string) {
			w.ok(w.standby(true, ids[0]))
			w.desired(1)
			w.pass(4 * time.Minute)
			w.want(w.state(ids[0]), "EnteringStandby", "state")
			w.want(len(w.in("InService")), 1, "in service")
		}},
		{"lowered at once, the group spares the one entering standby and launches no replacement", func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.desired(2)
			w.pass(10 * time.Minute)
			w.want(w.in("InService"), ids[1:], "in service")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, slow, func(w *world) { c.story(w, w.group(1, 4, 3)) })
		})
	}
}

func (w *world) health(id string) string {
	for _, i := range w.describe().Instances {
		if *i.InstanceId == id {
			return *i.HealthStatus
		}
	}
	return "not listed"
}

func TestRefreshStartedInMidRun(t *testing.T) {
	for _, c := range []struct {
		name    string
		standby types.StandbyInstances
		story   func(w *world, id string, status func() string)
	}{
		{"waits on the instance by default, as long as it is told to, and fails", "", func(w *world, id string, status func() string) {
			w.pass(7 * time.Minute)
			w.want(status(), "InProgress", "status")
			w.pass(10 * time.Minute)
			w.want(status(), "Failed", "status in the end")
			w.want(w.state(id), "Standby", "state")
		}},
		{"goes on once the instance has left the group", "", func(w *world, id string, status func() string) {
			w.pass(7 * time.Minute)
			w.ok(w.detach(false, id))
			w.pass(time.Hour)
			w.want(status(), "Successful", "status in the end")
			w.want(w.instance(id).State.Name, "running", "instance")
		}},
		{"ignores it where told", types.StandbyInstancesIgnore, func(w *world, id string, status func() string) {
			w.pass(time.Hour)
			w.want(status(), "Successful", "status in the end")
			w.want(w.state(id), "Standby", "state")
		}},
		{"terminates it where told, also when it was still entering standby", types.StandbyInstancesTerminate, func(w *world, id string, status func() string) {
			w.pass(time.Hour)
			w.want(status(), "Successful", "status in the end")
			w.want(w.state(id), "", "state")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(c *awssim.Config) { c.RefreshPatience = 10 * time.Minute }, func(w *world) {
				ids := w.group(1, 4, 3)
				w.ok(w.standby(false, ids[0]))
				_, err := w.asg.StartInstanceRefresh(w.ctx, &autoscaling.StartInstanceRefreshInput{AutoScalingGroupName: aws.String(name), Preferences: &types.RefreshPreferences{StandbyInstances: c.standby}})
				w.ok(err)
				c.story(w, ids[0], func() string {
					out, err := w.asg.DescribeInstanceRefreshes(w.ctx, &autoscaling.DescribeInstanceRefreshesInput{AutoScalingGroupName: aws.String(name)})
					w.ok(err)
					return string(out.InstanceRefreshes[0].Status)
				})
				w.want(*w.describe().DesiredCapacity, 3, "desired")
				told := 0
				for _, e := range w.sim.Events(0) {
					if e.Kind == awssim.KindRefresh {
						told++
					}
				}
				w.want(told, 3, "events of the refresh")
			})
		})
	}
}
