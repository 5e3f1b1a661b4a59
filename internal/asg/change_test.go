package asg_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/poll"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

func TestAdvanceAsksForStandbyOnce(t *testing.T) {
	inAccount(t, 1, 5, nil, func(a *account) {
		var states []string
		for range 20 {
			h, err := a.client.Advance(a.Context(), asg.Group{Name: group}, a.ids[0], a.ids)
			a.must(err)
			states = append(states, h.Lifecycle)
			if h.Stands() && len(h.Candidates) > 0 {
				break
			}
			time.Sleep(10 * time.Second)
		}
		if diff := cmp.Diff([]string{"EnterStandby"}, a.actions()); diff != "" {
			a.Errorf("calls (-want +got):\n%s", diff)
		}
		if last := states[len(states)-1]; last != asg.Standby {
			a.Errorf("states %v", states)
		}
		a.settled(3, 3)
	})
}

func TestAdvanceOnAnInstanceThatSomeoneElseMoves(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(*account)
		message string
	}{
		"detached": {func(a *account) {
			_, err := a.groups.DetachInstances(a.Context(), &autoscaling.DetachInstancesInput{AutoScalingGroupName: aws.String(group), InstanceIds: a.ids[:1], ShouldDecrementDesiredCapacity: aws.Bool(false)})
			a.must(err)
			time.Sleep(time.Minute)
		}, "left Auto Scaling group"},
		"terminated": {func(a *account) {
			_, err := a.groups.TerminateInstanceInAutoScalingGroup(a.Context(), &autoscaling.TerminateInstanceInAutoScalingGroupInput{InstanceId: &a.ids[0], ShouldDecrementDesiredCapacity: aws.Bool(false)})
			a.must(err)
		}, `changed to lifecycle state "Terminating" meanwhile`},
	} {
		t.Run(name, func(t *testing.T) {
			inAccount(t, 1, 5, nil, func(a *account) {
				c.happens(a)
				if _, err := a.client.Advance(a.Context(), asg.Group{Name: group}, a.ids[0], a.ids); err == nil || !strings.Contains(err.Error(), c.message) {
					a.Errorf("error %v", err)
				}
			})
		})
	}
}

func ready(context.Context) error { return nil }

func TestDetach(t *testing.T) {
	refuse := func(c *awssim.Config) { c.DetachFromStandby = awssim.DetachRefuse }
	byItsGroup := []string{"DetachInstances", "TerminateInstanceInAutoScalingGroup"}
	for name, c := range map[string]struct {
		config  func(*awssim.Config)
		faults  []awssim.Fault
		maximum int32
		calls   []string
	}{
		"accepted from standby":                       {nil, nil, 5, []string{"DetachInstances"}},
		"accepted in a group at its maximum":          {nil, nil, 3, []string{"DetachInstances"}},
		"refused, so its group terminates it":         {refuse, nil, 5, byItsGroup},
		"refused in a group at its maximum":           {refuse, nil, 3, byItsGroup},
		"a busy group is asked again":                 {nil, []awssim.Fault{{Action: "DetachInstances", Count: 2, Kind: "error-before", Code: "ScalingActivityInProgress"}}, 5, []string{"DetachInstances", "DetachInstances", "DetachInstances"}},
		"it took effect, but the answer was an error": {nil, []awssim.Fault{{Action: "DetachInstances", Kind: "error-after", Code: "InternalFailure"}}, 5, []string{"DetachInstances"}},
		"it took effect, but the answer was lost":     {nil, []awssim.Fault{{Action: "DetachInstances", Kind: "drop-after"}}, 5, []string{"DetachInstances"}},
		"refused, and the next answer is lost":        {refuse, []awssim.Fault{{Action: "TerminateInstanceInAutoScalingGroup", Kind: "drop-after"}}, 5, byItsGroup},
	} {
		t.Run(name, func(t *testing.T) {
			inAccount(t, 1, c.maximum, c.config, func(a *account) {
				a.onStandby()
				a.must(a.sim.AddFaults(c.faults...))
				before := a.group()
				a.sim.ForgetCalls()
				ctx, cancel := a.soon()
				defer cancel()
				after, _, err := a.client.Detach(ctx, asg.Group{Name: group}, a.ids[0], true, ready)
				a.must(err)
				if diff := cmp.Diff(c.calls, a.actions()); diff != "" {
					a.Errorf("calls (-want +got):\n%s", diff)
				}
				if differences := asg.Compare(before, after, a.ids[0]); len(differences) > 0 {
					a.Errorf("differences: %v", differences)
				}
				if again, _, err := a.client.Detach(ctx, asg.Group{Name: group}, a.ids[0], true, ready); err != nil || len(again.Members) != len(after.Members) {
					a.Errorf("the second time: %v, %v", again, err)
				}
				a.settled(3, 3)
			})
		})
	}
}

