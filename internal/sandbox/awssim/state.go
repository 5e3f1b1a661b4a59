package awssim

import (
	"maps"
	"slices"
	"time"
)

// State is everything at one moment, for people and for tests' invariants.
type State struct {
	Time      time.Time       `json:"time"`
	Groups    []GroupState    `json:"groups"`
	Instances []InstanceState `json:"instances"`
	Faults    int             `json:"faults"` // in wait
}

// GroupState is one group.
type GroupState struct {
	Name       string            `json:"name"`
	ARN        string            `json:"arn"`
	Min        int               `json:"min"`
	Max        int               `json:"max"`
	Desired    int               `json:"desired"`
	Capacity   int               `json:"capacity"` // in service or on the way there, in units of weight
	Suspended  []string          `json:"suspended"`
	Tags       map[string]string `json:"tags"`
	Activities []ActivityState   `json:"activities"` // oldest first
}

// ActivityState is one scaling activity.
type ActivityState struct {
	ID            string    `json:"id"`
	Description   string    `json:"description"`
	Cause         string    `json:"cause"`
	StatusCode    string    `json:"statusCode"`
	StatusMessage string    `json:"statusMessage,omitempty"`
	Start         time.Time `json:"start"`
	End           time.Time `json:"end,omitzero"`
}

// InstanceState is one instance; the fields of a group are empty outside one.
type InstanceState struct {
	ID               string            `json:"id"`
	State            string            `json:"state"`
	AvailabilityZone string            `json:"availabilityZone"`
	InstanceType     string            `json:"instanceType"`
	PrivateIPAddress string            `json:"privateIpAddress"`
	NodeName         string            `json:"nodeName"`
	LaunchTime       time.Time         `json:"launchTime"`
	Tags             map[string]string `json:"tags"`
	Group            string            `json:"group,omitempty"`
	LifecycleState   string            `json:"lifecycleState,omitempty"`
	Healthy          bool              `json:"healthy"`
	Protected        bool              `json:"protected"`
	Weight           int               `json:"weight"`
}

// State is the simulator's at this moment.
func (s *Sim) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catchUp()
	return s.state()
}

func (s *Sim) state() State {
	out := State{Time: time.Now().UTC(), Groups: []GroupState{}, Instances: []InstanceState{}, Faults: len(s.faults)}
	for _, g := range s.groups {
		out.Groups = append(out.Groups, GroupState{
			Name: g.name, ARN: g.arn, Min: g.min, Max: g.max, Desired: g.desired, Capacity: g.capacity(), Tags: g.tagMap(),
			Suspended: listOf(g.suspended, func(p suspension) string { return p.process }),
			Activities: listOf(g.activities, func(a *activity) ActivityState {
				return ActivityState{a.id, a.description, a.cause, a.code, a.message, a.start.UTC(), a.end.UTC()}
			}),
		})
	}
	for _, inst := range slices.DeleteFunc(slices.Clone(s.order), func(i *instance) bool { return i.forgotten && i.member == nil }) {
		out.Instances = append(out.Instances, inst.view())
	}
	return out
}

func (inst *instance) view() InstanceState {
	out := InstanceState{
		ID: inst.id, State: inst.state, AvailabilityZone: inst.zone, InstanceType: inst.kind, PrivateIPAddress: inst.address,
		NodeName: inst.nodeName, LaunchTime: inst.launched.UTC(), Tags: maps.Clone(inst.tags),
	}
	if m := inst.member; m != nil {
		out.Group, out.LifecycleState, out.Healthy, out.Protected, out.Weight = m.group.name, m.state, m.healthy, m.protected, m.units()
	}
	return out
}
