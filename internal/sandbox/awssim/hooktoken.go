package awssim

// LifecycleToken is the token of the lifecycle action for which an instance waits at a hook, as its event says it, or "".
func (s *Sim) LifecycleToken(id, hook string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catchUp()
	for _, g := range s.groups {
		for _, m := range g.members {
			for _, a := range m.actions {
				if m.inst.id == id && a.hook.name == hook {
					return a.token
				}
			}
		}
	}
	return ""
}
