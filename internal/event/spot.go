package event

// spot reads an interruption notice, which comes two minutes before the instance goes
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html), or a rebalance recommendation,
// which may come earlier, or with it, or be followed by nothing
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html).
func spot(kind string, o object, at string) Decision {
	prefix, notice := "rebalance-", "0s"
	if kind == typeSpot {
		prefix, notice = "spot-", "2m"
		o.oneOf("instance-action", "terminate", "stop", "hibernate")
	}
	id := o.text("instance-id", instanceID)
	return Decision{
		Template:   LeaveNow,
		Name:       prefix + id,
		Parameters: map[string]string{"instance-id": id, "noticed-at": at, "notice": notice},
	}
}
