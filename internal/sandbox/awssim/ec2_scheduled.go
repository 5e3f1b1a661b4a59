package awssim

import (
	"fmt"
	"slices"
	"time"
)

// ScheduledEvent is what EC2 says that it will do with an instance. Nothing
// follows from it here: neither reboot nor retirement is played.
type ScheduledEvent struct {
	ID          string    `json:"id"`
	Code        string    `json:"code"` // instance-retirement, system-reboot, …
	Description string    `json:"description"`
	NotBefore   time.Time `json:"notBefore"`
}

// ScheduleEvent has EC2 schedule an event of an instance, or end the one of
// that code: EC2 goes on showing one that is over for a week, with a
// description that begins with [Completed] or [Canceled]
// ("InstanceStatusEvent", EC2 API Reference).
func (s *Sim) ScheduleEvent(id string, e ScheduledEvent) error {
	s.mu.Lock()
	defer s.release()
	inst := s.instances[id]
	if inst == nil {
		return fmt.Errorf("scheduling an event of instance %q: it does not exist", id)
	}
	if e.Code == "" {
		return fmt.Errorf("scheduling an event of instance %q: it has no code", id)
	}
	if e.ID == "" {
		e.ID = "instance-event-0" + hex(s.rng, 16)
	}
	// A copy, as answers that lag show the events as they were.
	inst.scheduled = append(slices.DeleteFunc(slices.Clone(inst.scheduled), func(other ScheduledEvent) bool { return other.Code == e.Code }), e)
	return nil
}

type scheduledEventXML struct {
	ID          string `xml:"instanceEventId"`
	Code        string `xml:"code"`
	Description string `xml:"description"`
	NotBefore   string `xml:"notBefore,omitempty"`
}

func scheduledXML(e ScheduledEvent) scheduledEventXML {
	out := scheduledEventXML{ID: e.ID, Code: e.Code, Description: e.Description}
	if !e.NotBefore.IsZero() {
		out.NotBefore = e.NotBefore.UTC().Format(time.RFC3339)
	}
	return out
}