func TestDetachThatIsRefused(t *testing.T) {
	inAccount(t, 1, 3, func(c *awssim.Config) { c.DetachFromStandby = awssim.DetachRefuse }, func(a *account) {
		a.onStandby()
		if _, _, err := a.client.Detach(a.Context(), asg.Group{Name: group}, a.ids[0], false, ready); !awserr.IsWrongState(err) || !strings.Contains(hint.Of(err), "action=terminate") {
			a.Errorf("one that is to be stopped: error %v, hint %q", err, hint.Of(err))
		}
		busy := errors.New("a pod that matters has come")
		if _, _, err := a.client.Detach(a.Context(), asg.Group{Name: group}, a.ids[0], true, func(context.Context) error { return busy }); !errors.Is(err, busy) {
			a.Errorf("one that may not go yet: error %v", err)
		}
		if slices.Contains(a.actions(), "TerminateInstanceInAutoScalingGroup") {
			a.Errorf("calls %v", a.actions())
		}
		a.settled(3, 3)
	})
}

func TestDetachOfAnInstanceThatTheGroupTerminates(t *testing.T) {
	inAccount(t, 1, 5, nil, func(a *account) {
		a.onStandby()
		_, err := a.groups.TerminateInstanceInAutoScalingGroup(a.Context(), &autoscaling.TerminateInstanceInAutoScalingGroupInput{InstanceId: &a.ids[0], ShouldDecrementDesiredCapacity: aws.Bool(false)})
		a.must(err)
		ctx, cancel := a.soon()
		defer cancel()
		g, _, err := a.client.Detach(ctx, asg.Group{Name: group}, a.ids[0], false, ready)
		if _, member := g.Member(a.ids[0]); member || err != nil || slices.Contains(a.actions(), "DetachInstances") {
			a.Errorf("member %t, error %v, calls %v", member, err, a.actions())
		}
	})
}

