package asg_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

func TestScheduledEvents(t *testing.T) {
	for name, c := range map[string]struct {
		description string
		stopped     bool
		want        int
	}{
		"one to come": {"degraded hardware", false, 1},
		"one to come, of an instance that does not run": {"degraded hardware", true, 1},
		"one that is completed":                         {"[Completed] degraded hardware", false, 0},
		"one that is canceled":                          {"[Canceled] degraded hardware", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inAccount(t, 1, 5, nil, func(a *account) {
				at := time.Now().Add(14 * 24 * time.Hour).UTC().Truncate(time.Second)
				a.must(a.sim.ScheduleEvent(a.ids[0], awssim.ScheduledEvent{Code: "instance-retirement", Description: c.description, NotBefore: at}))
				if c.stopped {
					a.must(a.sim.ActOutside(a.ids[0], "stop"))
					time.Sleep(time.Minute)
				}
				var want []asg.ScheduledEvent
				for range c.want {
					want = append(want, asg.ScheduledEvent{Code: "instance-retirement", NotBefore: at})
				}
				got, err := a.client.ScheduledEvents(a.Context(), a.ids[0])
				a.must(err)
				if diff := cmp.Diff(want, got); diff != "" {
					a.Errorf("events (-want +got):\n%s", diff)
				}
				if got, err := a.client.ScheduledEvents(a.Context(), a.ids[1]); err != nil || len(got) > 0 {
					a.Errorf("of another instance: %v, %v", got, err)
				}
			})
		})
	}
}

func TestScheduledEventsThatCannotBeRead(t *testing.T) {
	inAccount(t, 1, 5, nil, func(a *account) {
		if _, err := a.client.ScheduledEvents(a.Context(), "i-00000000000000000"); !errors.Is(err, asg.ErrUnknown) {
			a.Errorf("of an unknown instance: error %v", err)
		}
		a.must(a.sim.AddFaults(awssim.Fault{Action: "DescribeInstanceStatus", Kind: "error-before", Code: "UnauthorizedOperation", Status: 403}))
		_, err := a.client.ScheduledEvents(a.Context(), a.ids[0])
		if errors.Is(err, asg.ErrUnknown) || err == nil || !strings.Contains(err.Error(), `describing the status of instance "`+a.ids[0]+`"`) {
			a.Errorf("without the permission: error %v", err)
		}
	})
}
