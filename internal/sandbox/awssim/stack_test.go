package awssim_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/iampolicy"
)

// shipped is the template that users apply.
func shipped(t *testing.T) []byte {
	t.Helper()
	template, err := os.ReadFile(filepath.Join("..", "..", "..", "workflows", "components", "events", "aws", "events.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func (w *world) stack(parameters map[string]string) awssim.Stack {
	w.Helper()
	stack, err := w.sim.LoadTemplate("eks-recycle-events", shipped(w.T), parameters)
	w.ok(err)
	return stack
}

const topic = "arn:aws:sns:eu-central-1:000000000000:alarms"

func TestShippedTemplate(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.group(1, 4, 3)
		stack := w.stack(map[string]string{"GroupName": "workers", "AlarmTopicArn": topic, "OidcProvider": "oidc.example/id/A"})
		want := map[string]string{
			"QueueName": "eks-recycle", "QueueArn": "arn:aws:sqs:eu-central-1:000000000000:eks-recycle", "DeadLettersName": "eks-recycle-dead",
			"EventSourcePolicyArn": "arn:aws:iam::000000000000:policy/eks-recycle-events-EventSourcePolicy",
			"EventSourceRoleArn":   "arn:aws:iam::000000000000:role/eks-recycle-events-EventSourceRole",
			"DispatcherPolicyArn":  "arn:aws:iam::000000000000:policy/eks-recycle-events-DispatcherPolicy",
			"DispatcherRoleArn":    "arn:aws:iam::000000000000:role/eks-recycle-events-DispatcherRole",
		}
		if diff := cmp.Diff(want, stack.Outputs); diff != "" {
			w.Error(diff)
		}
		url, err := w.sqs.GetQueueUrl(w.ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("eks-recycle")})
		w.ok(err)
		out, err := w.sqs.GetQueueAttributes(w.ctx, &sqs.GetQueueAttributesInput{QueueUrl: url.QueueUrl, AttributeNames: []sqstypes.QueueAttributeName{"All"}})
		w.ok(err)
		w.want(out.Attributes["VisibilityTimeout"], "120", "visibility timeout")
		w.want(out.Attributes["RedrivePolicy"], `{"deadLetterTargetArn":"arn:aws:sqs:eu-central-1:000000000000:eks-recycle-dead","maxReceiveCount":"5"}`, "redrive policy")
		hooks, err := w.asg.DescribeLifecycleHooks(w.ctx, &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: aws.String("workers")})
		w.ok(err)
		hook := hooks.LifecycleHooks[0]
		w.want(*hook.LifecycleHookName+" "+*hook.LifecycleTransition+" "+*hook.DefaultResult, "eks-recycle autoscaling:EC2_INSTANCE_TERMINATING CONTINUE", "hook")
		w.want(*hook.HeartbeatTimeout, 3600, "heartbeat timeout")
		for role, account := range map[string]string{"EventSourceRole": "eks-recycle-sqs", "DispatcherRole": "eks-recycle-events"} {
			w.want(condition(w.T, stack.Policies[role]), "map[StringEquals:map[oidc.example/id/A:aud:sts.amazonaws.com oidc.example/id/A:sub:system:serviceaccount:eks-recycle:"+account+"]]", "who may take the "+role)
			w.want(stack.Resources[strings.Replace(role, "Role", "Association", 1)], "", "association of "+role)
		}
		pods := w.stack(map[string]string{"ClusterName": "prod", "Namespace": "nodes"})
		for role, account := range map[string]string{"EventSourceRole": "eks-recycle-sqs", "DispatcherRole": "eks-recycle-events"} {
			w.want(condition(w.T, pods.Policies[role]), "map[StringEquals:map[aws:RequestTag/eks-cluster-arn:arn:aws:eks:eu-central-1:000000000000:cluster/prod aws:RequestTag/kubernetes-namespace:nodes aws:RequestTag/kubernetes-service-account:"+account+"]]", "who may take the "+role)
			w.want(pods.Resources[strings.Replace(role, "Role", "Association", 1)], "eks-recycle-events-"+strings.Replace(role, "Role", "Association", 1), "association of "+role)
		}
		// A pod whose service account has an association takes a role that trusts EKS, or none at all.
		both := w.stack(map[string]string{"ClusterName": "prod", "OidcProvider": "oidc.example/id/A"})
		for _, role := range []string{"EventSourceRole", "DispatcherRole"} {
			w.want(strings.Contains(both.Policies[role], "AssumeRoleWithWebIdentity"), true, "the provider counts for "+role)
			w.want(both.Resources[strings.Replace(role, "Role", "Association", 1)], "", "association beside the provider, of "+role)
		}

		again := w.stack(map[string]string{"GroupName": "workers", "MaxReceiveCount": "2"})
		w.want(again.Outputs["EventSourceRoleArn"], "", "role without cluster and provider")
		out, err = w.sqs.GetQueueAttributes(w.ctx, &sqs.GetQueueAttributesInput{QueueUrl: url.QueueUrl, AttributeNames: []sqstypes.QueueAttributeName{"RedrivePolicy"}})
		w.ok(err)
		w.want(strings.Contains(out.Attributes["RedrivePolicy"], `"maxReceiveCount":"2"`), true, "what the second load changes")
		w.want(len(slices.Collect(maps.Keys(again.Resources))), 11, "resources")
	})
}

