package awssim

import (
	"fmt"
	"strings"
	"time"
)

// Ways by which an [Alarm] reaches a queue.
const (
	ViaEventBridge = "eventbridge"
	ViaSNS         = "sns"     // wrapped in a notification, as a subscription has it by default
	ViaSNSRaw      = "sns-raw" // with raw message delivery
)

// Alarm is a change of state of a CloudWatch alarm on a metric, of an
// instance, a group, both or neither.
type Alarm struct {
	Name          string    `json:"name"`
	State         string    `json:"state"`
	PreviousState string    `json:"previousState"`
	InstanceID    string    `json:"instanceId"`
	Group         string    `json:"asgName"`
	Via           string    `json:"via"`
	Queue         string    `json:"queue"`    // name; of no use with EventBridge, where rules say
	Topic         string    `json:"topicArn"` // with SNS; empty: the topic alarms of the account
	Time          time.Time `json:"time"`     // of the change; zero: now
}

// RaiseAlarm sends what CloudWatch sends when an alarm changes its state.
func (s *Sim) RaiseAlarm(a Alarm) error {
	s.mu.Lock()
	defer s.release()
	s.catchUp()
	if a.Time.IsZero() {
		a.Time = time.Now()
	}
	for _, state := range []string{a.State, a.PreviousState} {
		if state != "OK" && state != "ALARM" && state != "INSUFFICIENT_DATA" {
			return fmt.Errorf("raising alarm %q: state %q is none of OK, ALARM, INSUFFICIENT_DATA", a.Name, state)
		}
	}
	arn := s.arn("cloudwatch", "alarm:"+a.Name)
	if a.Topic == "" {
		a.Topic = s.arn("sns", "alarms")
	}
	switch a.Via {
	case ViaEventBridge:
		s.emit("aws.cloudwatch", "CloudWatch Alarm State Change", a.Time, a.detail(), arn)
		return nil
	case ViaSNS, ViaSNSRaw:
		message := jsonText(s.alarmMessage(a, arn))
		if a.Via == ViaSNS {
			message = jsonText(s.notification(a, message))
		}
		return s.deliver(s.queueARN(a.Queue), sender{"sns.amazonaws.com", a.Topic, s.cfg.AccountID}, message)
	}
	return fmt.Errorf("raising alarm %q: %q is none of %s, %s, %s", a.Name, a.Via, ViaEventBridge, ViaSNS, ViaSNSRaw)
}

// cloudWatchTime is how CloudWatch writes a time.
func cloudWatchTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000-0700") }

type alarmState struct {
	Reason     string `json:"reason"`
	ReasonData string `json:"reasonData"`
	Timestamp  string `json:"timestamp"`
	Value      string `json:"value"`
}

func newAlarmState(value string, at time.Time) alarmState {
	return alarmState{
		Reason:     "Threshold Crossed: 1 out of the last 1 datapoints [99.5 (" + at.UTC().Format("02/01/06 15:04:05") + ")] was evaluated.",
		ReasonData: `{"version":"1.0","queryDate":"` + cloudWatchTime(at) + `","statistic":"Average","period":300,"recentDatapoints":[99.5],"threshold":50.0}`,
		Timestamp:  cloudWatchTime(at), Value: value,
	}
}

// detail is that of the event CloudWatch Alarm State Change for an alarm on a
// single metric ("Alarm events and EventBridge", CloudWatch User Guide).
func (a Alarm) detail() map[string]any {
	dimensions := map[string]string{}
	for _, d := range a.dimensions() {
		dimensions[d.Name] = d.Value
	}
	return map[string]any{
		"alarmName": a.Name,
		"configuration": map[string]any{
			"description": "The alarm " + a.Name,
			"metrics": []any{map[string]any{
				"id":         "30b6c6b2-a864-43a2-4877-c09a1afc3b87",
				"metricStat": map[string]any{"metric": map[string]any{"dimensions": dimensions, "name": "CPUUtilization", "namespace": "AWS/EC2"}, "period": 300, "stat": "Average"},
				"returnData": true,
			}},
		},
		"previousState": newAlarmState(a.PreviousState, a.Time.Add(-time.Hour)),
		"state":         newAlarmState(a.State, a.Time),
	}
}

