package cli_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func (a *argoWorld) alarm(holder string, flags ...string) outcome {
	return a.stepAs(a.Context(), holder, "admit", append([]string{"--workflow-name", "eks-recycle/" + holder, "--reason", "alarm cpu", "--cool-down", "1h", "--max-unavailable", "2"}, flags...)...)
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
			{"--node n", "no recycle is started: node n does not exist in this cluster", 0},
			{"--asg-name others", "others", 1},
			{"--asg-name " + group + " --reason-time " + time.Now().Add(-2*time.Hour).Format(time.RFC3339), "alarm cpu, is 2h0m0s old", 0},
			{"--asg-name " + group + " --reason-time yesterday", `--reason-time "yesterday" is malformed`, 2},
			{"", "give --instance-id, --node or --asg-name", 2},
			{"--asg-name " + group + " --max-unavailable 0", `--max-unavailable "0" is neither`, 2},
			{"--asg-name " + group + " --scheduled-event", "--scheduled-event goes with", 2},
			{"--instance-id " + w.ids[0] + " --node n", "give --instance-id or --node, not both", 2},
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

// While a recycle waits for room in its group's budget, for hours, AWS is asked for nothing.
func TestWaitingForRoomAsksAWSNothing(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, nil)
		a.run = a.recycleChild
		w.pod(w.ids[0], "batch", 10*time.Hour, nil)
		w.done("standby", "--instance-id", w.ids[0])
		w.done("taint", "--instance-id", w.ids[0])
		var other, queued sync.WaitGroup
		other.Go(func() { w.done("drain", "--instance-id", w.ids[0]) })
		time.Sleep(time.Minute)
		queued.Go(func() {
			for {
				o := a.stepAs(a.Context(), "queued-1", "admit", "--workflow-name", "eks-recycle/queued-1", "--instance-id", w.ids[1])
				if o.code == 75 {
					continue
				}
				if o.code != 0 || !strings.Contains(o.result.Message, "recycles node") {
					w.Errorf("exit %d %q\n%s", o.code, o.result.Message, o.stderr)
				}
				return
			}
		})
		time.Sleep(time.Hour)
		w.sim.ForgetCalls()
		time.Sleep(8 * time.Hour)
		if calls := w.sim.Calls(0); len(calls) > 5*30 { // each attempt of 20 minutes looks once
			w.Errorf("%d calls to AWS in 8 hours", len(calls))
		}
		if len(a.order) != 0 {
			w.Errorf("recycled %v", a.order)
		}
		other.Wait()
		queued.Wait()
		w.done("evict", "--instance-id", w.ids[0])
		w.done("retire", "--instance-id", w.ids[0])
		time.Sleep(time.Hour)
	})
}