// condition is that of a role's only statement of trust.
func condition(t *testing.T, policy string) any {
	t.Helper()
	statements, _ := object(t, policy)["Statement"].([]any)
	statement, _ := statements[0].(map[string]any)
	return statement["Condition"]
}

// Each event as AWS documents it, and what lies just beside.
func TestShippedRules(t *testing.T) {
	event := func(source, kind, detail string) string {
		return `{"version":"0","id":"12345678-1234-1234-1234-123456789012","detail-type":"` + kind + `","source":"` + source + `","account":"000000000000","time":"2026-03-14T12:00:00Z","region":"eu-central-1","resources":["arn"],"detail":` + detail + `}`
	}
	const (
		going   = "EC2 Instance-terminate Lifecycle Action"
		coming  = "EC2 Instance-launch Lifecycle Action"
		warning = "EC2 Spot Instance Interruption Warning"
		advice  = "EC2 Instance Rebalance Recommendation"
		alarm   = "CloudWatch Alarm State Change"
	)
	hook := `{"LifecycleActionToken":"87654321-4321-4321-4321-210987654321","AutoScalingGroupName":"my-asg","LifecycleHookName":"eks-recycle","EC2InstanceId":"i-1234567890abcdef0","LifecycleTransition":"autoscaling:EC2_INSTANCE_TERMINATING","NotificationMetadata":"additional-info","Origin":"AutoScalingGroup","Destination":"EC2"}`
	hot := `{"alarmName":"eks-recycle-hot","configuration":{"description":"d","metrics":[{"id":"30b6c6b2-a864-43a2-4877-c09a1afc3b87","metricStat":{"metric":{"dimensions":{"InstanceId":"i-12345678901234567"},"name":"CPUUtilization","namespace":"AWS/EC2"},"period":300,"stat":"Average"},"returnData":true}]},
		"previousState":{"reason":"r","reasonData":"{}","timestamp":"2026-03-14T11:00:00.000+0000","value":"OK"},"state":{"reason":"r","reasonData":"{}","timestamp":"2026-03-14T12:00:00.000+0000","value":"ALARM"}}`
	for _, c := range []struct {
		name, body, rule string
	}{
		{"a termination", event("aws.autoscaling", going, hook), "Terminating"},
		{"a termination of another hook", event("aws.autoscaling", going, strings.Replace(hook, "eks-recycle", "somebody-else", 1)), ""},
		{"a launch", event("aws.autoscaling", coming, strings.Replace(hook, "TERMINATING", "LAUNCHING", 1)), ""},
		{"a termination by its name, a launch by its transition", event("aws.autoscaling", going, strings.Replace(hook, "TERMINATING", "LAUNCHING", 1)), ""},
		{"a termination that somebody made up", event("somebody", going, hook), ""},
		{"a spot interruption", event("aws.ec2", warning, `{"instance-id":"i-1234567890abcdef0","instance-action":"terminate"}`), "SpotInterruption"},
		{"a spot interruption that somebody made up", event("ec2", warning, `{"instance-id":"i-1234567890abcdef0","instance-action":"terminate"}`), ""},
		{"a rebalance recommendation", event("aws.ec2", advice, `{"instance-id":"i-1234567890abcdef0"}`), "RebalanceRecommendation"},
		{"a change of an instance's state", event("aws.ec2", "EC2 Instance State-change Notification", `{"instance-id":"i-1234567890abcdef0","state":"running"}`), ""},
		{"a scheduled change", event("aws.health", "AWS Health Event", `{"service":"EC2","eventTypeCategory":"scheduledChange"}`), "ScheduledChange"},
		{"a scheduled change of another service", event("aws.health", "AWS Health Event", `{"service":"RDS","eventTypeCategory":"scheduledChange"}`), ""},
		{"an issue", event("aws.health", "AWS Health Event", `{"service":"EC2","eventTypeCategory":"issue"}`), ""},
		{"an alarm", event("aws.cloudwatch", alarm, hot), "AlarmRaised"},
		{"an alarm that was short of data before", event("aws.cloudwatch", alarm, strings.Replace(hot, `"OK"`, `"INSUFFICIENT_DATA"`, 1)), "AlarmRaised"},
		{"an alarm that is over", event("aws.cloudwatch", alarm, strings.NewReplacer(`"OK"`, `"ALARM"`, `"ALARM"`, `"OK"`).Replace(hot)), ""},
		{"an alarm that was one before", event("aws.cloudwatch", alarm, strings.Replace(hot, `"OK"`, `"ALARM"`, 1)), ""},
		{"an alarm of another name", event("aws.cloudwatch", alarm, strings.Replace(hot, "eks-recycle-hot", "hot", 1)), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.stack(nil)
				deliveries, err := w.sim.PutEvent(c.body)
				w.ok(err)
				want := []awssim.Delivery{}
				if c.rule != "" {
					want = append(want, awssim.Delivery{Rule: "eks-recycle-events-" + c.rule, Queue: "arn:aws:sqs:eu-central-1:000000000000:eks-recycle"})
				}
				if diff := cmp.Diff(want, deliveries); diff != "" {
					w.Error(diff)
				}
				// The same of another account, which may put events on a bus.
				deliveries, err = w.sim.PutEvent(strings.Replace(c.body, `"account":"000000000000"`, `"account":"111122223333"`, 1))
				w.ok(err)
				w.want(len(deliveries), 0, "deliveries for another account")
			})
		})
	}
}

