package awssim_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	bustypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// policy of a queue that lets a service send for an ARN.
func policy(queue, service, arn string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"s","Effect":"Allow","Principal":{"Service":%q},"Action":"sqs:SendMessage",
		"Resource":"arn:aws:sqs:eu-central-1:000000000000:%s","Condition":{"ArnEquals":{"aws:SourceArn":%q},"StringEquals":{"aws:SourceAccount":"000000000000"}}}]}`, service, queue, arn)
}

// target is a queue as the notification target of a hook.
func (w *world) target(queue string) func(*autoscaling.PutLifecycleHookInput) {
	return func(in *autoscaling.PutLifecycleHookInput) {
		in.NotificationTargetARN = aws.String("arn:aws:sqs:eu-central-1:000000000000:" + queue)
		in.RoleARN = aws.String("arn:aws:iam::000000000000:role/notify")
	}
}

// rule has events that match a pattern sent to a queue of the name given.
func (w *world) rule(name, pattern string) {
	w.Helper()
	w.queue(name, map[string]string{"Policy": policy(name, "events.amazonaws.com", "arn:aws:events:eu-central-1:000000000000:rule/"+name)})
	out, err := w.bus.PutRule(w.ctx, &eventbridge.PutRuleInput{Name: &name, EventPattern: &pattern})
	w.ok(err)
	w.want(*out.RuleArn, "arn:aws:events:eu-central-1:000000000000:rule/"+name, "rule")
	put, err := w.bus.PutTargets(w.ctx, &eventbridge.PutTargetsInput{Rule: &name, Targets: []bustypes.Target{{Id: aws.String("queue"), Arn: aws.String("arn:aws:sqs:eu-central-1:000000000000:" + name)}}})
	w.ok(err)
	w.want(put.FailedEntryCount, 0, "targets refused")
}

// last is the newest message of a queue, decoded.
func (w *world) last(queue string) map[string]any {
	w.Helper()
	messages, err := w.sim.Messages(queue)
	w.ok(err)
	if len(messages) == 0 {
		w.Fatalf("queue %q is empty", queue)
	}
	var doc map[string]any
	w.ok(json.Unmarshal([]byte(messages[len(messages)-1].Body), &doc))
	return doc
}

// token is that of the newest notice in a hook's target.
func (w *world) token(queue string) string {
	w.Helper()
	token, _ := w.last(queue)["LifecycleActionToken"].(string)
	return token
}

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

var uuids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}`)

// same compares a message with one in which ID stands for each UUID.
func (w *world) same(queue, want string) {
	w.Helper()
	messages, err := w.sim.Messages(queue)
	w.ok(err)
	if len(messages) == 0 {
		w.Fatalf("queue %q is empty", queue)
	}
	got := uuids.ReplaceAllString(messages[len(messages)-1].Body, "ID")
	if diff := cmp.Diff(object(w.T, uuids.ReplaceAllString(want, "ID")), object(w.T, got)); diff != "" {
		w.Errorf("message in %q (-want +got):\n%s", queue, diff)
	}
}

