package awssim

import "time"

// Event is one change of state, whoever caused it.
type Event struct {
	Seq      int       `json:"seq"`
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"` // lifecycle, instance, desired, node
	Group    string    `json:"group,omitempty"`
	Instance string    `json:"instance,omitempty"`
	Node     string    `json:"node,omitempty"`
	From     string    `json:"from"`
	To       string    `json:"to"`
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

func (s *Sim) record(e Event) {
	s.eventSeq++
	e.Seq, e.Time = s.eventSeq, time.Now().UTC()
	s.events = append(s.events, e)
	s.cfg.Log.Debug("changed", "kind", e.Kind, "asg", e.Group, "instance", e.Instance, "node", e.Node, "from", e.From, "to", e.To)
}