// What the simulator sends by itself gets through too, and only from where the
// queue's policy lets it.
func TestShippedTemplateInUse(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.Spot = true }, func(w *world) {
		ids := w.group(1, 4, 3)
		w.stack(map[string]string{"GroupName": "workers", "AlarmTopicArn": topic, "MaxReceiveCount": "1"})
		w.ok(w.terminate(true, ids[0]))
		w.ok(w.sim.InterruptSpot(ids[1]))
		w.ok(w.sim.RecommendRebalance(ids[2]))
		hot := awssim.Alarm{Name: "eks-recycle-hot", State: "ALARM", PreviousState: "OK", InstanceID: ids[2], Via: awssim.ViaEventBridge, Queue: "eks-recycle"}
		w.ok(w.sim.RaiseAlarm(hot))
		hot.Via = awssim.ViaSNS
		w.ok(w.sim.RaiseAlarm(hot))
		w.want(strings.Count(w.fates("eks-recycle"), ":visible"), 5, "messages")
		hot.Topic = topic + "2"
		if w.sim.RaiseAlarm(hot) == nil {
			w.Error("another topic may send")
		}
		// Messages that nobody deletes end among the dead letters.
		url, err := w.sqs.GetQueueUrl(w.ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("eks-recycle")})
		w.ok(err)
		w.want(len(w.receiveAll(*url.QueueUrl, 20)), 5, "received")
		w.pass(2 * time.Minute)
		for range 2 {
			w.receiveAll(*url.QueueUrl, 0)
		}
		// Of the spot instance the hook has told meanwhile.
		w.want(strings.Count(w.fates("eks-recycle-dead"), ":visible"), 5, "dead letters")

		w.stack(map[string]string{"GroupName": "workers"})
		hot.Topic = topic
		if w.sim.RaiseAlarm(hot) == nil {
			w.Error("the topic may send when it is named no more")
		}
	})
}

// The event source's policy lets it do what Argo Events does, on this queue
// and nothing beside.
func TestShippedEventSourcePolicy(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		stack := w.stack(nil)
		allowed, err := iampolicy.Parse([]byte(stack.Policies["EventSourcePolicy"]))
		w.ok(err)
		w.sim.ForgetCalls()
		url, err := w.sqs.GetQueueUrl(w.ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("eks-recycle")})
		w.ok(err)
		_, err = w.sim.PutEvent(`{"account":"000000000000","source":"aws.ec2","detail-type":"EC2 Instance Rebalance Recommendation"}`)
		w.ok(err)
		w.deleteFrom(*url.QueueUrl, w.receiveAll(*url.QueueUrl, 20)[0])
		w.want(w.fates("eks-recycle"), `{"account":"000000000000","source":"aws.ec2","detail-type":"EC2 Instance Rebalance Recommendation"}:deleted`, "the event")
		const ours = 3
		w.sendTo(*url.QueueUrl, "forged")
		_, err = w.sqs.PurgeQueue(w.ctx, &sqs.PurgeQueueInput{QueueUrl: url.QueueUrl})
		w.ok(err)
		dead := *url.QueueUrl + "-dead"
		w.receiveAll(dead, 0)
		_, err = w.sqs.ListQueues(w.ctx, &sqs.ListQueuesInput{})
		w.ok(err)
		for i, call := range w.sim.Calls(0) {
			r := iampolicy.Request{Service: call.Service, Action: call.Action, Params: call.Params}
			for _, res := range call.Resources {
				r.Resources = append(r.Resources, iampolicy.Resource{ARN: res.ARN, Tags: res.Tags})
			}
			if err := allowed.Check(r); (err == nil) != (i < ours) {
				w.Errorf("%s on %v: %v", call.Action, r.Resources, err)
			}
		}
	})
}

