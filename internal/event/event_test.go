package event_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/eks-recycle/eks-recycle/internal/event"
	"github.com/eks-recycle/eks-recycle/test/events"
)

// spotEvent is an interruption notice whose detail ends with more.
func spotEvent(more string) string {
	return fmt.Sprintf(`{"detail-type": "EC2 Spot Instance Interruption Warning", "source": "aws.ec2", "account": "000000000000", "time": "2026-01-31T22:15:04Z",
		"region": "eu-central-1", "detail": {"instance-action": "terminate", "instance-id": "i-0a1b2c3d4e5f60718"%s}}`, more)
}

// Bodies that AWS never sends.
func TestBodiesThatAreNoEvents(t *testing.T) {
	for name, c := range map[string]struct{ body, reason string }{
		"nothing":                     {"", "the body is empty"},
		"blanks":                      {" \n", "the body is empty"},
		"a text":                      {"hello", "the body is no JSON: "},
		"half an object":              {`{"detail-type":`, "the body is no JSON: unexpected end"},
		"two objects":                 {`{}{}`, "the body is no JSON: "},
		"null":                        {"null", "the body is null, expected a JSON object"},
		"a list":                      {"[]", "the body is a list, expected a JSON object"},
		"not UTF-8":                   {"{\"detail-type\": \"\xff\"}", "the body is not UTF-8"},
		"one byte too many":           {spotEvent("") + strings.Repeat(" ", event.MaxBody+1-len(spotEvent(""))), "the body has more than 96000 bytes"},
		"a key twice":                 {spotEvent(`, "instance-id": "i-0a1b2c3d4e5f60719"`), `the key "detail.instance-id" is there twice`},
		"a key twice, once escaped":   {spotEvent(`, "instance\u002did": "i-0a1b2c3d4e5f60719"`), `the key "detail.instance-id" is there twice`},
		"a key twice within a list":   {`{"resources": [1, {"a": {"b": 1, "b": 1}}]}`, `the key "resources[1].a.b" is there twice`},
		"nested deeply":               {strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), "the body is no JSON that can be read: it is nested more than 32 deep"},
		"a key in another case":       {strings.Replace(spotEvent(""), "instance-id", "Instance-Id", 1), "detail.instance-id is missing"},
		"half a character":            {strings.Replace(spotEvent(""), "i-0a", `\ud800i-0a`, 1), "detail.instance-id is"},
		"other digits":                {strings.Replace(spotEvent(""), "i-0a", "i-٠a", 1), `detail.instance-id is "i-٠a1b2c3d4e5f60718", expected`},
		"a list for detail":           {`{"detail-type": "EC2 Instance Rebalance Recommendation", "source": "aws.ec2", "account": "000000000000", "region": "eu-central-1", "time": "2026-01-31T22:15:04Z", "detail": []}`, "detail is a list, expected an object"},
		"a message of SNS that is no": {`{"Type": "Notification", "TopicArn": "t", "Message": {}}`, "Message is an object, expected a string"},
	} {
		t.Run(name, func(t *testing.T) {
			order, err := ours.Decide([]byte(c.body))
			var dropped *event.DroppedError
			if !errors.As(err, &dropped) || !strings.Contains(dropped.Reason, c.reason) {
				t.Errorf("starts %+v, error %v, expected a reason with %q", order, err, c.reason)
			}
		})
	}
}

func TestALongestBodyIsTaken(t *testing.T) {
	body := spotEvent("")
	if _, err := ours.Decide([]byte(body + strings.Repeat(" ", event.MaxBody-len(body)))); err != nil {
		t.Error(err)
	}
}

// Times that the form of RFC 3339 allows or forbids, and that time.Parse by itself sees otherwise.
func TestTimes(t *testing.T) {
	for at, good := range map[string]bool{
		"2026-01-31T22:15:04Z": true, "2026-01-31T22:15:04.123456789Z": true, "2026-01-31T22:15:04+05:30": true, "2024-02-29T00:00:00Z": true,
		"2026-01-31T22:15:04+24:00": false, "2026-01-31T22:15:04-05:60": false, "2026-01-31T22:15:60Z": false, "2025-02-29T00:00:00Z": false, "2026-01-31T22:15:04,5Z": false, "2026-01-31t22:15:04z": false, "2026-01-31T2:15:04Z": false, "2026-01-31T24:00:00Z": false,
		"2026-01-31 22:15:04Z": false, "2026-01-31T22:15:04+0000": false, "2026-01-31T22:15:04Z\n": false, "1769897704": false, "": false,
	} {
		body := strings.Replace(spotEvent(""), "2026-01-31T22:15:04Z", strings.ReplaceAll(at, "\n", `\n`), 1)
		if order, err := ours.Decide([]byte(body)); (err == nil) != good || (good && order[0].Parameters["noticed-at"] != at) {
			t.Errorf("%q: %+v, %v", at, order, err)
		}
	}
}

