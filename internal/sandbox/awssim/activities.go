package awssim

import (
	"fmt"
	"time"
)

// Codes of a scaling activity.
const (
	activityInProgressCode = "InProgress"
	activityPreInService   = "PreInService"
	activityMidLifecycle   = "MidLifecycleAction"
	activityDraining       = "WaitingForELBConnectionDraining"
	activitySuccessful     = "Successful"
	activityFailed         = "Failed"
	activityCancelled      = "Cancelled"
)

type activity struct {
	id, description, cause, details string
	code, message                   string
	progress                        int
	start, end                      time.Time
}

func (a *activity) ended() bool { return !a.end.IsZero() }

func (a *activity) finish(code, message string) {
	if a == nil || a.ended() {
		return
	}
	a.code, a.message, a.progress, a.end = code, message, 100, time.Now()
}

func (s *Sim) newActivity(g *group, zone, description, cause string) *activity {
	a := &activity{
		id: uuid(s.rng), description: description, cause: cause, start: time.Now(), code: activityInProgressCode,
		details: fmt.Sprintf(`{"Subnet ID":"subnet-0%s","Availability Zone":"%s"}`, s.zoneDigits(zone), zone),
	}
	g.activities = append(g.activities, a)
	return a
}

// begin starts an activity on a member, the one that blocks others. What set
// it off is said twice: for people, and for who observes.
func (s *Sim) begin(m *member, why, description, cause string) *activity {
	m.origin = s.origin(why)
	m.activity.finish(activityCancelled, "")
	m.activity = s.newActivity(m.group, m.inst.zone, description+": "+m.inst.id, cause)
	return m.activity
}

// busy is the activity that a member is in the midst of.
func (m *member) busy() *activity {
	if m.activity == nil || m.activity.ended() {
		return nil
	}
	return m.activity
}

// takeCause gives the reason of the change under way, and starts afresh.
func (g *group) takeCause() string {
	cause := g.cause
	g.cause = ""
	if cause != "" {
		cause += "  "
	}
	return cause
}