func TestTemplateRefused(t *testing.T) {
	for name, c := range map[string]struct {
		template   string
		parameters map[string]string
		want       string
	}{
		"no YAML":                              {"{", nil, "reading it"},
		"a section not known":                  {"Mappings: {}", nil, "Mappings"},
		"a parameter not there":                {"Resources: {}", map[string]string{"A": "b"}, "[A] do not exist"},
		"a parameter without a value":          {"Parameters: {A: {Type: String}}", nil, "[A] must have values"},
		"a parameter against its pattern":      {"Parameters: {A: {Type: String, AllowedPattern: '[a-z]+'}}", map[string]string{"A": "a1"}, "does not match"},
		"a parameter out of bounds":            {"Parameters: {A: {Type: Number, MinValue: 1, MaxValue: 5}}", map[string]string{"A": "6"}, "within its bounds"},
		"a parameter too short":                {"Parameters: {A: {Type: String, MinLength: 1}}", map[string]string{"A": ""}, "too short"},
		"a resource not known":                 {"Resources: {T: {Type: 'AWS::SNS::Topic'}}", nil, "makes no AWS::SNS::Topic"},
		"a property not known":                 {"Resources: {Q: {Type: 'AWS::SQS::Queue', Properties: {FifoQueue: true}}}", nil, "no property FifoQueue"},
		"an attribute of a resource not known": {"Resources: {Q: {Type: 'AWS::SQS::Queue', DependsOn: R}}", nil, "DependsOn"},
		"a reference to nothing":               {"Resources: {Q: {Type: 'AWS::SQS::Queue', Properties: {QueueName: !Ref N}}}", nil, `"N" does not exist`},
		"a reference to itself":                {"Resources: {Q: {Type: 'AWS::SQS::Queue', Properties: {QueueName: !GetAtt Q.Arn}}}", nil, "needs itself"},
		"an attribute not there":               {"Resources: {Q: {Type: 'AWS::SQS::Queue'}, R: {Type: 'AWS::SQS::Queue', Properties: {QueueName: !Sub '${Q.Colour}'}}}", nil, `no attribute "Colour"`},
		"a function not known":                 {"Resources: {Q: {Type: 'AWS::SQS::Queue', Properties: {QueueName: !Join ['', [a, b]]}}}", nil, "!Join is not known"},
		"a function in its long form":          {"Resources: {Q: {Type: 'AWS::SQS::Queue', Properties: {QueueName: {Ref: N}}}}", nil, "long form"},
		"a condition not there":                {"Resources: {Q: {Type: 'AWS::SQS::Queue', Condition: C}}", nil, `condition "C"`},
		"a target not known":                   {"Resources: {R: {Type: 'AWS::Events::Rule', Properties: {EventPattern: {source: [a]}, Targets: [{Id: a, RoleArn: b}]}}}", nil, "no property RoleArn"},
		"a pattern not known":                  {"Resources: {R: {Type: 'AWS::Events::Rule', Properties: {EventPattern: {source: [{cidr: 10.0.0.0/8}]}}}}", nil, "cidr"},
		"a hook on a group not there":          {"Resources: {H: {Type: 'AWS::AutoScaling::LifecycleHook', Properties: {AutoScalingGroupName: g}}}", nil, "not found"},
		"a policy of a queue not there":        {"Resources: {P: {Type: 'AWS::SQS::QueuePolicy', Properties: {Queues: ['https://sqs/000000000000/q']}}}", nil, "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := awssim.New(awssim.DefaultConfig()).LoadTemplate("s", []byte(c.template), c.parameters)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %s", err, c.want)
			}
		})
	}
}

func TestStackByControlAPI(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		put := func(body any) *httptest.ResponseRecorder {
			text, err := json.Marshal(body)
			w.ok(err)
			answer := httptest.NewRecorder()
			w.sim.ServeHTTP(answer, httptest.NewRequest(http.MethodPut, "/_sim/stacks/events", strings.NewReader(string(text))))
			return answer
		}
		answer := put(map[string]any{"template": string(shipped(w.T)), "parameters": map[string]string{"QueueName": "q"}})
		w.want(answer.Code, 200, "status")
		var stack awssim.Stack
		w.ok(json.Unmarshal(answer.Body.Bytes(), &stack))
		w.want(stack.Outputs["DeadLettersName"], "q-dead", "dead letters")
		w.want(stack.Resources["AlarmRaised"], "events-AlarmRaised", "rule")
		w.want(put(map[string]any{"template": "Resources: {}", "parameters": map[string]string{"A": "b"}}).Code, 400, "status of what is refused")
	})
}
