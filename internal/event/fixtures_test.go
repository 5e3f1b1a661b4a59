package event_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/event"
	"github.com/eks-recycle/eks-recycle/test/events"
)

var update = flag.Bool("update", false, "write what the fixtures start anew")

// receipt tells one delivery of a request from another.
const receipt = "0e6f3a52-27b7-4c0b-9f0e-6c5f3f0f4f3a"

var ours = event.Receiver{Account: events.Account, Region: events.Region, Hook: events.Hook, AlarmCoolDown: events.AlarmCoolDown}

func decide(f events.Fixture) ([]events.Event, error) {
	r := ours
	r.Parameters = f.Allowed
	decide := r.Decide
	if f.Webhook {
		decide = func(body []byte) ([]event.Decision, error) { return r.DecideRequest(body, receipt) }
	}
	all, err := decide(f.Message())
	var starts []events.Event
	for _, d := range all {
		starts = append(starts, events.Event{Kind: string(d.Kind), Template: d.Template, Name: d.Name, Parameters: d.Parameters})
	}
	return starts, err
}

func TestFixtures(t *testing.T) {
	all := events.All(t)
	if len(all) < 100 {
		t.Errorf("%d fixtures", len(all))
	}
	for _, f := range all {
		t.Run(f.Name, func(t *testing.T) {
			starts, err := decide(f)
			if f.Dropped != "" {
				if err == nil || !strings.Contains(err.Error(), f.Dropped) {
					t.Errorf("starts %+v, error %v, expected a reason with %q", starts, err, f.Dropped)
				}
				return
			}
			if *update {
				f.Starts = starts
				write(t, f)
			}
			if diff := cmp.Diff(f.Starts, starts); diff != "" || err != nil || len(starts) == 0 {
				t.Errorf("error %v, starts (-want +got):\n%s", err, diff)
			}
		})
	}
}

func write(t *testing.T, f events.Fixture) {
	t.Helper()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(f); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("../../test/events/"+f.Name+".want.json", out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
