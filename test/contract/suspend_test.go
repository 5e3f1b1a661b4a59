package contract

// suspendChecks begin and end with two instances in service.
func suspendChecks() []check {
	return []check{
		{"while Launch is suspended EnterStandby is accepted, and no replacement is launched", func(w *world) {
			before := w.inService(2)
			w.suspend("Launch")
			w.soon("the number of suspended processes", 1, func() any { return len(w.suspended()) })
			w.standby = before[0]
			w.ok(w.enterStandby(w.standby))
			w.becomes(w.standby, "Standby")
			w.want(w.desired(), 2, "desired capacity")
			w.want(w.members(), before, "members")
		}},
		{"while Launch is suspended ExitStandby is refused", func(w *world) {
			id := w.need(w.standby, "on standby")
			err := w.exitStandby(id)
			w.unsettled("is ExitStandby refused while Launch is suspended", yes(err != nil), "yes")
			if err == nil {
				w.backOnStandby(id)
				w.ok(w.setDesired(2))
				return
			}
			w.refused(err, "ValidationError", "")
			w.unsettled("its words", shortened(w, message(err)), "The Launch process of AutoScalingGroup … is suspended. Resume it to move instances out of standby.")
			w.want(w.lifecycle(id), "Standby", "lifecycle state")
			w.want(w.desired(), 2, "desired capacity")
		}},
		{"once Launch is resumed the replacement comes", func(w *world) {
			before := w.members()
			w.resume("Launch")
			w.replacement = w.newcomer(before)
			w.want(len(w.inService(2)), 2, "in service")
		}},
		{"TerminateInstanceInAutoScalingGroup without decrement from Standby takes that instance and no other", func(w *world) {
			id := w.need(w.standby, "on standby")
			others := w.inService(2)
			w.ok(w.terminate(id))
			w.becomes(id, "")
			w.instanceBecomes(id, "terminated")
			w.want(w.desired(), 2, "desired capacity")
			w.want(w.inService(2), others, "in service")
			w.activity("Terminating EC2 instance", id)
			w.standby = ""
		}},
	}
}
