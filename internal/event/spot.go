package event

// spotInterruption reads an interruption notice, which comes two minutes before the instance goes
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html).
func spotInterruption(o object, at, eventID string) Decision {
	o.oneOf("instance-action", "terminate", "stop", "hibernate")
	id := o.text("instance-id", instanceID)
	return Decision{
		Kind: SpotInterruption, Template: DrainInterrupted, Name: name("spot-"+id, at, eventID),
		Parameters: map[string]string{"instance-id": id, "noticed-at": at},
	}
}

// rebalance reads a recommendation, which may come long before a notice, or with it, or be followed by nothing
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html).
func rebalance(o object, at, eventID string) Decision {
	id := o.text("instance-id", instanceID)
	return queued(Rebalance, name("rebalance-"+id, at, eventID), map[string]string{
		"instance-id": id, "reason": "EC2 recommends to replace the Spot Instance", "reason-time": at,
		"action": "terminate", // EC2 stops no instance of a one-time request, as groups make them
	})
}
