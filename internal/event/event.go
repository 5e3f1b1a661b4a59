// Package event says what an event starts: bytes in, and either the workflows to start or a reason why there is none. It is
// the only mapping from events to workflows. It reads no clock and calls nobody: whether what an event says is true is for
// package dispatch to find out.
package event

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// MaxBody is the most bytes that a body may have. A Workflow carries it in base64 to an environment variable, which Linux limits
// to 128 KiB (MAX_ARG_STRLEN, execve(2)).
const MaxBody = 96_000

// WorkflowTemplates that events start.
const (
	DrainTerminating = "drain-terminating"
	DrainInterrupted = "drain-interrupted"
	RecycleQueued    = "recycle-queued"
	RecycleNode      = "recycle-node"
)

// Kind is what an event is about.
type Kind string

// The kinds of events. A Request comes from the webhook.
const (
	Termination      Kind = "termination"
	SpotInterruption Kind = "spot-interruption"
	Rebalance        Kind = "rebalance-recommendation"
	Alarm            Kind = "alarm"
	ScheduledChange  Kind = "scheduled-change"
	Request          Kind = "request"
)

// Decision is a workflow that an event starts if AWS confirms what the event says. The same event again makes the same name, so
// that a second delivery finds the workflow of the first; another event makes another name.
type Decision struct {
	Kind       Kind              `json:"kind"`
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

// Receiver is who receives the events: the settings of an installation. An empty Account, Region or Hook takes events of any.
type Receiver struct {
	Account, Region string
	Hook            string   // name of the lifecycle hook that is answered; others are somebody else's
	AlarmCoolDown   string   // how long after one alarm no other starts a recycle in the same group
	Parameters      []string // that a request may set besides instance-id, node and dry-run
}

// Decide says what the body of a message in the queue starts. The error is a *DroppedError. The forms are those in which AWS
// sends to SQS: an event of EventBridge, a lifecycle hook's own notification, an alarm's notification, and each of them
// inside one of SNS (https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html).
func (r Receiver) Decide(body []byte) ([]Decision, error) {
	top, err := parse(body, MaxBody)
	if err == nil && top.has("TopicArn") {
		top, err = unwrap(top)
	}
	if err != nil {
		return nil, err
	}
	return top.end(r.decide(top)...)
}

func (r Receiver) decide(top object) []Decision {
	switch {
	case top.has("TopicArn"):
		top.drop("it is a notification of SNS inside another one")
	case top.has("detail-type"):
		return r.eventBridge(top)
	case top.has("AlarmName"):
		return one(r.notifiedAlarm(top.about("alarm by SNS")))
	case top.has("LifecycleTransition"), top.has("Event"):
		return one(r.notifiedHook(top.about("notification of Auto Scaling")))
	default:
		top.drop("none of the fields detail-type, AlarmName, LifecycleTransition and TopicArn is there: it is no event that starts anything")
	}
	return nil
}

func one(d Decision) []Decision { return []Decision{d} }

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

// What events there are is told by detail-type, and by the source that has to go with it.
const (
	typeTerminate = "EC2 Instance-terminate Lifecycle Action"
	typeSpot      = "EC2 Spot Instance Interruption Warning"
	typeRebalance = "EC2 Instance Rebalance Recommendation"
	typeAlarm     = "CloudWatch Alarm State Change"
	typeHealth    = "AWS Health Event"
)

var sources = map[string]string{
	typeTerminate: "aws.autoscaling", typeSpot: "aws.ec2", typeRebalance: "aws.ec2", typeAlarm: "aws.cloudwatch", typeHealth: "aws.health",
}

// eventBridge reads the envelope that all events of EventBridge share
// (https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html).
func (r Receiver) eventBridge(top object) []Decision {
	kind := top.oneOf("detail-type", typeTerminate, typeSpot, typeRebalance, typeAlarm, typeHealth)
	if kind == "" {
		return nil
	}
	top = top.about(kind)
	top.oneOf("source", sources[kind])
	own := r
	own.Account, own.Region = top.text("account", accountID), top.text("region", regionName)
	check(top, "account", own.Account, r.Account)
	check(top, "region", own.Region, r.Region)
	detail := top.object("detail")
	if kind == typeAlarm { // what counts is the time of its change of state
		return one(own.alarm(top, detail))
	}
	at := top.text("time", rfc3339)
	switch kind {
	case typeTerminate:
		return one(r.termination(detail, at))
	case typeHealth:
		return health(detail, at)
	case typeSpot:
		return one(spotInterruption(detail, at, top.any("id")))
	default:
		return one(rebalance(detail, at, top.any("id")))
	}
}

// check drops what is not of the configured account, region or hook.
func check(o object, field, got, want string) {
	if want != "" && got != want {
		o.drop("%s is %s, expected %s, the configured one", o.at(field), shown(got), shown(want))
	}
}

// name makes a workflow's name of what tells one event from all others.
func name(prefix string, identity ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(identity, " ")))
	return prefix + "-" + hex.EncodeToString(sum[:8])
}

// queued is a recycle without a deadline of minutes: it waits until its group's budget has room.
func queued(kind Kind, name string, parameters map[string]string) Decision {
	for _, key := range []string{"instance-id", "asg-name"} {
		if parameters[key] == "" {
			delete(parameters, key)
		}
	}
	return Decision{Kind: kind, Template: RecycleQueued, Name: name, Parameters: parameters}
}

// Lost is the workflow for an instance whose termination event was lost. since is when its termination began.
func Lost(instance, group, hook, since string) Decision {
	return terminating(instance, group, hook, since, name("terminating-"+instance, "lost", since))
}
