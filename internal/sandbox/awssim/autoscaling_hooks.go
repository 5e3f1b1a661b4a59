package awssim

import "slices"

func (s *Sim) putHook(r *request) (any, error) {
	g, err := s.openGroup(r)
	if err != nil {
		return nil, err
	}
	name, err := r.required("LifecycleHookName")
	if err != nil {
		return nil, err
	}
	h := g.hook(name)
	if h == nil {
		h = &hook{name: name, result: "ABANDON", heartbeat: 3600}
	}
	next := *h
	if v := r.str("LifecycleTransition"); v != "" {
		next.transition = v
	}
	if v := r.str("DefaultResult"); v != "" {
		next.result = v
	}
	if next.heartbeat, err = r.integer("HeartbeatTimeout", next.heartbeat); err != nil {
		return nil, err
	}
	for name, field := range map[string]*string{"NotificationTargetARN": &next.target, "RoleARN": &next.role, "NotificationMetadata": &next.notification} {
		if r.has(name) { // what is not given stays; an empty target is none
			*field = r.str(name)
		}
	}
	switch {
	case next.transition != hookLaunching && next.transition != hookTerminating:
		return nil, validation("Lifecycle transition must be one of %s, %s", hookLaunching, hookTerminating)
	case next.result != "CONTINUE" && next.result != "ABANDON":
		return nil, validation("Default result must be either CONTINUE or ABANDON")
	case next.heartbeat < 30 || next.heartbeat > 7200:
		return nil, validation("Heartbeat timeout must be between 30 and 7200 seconds")
	}
	if r.str("NotificationTargetARN") != "" {
		if err := s.testTarget(g, &next); err != nil {
			return nil, err
		}
	}
	*h = next
	if s.cfg.HookChange == HookChangeApplies {
		for _, m := range g.members {
			if a := m.action(h); a != nil {
				a.terms = next
			}
		}
	}
	if g.hook(name) == nil {
		g.hooks = append(g.hooks, h)
	}
	return empty{}, nil
}

func (g *group) hook(name string) *hook {
	i := slices.IndexFunc(g.hooks, func(h *hook) bool { return h.name == name })
	if i < 0 {
		return nil
	}
	return g.hooks[i]
}

type hookXML struct {
	LifecycleHookName     string
	AutoScalingGroupName  string
	LifecycleTransition   string
	HeartbeatTimeout      int
	GlobalTimeout         int
	DefaultResult         string
	NotificationTargetARN string `xml:",omitempty"`
	RoleARN               string `xml:",omitempty"`
	NotificationMetadata  string `xml:",omitempty"`
}

type describeHooksResult struct {
	LifecycleHooks members[hookXML]
}

func (s *Sim) describeHooks(r *request) (any, error) {
	g, err := s.groupOf(r)
	if err != nil {
		return nil, err
	}
	names := r.list("LifecycleHookNames")
	found := []*hook{}
	for _, h := range g.hooks {
		if len(names) == 0 || slices.Contains(names, h.name) {
			found = append(found, h)
		}
	}
	return describeHooksResult{memberList(found, func(h *hook) hookXML {
		return hookXML{h.name, g.name, h.transition, h.heartbeat, h.globalTimeout(), h.result, h.target, h.role, h.notification}
	})}, nil
}

// deleteHook completes what waits for it first: "ABANDON for launching
// instances, CONTINUE for terminating instances" (API reference).
func (s *Sim) deleteHook(r *request) (any, error) {
	g, err := s.openGroup(r)
	if err != nil {
		return nil, err
	}
	h := g.hook(r.str("LifecycleHookName"))
	if h == nil {
		return nil, validation("No Lifecycle Hook found")
	}
	g.hooks = slices.DeleteFunc(g.hooks, func(o *hook) bool { return o == h })
	result := "CONTINUE"
	if h.transition == hookLaunching {
		result = "ABANDON"
	}
	for _, m := range slices.Clone(g.members) {
		if a := m.action(h); a != nil {
			s.complete(m, a, result, s.origin(CauseCall))
		}
	}
	return empty{}, nil
}

// action is the one of a hook that a member waits for.
func (m *member) action(h *hook) *action {
	i := slices.IndexFunc(m.actions, func(a *action) bool { return a.hook == h })
	if i < 0 {
		return nil
	}
	return m.actions[i]
}

// waiting is the action that a call is about, by token or instance id. A token
// counts before an id: one that is no longer good is refused whatever waits.
func (s *Sim) waiting(r *request) (*member, *action, error) {
	g, err := s.groupOf(r)
	if err != nil {
		return nil, nil, err
	}
	h := g.hook(r.str("LifecycleHookName"))
	if h == nil {
		return nil, nil, validation("No Lifecycle Hook found")
	}
	token, id := r.str("LifecycleActionToken"), r.str("InstanceId")
	for _, m := range g.members {
		a := m.action(h)
		if a != nil && (token == "" || a.token == token) && (id == "" || m.inst.id == id) && token+id != "" {
			return m, a, nil
		}
	}
	if token != "" {
		return nil, nil, validation("No active Lifecycle Action found with token %s", token)
	}
	return nil, nil, validation("No active Lifecycle Action found with instance ID %s", id)
}

func (s *Sim) completeLifecycleAction(r *request) (any, error) {
	m, a, err := s.waiting(r)
	if err != nil {
		return nil, err
	}
	result, err := r.required("LifecycleActionResult")
	if err != nil {
		return nil, err
	}
	if result != "CONTINUE" && result != "ABANDON" {
		return nil, validation("Lifecycle action result must be either CONTINUE or ABANDON")
	}
	s.complete(m, a, result, s.origin(CauseCall))
	return empty{}, nil
}

func (s *Sim) recordHeartbeat(r *request) (any, error) {
	m, a, err := s.waiting(r)
	if err != nil {
		return nil, err
	}
	s.extend(m, a, s.origin(CauseCall))
	return empty{}, nil
}
