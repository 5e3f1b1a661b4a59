package awssim

import (
	"maps"
	"slices"
	"time"
)

// snapshot is all that describing calls show, as it was from one moment on.
type snapshot struct {
	at        time.Time
	groups    []*group
	templates []*launchTemplate
	instances map[string]*instance
	order     []*instance
}

// remember keeps the state for answers that lag. It is called once whatever
// happened at a moment is done.
func (s *Sim) remember() {
	if s.cfg.StaleReads == 0 {
		s.history = nil
		return
	}
	now := time.Now()
	if n := len(s.history); n > 0 && s.history[n-1].at.Equal(now) {
		s.history = s.history[:n-1]
	}
	s.history = append(s.history, s.snapshot(now))
	// The last one before the longest lag is the oldest that can be asked for.
	for len(s.history) > 1 && now.Sub(s.history[1].at) >= s.cfg.StaleReads {
		s.history = slices.Delete(s.history, 0, 1)
	}
}

// lagging answers a describing call with what was true a while ago. Each call
// draws its own lag: of two answers the later may show the earlier state, as
// AWS promises no more than that both become true in the end.
func (s *Sim) lagging(do handler, r *request) (any, error) {
	if s.cfg.StaleReads == 0 || len(s.history) == 0 {
		return do(r)
	}
	then := time.Now().Add(-time.Duration(s.lags.Int64N(int64(s.cfg.StaleReads) + 1)))
	i := len(s.history) - 1
	for i > 0 && s.history[i].at.After(then) {
		i--
	}
	groups, templates, instances, order := s.groups, s.templates, s.instances, s.order
	defer func() { s.groups, s.templates, s.instances, s.order = groups, templates, instances, order }()
	s.groups, s.templates, s.instances, s.order = s.history[i].groups, s.history[i].templates, s.history[i].instances, s.history[i].order
	return do(r)
}

func (s *Sim) snapshot(at time.Time) snapshot {
	out := snapshot{at: at, templates: cloneTemplates(s.templates), instances: make(map[string]*instance, len(s.order))}
	for _, inst := range s.order {
		if inst.forgotten && inst.member == nil {
			continue
		}
		kept := *inst
		kept.tags = maps.Clone(inst.tags)
		out.order = append(out.order, &kept)
		out.instances[inst.id] = &kept
	}
	for _, g := range s.groups {
		out.groups = append(out.groups, g.snapshot(out.instances))
	}
	return out
}

// snapshot copies what changes in place and shares the rest.
func (g *group) snapshot(instances map[string]*instance) *group {
	kept := *g
	kept.tags, kept.suspended = slices.Clone(g.tags), slices.Clone(g.suspended)
	kept.hooks = listOf(g.hooks, func(h *hook) *hook { k := *h; return &k })
	kept.activities = listOf(g.activities, func(a *activity) *activity {
		if a.ended() {
			return a
		}
		k := *a
		return &k
	})
	kept.refreshes = listOf(g.refreshes, func(r *refresh) *refresh { k := *r; k.todo = slices.Clone(r.todo); return &k })
	kept.members = listOf(g.members, func(m *member) *member {
		k := *m
		k.group, k.inst = &kept, instances[m.inst.id]
		k.inst.member = &k
		return &k
	})
	return &kept
}