// Both ways in which one change of an alarm's state can come start one workflow.
func TestAnAlarmThatComesBothWaysStartsOneWorkflow(t *testing.T) {
	names := map[string]bool{}
	for _, f := range events.All(t) {
		if slices.Contains([]string{"alarm-instance", "alarm-sns", "alarm-sns-raw"}, f.Name) {
			names[f.Starts[0].Name] = true
		}
	}
	if len(names) != 1 {
		t.Errorf("workflows %v", names)
	}
}

func TestAReceiverWithoutSettingsTakesAny(t *testing.T) {
	for _, f := range events.All(t) {
		all, err := event.Receiver{}.Decide(f.Body)
		switch {
		case f.Webhook:
		case len(f.Starts) > 0 && (err != nil || all[0].Name != f.Starts[0].Name):
			t.Errorf("%s: %+v, %v", f.Name, all, err)
		case slices.Contains([]string{"termination-of-another-account", "termination-of-another-region", "termination-of-another-hook", "spot-of-another-account", "alarm-of-another-account"}, f.Name) && err != nil:
			t.Errorf("%s: %v", f.Name, err)
		case strings.HasPrefix(f.Name, "alarm-with-the-arn") && err == nil:
			t.Errorf("%s starts %+v", f.Name, all)
		}
	}
}

// The same event makes the same names however it comes, and another event of the same instance other ones.
func TestNames(t *testing.T) {
	names := map[string]string{} // of fixtures
	for _, f := range events.All(t) {
		if len(f.Starts) > 0 {
			names[f.Name] = f.Starts[0].Name
		}
	}
	for _, same := range [][]string{
		{"termination", "termination-sns", "termination-year-9999", "hook", "hook-sns"}, {"health-retirement", "health-updated"}, {"webhook-by-key", "webhook-other-order"},
	} {
		for _, other := range same[1:] {
			if names[same[0]] == "" || names[other] != names[same[0]] {
				t.Errorf("%s starts %s, %s starts %s", same[0], names[same[0]], other, names[other])
			}
		}
	}
	seen := map[string]string{}
	for _, different := range []string{
		"termination", "termination-second-action", "termination-short-token", "termination-without-token", "spot", "spot-again-a-week-later", "spot-year-9999",
		"health-retirement", "health-rescheduled", "webhook-by-key", "webhook",
	} {
		if name := names[different]; name == "" || seen[name] != "" {
			t.Errorf("%s and %s start %s", different, seen[name], name)
		}
		seen[names[different]] = different
	}
	body := []byte(`{"request": {"node": "n"}, "idempotencyKey": ""}`)
	first, _ := ours.DecideRequest(body, "1")
	again, _ := ours.DecideRequest(body, "1")
	other, _ := ours.DecideRequest(body, "2")
	if first[0].Name != again[0].Name || first[0].Name == other[0].Name {
		t.Errorf("requests: %s, again %s, another %s", first[0].Name, again[0].Name, other[0].Name)
	}
}

// template reads the names of a WorkflowTemplate's parameters.
func template(t *testing.T, name string) (parameters []string) {
	t.Helper()
	data, err := os.ReadFile("../../workflows/base/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	var wt struct {
		Spec struct {
			Arguments struct{ Parameters []struct{ Name string } }
		}
	}
	if err := yaml.Unmarshal(data, &wt); err != nil {
		t.Fatal(err)
	}
	for _, p := range wt.Spec.Arguments.Parameters {
		parameters = append(parameters, p.Name)
	}
	return parameters
}

// A request may be allowed each parameter of recycle-node but fleet, cluster and region, and no other.
func TestWhatARequestMayBeAllowed(t *testing.T) {
	all := template(t, event.RecycleNode)
	if len(all) < 10 {
		t.Errorf("%s has the parameters %q", event.RecycleNode, all)
	}
	var want []string
	for _, name := range all {
		if !slices.Contains([]string{"instance-id", "node", "dry-run", "fleet", "cluster", "region"}, name) {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	if got := slices.Sorted(slices.Values(event.RequestParameters())); !slices.Equal(got, want) {
		t.Errorf("may be allowed: %q, want %q", got, want)
	}
}

// What events start has the parameters that they pass on.
func TestTemplatesHaveTheParametersOfEvents(t *testing.T) {
	declared := map[string][]string{}
	for _, f := range events.All(t) {
		for _, e := range f.Starts {
			if declared[e.Template] == nil {
				declared[e.Template] = template(t, e.Template)
			}
			for name := range e.Parameters {
				if !slices.Contains(declared[e.Template], name) {
					t.Errorf("%s: %s has no parameter %q", f.Name, e.Template, name)
				}
			}
		}
	}
	if len(declared) != 4 {
		t.Errorf("templates %v", declared)
	}
}