func TestLifecycleEvents(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ids := w.group(1, 4, 3)
		group := w.sim.State().Groups[0].ARN
		w.rule("leaving", `{"source":["aws.autoscaling"],"detail-type":["EC2 Instance-terminate Lifecycle Action"]}`)
		w.rule("coming", `{"source":["aws.autoscaling"],"detail-type":["EC2 Instance-launch Lifecycle Action"]}`)
		w.queue("own", nil)
		w.hook("hook", 120, w.target("own"), func(in *autoscaling.PutLifecycleHookInput) { in.NotificationMetadata = aws.String("more") })
		w.same("own", fmt.Sprintf(`{"AccountId":"000000000000","RequestId":"ID","AutoScalingGroupARN":%q,"AutoScalingGroupName":"workers","Service":"AWS Auto Scaling","Event":"autoscaling:TEST_NOTIFICATION","Time":%q}`,
			uuids.ReplaceAllString(group, "ID"), time.Now().UTC().Format("2006-01-02T15:04:05.000Z")))
		w.hook("launch", 120, func(in *autoscaling.PutLifecycleHookInput) {
			in.LifecycleTransition = aws.String("autoscaling:EC2_INSTANCE_LAUNCHING")
		})
		w.ok(w.terminate(false, ids[0]))
		now := time.Now().UTC()
		w.same("leaving", fmt.Sprintf(`{"version":"0","id":"ID","detail-type":"EC2 Instance-terminate Lifecycle Action","source":"aws.autoscaling","account":"000000000000","time":%q,"region":"eu-central-1","resources":[%q],
			"detail":{"LifecycleActionToken":"ID","AutoScalingGroupName":"workers","LifecycleHookName":"hook","EC2InstanceId":%q,"LifecycleTransition":"autoscaling:EC2_INSTANCE_TERMINATING","NotificationMetadata":"more","Origin":"AutoScalingGroup","Destination":"EC2"}}`,
			now.Format(time.RFC3339), group, ids[0]))
		w.same("own", fmt.Sprintf(`{"Origin":"AutoScalingGroup","LifecycleHookName":"hook","Destination":"EC2","AccountId":"000000000000","RequestId":"ID","LifecycleTransition":"autoscaling:EC2_INSTANCE_TERMINATING","AutoScalingGroupName":"workers","Service":"AWS Auto Scaling","Time":%q,"EC2InstanceId":%q,"LifecycleActionToken":"ID","NotificationMetadata":"more"}`,
			now.Format("2006-01-02T15:04:05.000Z"), ids[0]))
		detail, _ := w.last("leaving")["detail"].(map[string]any)
		w.want(detail["LifecycleActionToken"], w.token("own"), "token of both")
		w.pass(time.Minute)
		detail, _ = w.last("coming")["detail"].(map[string]any)
		w.want(fmt.Sprint(detail["Origin"], detail["Destination"], detail["NotificationMetadata"]), "EC2AutoScalingGroup<nil>", "launch")
		launched, _ := detail["EC2InstanceId"].(string)
		token, _ := detail["LifecycleActionToken"].(string)
		w.ok(w.complete("launch", token, launched, "CONTINUE"))
		w.want(strings.Count(w.fates("leaving"), ":visible"), 1, "events of the end")
	})
}

func TestHookTargetRefused(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.group(1, 4, 3)
		in := &autoscaling.PutLifecycleHookInput{AutoScalingGroupName: aws.String(name), LifecycleHookName: aws.String("hook"), LifecycleTransition: aws.String(terminating)}
		w.target("nowhere")(in)
		_, err := w.asg.PutLifecycleHook(w.ctx, in)
		w.refused(err, "ValidationError", "Unable to publish test message to notification target %s using IAM role %s. Please check your target and role configuration and try to put lifecycle hook again.", *in.NotificationTargetARN, *in.RoleARN)
		in.RoleARN = nil
		if _, err := w.asg.PutLifecycleHook(w.ctx, in); err == nil {
			w.Error("a target without a role is taken")
		}
	})
}

