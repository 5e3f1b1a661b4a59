package awssim_test

import (
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// zones puts a group into those of the letters.
func (w *world) zones(letters ...string) {
	w.Helper()
	for i := range letters {
		letters[i] = region + letters[i]
	}
	_, err := w.asg.UpdateAutoScalingGroup(w.ctx, &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(name), AvailabilityZones: letters})
	w.ok(err)
}

// inZones counts the members in service by zone letter.
func (w *world) inZones() map[string]int {
	out := map[string]int{}
	for _, id := range w.in("InService") {
		zone := *w.instance(id).Placement.AvailabilityZone
		out[zone[len(zone)-1:]]++
	}
	return out
}

// mostAtOnce notes the most members that a group had at one time.
func (w *world) mostAtOnce() *int {
	most := 0
	w.sim.Observe(func(c awssim.Change) {
		if g, ok := c.Group(name); ok {
			most = max(most, len(g.Members))
		}
	})
	return &most
}

func TestAZRebalanceByItself(t *testing.T) {
	oneZone := func(in *autoscaling.CreateAutoScalingGroupInput) { in.AvailabilityZones = []string{region + "a"} }
	for _, c := range []struct {
		name      string
		most      int32 // members of the group, by its max size
		protected bool
		story     func(w *world, ids []string)
	}{
		{"a group out of balance launches first and then takes one from the fullest zone", 9, false, func(w *world, ids []string) {
			w.zones("a", "b")
			w.pass(20 * time.Second)
			w.want(len(w.describe().Instances), 4, "members before its time")
			w.pass(40 * time.Second)
			w.want(len(w.in("InService")) >= 4, true, "in service meanwhile")
			w.pass(10 * time.Minute)
			w.want(w.inZones(), map[string]int{"a": 2, "b": 2}, "in the end")
			w.want(w.state(ids[0]), "", "an innocent member")
		}},
		{"two against one is balance enough", 9, false, func(w *world, ids []string) {
			w.desired(1)
			w.pass(5 * time.Minute)
			w.zones("a", "b")
			w.pass(time.Hour)
			w.want(w.inZones(), map[string]int{"a": 1}, "in the end")
		}},
		{"not while suspended, but once resumed", 9, false, func(w *world, ids []string) {
			w.suspend("AZRebalance")
			w.zones("a", "b")
			w.pass(time.Hour)
			w.want(w.inZones(), map[string]int{"a": 4}, "while suspended")
			w.resume("AZRebalance")
			w.pass(10 * time.Minute)
			w.want(w.inZones(), map[string]int{"a": 2, "b": 2}, "in the end")
		}},
		{"suspended in time, what was about to happen does not", 9, false, func(w *world, ids []string) {
			w.zones("a", "b")
			w.pass(20 * time.Second)
			w.suspend("AZRebalance")
			w.pass(time.Hour)
			w.want(w.in("InService"), ids, "in service")
		}},
		{"a standby can set it off", 9, false, func(w *world, ids []string) {
			w.suspend("AZRebalance")
			w.zones("a", "b")
			w.desired(6)
			w.pass(5 * time.Minute)
			w.want(w.inZones(), map[string]int{"a": 4, "b": 2}, "to begin with")
			w.desired(5)
			w.pass(5 * time.Minute)
			w.want(w.inZones(), map[string]int{"a": 3, "b": 2}, "balanced enough")
			w.resume("AZRebalance")
			var inB string
			for _, id := range w.in("InService") {
				if *w.instance(id).Placement.AvailabilityZone == region+"b" {
					inB = id
				}
			}
			w.ok(w.standby(true, inB))
			w.pass(10 * time.Minute)
			w.want(w.inZones(), map[string]int{"a": 2, "b": 2}, "in the end")
			w.want(w.state(inB), "Standby", "the one on standby")
		}},
		{"at max size it goes above it by one, no further", 4, false, func(w *world, ids []string) {
			most := w.mostAtOnce()
			w.zones("a", "b")
			w.pass(10 * time.Minute)
			w.want(w.inZones(), map[string]int{"a": 2, "b": 2}, "in the end")
			// One more may still be leaving when the next one comes.
			w.want(*most > 4 && *most <= 6, true, "members at once")
		}},
		{"with all of the fullest zone protected nothing moves", 9, true, func(w *world, ids []string) {
			w.zones("a", "b")
			w.pass(time.Hour)
			w.want(w.in("InService"), ids, "in service")
		}},
		{"switched off it waits for a hand", 9, false, func(w *world, ids []string) {
			w.ok(w.sim.Configure(func(c *awssim.Config) { c.AZRebalance = false }))
			w.zones("a", "b")
			w.pass(time.Hour)
			w.want(w.in("InService"), ids, "in service")
		}},
		{"a launch that fails takes nobody away", 9, false, func(w *world, ids []string) {
			w.ok(w.sim.Configure(func(c *awssim.Config) { c.LaunchFailure = "InsufficientInstanceCapacity" }))
			w.zones("a", "b")
			w.pass(10 * time.Minute)
			w.want(w.in("InService"), ids, "in service")
			w.want(slices.ContainsFunc(w.sim.Events(0), func(e awssim.Event) bool { return e.Cause == awssim.CauseAZRebalance }), false, "events of it")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(c *awssim.Config) { c.AZRebalance = true }, func(w *world) {
				c.story(w, w.group(0, c.most, 4, oneZone, func(in *autoscaling.CreateAutoScalingGroupInput) { in.NewInstancesProtectedFromScaleIn = &c.protected }))
			})
		})
	}
}
