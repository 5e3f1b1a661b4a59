package cli_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func (a *argoWorld) alarm(holder string, flags ...string) outcome {
	return a.stepAs(a.Context(), holder, "alarm", append([]string{"--workflow-name", "eks-recycle/" + holder, "--alarm", "cpu"}, flags...)...)
}

// An alarm of an instance recycles it, one of a group its oldest node, and each other alarm within the cool-down nothing.
func TestAlarm(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, nil)
		a.run = a.recycleChild
		second := w.ids[1]
		o := a.alarm("alarm-1", "--instance-id", second)
		if o.code != 0 || o.result.InstanceID != second || !strings.Contains(o.result.Message, "workflow recycle-"+second+" recycles node") {
			w.Fatalf("exit %d %q\n%s", o.code, o.result.Message, o.stderr)
		}
		if o := a.alarm("alarm-1", "--instance-id", second); o.code != 0 || !strings.Contains(o.result.Message, "no recycle is started") && !strings.Contains(o.result.Message, "already") {
			w.Errorf("the same workflow again: exit %d %q\n%s", o.code, o.result.Message, o.stderr)
		}
		for _, about := range [][]string{{"--instance-id", w.ids[0]}, {"--asg-name", group}} { // it flaps
			time.Sleep(15 * time.Minute)
			o := a.alarm("alarm-"+about[1], about...)
			if o.code != 0 || !strings.Contains(o.result.Message, "no recycle is started: the time to cool down of Auto Scaling group workers is claimed by eks-recycle/alarm-1 until") {
				w.Errorf("%v: exit %d %q\n%s", about, o.code, o.result.Message, o.stderr)
			}
		}
		time.Sleep(31 * time.Minute)
		oldest := w.ids[0]
		if o := a.alarm("alarm-3", "--asg-name", group); o.code != 0 || o.result.InstanceID != oldest {
			w.Errorf("after the cool-down: exit %d %q %q\n%s", o.code, o.result.InstanceID, o.result.Message, o.stderr)
		}
		time.Sleep(time.Hour)
		if !slices.Equal(a.order, []string{second, oldest}) {
			w.Errorf("recycled: %v, want %v", a.order, []string{second, oldest})
		}
		if in := w.members("InService"); len(in) != 3 || slices.Contains(in, second) || slices.Contains(in, oldest) {
			w.Errorf("in service: %v", in)
		}
		o = w.step("sweep")
		if o.code != 0 || len(o.result.Left) != 0 {
			w.Errorf("a sweep finds %v", o.result.Left)
		}
	})
}

// Alarms that come at the same moment start one recycle.
func TestAlarmsAtOnce(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, nil)
		a.run = a.recycleChild
		var all sync.WaitGroup
		for _, holder := range []string{"alarm-1", "alarm-2", "alarm-3", "alarm-4"} {
			all.Go(func() {
				for {
					o := a.alarm(holder, "--asg-name", group)
					if o.code == 0 {
						return
					}
					if o.code != 75 {
						w.Errorf("exit %d\n%s", o.code, o.stderr)
						return
					}
				}
			})
		}
		all.Wait()
		time.Sleep(time.Hour)
		if len(a.order) != 1 {
			w.Errorf("recycled: %v", a.order)
		}
	})
}

func TestAlarmThatStartsNothing(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, func(map[string]string) string { return "" })
		away := w.ids[2]
		if err := w.sim.ActOutside(away, "terminate"); err != nil {
			w.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		for _, c := range []struct {
			flags, says string
			code        int
		}{
			{"--instance-id i-0123456789abcdef0", "no recycle is started: instance \"i-0123456789abcdef0\" is unknown", 0},
			{"--instance-id " + away, "no recycle is started: instance " + away + " belongs to no Auto Scaling group", 0},
			{"--instance-id " + w.ids[0] + " --asg-name others", "is in Auto Scaling group workers, not in others", 0},
			{"--asg-name others", "others", 1},
			{"--asg-name " + group + " --alarm-time " + time.Now().Add(-2*time.Hour).Format("2006-01-02T15:04:05.000-0700"), "went off 2h0m0s ago", 0},
			{"--asg-name " + group + " --alarm-time yesterday", `--alarm-time "yesterday" is malformed`, 2},
			{"", "give --instance-id or --asg-name", 2},
			{"--asg-name " + group + " --cool-down 0s", `--cool-down "0s" must be a positive duration`, 2},
			{"--asg-name " + group + " --template -x", `--template "-x" is malformed`, 2},
		} {
			o := a.alarm("alarm-1", strings.Fields(c.flags)...)
			if o.code != c.code || !strings.Contains(o.result.Message+o.stderr, c.says) {
				w.Errorf("%s: exit %d %q\n%s", c.flags, o.code, o.result.Message, o.stderr)
			}
		}
		if o := a.alarm("alarm-1", "--asg-name", group, "--dry-run"); o.code != 0 || !strings.Contains(o.result.Message, "would recycle node") {
			w.Errorf("dry run: exit %d %q\n%s", o.code, o.result.Message, o.stderr)
		}
		if len(a.order) != 0 {
			w.Errorf("recycled: %v", a.order)
		}
		w.unclaimed()
	})
}