func TestSpot(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.Spot = true }, func(w *world) {
		ids := w.group(1, 4, 3)
		w.rule("spot", `{"source":["aws.ec2"]}`)
		w.ok(w.sim.RecommendRebalance(ids[0]))
		now := time.Now().UTC().Format(time.RFC3339)
		w.same("spot", fmt.Sprintf(`{"version":"0","id":"ID","detail-type":"EC2 Instance Rebalance Recommendation","source":"aws.ec2","account":"000000000000","time":%q,"region":"eu-central-1",
			"resources":["arn:aws:ec2:eu-central-1:000000000000:instance/%s"],"detail":{"instance-id":%q}}`, now, ids[0], ids[0]))
		w.pass(time.Hour)
		w.want(w.instance(ids[0]).State.Name, "running", "after the recommendation")

		w.hook("hook", 3600)
		w.ok(w.sim.ProtectInstance(ids[0], true))
		w.ok(w.terminate(true, ids[0])) // a hook holds up the group, not EC2
		w.ok(w.sim.InterruptSpot(ids[0]))
		now = time.Now().UTC().Format(time.RFC3339)
		w.same("spot", fmt.Sprintf(`{"version":"0","id":"ID","detail-type":"EC2 Spot Instance Interruption Warning","source":"aws.ec2","account":"000000000000","time":%q,"region":"eu-central-1",
			"resources":["arn:aws:ec2:%s:instance/%s"],"detail":{"instance-id":%q,"instance-action":"terminate"}}`, now, *w.instance(ids[0]).Placement.AvailabilityZone, ids[0], ids[0]))
		w.pass(119 * time.Second)
		w.want(w.instance(ids[0]).State.Name, "running", "before two minutes")
		w.pass(time.Second)
		inst := w.instance(ids[0])
		w.want(inst.State.Name, "shutting-down", "after two minutes")
		w.want(*inst.StateReason.Code, "Server.SpotInstanceTermination", "reason")
		w.want(w.state(ids[0]), "Terminating:Wait", "member")

		w.ok(w.sim.InterruptSpot(ids[1]))
		w.pass(5 * time.Minute)
		w.want(w.state(ids[1]), "Terminating:Wait", "the other, found dead")
		w.want(len(w.in("InService")), 2, "in service")
		for _, e := range w.sim.Events(0) {
			if e.Instance == ids[1] && e.Kind == awssim.KindInstance && e.To == "terminated" {
				w.want(e.Cause, awssim.CauseSpot, "cause")
			}
		}

		w.ok(w.sim.ChangeInstance(ids[2], "", "on-demand"))
		for _, id := range []string{ids[0], ids[2], "i-0"} {
			if w.sim.InterruptSpot(id) == nil || w.sim.RecommendRebalance(id) == nil {
				w.Errorf("%s can be interrupted", id)
			}
		}
	})
}

func TestAlarms(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.rule("alarms", `{"source":["aws.cloudwatch"],"detail":{"configuration":{"metrics":{"metricStat":{"metric":{"dimensions":{"InstanceId":[{"exists":true}]}}}}}}}`)
		at := time.Date(2026, 3, 14, 12, 0, 0, 123e6, time.UTC)
		hot := awssim.Alarm{Name: "hot", State: "ALARM", PreviousState: "OK", InstanceID: "i-0123456789abcdef0", Via: awssim.ViaEventBridge, Time: at}
		w.ok(w.sim.RaiseAlarm(hot))
		got := w.last("alarms")
		w.want(got["resources"], "[arn:aws:cloudwatch:eu-central-1:000000000000:alarm:hot]", "resources")
		w.want(got["time"], "2026-03-14T12:00:00Z", "time")
		detail, _ := got["detail"].(map[string]any)
		state, _ := detail["state"].(map[string]any)
		previous, _ := detail["previousState"].(map[string]any)
		w.want(fmt.Sprint(state["value"], state["timestamp"], previous["value"]), "ALARM2026-03-14T12:00:00.123+0000OK", "states")

		w.queue("topic", map[string]string{"Policy": policy("topic", "sns.amazonaws.com", "arn:aws:sns:eu-central-1:000000000000:alarms")})
		hot.Via, hot.Queue, hot.Group = awssim.ViaSNSRaw, "topic", "workers"
		w.ok(w.sim.RaiseAlarm(hot))
		raw := w.last("topic")
		for field, want := range map[string]string{"AlarmName": "hot", "AlarmArn": "arn:aws:cloudwatch:eu-central-1:000000000000:alarm:hot", "AWSAccountId": "000000000000",
			"NewStateValue": "ALARM", "OldStateValue": "OK", "StateChangeTime": "2026-03-14T12:00:00.123+0000", "InsufficientDataActions": "[]"} {
			w.want(raw[field], want, field)
		}
		trigger, _ := raw["Trigger"].(map[string]any)
		w.want(trigger["Dimensions"], "[map[name:InstanceId value:i-0123456789abcdef0] map[name:AutoScalingGroupName value:workers]]", "dimensions")

		hot.Via = awssim.ViaSNS
		w.ok(w.sim.RaiseAlarm(hot))
		wrapped := w.last("topic")
		w.want(wrapped["Type"], "Notification", "type")
		w.want(wrapped["TopicArn"], "arn:aws:sns:eu-central-1:000000000000:alarms", "topic")
		inner, _ := wrapped["Message"].(string)
		if diff := cmp.Diff(raw, object(w.T, inner)); diff != "" {
			w.Error(diff)
		}
		for _, change := range []func(*awssim.Alarm){
			func(a *awssim.Alarm) { a.Topic = "arn:aws:sns:eu-central-1:000000000000:other" },
			func(a *awssim.Alarm) { a.Queue = "nowhere" },
			func(a *awssim.Alarm) { a.State = "HOT" },
			func(a *awssim.Alarm) { a.Via = "pigeon" },
		} {
			a := hot
			change(&a)
			if w.sim.RaiseAlarm(a) == nil {
				w.Errorf("%+v is sent", a)
			}
		}
	})
}

