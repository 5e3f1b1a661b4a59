package event_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/eks-recycle/eks-recycle/internal/event"
	"github.com/eks-recycle/eks-recycle/test/events"
)

// known are the parameters that a decision for a template has; for the others it has some of these.
var known = map[string][]string{
	event.DrainTerminating: {"asg-name", "instance-id", "lifecycle-began", "lifecycle-hook"},
	event.DrainInterrupted: {"instance-id", "noticed-at"},
}

// valid says, by other means than the package's own, that a decision can be what it is said to be.
func valid(t *testing.T, order event.Decision) {
	t.Helper()
	if problems := validation.IsDNS1123Subdomain(order.Name); len(problems) > 0 || len(order.Name) > 63 {
		t.Errorf("workflow %q: %v", order.Name, problems)
	}
	if want, found := known[order.Template]; found {
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(order.Parameters)); !slices.Equal(got, want) {
			t.Errorf("%s with the parameters %q", order.Template, got)
		}
	} else if order.Template != event.RecycleNode && order.Template != event.RecycleQueued {
		t.Errorf("template %q", order.Template)
	}
	for name, value := range order.Parameters {
		if !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) && !unicode.Is(unicode.M, r) }) {
			t.Errorf("%s: %q", name, value)
		}
		if strings.Contains(value, "{{") || len(value) > 4*1000 {
			t.Errorf("%s: %q", name, value)
		}
	}
	id := order.Parameters["instance-id"]
	digits, prefixed := strings.CutPrefix(id, "i-")
	if id != "" && (!prefixed || strings.Trim(digits, "0123456789abcdef") != "" || (len(digits) != 8 && len(digits) != 17)) {
		t.Errorf("instance %q", id)
	}
	if id == "" && order.Parameters["asg-name"] == "" && order.Parameters["node"] == "" {
		t.Errorf("nobody is meant: %+v", order)
	}
}

// accounts are all that a body says it is of, in itself or in what SNS wraps, read with encoding/json.
func accounts(body []byte) (all []string) {
	var top map[string]any
	_ = json.Unmarshal(body, &top) // what is no object has none
	if message, ok := top["Message"].(string); ok {
		all = append(all, accounts([]byte(message))...)
	}
	for _, key := range []string{"account", "AccountId", "AWSAccountId"} {
		if account, ok := top[key].(string); ok {
			all = append(all, account)
		}
	}
	return all
}

// Whatever comes out of the queue or over the webhook: it is dropped for a reason that fits on a line, or starts what can be
// started, of the configured account, and the same thing each time.
func FuzzDecide(f *testing.F) {
	for _, x := range events.All(f) {
		f.Add(x.Message(), x.Webhook)
	}
	for _, body := range []string{"", "null", "{}", "[[[", spotEvent(`, "instance-id": "i-1"`), `{"TopicArn": "", "Message": "{}"}`, `{"request": {"node": "n", "cluster": "\u2028"}, "idempotencyKey": ""}`} {
		f.Add([]byte(body), false)
		f.Add([]byte(body), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, webhook bool) {
		decide := func(r event.Receiver) ([]event.Decision, error) {
			if webhook {
				r.Parameters = event.RequestParameters()
				return r.DecideRequest(body, receipt)
			}
			return r.Decide(body)
		}
		all, err := decide(ours)
		again, _ := decide(ours)
		if diff := cmp.Diff(all, again); diff != "" {
			t.Errorf("twice: %s", diff)
		}
		if err != nil {
			var dropped *event.DroppedError
			if !errors.As(err, &dropped) || dropped.Reason == "" || len(dropped.Reason) > 2000 || strings.ContainsFunc(dropped.Reason, unicode.IsControl) {
				t.Errorf("no reason for people: %q", err)
			}
			if len(all) > 0 {
				t.Errorf("dropped, and starts %+v", all)
			}
			return
		}
		for _, d := range all {
			valid(t, d)
		}
		if webhook {
			return
		}
		if !slices.Contains(accounts(body), events.Account) {
			t.Errorf("started for the accounts %q", accounts(body))
		}
		for _, other := range []event.Receiver{{Account: "210987654321", Region: ours.Region}, {Account: "210987654321"}} {
			if all, err := decide(other); err == nil {
				t.Errorf("another account's receiver starts %+v", all)
			}
		}
		if loose, err := decide(event.Receiver{}); err != nil || loose[0].Name != all[0].Name {
			t.Errorf("a receiver of anything starts %+v, %v", loose, err)
		}
	})
}
