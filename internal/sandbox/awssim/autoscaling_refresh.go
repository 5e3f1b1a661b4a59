package awssim

import "slices"

type refreshID struct {
	InstanceRefreshId string //nolint:revive // the name on the wire
}

func (s *Sim) startInstanceRefresh(r *request) (any, error) {
	g, err := s.openGroup(r)
	if err != nil {
		return nil, err
	}
	if g.activeRefresh() != nil {
		return nil, fail("InstanceRefreshInProgress", "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.")
	}
	healthy, err := r.integer("Preferences.MinHealthyPercentage", 90)
	if err != nil {
		return nil, err
	}
	standby := r.str("Preferences.StandbyInstances")
	switch standby {
	case "":
		standby = "Wait"
	case "Wait", "Ignore", "Terminate":
	default:
		return nil, validation("StandbyInstances must be one of Terminate, Ignore, Wait")
	}
	return refreshID{s.startRefresh(g, standby, healthy).id}, nil
}

func (s *Sim) cancelRefresh(r *request) (any, error) {
	g, err := s.openGroup(r)
	if err != nil {
		return nil, err
	}
	active := g.activeRefresh()
	if active == nil {
		return nil, fail("ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found for Auto Scaling group %s", g.name)
	}
	s.setRefresh(g, active, "Cancelling")
	s.reconcileSoon(g)
	return refreshID{active.id}, nil
}

type refreshXML struct {
	InstanceRefreshId    string //nolint:revive // the name on the wire
	AutoScalingGroupName string
	Status               string
	StatusReason         string `xml:",omitempty"`
	StartTime            xmlTime
	EndTime              *xmlTime
	PercentageComplete   int
	InstancesToUpdate    int
	Preferences          struct {
		MinHealthyPercentage int
		StandbyInstances     string
	}
}

type describeRefreshesResult struct {
	InstanceRefreshes members[refreshXML]
	NextToken         string `xml:",omitempty"`
}

func (s *Sim) describeRefreshes(r *request) (any, error) {
	g, err := s.groupOf(r)
	if err != nil {
		return nil, err
	}
	ids := r.list("InstanceRefreshIds")
	var found []*refresh
	for _, one := range slices.Backward(g.refreshes) {
		if len(ids) == 0 || slices.Contains(ids, one.id) {
			found = append(found, one)
		}
	}
	part, next, err := pageOf(r.params, found, func(f *refresh) string { return f.id }, 50, 100)
	if err != nil {
		return nil, err
	}
	return describeRefreshesResult{memberList(part, func(f *refresh) refreshXML {
		x := refreshXML{
			InstanceRefreshId: f.id, AutoScalingGroupName: g.name, Status: f.status, StatusReason: f.reason,
			StartTime: xmlTime(f.start), EndTime: timeOrNil(f.end), PercentageComplete: f.percent(), InstancesToUpdate: len(f.todo),
		}
		x.Preferences.MinHealthyPercentage, x.Preferences.StandbyInstances = f.minHealthy, f.standby
		return x
	}), next}, nil
}
