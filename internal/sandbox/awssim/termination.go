package awssim

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// victim is the member that scale-in takes, nil if none may go. Zones come
// first whatever the policy: one of the fullest zone goes. A weighted member
// goes only if the group stays at desired capacity without it.
func (g *group) victim(excess int, mayGo func(*member) bool, now time.Time) *member {
	var candidates []*member
	for _, m := range g.members {
		if mayGo(m) && !m.protected && m.units() <= excess {
			candidates = append(candidates, m)
		}
	}
	if len(candidates) == 0 {
		return nil
	}
	byZone := g.perZone((*member).counts)
	most := 0
	for _, m := range candidates {
		most = max(most, byZone[m.inst.zone])
	}
	candidates = slices.DeleteFunc(candidates, func(m *member) bool { return byZone[m.inst.zone] < most })
	policies := g.policies
	if len(policies) == 0 {
		policies = []string{"Default"}
	}
	for _, policy := range policies {
		candidates = narrow(policy, candidates, now)
	}
	// AWS picks any of equals; the oldest here, so that runs are alike.
	return slices.MinFunc(candidates, byAge)
}

func narrow(policy string, in []*member, now time.Time) []*member {
	switch policy {
	case "OldestInstance":
		return least(in, byAge)
	case "NewestInstance":
		return least(in, func(a, b *member) int { return byAge(b, a) })
	case "OldestLaunchTemplate", "OldestLaunchConfiguration":
		return least(in, byTemplate)
	case "ClosestToNextInstanceHour":
		return least(in, byBillingHour(now))
	case "Default":
		return least(least(in, byTemplate), byBillingHour(now))
	}
	return in // AllocationStrategy: one allocation, nothing to align
}

// least keeps all those that no other comes before.
func least(in []*member, order func(a, b *member) int) []*member {
	first := slices.MinFunc(in, order)
	var out []*member
	for _, m := range in {
		if order(m, first) == 0 {
			out = append(out, m)
		}
	}
	return out
}

func byAge(a, b *member) int { return a.inst.launched.Compare(b.inst.launched) }

// byTemplate puts launch configurations before templates, as AWS does.
func byTemplate(a, b *member) int {
	version := func(m *member) int {
		if m.template.configuration != "" {
			return -1
		}
		n, _ := strconv.Atoi(m.template.version)
		return n
	}
	return cmp.Compare(version(a), version(b))
}

func byBillingHour(now time.Time) func(a, b *member) int {
	left := func(m *member) time.Duration { return time.Hour - now.Sub(m.inst.launched)%time.Hour }
	return func(a, b *member) int { return cmp.Compare(left(a), left(b)) }
}
