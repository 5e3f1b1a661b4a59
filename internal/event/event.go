// Package event says what an event starts: bytes in, and either a workflow to start or a reason why there is none. It is
// the mapping that the Sensors make, in Go, for people who debug one and for the tests that compare the two. It reads no
// clock and calls nobody: whether an event is still of use is for the workflow to find out.
package event

import (
	"fmt"
)

// MaxBody is the most bytes that a body may have: what a message of SQS could have in all when EventBridge and SNS learned to
// send to it (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-event-size).
const MaxBody = 256 << 10

// MaxRequest is the most bytes that the webhook takes.
const MaxRequest = 16 << 10

// WorkflowTemplates that events start.
const (
	DrainTerminating = "drain-terminating"
	LeaveNow         = "leave-now"
	RecycleAlarm     = "recycle-alarm"
	RecycleNode      = "recycle-node"
)

// Decision is the workflow that an event starts. The same event again makes the same name, so that a second delivery finds the
// workflow of the first.
type Decision struct {
	Template   string            `json:"workflowTemplate"`
	Name       string            `json:"name"`
	Parameters map[string]string `json:"parameters"`
}

// DroppedError is the reason why an event starts nothing: which field of which event, and what was expected.
type DroppedError struct{ Reason string }

func (e *DroppedError) Error() string { return "dropped: " + e.Reason }

func drop(format string, args ...any) *DroppedError {
	return &DroppedError{fmt.Sprintf(format, args...)}
}

// Receiver is who receives the events of a queue. An empty field takes events of any account, of any region.
type Receiver struct{ Account, Region string }

// Decide says what the body of a message in the queue starts. The error is a *DroppedError. The forms are those in which AWS
// sends to SQS: an event of EventBridge, a lifecycle hook's own notification, an alarm's notification, and each of them
// inside one of SNS (https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html).
func (r Receiver) Decide(body []byte) (Decision, error) {
	top, err := parse(body, MaxBody)
	if err == nil && top.has("TopicArn") {
		top, err = unwrap(top)
	}
	if err != nil {
		return Decision{}, err
	}
	order := r.decide(top)
	return top.end(order)
}

func (r Receiver) decide(top object) Decision {
	switch {
	case top.has("TopicArn"):
		top.drop("it is a notification of SNS inside another one")
	case top.has("detail-type"):
		return r.eventBridge(top)
	case top.has("AlarmName"):
		return r.notifiedAlarm(top.about("alarm by SNS"))
	case top.has("LifecycleTransition"), top.has("Event"):
		return r.notifiedHook(top.about("notification of Auto Scaling"))
	default:
		top.drop("none of the fields detail-type, AlarmName, LifecycleTransition and TopicArn is there: it is no event that starts anything")
	}
	return Decision{}
}

// unwrap takes the message out of a notification of SNS, which is what a subscription without raw message delivery gets.
func unwrap(top object) (object, *DroppedError) {
	top = top.about("notification of SNS")
	top.oneOf("Type", "Notification")
	message := top.text("Message", form{})
	if top.dropped.err != nil {
		return object{}, top.dropped.err
	}
	inner, err := parse([]byte(message), MaxBody)
	if err != nil {
		return object{}, drop("notification of SNS: Message: %s", err.Reason)
	}
	return inner, nil
}

// What events there are is told by source and detail-type.
const (
	sourceAutoScaling = "aws.autoscaling"
	sourceEC2         = "aws.ec2"
	sourceCloudWatch  = "aws.cloudwatch"
	typeTerminate     = "EC2 Instance-terminate Lifecycle Action"
	typeSpot          = "EC2 Spot Instance Interruption Warning"
	typeRebalance     = "EC2 Instance Rebalance Recommendation"
	typeAlarm         = "CloudWatch Alarm State Change"
)

// eventBridge reads the envelope that all events of EventBridge share
// (https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html).
func (r Receiver) eventBridge(top object) Decision {
	kind := top.oneOf("detail-type", typeTerminate, typeSpot, typeRebalance, typeAlarm)
	if kind == "" {
		return Decision{}
	}
	top = top.about(kind)
	switch kind {
	case typeTerminate:
		top.oneOf("source", sourceAutoScaling)
	case typeAlarm:
		top.oneOf("source", sourceCloudWatch)
	default:
		top.oneOf("source", sourceEC2)
	}
	own := Receiver{Account: top.text("account", accountID), Region: top.text("region", regionName)}
	r.check(top, "account", own.Account, r.Account)
	r.check(top, "region", own.Region, r.Region)
	detail := top.object("detail")
	switch kind {
	case typeTerminate:
		return termination(detail, top.text("time", rfc3339))
	case typeAlarm: // what counts is the time of its change of state
		return own.alarm(top, detail)
	default:
		return spot(kind, detail, top.text("time", rfc3339))
	}
}

// check drops events of other accounts and regions.
func (r Receiver) check(o object, field, got, want string) {
	if want != "" && got != want {
		o.drop("%s is %s, expected %s, the configured one", o.at(field), shown(got), shown(want))
	}
}
