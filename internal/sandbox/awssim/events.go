package awssim

import "time"

// Kinds of [Event]. From and To are lifecycle states, states of EC2, numbers,
// "running" and "suspended", or statuses of a refresh; of a hook they are the
// deadline of the wait, in RFC 3339, and in the end the result.
const (
	KindLifecycle = "lifecycle"
	KindInstance  = "instance"
	KindDesired   = "desired"
	KindMin       = "min"
	KindMax       = "max"
	KindProcess   = "process"
	KindRefresh   = "refresh"
	KindNode      = "node"
	KindHook      = "hook"      // a lifecycle action begins or ends
	KindHeartbeat = "heartbeat" // one goes on: from its deadline to the next
)

// Causes of an [Event]: what set off the activity that it is part of.
const (
	CauseCall        = "call"         // asked for by name in a call
	CauseOutside     = "outside"      // by a hand outside, not in the call log
	CauseScaleOut    = "scale-out"    // capacity below desired
	CauseScaleIn     = "scale-in"     // capacity above desired: the group chose the member
	CauseAZRebalance = "az-rebalance" // the launch above desired, and the termination that follows it
	CauseRebalance   = "rebalance"    // Capacity Rebalancing: the launch for an instance at risk, and the end of that one
	CauseUnhealthy   = "unhealthy"    // found dead, or called unhealthy
	CauseRefresh     = "refresh"      // an instance refresh
	CauseLifetime    = "lifetime"     // older than the group's maximum instance lifetime
	CauseHook        = "hook"         // a launch abandoned by its lifecycle hook
	CauseTimeout     = "timeout"      // the time of a lifecycle action was over
	CauseWarmPool    = "warm-pool"    // the size of the warm pool
	CauseSpot        = "spot"         // EC2 took a spot instance back
)

// Event is one change of state, by a call or by the simulator. Call and AccessKey are
// those of the call that began it, also where the change comes later, as
// Standby after EnteringStandby; empty where the group acted by itself.
type Event struct {
	Seq       int       `json:"seq"`
	Time      time.Time `json:"time"`
	Kind      string    `json:"kind"` // lifecycle, instance, desired, min, max, process, refresh, node, hook, heartbeat
	Group     string    `json:"group,omitempty"`
	Instance  string    `json:"instance,omitempty"`
	Node      string    `json:"node,omitempty"`
	Process   string    `json:"process,omitempty"`
	Hook      string    `json:"hook,omitempty"`
	From      string    `json:"from"`
	To        string    `json:"to"`
	Cause     string    `json:"cause,omitempty"`
	Call      int       `json:"call,omitempty"` // sequence number
	AccessKey string    `json:"accessKeyId,omitempty"`
}

// Margin is how long before its deadline a lifecycle action was heard of, by a
// heartbeat or by its result; false for other events.
func (e Event) Margin() (time.Duration, bool) {
	deadline, err := time.Parse(time.RFC3339Nano, e.From)
	if err != nil || e.Kind != KindHook && e.Kind != KindHeartbeat {
		return 0, false
	}
	return deadline.Sub(e.Time), true
}

// origin is what set something off.
type origin struct {
	cause     string
	call      int
	accessKey string
}

// origin is a cause, with the call under way if there is one.
func (s *Sim) origin(cause string) origin {
	return origin{cause, s.by.call, s.by.accessKey}
}

// Events are those after sequence number since.
func (s *Sim) Events(since int) []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Event{}
	for _, e := range s.events {
		if e.Seq > since {
			out = append(out, e)
		}
	}
	return out
}

func (s *Sim) record(o origin, e Event) {
	s.eventSeq++
	e.Seq, e.Time = s.eventSeq, time.Now().UTC()
	e.Cause, e.Call, e.AccessKey = o.cause, o.call, o.accessKey
	s.events = append(s.events, e)
	if len(s.observers) > 0 {
		s.untold = append(s.untold, e)
	}
	s.cfg.Log.Debug("changed", "kind", e.Kind, "asg", e.Group, "instance", e.Instance, "node", e.Node, "process", e.Process, "from", e.From, "to", e.To, "cause", e.Cause)
}
