// Package contract says what a recycle relies on of AWS, one sentence at a time, and holds AWS to it. Every run of the tests
// holds the simulator to it. With CONTRACT_AWS=1 the same checks run in a real account; CONTRIBUTING.md says how.
//
// The checks share one group and are in order: the instance that one of them puts on standby is the one that the next brings
// back. What no source settles is not failed in a real account, but said at the end of the run.
package contract

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// check is one sentence about AWS.
type check struct {
	name string
	run  func(*world)
}

// suite is the contract.
func suite() []check {
	return slices.Concat(ec2Checks(), requestChecks(), standbyChecks(), detachChecks(), suspendChecks(), hookChecks(), readChecks())
}

func TestContract(t *testing.T) {
	if os.Getenv("CONTRACT_AWS") == "" {
		s := newSimulated(t, nil)
		if err := s.account().run(t.Context(), playing(t, os.Stderr, true)); err != nil {
			t.Fatal(err)
		}
		s.permissionsAreDocumented(t)
		return
	}
	if _, limited := t.Deadline(); limited {
		t.Fatal("use make contract: go test ends a run that takes longer than its -timeout without cleaning up")
	}
	a, err := fromEnvironment(t.Context(), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.run(t.Context(), playing(t, a.out, false)); err != nil {
		t.Fatal(err)
	}
}

// playing runs the suite as subtests.
func playing(t *testing.T, out io.Writer, simulated bool) func(context.Context, *fixture) {
	return func(ctx context.Context, f *fixture) {
		shared := &shared{simulated: simulated}
		all := suite()
		for i, c := range all {
			if ctx.Err() != nil {
				t.Errorf("%d of %d checks were not run", len(all)-i, len(all))
				break
			}
			t.Run(c.name, func(t *testing.T) { shared.play(ctx, t, f, c) })
		}
		if len(shared.findings) > 0 {
			fmt.Fprintf(out, "\nWhat no source settles, and AWS answers otherwise than the simulator:\n  %s\n", strings.Join(shared.findings, "\n  "))
		}
	}
}

// permissionsAreDocumented compares the calls of a run with what CONTRIBUTING.md says that it needs.
func (s *simulated) permissionsAreDocumented(t *testing.T) {
	t.Helper()
	page, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	for action := range s.used {
		if !strings.Contains(string(page), "`"+action+"`") {
			t.Errorf("CONTRIBUTING.md does not say that a run needs %s", action)
		}
	}
}
