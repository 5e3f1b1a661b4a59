package contract

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// record is a reporter that keeps what a check reports.
type record struct {
	failures []string
}

func (*record) Helper()             {}
func (*record) Logf(string, ...any) {}

func (r *record) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *record) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// failing runs the suite against a simulator and returns the names of the checks that fail.
func failing(t *testing.T, simulated bool, change func(*awssim.Config), before func(*simulated)) (names []string, findings []string) {
	t.Helper()
	s := newSimulated(t, change)
	if before != nil {
		before(s)
	}
	err := s.account().run(t.Context(), func(ctx context.Context, f *fixture) {
		if simulated { // something is to fail
			f.patience = 300 * time.Millisecond
		}
		shared := &shared{simulated: simulated}
		for _, c := range suite() {
			var r record
			done := make(chan struct{})
			go func() {
				defer close(done)
				shared.play(ctx, &r, f, c)
			}()
			<-done
			if len(r.failures) > 0 {
				names = append(names, c.name)
			}
		}
		findings = shared.findings
	})
	if err != nil {
		t.Error(err)
	}
	s.nothingRemains(t)
	return names, findings
}

// The suite notices an AWS that is another than it says.
func TestTheSuiteNoticesAnotherAWS(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*awssim.Config)
		before func(*simulated)
		fails  string // among those that fail
	}{
		{"that refuses to detach from Standby", func(c *awssim.Config) { c.DetachFromStandby = awssim.DetachRefuse }, nil,
			"DetachInstances without decrement from Standby leaves desired capacity and the other members as they are"},
		{"that exits standby past the maximum size", func(c *awssim.Config) { c.ExitStandbyAtMax = awssim.AtMaxAllow }, nil,
			"ExitStandby that would pass the maximum size is refused"},
		{"that takes no heartbeats", nil, func(s *simulated) { s.deny["RecordLifecycleActionHeartbeat"] = true },
			"a heartbeat is taken by instance id and by token"},
		{"that suspends nothing", nil, func(s *simulated) { s.deny["SuspendProcesses"] = true },
			"while Launch is suspended EnterStandby is accepted, and no replacement is launched"},
	} {
		t.Run(c.name, func(t *testing.T) {
			names, _ := failing(t, true, c.change, c.before)
			if !slices.Contains(names, c.fails) {
				t.Errorf("%v fail, want %q among them", names, c.fails)
			}
		})
	}
}

// What no source settles fails nothing in a real account, and is said.
func TestWhatIsUnsettledIsSaid(t *testing.T) {
	names, findings := failing(t, false, func(c *awssim.Config) { c.ExitStandbyAtMax = awssim.AtMaxAllow }, nil)
	if len(names) > 0 {
		t.Errorf("%v fail", names)
	}
	if want := `is ExitStandby at the maximum size refused: AWS answers "no", the simulator "yes"`; !slices.Contains(findings, want) {
		t.Errorf("findings are %q, want %q", findings, want)
	}
}

// A real account is busier than the simulator.
func TestTheSuiteHolds(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*awssim.Config)
	}{
		{"where answers lag behind", func(c *awssim.Config) { c.StaleReads = 2 * time.Millisecond }},
		{"where calls are throttled and fail", func(c *awssim.Config) {
			c.FaultRate = 0.03
			c.FaultKinds = []string{awssim.ChanceThrottling, awssim.ChanceScalingActivity, awssim.ChanceContention, awssim.FaultErrorBefore}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			names, findings := failing(t, false, c.change, nil)
			if len(names)+len(findings) > 0 {
				t.Errorf("%v fail, findings %q", names, findings)
			}
		})
	}
}

func TestPanicOfACheckFailsItAlone(t *testing.T) {
	var r record
	new(shared).play(t.Context(), &r, &fixture{}, check{"boom", func(*world) { panic("boom") }})
	if len(r.failures) != 1 || !strings.HasPrefix(r.failures[0], "panic: boom\n") {
		t.Errorf("reported %q, want the panic", r.failures)
	}
}
