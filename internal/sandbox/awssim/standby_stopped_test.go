package awssim_test

import (
	"slices"
	"testing"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// A stopped instance that is brought back from standby: AWS lets it in, and the
// health check throws it out.
func TestExitStandbyOfAStoppedInstance(t *testing.T) {
	for _, c := range []struct {
		name  string
		story func(w *world, id string, others []string)
	}{
		{"it passes Pending, is in service, and is replaced after the health check", func(w *world, id string, others []string) {
			w.ok(w.exit(id))
			w.want(w.state(id), "Pending", "state at once")
			w.pass(11 * time.Second)
			w.want(w.state(id), "InService", "state then")
			w.want(w.health(id), "Healthy", "health then")
			w.want(w.instance(id).State.Name, "stopped", "instance then")
			w.want(*w.describe().DesiredCapacity, 3, "desired")
			w.pass(20 * time.Second)
			w.want(w.state(id), "Terminating", "state after the health check")
			w.pass(5 * time.Minute)
			w.want(w.state(id), "", "state in the end")
			w.want(w.instance(id).State.Name, "terminated", "instance in the end")
			w.want(len(w.in("InService")), 3, "in service in the end")
			w.want(w.cause(id), awssim.CauseUnhealthy, "cause")
		}},
		{"a suspended Terminate does not protect it", func(w *world, id string, others []string) {
			w.suspend("Terminate")
			w.ok(w.exit(id))
			w.pass(5 * time.Minute)
			w.want(w.state(id), "", "state in the end")
			w.want(w.instance(id).State.Name, "terminated", "instance")
		}},
		{"a suspended Terminate protects one that was stopped in service", func(w *world, id string, others []string) {
			w.suspend("Terminate")
			w.ok(w.sim.ActOutside(others[0], "stop"))
			w.pass(10 * time.Minute)
			w.want(w.state(others[0]), "InService", "state")
			w.want(w.health(others[0]), "Unhealthy", "health")
		}},
		{"a suspended health check leaves it in service", func(w *world, id string, others []string) {
			w.suspend("HealthCheck")
			w.ok(w.exit(id))
			w.pass(time.Hour)
			w.want(w.state(id), "InService", "state")
		}},
		{"started in time it stays", func(w *world, id string, others []string) {
			w.ok(w.exit(id))
			w.ok(w.sim.ActOutside(id, "start"))
			w.pass(time.Hour)
			w.want(w.state(id), "InService", "state")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				ids := w.group(1, 4, 3)
				w.ok(w.standby(true, ids[0]))
				w.pass(time.Minute)
				w.ok(w.sim.ActOutside(ids[0], "stop"))
				w.pass(time.Minute)
				c.story(w, ids[0], ids[1:])
			})
		})
	}
}

// cause is what set off the termination of a member.
func (w *world) cause(id string) string {
	events := w.sim.Events(0)
	i := slices.IndexFunc(events, func(e awssim.Event) bool { return e.Instance == id && e.To == "Terminating" })
	if i < 0 {
		return "none"
	}
	return events[i].Cause
}

func TestScaleInOfPendingInstances(t *testing.T) {
	for _, c := range []struct {
		name, setting string
		suspended     bool
		want          string // what becomes of the one that came out of standby
	}{
		{"spared by default", awssim.PendingSpare, false, "InService"},
		{"taken where the switch says so: the oldest, though it is Pending", awssim.PendingTake, false, ""},
		{"taken though Terminate is suspended", awssim.PendingTake, true, ""},
		{"spared while Terminate is suspended", awssim.PendingSpare, true, "InService"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(cfg *awssim.Config) { cfg.PendingScaleIn, cfg.ExitingStandby = c.setting, time.Minute }, func(w *world) {
				ids := w.group(1, 4, 3)
				w.ok(w.standby(false, ids[0]))
				w.pass(2 * time.Minute)
				w.ok(w.exit(ids[0]))
				if c.suspended {
					w.suspend("Terminate")
				}
				w.desired(3)
				w.pass(10 * time.Minute)
				w.want(w.state(ids[0]), c.want, "state")
			})
		})
	}
}