func TestEventBridge(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.rule("ours", `{"source":["ours"],"account":["000000000000"]}`)
		put := func(source, detail string) bustypes.PutEventsResultEntry {
			out, err := w.bus.PutEvents(w.ctx, &eventbridge.PutEventsInput{Entries: []bustypes.PutEventsRequestEntry{{Source: &source, DetailType: aws.String("t"), Detail: &detail, Time: aws.Time(time.Unix(1e9, 0))}}})
			w.ok(err)
			return out.Entries[0]
		}
		if put("ours", `{"a":1}`).EventId == nil {
			w.Error("no event id")
		}
		w.same("ours", `{"version":"0","id":"ID","detail-type":"t","source":"ours","account":"000000000000","time":"2001-09-09T01:46:40Z","region":"eu-central-1","resources":[],"detail":{"a":1}}`)
		put("theirs", `{}`)
		w.want(*put("aws.ec2", `{}`).ErrorCode, "NotAuthorizedForSourceException", "a service's source")
		w.want(*put("ours", `{`).ErrorCode, "MalformedDetail", "half a detail")
		w.want(len(strings.Fields(w.fates("ours"))), 1, "events")

		for name, pattern := range map[string]string{
			"no JSON": `{`, "more than one value": `{"a":["b"]}{}`, "an empty pattern": `{}`, "an empty object": `{"a":{}}`, "an empty list": `{"a":[]}`, "no list": `{"a":"b"}`,
			"an operator not known": `{"a":[{"numeric":[">",5]}]}`, "a choice": `{"$or":[{"a":["b"]}]}`, "two operators at once": `{"a":[{"prefix":"b","suffix":"c"}]}`,
			"a list in a list": `{"a":[["b"]]}`, "exists with a string": `{"a":[{"exists":"yes"}]}`, "a prefix of a number": `{"a":[{"prefix":5}]}`,
			"anything but an operator not known": `{"a":[{"anything-but":{"wildcard":"*"}}]}`, "anything but nothing": `{"a":[{"anything-but":[]}]}`,
			"anything but two operators": `{"a":[{"anything-but":{"prefix":"b","suffix":"c"}}]}`,
		} {
			_, err := w.bus.PutRule(w.ctx, &eventbridge.PutRuleInput{Name: aws.String("r"), EventPattern: &pattern})
			var invalid *bustypes.InvalidEventPatternException
			if !errors.As(err, &invalid) {
				w.Errorf("%s: got %v", name, err)
			}
		}
		// A queue whose policy names another rule takes nothing from this one.
		_, err := w.bus.PutRule(w.ctx, &eventbridge.PutRuleInput{Name: aws.String("ours-too"), EventPattern: aws.String(`{"source":[{"prefix":"o"}]}`)})
		w.ok(err)
		_, err = w.bus.PutTargets(w.ctx, &eventbridge.PutTargetsInput{Rule: aws.String("ours-too"), Targets: []bustypes.Target{{Id: aws.String("queue"), Arn: aws.String("arn:aws:sqs:eu-central-1:000000000000:ours")}}})
		w.ok(err)
		got, err := w.sim.PutEvent(`{"source":"ours","account":"111122223333"}`)
		w.ok(err)
		if len(got) != 1 || !strings.Contains(got[0].Error, "its policy does not let events.amazonaws.com send") {
			w.Errorf("deliveries are %v", got)
		}
		rules, err := w.bus.ListRules(w.ctx, &eventbridge.ListRulesInput{})
		w.ok(err)
		w.want(len(rules.Rules), 2, "rules")
		targets, err := w.bus.ListTargetsByRule(w.ctx, &eventbridge.ListTargetsByRuleInput{Rule: aws.String("ours")})
		w.ok(err)
		w.want(len(targets.Targets), 1, "targets")
		_, err = w.bus.DeleteRule(w.ctx, &eventbridge.DeleteRuleInput{Name: aws.String("ours")})
		w.refused(err, "ValidationException", "Rule can't be deleted since it has targets.")
		_, err = w.bus.RemoveTargets(w.ctx, &eventbridge.RemoveTargetsInput{Rule: aws.String("ours"), Ids: []string{"queue"}})
		w.ok(err)
		_, err = w.bus.DeleteRule(w.ctx, &eventbridge.DeleteRuleInput{Name: aws.String("ours")})
		w.ok(err)
		_, err = w.bus.RemoveTargets(w.ctx, &eventbridge.RemoveTargetsInput{Rule: aws.String("ours"), Ids: []string{"queue"}})
		w.refused(err, "ResourceNotFoundException", "Rule ours does not exist on EventBus default.")
		_, err = w.bus.PutRule(w.ctx, &eventbridge.PutRuleInput{Name: aws.String("r"), EventBusName: aws.String("other"), EventPattern: aws.String(`{"a":["b"]}`)})
		w.refused(err, "ResourceNotFoundException", "Event bus other does not exist.")
	})
}

