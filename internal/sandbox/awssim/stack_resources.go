package awssim

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
)

// resource makes the one of a logical id, once, and gives its attributes.
func (l *stackLoader) resource(id string) (map[string]string, error) {
	if attributes, ok := l.made[id]; ok {
		return attributes, nil
	}
	r, ok := l.doc.Resources[id]
	if !ok {
		return nil, fmt.Errorf("resource or parameter %q does not exist", id)
	}
	if l.making[id] {
		return nil, fmt.Errorf("resource %q needs itself", id)
	}
	l.making[id] = true
	props := map[string]any{}
	if !r.Properties.IsZero() {
		value, err := l.value(&r.Properties)
		if err != nil {
			return nil, fmt.Errorf("resource %q: %w", id, err)
		}
		if props, ok = value.(map[string]any); !ok {
			return nil, fmt.Errorf("resource %q: its properties are no map", id)
		}
	}
	create := map[string]func(string, map[string]any) (map[string]string, error){
		"AWS::SQS::Queue":                  l.makeQueue,
		"AWS::SQS::QueuePolicy":            l.makeQueuePolicy,
		"AWS::Events::Rule":                l.makeRule,
		"AWS::AutoScaling::LifecycleHook":  l.makeHook,
		"AWS::IAM::ManagedPolicy":          l.makePolicy,
		"AWS::IAM::Role":                   l.makeRole,
		"AWS::EKS::PodIdentityAssociation": l.makeAssociation,
	}[r.Type]
	if create == nil {
		return nil, fmt.Errorf("resource %q: the simulator makes no %s", id, r.Type)
	}
	attributes, err := create(id, props)
	if err != nil {
		return nil, fmt.Errorf("resource %q: %w", id, err)
	}
	l.made[id] = attributes
	return attributes, nil
}

// only refuses properties that nothing reads.
func only(props map[string]any, known ...string) error {
	for _, name := range slices.Sorted(maps.Keys(props)) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("the simulator knows no property %s", name)
		}
	}
	return nil
}

// text is a property as a string, and a structure as its JSON.
func text(props map[string]any, name string) string {
	switch v := props[name].(type) {
	case nil:
		return ""
	case map[string]any, []any:
		return jsonText(v)
	default:
		return fmt.Sprint(v)
	}
}

func (l *stackLoader) makeQueue(id string, props map[string]any) (map[string]string, error) {
	names := []string{"VisibilityTimeout", "MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds", "MaximumMessageSize", "SqsManagedSseEnabled", "RedrivePolicy"}
	if err := only(props, append(names, "QueueName")...); err != nil {
		return nil, err
	}
	name := text(props, "QueueName")
	if name == "" {
		name = l.stack.Name + "-" + id
	}
	attributes := map[string]string{}
	for _, attribute := range names {
		if _, ok := props[attribute]; ok {
			attributes[attribute] = text(props, attribute)
		}
	}
	q, err := l.sim.makeQueue(name, nil)
	if err == nil {
		err = l.sim.setAttributes(q, attributes)
	}
	if err != nil {
		return nil, err
	}
	queueURL := fmt.Sprintf("https://sqs.%s.amazonaws.com/%s/%s", l.sim.cfg.Region, l.sim.cfg.AccountID, name)
	return map[string]string{refAttribute: queueURL, "Arn": q.arn, "QueueName": name, "QueueUrl": queueURL}, nil
}

func (l *stackLoader) makeQueuePolicy(id string, props map[string]any) (map[string]string, error) {
	if err := only(props, "Queues", "PolicyDocument"); err != nil {
		return nil, err
	}
	queues, _ := props["Queues"].([]any)
	for _, queueURL := range queues {
		q, err := l.sim.queueOf(fmt.Sprint(queueURL))
		if err == nil {
			err = l.sim.setAttributes(q, map[string]string{"Policy": text(props, "PolicyDocument")})
		}
		if err != nil {
			return nil, err
		}
	}
	return map[string]string{refAttribute: l.stack.Name + "-" + id}, nil
}

func (l *stackLoader) makeRule(id string, props map[string]any) (map[string]string, error) {
	if err := only(props, "Name", "Description", "State", "EventPattern", "Targets"); err != nil {
		return nil, err
	}
	name := text(props, "Name")
	if name == "" {
		name = l.stack.Name + "-" + id
	}
	var targets []ruleTarget
	list, _ := props["Targets"].([]any)
	for _, element := range list {
		target, _ := element.(map[string]any)
		if err := only(target, "Id", "Arn"); err != nil {
			return nil, err
		}
		targets = append(targets, ruleTarget{text(target, "Id"), text(target, "Arn")})
	}
	if _, err := l.sim.putRule(nil, putRuleInput{Name: name, EventPattern: text(props, "EventPattern"), State: text(props, "State"), Description: text(props, "Description")}); err != nil {
		return nil, err
	}
	r := l.sim.rule(name)
	r.targets = nil
	if _, err := l.sim.putTargets(nil, putTargetsInput{Rule: name, Targets: targets}); err != nil {
		return nil, err
	}
	return map[string]string{refAttribute: name, "Arn": r.arn}, nil
}

func (l *stackLoader) makeHook(_ string, props map[string]any) (map[string]string, error) {
	names := []string{
		"AutoScalingGroupName", "LifecycleHookName", "LifecycleTransition", "DefaultResult",
		"HeartbeatTimeout", "NotificationTargetARN", "RoleARN", "NotificationMetadata",
	}
	if err := only(props, names...); err != nil {
		return nil, err
	}
	values := url.Values{}
	for _, name := range names {
		if _, ok := props[name]; ok {
			values.Set(name, text(props, name))
		}
	}
	_, err := l.sim.putHook(&request{params: params{"autoscaling", values}})
	return map[string]string{refAttribute: text(props, "LifecycleHookName")}, err
}

func (l *stackLoader) makePolicy(id string, props map[string]any) (map[string]string, error) {
	if err := only(props, "Description", "PolicyDocument"); err != nil {
		return nil, err
	}
	l.stack.Policies[id] = text(props, "PolicyDocument")
	return map[string]string{refAttribute: l.sim.iamARN("policy/" + l.stack.Name + "-" + id)}, nil
}

func (l *stackLoader) makeRole(id string, props map[string]any) (map[string]string, error) {
	if err := only(props, "Description", "ManagedPolicyArns", "AssumeRolePolicyDocument"); err != nil {
		return nil, err
	}
	l.stack.Policies[id] = text(props, "AssumeRolePolicyDocument")
	name := l.stack.Name + "-" + id
	return map[string]string{refAttribute: name, "Arn": l.sim.iamARN("role/" + name)}, nil
}

// makeAssociation takes one as EKS would, and nothing follows from it: no caller
// has a role here.
func (l *stackLoader) makeAssociation(id string, props map[string]any) (map[string]string, error) {
	names := []string{"ClusterName", "Namespace", "ServiceAccount", "RoleArn"}
	if err := only(props, names...); err != nil {
		return nil, err
	}
	for _, name := range names {
		if text(props, name) == "" {
			return nil, fmt.Errorf("property %s is missing", name)
		}
	}
	return map[string]string{refAttribute: l.stack.Name + "-" + id, "AssociationId": "a-" + id}, nil
}
