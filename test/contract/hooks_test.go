package contract

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

const (
	hookName = "drain"
	noToken  = "00000000-0000-4000-8000-000000000000"
)

// hookChecks begin with two instances in service and end with one, desired capacity 1.
func hookChecks() []check {
	return []check{
		{"PutLifecycleHook twice leaves one hook, whose global timeout is a hundred heartbeats", func(w *world) {
			w.ok(w.putHook(600))
			w.ok(w.putHook(900))
			w.soon("the hook's heartbeat and global timeout", "900 90000", func() any {
				out, err := w.asg.DescribeLifecycleHooks(w.ctx, &autoscaling.DescribeLifecycleHooksInput{AutoScalingGroupName: aws.String(w.name()), LifecycleHookNames: []string{hookName}})
				w.ok(err)
				if len(out.LifecycleHooks) != 1 {
					return len(out.LifecycleHooks)
				}
				h := out.LifecycleHooks[0]
				return fmt.Sprint(aws.ToInt32(h.HeartbeatTimeout), " ", aws.ToInt32(h.GlobalTimeout))
			})
		}},
		{"without a lifecycle action a heartbeat and a completion are refused, by instance id and by token", func(w *world) {
			id := aws.String(w.inService(2)[0])
			byID, byToken := "No active Lifecycle Action found with instance ID "+*id, "No active Lifecycle Action found with token "+noToken
			w.refused(w.heartbeat(id, nil), "ValidationError", byID)
			w.refused(w.heartbeat(nil, aws.String(noToken)), "ValidationError", byToken)
			w.refused(w.complete(id, nil, "CONTINUE"), "ValidationError", byID)
			w.refused(w.complete(nil, aws.String(noToken), "CONTINUE"), "ValidationError", byToken)
		}},
		{"a termination hook holds the instance in Terminating:Wait, and the event of it carries the token", func(w *world) {
			id := w.inService(2)[0]
			w.ok(w.terminateForGood(id))
			w.becomes(id, "Terminating:Wait")
			w.waiting = id
			w.token = w.event(id)
			w.want(w.instance(id).State.Name, "running", "state")
		}},
		{"a heartbeat is taken by instance id and by token", func(w *world) {
			id := w.need(w.waiting, "that waits for a hook")
			w.accepted("by instance id", func() error { return w.heartbeat(aws.String(id), nil) })
			w.accepted("by token", func() error { return w.heartbeat(nil, aws.String(w.token)) })
			w.want(w.lifecycle(id), "Terminating:Wait", "lifecycle state")
		}},
		{"completed by its token, the instance is terminated", func(w *world) {
			id := w.need(w.waiting, "that waits for a hook")
			w.accepted("by token", func() error { return w.complete(nil, aws.String(w.token), "CONTINUE") })
			w.becomes(id, "")
			w.instanceBecomes(id, "terminated")
		}},
		{"a lifecycle action that is completed is no longer active", func(w *world) {
			w.need(w.waiting, "that waited for a hook")
			w.refused(w.heartbeat(nil, aws.String(w.token)), "ValidationError", "No active Lifecycle Action found")
			w.refused(w.complete(nil, aws.String(w.token), "CONTINUE"), "ValidationError", "No active Lifecycle Action found")
		}},
		{"completed by its instance id with ABANDON, the instance is terminated as well, and replaced", func(w *world) {
			before := w.inService(1)
			id := before[0]
			w.ok(w.terminate(id))
			w.becomes(id, "Terminating:Wait")
			w.accepted("by instance id", func() error { return w.complete(aws.String(id), nil, "ABANDON") })
			w.becomes(id, "")
			w.want(slices.Contains(w.inService(1), id), false, "it is in service")
			w.want(w.desired(), 1, "desired capacity")
		}},
	}
}

func (w *world) putHook(heartbeat int32) error {
	_, err := w.asg.PutLifecycleHook(w.ctx, &autoscaling.PutLifecycleHookInput{
		AutoScalingGroupName: aws.String(w.name()), LifecycleHookName: aws.String(hookName), HeartbeatTimeout: &heartbeat,
		LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_TERMINATING"), DefaultResult: aws.String("CONTINUE"),
	})
	return err
}

// terminateForGood ends an instance that no other is to replace.
func (w *world) terminateForGood(id string) error {
	_, err := w.asg.TerminateInstanceInAutoScalingGroup(w.ctx, &autoscaling.TerminateInstanceInAutoScalingGroupInput{InstanceId: &id, ShouldDecrementDesiredCapacity: aws.Bool(true)})
	return err
}

func (w *world) heartbeat(id, token *string) error {
	_, err := w.asg.RecordLifecycleActionHeartbeat(w.ctx, &autoscaling.RecordLifecycleActionHeartbeatInput{
		AutoScalingGroupName: aws.String(w.name()), LifecycleHookName: aws.String(hookName), InstanceId: id, LifecycleActionToken: token,
	})
	return err
}

func (w *world) complete(id, token *string, result string) error {
	_, err := w.asg.CompleteLifecycleAction(w.ctx, &autoscaling.CompleteLifecycleActionInput{
		AutoScalingGroupName: aws.String(w.name()), LifecycleHookName: aws.String(hookName), InstanceId: id, LifecycleActionToken: token, LifecycleActionResult: &result,
	})
	return err
}

// accepted asks again for a while: AWS can say that there is no active action just after it said that there is one.
func (w *world) accepted(what string, call func() error) {
	w.Helper()
	w.once("it is accepted "+what, func() (bool, string) {
		err := call()
		if err != nil && code(err) != "ValidationError" {
			w.ok(err)
		}
		return err == nil, message(err)
	})
}

// event waits for the event of a termination and returns its token.
func (w *world) event(id string) (token string) {
	w.Helper()
	w.once("the event of instance "+id+" arrives", func() (bool, string) {
		out, err := w.sqs.ReceiveMessage(w.ctx, &sqs.ReceiveMessageInput{QueueUrl: aws.String(w.queueURL), MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
		w.ok(err)
		for _, m := range out.Messages {
			var event struct {
				DetailType string `json:"detail-type"`
				Detail     struct {
					InstanceID           string `json:"EC2InstanceId"`
					AutoScalingGroupName string
					LifecycleHookName    string
					LifecycleActionToken string
					LifecycleTransition  string
				}
			}
			w.ok(json.Unmarshal([]byte(aws.ToString(m.Body)), &event))
			if d := event.Detail; d.InstanceID == id {
				w.want(event.DetailType, "EC2 Instance-terminate Lifecycle Action", "detail type")
				w.want(d.AutoScalingGroupName+" "+d.LifecycleHookName, w.name()+" "+hookName, "group and hook")
				w.want(d.LifecycleTransition, "autoscaling:EC2_INSTANCE_TERMINATING", "transition")
				w.want(len(d.LifecycleActionToken), 36, "length of the token")
				token = d.LifecycleActionToken
				return true, ""
			}
		}
		return false, "it has not arrived"
	})
	return token
}