// The examples of the user guide, page "Comparison operators for use in event
// patterns", and what its words say of arrays and missing fields.
func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		name, pattern string
		yes, no       []string
	}{
		{"equals", `{"Name":["Alice"]}`, []string{`{"Name":"Alice"}`, `{"Name":["Bob","Alice"]}`}, []string{`{"Name":"alice"}`, `{}`, `{"Name":{"Name":"Alice"}}`}},
		{"or", `{"PaymentType":["Credit","Debit"]}`, []string{`{"PaymentType":"Debit"}`}, []string{`{"PaymentType":"Cash"}`}},
		{"and", `{"Location":["New York"],"Day":["Monday"]}`, []string{`{"Location":"New York","Day":"Monday"}`}, []string{`{"Location":"New York"}`, `{"Location":"New York","Day":"Tuesday"}`}},
		{"numbers by their text, null and booleans", `{"a":[300,null,true]}`, []string{`{"a":300}`, `{"a":null}`, `{"a":true}`}, []string{`{"a":300.0}`, `{"a":"300"}`, `{"a":false}`, `{}`}},
		{"empty", `{"LastName":[""]}`, []string{`{"LastName":""}`}, []string{`{"LastName":null}`, `{}`}},
		{"begins with", `{"Region":[{"prefix":"us-"}]}`, []string{`{"Region":"us-east-1"}`}, []string{`{"Region":"eu-us-1"}`, `{"Region":5}`, `{}`}},
		{"ends with", `{"FileName":[{"suffix":".png"}]}`, []string{`{"FileName":"a.png"}`}, []string{`{"FileName":"a.png.gz"}`}},
		{"equals, ignoring case", `{"Name":[{"equals-ignore-case":"alice"}]}`, []string{`{"Name":"ALICE"}`}, []string{`{"Name":"Alicia"}`}},
		{"exists", `{"ProductName":[{"exists":true}]}`, []string{`{"ProductName":"x"}`, `{"ProductName":null}`}, []string{`{}`, `{"ProductName":{"a":1}}`, `{"ProductName":[]}`}},
		{"does not exist", `{"detail":{"c-count":[{"exists":false}]}}`, []string{`{"detail":{}}`, `{}`, `{"detail":{"d-count":[]}}`}, []string{`{"detail":{"c-count":5}}`}},
		{"does not exist or is", `{"a":[{"exists":false},"b"]}`, []string{`{}`, `{"a":"b"}`}, []string{`{"a":"c"}`}},
		{"anything but", `{"detail":{"state":[{"anything-but":"initializing"}]}}`, []string{`{"detail":{"state":"running"}}`}, []string{`{"detail":{"state":"initializing"}}`, `{"detail":{}}`}},
		{"anything but a number", `{"x-limit":[{"anything-but":123}]}`, []string{`{"x-limit":124}`}, []string{`{"x-limit":123}`}},
		{"anything but some", `{"state":[{"anything-but":["stopped","overloaded"]}]}`, []string{`{"state":"running"}`}, []string{`{"state":"stopped"}`, `{"state":"overloaded"}`}},
		{"anything but what begins with", `{"state":[{"anything-but":{"prefix":"init"}}]}`, []string{`{"state":"running"}`}, []string{`{"state":"initializing"}`, `{}`}},
		{"a list meets a list", `{"resources":["a","b"]}`, []string{`{"resources":["c","b"]}`}, []string{`{"resources":["c","d"]}`, `{"resources":[]}`}},
		{"of a list of objects one as a whole", `{"metrics":{"name":["cpu"],"unit":["%"]}}`, []string{`{"metrics":[{"name":"disk"},{"name":"cpu","unit":"%"}]}`}, []string{`{"metrics":[{"name":"cpu"},{"unit":"%"}]}`, `{"metrics":"cpu"}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.rule("r", c.pattern)
				for _, text := range c.yes {
					got, err := w.sim.PutEvent(text)
					w.ok(err)
					w.want(len(got), 1, "matches "+text)
				}
				for _, text := range c.no {
					got, err := w.sim.PutEvent(text)
					w.ok(err)
					w.want(len(got), 0, "matches "+text)
				}
			})
		})
	}
}

func TestControlAPIOfEvents(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.Spot = true }, func(w *world) {
		ids := w.group(1, 4, 3)
		w.rule("all", `{"account":[{"exists":true}]}`)
		for _, c := range []struct {
			method, path, body string
			status             int
			want               string
		}{
			{"POST", "/_sim/instances/" + ids[0] + "/spot-interruption", "", 204, ""},
			{"POST", "/_sim/instances/i-0/spot-interruption", "", 400, "does not exist"},
			{"POST", "/_sim/instances/" + ids[0] + "/rebalance-recommendation", "", 204, ""},
			{"POST", "/_sim/alarms", `{"name":"hot","state":"ALARM","previousState":"OK","asgName":"workers","via":"eventbridge","time":"2026-03-14T12:00:00Z"}`, 204, ""},
			{"POST", "/_sim/alarms", `{"name":"hot","state":"ALARM","previousState":"OK","via":"sns","queue":"all"}`, 400, "its policy does not let sns.amazonaws.com send"},
			{"POST", "/_sim/alarms", `{"nom":"hot"}`, 400, "nom"},
			{"POST", "/_sim/events", `{"account":"111122223333"}`, 200, `[{"rule":"all","queue":"arn:aws:sqs:eu-central-1:000000000000:all"}]`},
			{"POST", "/_sim/events", `{"source":"x"}`, 200, `[]`},
			{"POST", "/_sim/events", `poison`, 400, "reading JSON"},
			{"GET", "/_sim/queues/all", "", 200, `"body":"{\"account\":\"111122223333\"}"`},
			{"GET", "/_sim/queues/none", "", 400, "does not exist"},
			{"PUT", "/_sim/config", `{"spotNotice":"5s","hookChange":"sometimes"}`, 400, "sometimes"},
			{"PUT", "/_sim/config", `{"spotNotice":"5s","hookChange":"new-actions"}`, 200, `"spotNotice":"5s"`},
		} {
			answer := httptest.NewRecorder()
			w.sim.ServeHTTP(answer, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
			if answer.Code != c.status || !strings.Contains(answer.Body.String(), c.want) {
				w.Errorf("%s %s %s: got %d %s, want %d and %s", c.method, c.path, c.body, answer.Code, answer.Body, c.status, c.want)
			}
		}
		w.want(len(strings.Split(w.fates("all"), ":visible")), 5, "messages and the rest")
	})
}
