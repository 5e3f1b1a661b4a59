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

// Bodies that AWS never sends, and of which a Sensor sees only what its decoder leaves of them.
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
		"one byte too many":           {spotEvent("") + strings.Repeat(" ", event.MaxBody+1-len(spotEvent(""))), "the body has more than 262144 bytes"},
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

func TestALongRequestIsDropped(t *testing.T) {
	body := `{"node": "n"}`
	for blanks, good := range map[int]bool{event.MaxRequest - len(body): true, event.MaxRequest + 1 - len(body): false} {
		if order, err := event.Webhook([]byte(body+strings.Repeat(" ", blanks)), ""); (err == nil) != good {
			t.Errorf("%d blanks: %+v, %v", blanks, order, err)
		}
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
		if order, err := ours.Decide([]byte(body)); (err == nil) != good || (good && order.Parameters["noticed-at"] != at) {
			t.Errorf("%q: %+v, %v", at, order, err)
		}
	}
}

// Both ways in which one change of an alarm's state can come start one workflow.
func TestAnAlarmThatComesBothWaysStartsOneWorkflow(t *testing.T) {
	names := map[string]bool{}
	for _, f := range events.All(t) {
		if slices.Contains([]string{"alarm-instance", "alarm-sns", "alarm-sns-raw"}, f.Name) {
			names[f.Event.Name] = true
		}
	}
	if len(names) != 1 {
		t.Errorf("workflows %v", names)
	}
}

func TestAReceiverWithoutAccountAndRegionTakesAny(t *testing.T) {
	for _, f := range events.All(t) {
		order, err := event.Receiver{}.Decide(f.Body)
		switch {
		case f.Webhook:
		case f.Event != nil && (err != nil || order.Name != f.Event.Name):
			t.Errorf("%s: %+v, %v", f.Name, order, err)
		case slices.Contains([]string{"termination-of-another-account", "termination-of-another-region", "spot-of-another-account", "alarm-of-another-account"}, f.Name) && err != nil:
			t.Errorf("%s: %v", f.Name, err)
		case strings.HasPrefix(f.Name, "alarm-with-the-arn") && err == nil:
			t.Errorf("%s starts %+v", f.Name, order)
		}
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

// A request may set each parameter of recycle-node but fleet, and no other.
func TestParametersOfARequestAreThoseOfRecycleNode(t *testing.T) {
	all := template(t, event.RecycleNode)
	if len(all) < 10 {
		t.Errorf("%s has the parameters %q", event.RecycleNode, all)
	}
	for _, name := range all {
		value := map[string]string{"instance-id": "i-0a1b2c3d", "node": "n"}[name]
		body := fmt.Sprintf(`{"instance-id": "i-0a1b2c3d", %q: %q}`, name, value)
		switch name {
		case "instance-id", "node":
			body = fmt.Sprintf(`{%q: %q}`, name, value)
		}
		_, err := event.Webhook([]byte(body), "")
		if (err == nil) != (name != "fleet") {
			t.Errorf("%s: %v", body, err)
		}
	}
	order, err := event.Webhook([]byte(`{"instance-id": "i-0a1b2c3d", "template": "x"}`), "")
	if err == nil {
		t.Errorf("starts %+v", order)
	}
	for _, name := range strings.Split(strings.SplitAfter(err.Error(), "some of ")[1], ", ") {
		if !slices.Contains(all, name) {
			t.Errorf("%s has no parameter %q", event.RecycleNode, name)
		}
	}
}
