package event

// transitionTerminating is the only transition that starts anything.
const transitionTerminating = "autoscaling:EC2_INSTANCE_TERMINATING"

// termination reads what EventBridge says of an instance that waits for a termination hook
// (https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html#terminate-lifecycle-action).
// An instance that goes back to a warm pool sends it as well, and leaves the cluster as well.
func termination(o object, at string) Decision {
	id := o.text("EC2InstanceId", instanceID)
	o.oneOf("LifecycleTransition", transitionTerminating)
	return Decision{
		Template: DrainTerminating,
		Name:     "terminating-" + id,
		Parameters: map[string]string{
			"instance-id":     id,
			"asg-name":        o.text("AutoScalingGroupName", groupName),
			"lifecycle-hook":  o.text("LifecycleHookName", hookName),
			"lifecycle-token": o.text("LifecycleActionToken", hookToken),
			"lifecycle-began": at,
		},
	}
}

// notifiedHook reads a notification that a hook itself sends to SQS or SNS. It names no region: a hook sends to its own. When
// the hook is made it sends a test, which has no transition
// (https://docs.aws.amazon.com/autoscaling/ec2/userguide/prepare-for-lifecycle-notifications.html).
func (r Receiver) notifiedHook(top object) Decision {
	if event, ok := top.fields["Event"].(string); ok && !top.has("LifecycleTransition") {
		top.drop("Event is %s, expected a notification of a lifecycle hook, which has LifecycleTransition", shown(event))
	}
	r.check(top, "AccountId", top.text("AccountId", accountID), r.Account)
	return termination(top, top.text("Time", rfc3339))
}