func TestShutDown(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(a *account, id string)
		action  asg.Action
		state   string
		calls   []string
	}{
		"stop a running one":               {nil, asg.Stop, "stopped", []string{"StopInstances"}},
		"stop a stopped one":               {func(a *account, id string) { a.must(a.sim.ActOutside(id, "stop")); time.Sleep(time.Minute) }, asg.Stop, "stopped", nil},
		"stop one that is stopping":        {func(a *account, id string) { a.must(a.sim.ActOutside(id, "stop")) }, asg.Stop, "stopped", nil},
		"stop one that someone terminates": {func(a *account, id string) { a.must(a.sim.ActOutside(id, "terminate")) }, asg.Stop, "terminated", nil},
		"stop a terminated one":            {func(a *account, id string) { a.must(a.sim.ActOutside(id, "terminate")); time.Sleep(time.Minute) }, asg.Stop, "terminated", nil},
		"terminate a running one":          {nil, asg.Terminate, "terminated", []string{"TerminateInstances"}},
		"terminate a stopped one":          {func(a *account, id string) { a.must(a.sim.ActOutside(id, "stop")); time.Sleep(time.Minute) }, asg.Terminate, "terminated", []string{"TerminateInstances"}},
		"a call that is throttled": {func(a *account, _ string) {
			a.must(a.sim.AddFaults(awssim.Fault{Action: "StopInstances", Count: 3, Kind: "error-before", Code: "RequestLimitExceeded"}))
		}, asg.Stop, "stopped", []string{"StopInstances", "StopInstances", "StopInstances", "StopInstances"}},
	} {
		t.Run(name, func(t *testing.T) {
			inAccount(t, 1, 5, nil, func(a *account) {
				id, err := a.sim.AddInstance(awssim.InstanceSpec{})
				a.must(err)
				time.Sleep(time.Minute)
				if c.prepare != nil {
					c.prepare(a, id)
				}
				ctx, cancel := a.soon()
				defer cancel()
				a.must(a.client.ShutDown(ctx, id, c.action, false, func(context.Context) error { return nil }))
				if state := a.state(id); state != c.state {
					a.Errorf("instance is %s", state)
				}
				if diff := cmp.Diff(c.calls, a.actions()); diff != "" {
					a.Errorf("calls (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestShutDownOfWhatCannotBeStopped(t *testing.T) {
	inAccount(t, 1, 5, nil, func(a *account) {
		id, err := a.sim.AddInstance(awssim.InstanceSpec{})
		a.must(err)
		time.Sleep(time.Minute)
		a.must(a.sim.ChangeInstance(id, "instance-store", ""))
		if err := a.client.ShutDown(a.Context(), id, asg.Stop, false, func(context.Context) error { return nil }); err == nil || hint.Of(err) != "submit again with action=terminate" {
			a.Errorf("error %v, hint %q", err, hint.Of(err))
		}
		a.must(a.client.ShutDown(a.Context(), id, asg.Terminate, false, func(context.Context) error { return nil }))
	})
}

func TestMarksOfARetirement(t *testing.T) {
	inAccount(t, 1, 5, nil, func(a *account) {
		before := a.target(a.ids[0]).Instance.Tags
		a.must(a.client.MarkRetiring(a.Context(), a.ids[0], asg.Retirement{At: time.Now(), Workflow: "argo/wf", Group: group, Node: "n", Replacement: a.ids[1], Action: asg.Stop}))
		i := a.target(a.ids[0]).Instance
		if !i.Retiring() || i.Tags[asg.TagWorkflow] != "argo/wf" || i.Tags[asg.TagGroup] != group || i.Tags[asg.TagNode] != "n" || i.Tags[asg.TagReplacement] != a.ids[1] {
			a.Errorf("tags %v", i.Tags)
		}
		if at, err := time.Parse(time.RFC3339, i.Tags[asg.TagRetiredAt]); err != nil || time.Since(at) > time.Second {
			a.Errorf("retired at %s", i.Tags[asg.TagRetiredAt])
		}
		a.must(a.client.UnmarkRetiring(a.Context(), a.ids[0]))
		if diff := cmp.Diff(before, a.target(a.ids[0]).Instance.Tags); diff != "" {
			a.Errorf("tags (-before +after):\n%s", diff)
		}
	})
}

// bringBack runs one attempt. What it writes down, the next one finds.
func (a *account) bringBack(ctx context.Context, baseline []string) (note string, err error) {
	return a.client.BringBack(ctx, &asg.Return{Group: group, ID: a.ids[0], Baseline: baseline, Checkpoint: a.checkpoint, Keep: func(_ context.Context, m asg.Checkpoint) error {
		a.checkpoint = m
		return nil
	}})
}

// Every call may be the last of its process, before it took effect or after.
func TestBringBackThatIsKilledAndRunAgain(t *testing.T) {
	for _, minimum := range []int32{1, 3} {
		for _, action := range []string{"SetDesiredCapacity", "ExitStandby"} {
			for _, kind := range []string{awssim.FaultDropBefore, awssim.FaultDropAfter} {
				t.Run(fmt.Sprintf("minimum %d, %s, %s", minimum, action, kind), func(t *testing.T) {
					inAccount(t, minimum, 5, nil, func(a *account) {
						a.configure(noLaunches)
						baseline := a.onStandby()
						a.must(a.sim.AddFaults(awssim.Fault{Action: action, Kind: kind}))
						again := a.client.Wait.Transient
						a.client.Wait.Transient = func(error) bool { return false }
						if _, err := a.bringBack(a.Context(), baseline); err == nil {
							a.Fatal("it was not killed")
						}
						time.Sleep(time.Minute)
						a.client.Wait.Transient = again
						if note, err := a.bringBack(a.Context(), baseline); err != nil || note != "" {
							a.Fatalf("note %q, error %v", note, err)
						}
						a.configure(func(c *awssim.Config) { c.LaunchFailure = "" })
						a.settled(3, 3)
					})
				})
			}
		}
	}
}

func TestABringBackIsCalledOff(t *testing.T) {
	inAccount(t, 1, 5, nil, func(a *account) {
		a.configure(noLaunches)
		baseline := a.onStandby()
		a.must(a.sim.AddFaults(awssim.Fault{Action: "SetDesiredCapacity", Kind: awssim.FaultDropAfter}))
		a.client.Wait.Transient = func(error) bool { return false }
		if _, err := a.bringBack(a.Context(), baseline); err == nil || a.group().Desired != 2 {
			a.Fatalf("desired capacity %d, error %v", a.group().Desired, err)
		}
		for range 2 {
			_, err := a.client.CancelReturn(a.Context(), group, a.ids[0], a.checkpoint)
			a.must(err)
		}
		a.configure(func(c *awssim.Config) { c.LaunchFailure = "" })
		a.settled(3, 3)
	})
}

func TestBringBack(t *testing.T) {
	for name, c := range map[string]struct {
		minimum, maximum int32
		prepare          func(*account) (baseline []string)
		calls            []string
		desired          int32
		inService        int
		note             string
	}{
		"no replacement can be launched": {1, 5, func(a *account) []string { a.configure(noLaunches); return a.onStandby() },
			[]string{"SetDesiredCapacity", "ExitStandby"}, 3, 3, ""},
		"no replacement can be launched, at the maximum": {1, 3, func(a *account) []string { a.configure(noLaunches); return a.onStandby() },
			[]string{"SetDesiredCapacity", "ExitStandby"}, 3, 3, ""},
		"no replacement can be launched, at the minimum": {3, 5, func(a *account) []string { a.configure(noLaunches); return a.onStandby() },
			[]string{"ExitStandby", "SetDesiredCapacity"}, 3, 3, ""},
		"the replacement serves": {1, 5, func(a *account) []string { return a.onStandby() },
			[]string{"ExitStandby"}, 4, 4, "desired capacity 4, one instance more than before"},
		"somebody lowered the capacity meanwhile": {1, 5, func(a *account) []string {
			a.configure(noLaunches)
			baseline := a.onStandby()
			_, err := a.groups.UpdateAutoScalingGroup(a.Context(), &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(group), DesiredCapacity: aws.Int32(2)})
			a.must(err)
			a.sim.ForgetCalls()
			return baseline
		}, []string{"ExitStandby"}, 3, 3, "one instance more than before"},
		"answers are lost": {1, 5, func(a *account) []string {
			a.configure(noLaunches)
			baseline := a.onStandby()
			a.must(a.sim.AddFaults(awssim.Fault{Action: "ExitStandby", Kind: "drop-after"}))
			return baseline
		}, []string{"SetDesiredCapacity", "ExitStandby"}, 3, 3, ""},
		"it never left service": {1, 5, func(a *account) []string { return a.ids }, nil, 3, 3, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inAccount(t, c.minimum, c.maximum, nil, func(a *account) {
				baseline := c.prepare(a)
				ctx, cancel := a.soon()
				defer cancel()
				note, err := a.bringBack(ctx, baseline)
				a.must(err)
				if !strings.Contains(note, c.note) || (note != "") != (c.note != "") {
					a.Errorf("note %q", note)
				}
				if diff := cmp.Diff(c.calls, a.actions()); diff != "" {
					a.Errorf("calls (-want +got):\n%s", diff)
				}
				a.configure(func(c *awssim.Config) { c.LaunchFailure = "" })
				a.settled(c.desired, c.inService)
				if l := a.target(a.ids[0]).Lifecycle(); l != asg.InService {
					a.Errorf("the instance is %s", l)
				}
			})
		})
	}
}

// The launch that failed for so long succeeds just when the node comes back, in a group that could not be lowered before.
func TestBringBackAtTheMinimumWhileALaunchSucceeds(t *testing.T) {
	inAccount(t, 3, 5, func(c *awssim.Config) { c.LaunchRetry = time.Second }, func(a *account) {
		a.configure(noLaunches)
		baseline := a.onStandby()
		a.configure(func(c *awssim.Config) { c.ExitingStandby = 10 * time.Minute })
		go func() {
			time.Sleep(time.Minute)
			a.configure(func(c *awssim.Config) { c.LaunchFailure = "" })
		}()
		ctx, cancel := a.soon()
		defer cancel()
		note, err := a.bringBack(ctx, baseline)
		a.must(err)
		if !strings.Contains(note, "one instance more than before") {
			a.Errorf("note %q, desired capacity %d", note, a.group().Desired)
		}
		a.settled(4, 4)
	})
}

// The launch succeeds while the call that lowers the desired capacity is on its way. Scale-in is suspended by the caller.
func TestBringBackWhileALaunchSucceeds(t *testing.T) {
	seenAtOnce := []string{"SetDesiredCapacity", "SetDesiredCapacity", "ExitStandby"}
	seenLater := []string{"SetDesiredCapacity", "ExitStandby", "SetDesiredCapacity"}
	for name, c := range map[string]struct {
		maximum int32
		stale   time.Duration
		calls   []string
		desired int32
		refused bool
	}{
		"seen at once":                         {5, 0, seenAtOnce, 4, false},
		"seen once the instance is back":       {5, time.Minute, seenLater, 4, false},
		"seen at once, at the maximum":         {3, 0, seenAtOnce, 3, true},
		"seen once it is back, at the maximum": {3, time.Minute, seenLater[:2], 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			inAccount(t, 1, c.maximum, func(c *awssim.Config) { c.LaunchRetry, c.ExitingStandby = time.Second, 2*time.Minute }, func(a *account) {
				a.configure(noLaunches)
				baseline := a.onStandby()
				_, err := a.groups.SuspendProcesses(a.Context(), &autoscaling.SuspendProcessesInput{AutoScalingGroupName: aws.String(group), ScalingProcesses: []string{asg.ScaleIn}})
				a.must(err)
				a.sim.ForgetCalls()
				a.must(a.sim.AddFaults(awssim.Fault{Action: "SetDesiredCapacity", Kind: awssim.FaultDelay, Delay: "1m"}))
				go func() {
					time.Sleep(40 * time.Second)
					a.configure(func(now *awssim.Config) { now.LaunchFailure, now.StaleReads = "", c.stale })
				}()
				ctx, cancel := a.soon()
				defer cancel()
				note, err := a.bringBack(ctx, baseline)
				if diff := cmp.Diff(c.calls, a.actions()); diff != "" {
					a.Errorf("calls (-want +got):\n%s", diff)
				}
				switch {
				case c.refused:
					if err == nil || !strings.Contains(hint.Of(err), "the group is at its maximum size 3") {
						a.Errorf("note %q, error %v", note, err)
					}
				case err != nil || !strings.Contains(note, "one instance more than before"):
					a.Errorf("note %q, error %v", note, err)
				default:
					a.must(a.client.Resume(a.Context(), group, asg.ScaleIn))
				}
				time.Sleep(time.Hour)
				a.configure(func(c *awssim.Config) { c.StaleReads = 0 })
				if g := a.group(); g.Desired != c.desired || len(g.Members) != 4 {
					a.Errorf("desired capacity %d, members %v", g.Desired, g.Members)
				}
			})
		})
	}
}

func TestBringBackOfWhatIsGone(t *testing.T) {
	inAccount(t, 1, 5, nil, func(a *account) {
		a.onStandby()
		_, _, err := a.client.Detach(a.Context(), asg.Group{Name: group}, a.ids[0], false, ready)
		a.must(err)
		if _, err := a.bringBack(a.Context(), a.ids); err == nil || !strings.Contains(err.Error(), "it is no longer a member of Auto Scaling group") {
			a.Errorf("error %v", err)
		}
	})
}

func TestBringBackWaitsOutAnEnteringStandby(t *testing.T) {
	inAccount(t, 1, 5, func(c *awssim.Config) { c.EnteringStandby = time.Hour }, func(a *account) {
		a.configure(noLaunches)
		baseline := a.onStandby()
		ctx, cancel := a.soon()
		defer cancel()
		var notDone *poll.NotDoneError
		if _, err := a.bringBack(ctx, baseline); !errors.As(err, &notDone) || !strings.Contains(err.Error(), "is EnteringStandby") {
			a.Errorf("error %v", err)
		}
		if actions := a.actions(); len(actions) > 0 {
			a.Errorf("calls %v", actions)
		}
	})
}

func TestBringBackDoesNothingWhileItCannotEnd(t *testing.T) {
	inAccount(t, 1, 5, nil, func(a *account) {
		a.configure(noLaunches)
		baseline := a.onStandby()
		_, err := a.groups.SuspendProcesses(a.Context(), &autoscaling.SuspendProcessesInput{AutoScalingGroupName: aws.String(group), ScalingProcesses: []string{"Launch"}})
		a.must(err)
		a.sim.ForgetCalls()
		if _, err := a.bringBack(a.Context(), baseline); err == nil || !strings.Contains(err.Error(), `process Launch of Auto Scaling group "workers" is suspended`) || !strings.Contains(hint.Of(err), "resume-processes") {
			a.Errorf("error %v, hint %q", err, hint.Of(err))
		}
		if actions := a.actions(); len(actions) > 0 {
			a.Errorf("calls %v", actions)
		}
	})
}

func TestBringBackThatIsRefusedPutsTheCapacityBack(t *testing.T) {
	inAccount(t, 1, 5, nil, func(a *account) {
		a.configure(noLaunches)
		baseline := a.onStandby()
		a.must(a.sim.AddFaults(awssim.Fault{Action: "ExitStandby", Kind: "error-before", Code: "AccessDenied"}))
		if _, err := a.bringBack(a.Context(), baseline); !awserr.IsDenied(err) {
			a.Errorf("error %v", err)
		}
		if g := a.group(); g.Desired != 3 {
			a.Errorf("desired capacity is %d", g.Desired)
		}
	})
}

func TestMayRetireChangesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		action asg.Action
		refuse string // the call that is refused
		denied bool
	}{
		"stop":                          {asg.Stop, "", false},
		"terminate":                     {asg.Terminate, "", false},
		"no permission to stop":         {asg.Stop, "StopInstances", true},
		"no permission to terminate":    {asg.Terminate, "TerminateInstances", true},
		"a permission that is not used": {asg.Stop, "TerminateInstances", false},
	} {
		t.Run(name, func(t *testing.T) {
			inAccount(t, 1, 5, nil, func(a *account) {
				before := a.target(a.ids[0]).Instance
				if c.refuse != "" {
					a.must(a.sim.AddFaults(awssim.Fault{Service: "ec2", Action: c.refuse, Kind: "error-before", Code: "UnauthorizedOperation"}))
				}
				err := a.client.MayRetire(a.Context(), a.ids[0], c.action)
				if awserr.IsDenied(err) != c.denied || (err != nil) != c.denied || (err != nil && !strings.Contains(hint.Of(err), "kubernetes.io/cluster/")) {
					a.Errorf("error %v, hint %q", err, hint.Of(err))
				}
				if diff := cmp.Diff(before, a.target(a.ids[0]).Instance); diff != "" {
					a.Errorf("instance (-before +after):\n%s", diff)
				}
			})
		})
	}
}

// An instance may be lost at any time of its return to service.
func TestWhatTheReturnOfALostInstanceLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		checkpoint asg.Checkpoint
		desired    int32 // that the group was left with
		want       int32
		note       bool
	}{
		"the capacity was lowered for it":              {asg.Checkpoint{Stage: asg.Lowering, Desired: 3, Weight: 1}, 2, 3, false},
		"it was about to be lowered":                   {asg.Checkpoint{Stage: asg.Lowering, Desired: 3, Weight: 1}, 3, 3, false},
		"it was back, and so was the capacity":         {asg.Checkpoint{Stage: asg.Exiting, Desired: 3, Weight: 1}, 3, 3, false},
		"somebody else has set it since":               {asg.Checkpoint{Stage: asg.Exiting, Desired: 5, Weight: 1}, 2, 2, false},
		"the capacity was raised for it":               {asg.Checkpoint{Stage: asg.Raising, Desired: 2, Weight: 1}, 3, 3, true},
		"a surplus was accepted for it":                {asg.Checkpoint{Stage: asg.Surplus, Desired: 3, Weight: 1}, 4, 4, true},
		"a surplus was to be accepted, but it was not": {asg.Checkpoint{Stage: asg.Surplus, Desired: 3, Weight: 1}, 3, 3, false},
		"nothing was begun":                            {asg.Checkpoint{}, 3, 3, false},
		"it is forged: no member weighs so much":       {asg.Checkpoint{Stage: asg.Lowering, Desired: 5, Weight: 2}, 3, 3, false},
		"it is forged: a negative weight":              {asg.Checkpoint{Stage: asg.Lowering, Desired: 1, Weight: -2}, 3, 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			inAccount(t, 1, 5, nil, func(a *account) {
				_, err := a.groups.UpdateAutoScalingGroup(a.Context(), &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(group), DesiredCapacity: &c.desired})
				a.must(err)
				note, err := a.client.CancelReturn(a.Context(), group, "i-0123456789abcdef0", c.checkpoint)
				a.must(err)
				if got := a.group().Desired; got != c.want || (note != "") != c.note {
					a.Errorf("desired capacity %d, note %q", got, note)
				}
			})
		})
	}
}

func TestACapacityThatWasEvenedOutIsNotLoweredAgain(t *testing.T) {
	inAccount(t, 3, 5, nil, func(a *account) {
		a.configure(noLaunches)
		baseline := a.onStandby()
		_, err := a.bringBack(a.Context(), baseline)
		a.must(err)
		_, err = a.groups.UpdateAutoScalingGroup(a.Context(), &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(group), DesiredCapacity: aws.Int32(4)})
		a.must(err)
		if _, err = a.bringBack(a.Context(), baseline); err != nil || a.group().Desired != 4 {
			a.Errorf("desired capacity %d, error %v", a.group().Desired, err)
		}
	})
}
