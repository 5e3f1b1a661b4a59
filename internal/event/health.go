package event

// health reads an event of AWS Health about a scheduled change of instances: retirement, maintenance, reboot. It can name several,
// and comes again whenever AWS has more to say of it; then it has the same ARN
// (https://docs.aws.amazon.com/health/latest/ug/aws-health-events-eventbridge-schema.html).
func health(o object, at string) (all []Decision) {
	o.oneOf("service", "EC2")
	o.oneOf("eventTypeCategory", "scheduledChange")
	if o.has("statusCode") {
		o.oneOf("statusCode", "open", "upcoming")
	}
	arn, code, starts := o.text("eventArn", visible), o.text("eventTypeCode", healthCode), o.any("startTime")
	seen := map[string]bool{}
	for _, entity := range o.list("affectedEntities") {
		id := entity.any("entityValue")
		if !instanceID.fits(id) || seen[id] { // volumes and others can be affected as well
			continue
		}
		seen[id] = true
		all = append(all, queued(ScheduledChange, name("health-"+id, arn, starts), map[string]string{
			"instance-id": id, "reason": code, "reason-time": at, "scheduled-event": "true",
		}))
	}
	if len(all) == 0 {
		o.drop("%s names no instance", o.at("affectedEntities"))
	}
	return all
}
