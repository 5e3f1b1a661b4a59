package contract

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// reporter is what a check needs of a *testing.T.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// shared is what one check leaves to the next.
type shared struct {
	simulated bool
	findings  []string

	standby     string // the instance on standby
	replacement string // the one launched for it
	detached    string
	waiting     string // the one that waits for a termination hook
	token       string // of its lifecycle action
}

// world is one check in progress.
type world struct {
	reporter
	*fixture
	*shared
	ctx context.Context
}

// play runs one check. A panic of it must not keep the run from cleaning up.
func (s *shared) play(ctx context.Context, r reporter, f *fixture, c check) {
	defer func() {
		if p := recover(); p != nil {
			r.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	c.run(&world{r, f, s, ctx})
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("%v", err)
	}
}

func (w *world) want(got, want any, what string) {
	w.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// soon waits for a value: what was changed can be read a moment later.
func (w *world) soon(what string, want any, read func() any) {
	w.Helper()
	w.eventually(fmt.Sprintf("%s is %v", what, want), func() (bool, string) {
		got := read()
		return fmt.Sprint(got) == fmt.Sprint(want), fmt.Sprintf("it is %v", got)
	})
}

// refused wants an error of AWS with its code, and a text somewhere in its message.
func (w *world) refused(err error, wantCode, text string) {
	w.Helper()
	if code(err) != wantCode || !strings.Contains(message(err), text) {
		w.Errorf("got error %v, want %s: … %s …", err, wantCode, text)
	}
}

// unsettled compares an answer for which there is no source. The simulator gives the one that is expected; AWS may not.
func (w *world) unsettled(question, got, want string) {
	w.Helper()
	switch {
	case got == want:
	case w.simulated:
		w.Errorf("%s: got %s, want %s", question, got, want)
	default:
		w.findings = append(w.findings, fmt.Sprintf("%s: AWS answers %q, the simulator %q", question, got, want))
	}
}

// need ends a check whose instance an earlier check did not provide.
func (w *world) need(id, what string) string {
	w.Helper()
	if id == "" {
		w.Fatalf("an earlier check failed: there is no instance %s", what)
	}
	return id
}

// eventually polls until a condition holds twice in a row: an answer of AWS can be older than the one before it.
func (w *world) eventually(what string, condition func() (holds bool, status string)) {
	w.Helper()
	before := false
	w.once(what, func() (bool, string) {
		holds, status := condition()
		done := holds && before
		before = holds
		return done, status
	})
}

// once polls until a condition holds: for one that changes something, such as a call that is to be accepted.
func (w *world) once(what string, condition func() (holds bool, status string)) {
	w.Helper()
	w.ok(w.until(w.ctx, what, func(context.Context) (bool, string, error) {
		holds, status := condition()
		return holds, status, nil
	}))
}

func (w *world) group() *astypes.AutoScalingGroup {
	w.Helper()
	g, err := w.describe(w.ctx)
	w.ok(err)
	if g == nil {
		w.Fatalf("group %s is not there", w.name())
	}
	return g
}

func (w *world) desired() int32 {
	w.Helper()
	return aws.ToInt32(w.group().DesiredCapacity)
}

// members are the ids of the group's members in any of some lifecycle states, or of all.
func (w *world) members(states ...astypes.LifecycleState) []string {
	w.Helper()
	var ids []string
	for _, i := range w.group().Instances {
		if len(states) == 0 || slices.Contains(states, i.LifecycleState) {
			ids = append(ids, aws.ToString(i.InstanceId))
		}
	}
	slices.Sort(ids)
	return ids
}

// lifecycle is the state of a member, or "" of what is none.
func (w *world) lifecycle(id string) string {
	w.Helper()
	out, err := w.asg.DescribeAutoScalingInstances(w.ctx, &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: []string{id}})
	w.ok(err)
	if len(out.AutoScalingInstances) == 0 {
		return ""
	}
	return aws.ToString(out.AutoScalingInstances[0].LifecycleState)
}

func (w *world) becomes(id, state string) {
	w.Helper()
	w.eventually(fmt.Sprintf("instance %s is %q", id, state), func() (bool, string) {
		now := w.lifecycle(id)
		return now == state, "it is " + now
	})
}

// inService waits until exactly so many members are in service and no other is on its way in or out.
func (w *world) inService(n int) []string {
	w.Helper()
	var ids []string
	w.eventually(fmt.Sprintf("%d instances are in service", n), func() (bool, string) {
		ids = w.members(astypes.LifecycleStateInService)
		settled := append(w.members(astypes.LifecycleStateStandby), ids...)
		all := w.members()
		return len(ids) == n && len(settled) == len(all), fmt.Sprintf("%v are in service, of %v", ids, all)
	})
	return ids
}

// newcomer waits for a member in service that was none before, and returns its id.
func (w *world) newcomer(before []string) string {
	w.Helper()
	id := ""
	w.eventually("a replacement is in service", func() (bool, string) {
		serving := w.members(astypes.LifecycleStateInService)
		i := slices.IndexFunc(serving, func(id string) bool { return !slices.Contains(before, id) })
		if i >= 0 {
			id = serving[i]
		}
		return i >= 0, fmt.Sprintf("%v are in service, %v were members", serving, before)
	})
	return id
}

func (w *world) instance(id string) ec2types.Instance {
	w.Helper()
	out, err := w.ec2.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	w.ok(err)
	if len(out.Reservations) == 0 || len(out.Reservations[0].Instances) == 0 {
		w.Fatalf("EC2 shows no instance %s", id)
	}
	return out.Reservations[0].Instances[0]
}

func tagOf(i ec2types.Instance, key string) string {
	for _, t := range i.Tags {
		if aws.ToString(t.Key) == key {
			return aws.ToString(t.Value)
		}
	}
	return ""
}
