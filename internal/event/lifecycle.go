package event

// transitionTerminating is the only transition that starts anything.
const transitionTerminating = "autoscaling:EC2_INSTANCE_TERMINATING"

// termination reads what EventBridge says of an instance that waits for a termination hook
// (https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html#terminate-lifecycle-action).
// An instance that goes back to a warm pool sends it as well, and leaves the cluster as well. A group can have several hooks, each
// of which sends its own. The token tells one action from the next of the same instance, and serves for nothing else.
func (r Receiver) termination(o object, at string) Decision {
	id := o.text("EC2InstanceId", instanceID)
	o.oneOf("LifecycleTransition", transitionTerminating)
	hook := o.text("LifecycleHookName", hookName)
	check(o, "LifecycleHookName", hook, r.Hook)
	identity := []string{"token", o.any("LifecycleActionToken")}
	if identity[1] == "" {
		identity = []string{"time", at}
	}
	return terminating(id, o.text("AutoScalingGroupName", groupName), hook, at, name("terminating-"+id, identity...))
}

func terminating(instance, group, hook, at, name string) Decision {
	return Decision{
		Kind: Termination, Template: DrainTerminating, Name: name,
		Parameters: map[string]string{"instance-id": instance, "asg-name": group, "lifecycle-hook": hook, "lifecycle-began": at},
	}
}

// notifiedHook reads a notification that a hook itself sends to SQS or SNS. It names no region: a hook sends to its own. When
// the hook is made it sends a test, which has no transition
// (https://docs.aws.amazon.com/autoscaling/ec2/userguide/prepare-for-lifecycle-notifications.html).
func (r Receiver) notifiedHook(top object) Decision {
	if event, ok := top.fields["Event"].(string); ok && !top.has("LifecycleTransition") {
		top.drop("Event is %s, expected a notification of a lifecycle hook, which has LifecycleTransition", shown(event))
	}
	check(top, "AccountId", top.text("AccountId", accountID), r.Account)
	return r.termination(top, top.text("Time", rfc3339))
}
