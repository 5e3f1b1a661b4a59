package awssim

import (
	"slices"
	"time"
)

func processNames() []string {
	return []string{"Launch", "Terminate", "AddToLoadBalancer", "AlarmNotification", "AZRebalance", "HealthCheck", "InstanceRefresh", "ReplaceUnhealthy", "ScheduledActions"}
}

// processes are those named; none named means all.
func (s *Sim) processes(r *request) (*group, []string, error) {
	g, err := s.openGroup(r)
	if err != nil {
		return nil, nil, err
	}
	names := r.list("ScalingProcesses")
	if len(names) == 0 {
		return g, processNames(), nil
	}
	for _, name := range names {
		if !slices.Contains(processNames(), name) {
			return nil, nil, validation("%s is not a valid process name", name)
		}
	}
	return g, names, nil
}

func (s *Sim) suspendProcesses(r *request) (any, error) {
	g, names, err := s.processes(r)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if !g.isSuspended(name) {
			s.record(s.origin(CauseCall), Event{Kind: KindProcess, Group: g.name, Process: name, From: "running", To: "suspended"})
			g.suspended = append(g.suspended, suspension{name, "User suspended at " + stamp(time.Now())})
		}
	}
	return empty{}, nil
}

func (s *Sim) resumeProcesses(r *request) (any, error) {
	g, names, err := s.processes(r)
	if err != nil {
		return nil, err
	}
	g.suspended = slices.DeleteFunc(g.suspended, func(p suspension) bool {
		resumed := slices.Contains(names, p.process)
		if resumed {
			s.record(s.origin(CauseCall), Event{Kind: KindProcess, Group: g.name, Process: p.process, From: "suspended", To: "running"})
		}
		return resumed
	})
	s.reconcileSoon(g)
	return empty{}, nil
}
