package awssim

// putWarmPool makes a warm pool or changes it; what is not given stays.
func (s *Sim) putWarmPool(r *request) (any, error) {
	g, err := s.openGroup(r)
	if err != nil {
		return nil, err
	}
	if g.warm != nil && g.warm.deleting {
		return nil, validation("You cannot modify a warm pool while it is being deleted.")
	}
	next := warmPool{most: -1, state: "Stopped"}
	if g.warm != nil {
		next = *g.warm
	}
	if next.min, err = r.integer("MinSize", next.min); err != nil {
		return nil, err
	}
	if next.most, err = r.integer("MaxGroupPreparedCapacity", next.most); err != nil {
		return nil, err
	}
	if next.reuse, err = r.boolean("InstanceReusePolicy.ReuseOnScaleIn", next.reuse); err != nil {
		return nil, err
	}
	if v := r.str("PoolState"); v != "" {
		next.state = v
	}
	switch {
	case next.state != "Stopped" && next.state != "Running":
		return nil, validation("The simulator knows the pool states Stopped and Running, not %s", next.state)
	case next.min < 0 || next.most < -1:
		return nil, validation("MinSize must be at least 0, and MaxGroupPreparedCapacity at least -1")
	}
	g.warm = &next
	s.reconcileSoon(g)
	return empty{}, nil
}

type warmPoolXML struct {
	MaxGroupPreparedCapacity *int `xml:",omitempty"`
	MinSize                  int
	PoolState                string
	Status                   string `xml:",omitempty"`
	ReuseOnScaleIn           bool   `xml:"InstanceReusePolicy>ReuseOnScaleIn"`
}

func (p *warmPool) xml() *warmPoolXML {
	out := &warmPoolXML{MinSize: p.min, PoolState: p.state, ReuseOnScaleIn: p.reuse}
	if p.most >= 0 {
		out.MaxGroupPreparedCapacity = &p.most
	}
	if p.deleting {
		out.Status = "PendingDelete"
	}
	return out
}

type describeWarmPoolResult struct {
	WarmPoolConfiguration *warmPoolXML `xml:",omitempty"`
	Instances             members[memberXML]
	NextToken             string `xml:",omitempty"`
}

func (s *Sim) describeWarmPool(r *request) (any, error) {
	g, err := s.groupOf(r)
	if err != nil {
		return nil, err
	}
	var found []*member
	for _, m := range g.members {
		if m.warm {
			found = append(found, m)
		}
	}
	part, next, err := pageOf(r.params, found, func(m *member) string { return m.inst.id }, 50, 50)
	if err != nil {
		return nil, err
	}
	out := describeWarmPoolResult{Instances: memberList(part, s.memberXML), NextToken: next}
	if g.warm != nil {
		out.WarmPoolConfiguration = g.warm.xml()
	}
	return out, nil
}

// deleteWarmPool terminates the instances of the pool. Without ForceDelete it
// does not interrupt what they are in the midst of.
func (s *Sim) deleteWarmPool(r *request) (any, error) {
	g, err := s.openGroup(r)
	if err != nil {
		return nil, err
	}
	force, err := r.boolean("ForceDelete", false)
	if err != nil {
		return nil, err
	}
	if g.warm == nil {
		return nil, validation("No warm pool found for AutoScalingGroup %s", g.name)
	}
	for _, m := range g.pool() {
		if a := m.busy(); a != nil && !force {
			return nil, activityInProgress(a)
		}
	}
	next := *g.warm
	next.deleting = true
	g.warm = &next
	s.reconcileSoon(g)
	return empty{}, nil
}
