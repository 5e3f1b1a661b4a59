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
	next.target, next.role, next.notification = r.str("NotificationTargetARN"), r.str("RoleARN"), r.str("NotificationMetadata")
	switch {
	case next.transition != hookLaunching && next.transition != hookTerminating:
		return nil, validation("Lifecycle transition must be one of %s, %s", hookLaunching, hookTerminating)
	case next.result != "CONTINUE" && next.result != "ABANDON":
		return nil, validation("Default result must be either CONTINUE or ABANDON")
	case next.heartbeat < 30 || next.heartbeat > 7200:
		return nil, validation("Heartbeat timeout must be between 30 and 7200 seconds")
	}
	*h = next
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

// deleteHook abandons what waits for it, as AWS does.
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
	for _, m := range slices.Clone(g.members) {
		if _, waits := m.hookTokens[h.name]; waits {
			s.completeHook(m, h.name, "ABANDON")
		}
	}
	return empty{}, nil
}

// waiting is the member that a lifecycle action is about, by id or token.
func (s *Sim) waiting(r *request) (*member, *hook, error) {
	g, err := s.groupOf(r)
	if err != nil {
		return nil, nil, err
	}
	h := g.hook(r.str("LifecycleHookName"))
	if h == nil {
		return nil, nil, validation("No Lifecycle Hook found")
	}
	for _, m := range g.members {
		token, waits := m.hookTokens[h.name]
		if waits && (r.str("InstanceId") == m.inst.id || r.str("LifecycleActionToken") == token) {
			return m, h, nil
		}
	}
	return nil, nil, validation("No active Lifecycle Action found with instance ID %s", r.str("InstanceId"))
}

func (s *Sim) completeLifecycleAction(r *request) (any, error) {
	m, h, err := s.waiting(r)
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
	s.completeHook(m, h.name, result)
	return empty{}, nil
}

func (s *Sim) recordHeartbeat(r *request) (any, error) {
	m, h, err := s.waiting(r)
	if err != nil {
		return nil, err
	}
	// A new token makes the running deadline void.
	m.hookTokens[h.name] = uuid(s.rng)
	s.heartbeat(m, h, m.hooksBegan)
	return empty{}, nil
}
