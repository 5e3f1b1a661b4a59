package event_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/event"
	"github.com/eks-recycle/eks-recycle/test/events"
)

var ours = event.Receiver{Account: events.Account, Region: events.Region}

func decide(f events.Fixture) (event.Decision, error) {
	if f.Webhook {
		return event.Webhook(f.Body, f.IdempotencyKey)
	}
	return ours.Decide(f.Body)
}

func TestFixtures(t *testing.T) {
	all := events.All(t)
	if len(all) < 50 {
		t.Errorf("%d fixtures", len(all))
	}
	for _, f := range all {
		t.Run(f.Name, func(t *testing.T) {
			order, err := decide(f)
			if f.Event == nil {
				if err == nil || !strings.Contains(err.Error(), f.Dropped) {
					t.Errorf("starts %+v, error %v, expected a reason with %q", order, err, f.Dropped)
				}
				return
			}
			if diff := cmp.Diff(event.Decision(*f.Event), order); diff != "" || err != nil {
				t.Errorf("error %v, order (-want +got):\n%s", err, diff)
			}
		})
	}
}
