package event

import (
	"slices"
	"strings"
)

// alarm reads a change of state from EventBridge
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html). r is where it happened.
func (r Receiver) alarm(top, detail object) Decision {
	arn := ""
	switch resources, _ := top.fields["resources"].([]any); len(resources) {
	case 1:
		arn, _ = resources[0].(string)
		if !alarmARN.fits(arn) {
			top.drop("resources[0] is %s, expected %s", shown(arn), alarmARN.says)
		}
	default:
		top.drop("resources has %d entries, expected one, the ARN of the alarm", len(resources))
	}
	state, previous := detail.object("state"), detail.object("previousState")
	state.oneOf("value", "ALARM")
	previous.oneOf("value", "OK", "INSUFFICIENT_DATA")
	found := dimensions{account: r.Account}
	configuration, _ := detail.optional("configuration")
	for _, metric := range configuration.list("metrics") {
		found.ownAccount(metric, "accountId")
		stat, _ := metric.optional("metricStat")
		inner, _ := stat.optional("metric")
		values, _ := inner.optional("dimensions")
		for _, name := range []string{dimensionGroup, dimensionInstance} {
			if values.has(name) {
				found.add(values, name, name)
			}
		}
	}
	return r.alarmed(detail, found, alarmed{arn: arn, name: detail.text("alarmName", alarmName), at: state.text("timestamp", cloudWatchTime)})
}

// notifiedAlarm reads what an alarm's action sends to a topic of SNS
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html). Its Region is a name for
// people, such as EU (Frankfurt); the region is read from the ARN.
func (r Receiver) notifiedAlarm(top object) Decision {
	arn := top.text("AlarmArn", alarmARN)
	own := r
	own.Account = top.text("AWSAccountId", accountID)
	own.Region, _, _ = parseAlarmARN(arn)
	check(top, "AWSAccountId", own.Account, r.Account)
	check(top, "the region of AlarmArn", own.Region, r.Region)
	top.oneOf("NewStateValue", "ALARM")
	top.oneOf("OldStateValue", "OK", "INSUFFICIENT_DATA")
	found := dimensions{account: own.Account}
	trigger, _ := top.optional("Trigger")
	found.addAll(trigger)
	for _, metric := range trigger.list("Metrics") {
		found.ownAccount(metric, "AccountId")
		stat, _ := metric.optional("MetricStat")
		inner, _ := stat.optional("Metric")
		found.addAll(inner)
	}
	return own.alarmed(top, found, alarmed{arn: arn, name: top.text("AlarmName", alarmName), at: top.text("StateChangeTime", cloudWatchTime)})
}

// targetTracking is how the names of alarms begin that Auto Scaling makes for its scaling policies. They are about a group, and
// go off whenever it is to grow or to shrink (https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-scaling-target-tracking.html).
const targetTracking = "TargetTracking-"

type alarmed struct{ arn, name, at string }

// alarmed decides. Both forms of one change of state make the same name, since both have its ARN and timestamp.
func (r Receiver) alarmed(o object, found dimensions, a alarmed) Decision {
	if region, account, ok := parseAlarmARN(a.arn); ok && (region != r.Region || account != r.Account) {
		o.drop("the ARN of the alarm is %s, expected one of account %s in %s", shown(a.arn), r.Account, r.Region)
	}
	if strings.HasPrefix(a.name, targetTracking) {
		o.drop("the alarm %s belongs to a scaling policy of target tracking: it says nothing about a node", shown(a.name))
	}
	if found.instance == "" && found.group == "" {
		o.drop("no metric of the alarm has the dimension %s or %s", dimensionInstance, dimensionGroup)
	}
	return queued(Alarm, name("alarm", a.arn, a.at), map[string]string{
		"instance-id": found.instance, "asg-name": found.group,
		"reason": "alarm " + a.name, "reason-time": asRFC3339(a.at), "cool-down": r.AlarmCoolDown,
	})
}

const (
	dimensionInstance = "InstanceId"
	dimensionGroup    = "AutoScalingGroupName"
)

// dimensions are those of all metrics of an alarm, whether it returns their data or computes with it: an alarm over two
// instances does not say which of them is meant.
type dimensions struct{ account, instance, group string }

func (d *dimensions) add(o object, name, key string) {
	place, f := &d.instance, instanceID
	if name == dimensionGroup {
		place, f = &d.group, groupName
	}
	value := o.text(key, f)
	if *place != "" && value != "" && *place != value {
		o.drop("the alarm's metrics name two of dimension %s: %s and %s", name, shown(*place), shown(value))
	}
	*place = value
}

// addAll adds the Dimensions of a metric as SNS has them, a list of names and values.
func (d *dimensions) addAll(metric object) {
	for _, dimension := range metric.list("Dimensions") {
		name := dimension.text("name", form{})
		if slices.Contains([]string{dimensionInstance, dimensionGroup}, name) {
			d.add(dimension, name, "value")
		}
	}
}

// ownAccount drops alarms over metrics of another account, which an account that monitors others can have
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDataQuery.html).
func (d *dimensions) ownAccount(metric object, key string) {
	if metric.has(key) && metric.text(key, accountID) != d.account {
		metric.drop("%s is of another account than the alarm, %s", metric.at(key), d.account)
	}
}