type dimension struct {
	Value string `json:"value"`
	Name  string `json:"name"`
}

func (a Alarm) dimensions() []dimension {
	out := []dimension{}
	if a.InstanceID != "" {
		out = append(out, dimension{a.InstanceID, "InstanceId"})
	}
	if a.Group != "" {
		out = append(out, dimension{a.Group, "AutoScalingGroupName"})
	}
	return out
}

// alarmMessage is what CloudWatch publishes to a topic of SNS.
func (s *Sim) alarmMessage(a Alarm, arn string) any {
	type trigger struct {
		MetricName, Namespace, StatisticType, Statistic string

		Unit               *string
		Dimensions         []dimension
		Period             int
		EvaluationPeriods  int
		DatapointsToAlarm  int
		ComparisonOperator string
		Threshold          float64
		TreatMissingData   string

		EvaluateLowSampleCountPercentile string
	}
	return struct {
		AlarmName, AlarmDescription        string
		AWSAccountID                       string `json:"AWSAccountId"`
		AlarmConfigurationUpdatedTimestamp string
		NewStateValue, NewStateReason      string
		StateChangeTime, Region            string
		AlarmARN                           string `json:"AlarmArn"`
		OldStateValue                      string
		OKActions, AlarmActions            []string
		InsufficientDataActions            []string
		Trigger                            trigger
	}{
		AlarmName: a.Name, AlarmDescription: "The alarm " + a.Name, AWSAccountID: s.cfg.AccountID,
		AlarmConfigurationUpdatedTimestamp: cloudWatchTime(a.Time.Add(-24 * time.Hour)),
		NewStateValue:                      a.State, NewStateReason: newAlarmState(a.State, a.Time).Reason,
		StateChangeTime: cloudWatchTime(a.Time), Region: s.cfg.Region, AlarmARN: arn, OldStateValue: a.PreviousState,
		OKActions: []string{}, AlarmActions: []string{a.Topic}, InsufficientDataActions: []string{},
		Trigger: trigger{
			MetricName: "CPUUtilization", Namespace: "AWS/EC2", StatisticType: "Statistic", Statistic: "AVERAGE", Dimensions: a.dimensions(),
			Period: 300, EvaluationPeriods: 1, DatapointsToAlarm: 1, ComparisonOperator: "GreaterThanThreshold", Threshold: 50, TreatMissingData: "missing",
		},
	}
}

// notification is the message that SNS makes of one that is not delivered raw.
func (s *Sim) notification(a Alarm, message string) any {
	return struct {
		Type             string
		MessageID        string `json:"MessageId"`
		TopicARN         string `json:"TopicArn"`
		Subject, Message string
		Timestamp        string
		SignatureVersion string
		Signature        string
		SigningCertURL   string
		UnsubscribeURL   string
	}{
		Type: "Notification", MessageID: uuid(s.mail), TopicARN: a.Topic,
		Subject: fmt.Sprintf("%s: %q in %s", a.State, a.Name, s.cfg.Region), Message: message, Timestamp: millis(time.Now()),
		SignatureVersion: "1", Signature: strings.Repeat("A", 340) + "==",
		SigningCertURL: "https://sns." + s.cfg.Region + "." + s.urlSuffix() + "/SimpleNotificationService-01d088a6f77103d0fe307c0069e40ed6.pem",
		UnsubscribeURL: "https://sns." + s.cfg.Region + "." + s.urlSuffix() + "/?Action=Unsubscribe&SubscriptionArn=" + a.Topic + ":" + uuid(s.mail),
	}
}
