package awssim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// reconcileSoon puts the group's reaction on the agenda, once.
func (s *Sim) reconcileSoon(g *group) {
	if g.reconciling {
		return
	}
	g.reconciling = true
	s.after(s.configOf(g.name).Reconcile, func() {
		g.reconciling = false
		s.reconcile(g)
	})
}

// reconcile brings a group closer to what it should be.
func (s *Sim) reconcile(g *group) {
	if g.deleting {
		s.finishDelete(g)
		return
	}
	s.checkHealth(g)
	s.replaceUnhealthy(g)
	s.replaceOld(g)
	s.refreshStep(g)
	s.rebalanceCapacity(g)
	s.scaleOut(g)
	s.scaleIn(g)
	s.fillPool(g)
	s.rebalanceLater(g)
}

// checkHealth notices members in service whose instance does not run. Standby
// is not checked, so that an instance lost there stays listed as it is.
func (s *Sim) checkHealth(g *group) {
	if g.isSuspended("HealthCheck") {
		return
	}
	for _, m := range g.members {
		dead := m.state == stateInService && m.inst.dead()
		switch {
		case !dead:
			m.deadSince, m.notBack = time.Time{}, false
		case m.deadSince.IsZero():
			m.deadSince = time.Now()
			s.after(s.configOf(g.name).HealthCheck, func() { s.reconcile(g) })
		case m.healthy && time.Since(m.deadSince) >= s.configOf(g.name).HealthCheck:
			m.healthy = false
		}
	}
}

// replaceUnhealthy terminates the unhealthy. To suspend Terminate does not
// protect one that "fails to resume properly from standby" (Amazon EC2 Auto
// Scaling User Guide, considerations before suspending processes).
func (s *Sim) replaceUnhealthy(g *group) {
	if g.isSuspended("ReplaceUnhealthy") {
		return
	}
	for _, m := range slices.Clone(g.members) {
		if m.state != stateInService || m.healthy || g.isSuspended("Terminate") && !m.notBack {
			continue
		}
		why := "a user health-check"
		if !m.deadSince.IsZero() {
			why = "an EC2 health check indicating it has been terminated or stopped"
		}
		s.terminateMember(m, CauseUnhealthy, fmt.Sprintf("At %s an instance was taken out of service in response to %s.", stamp(time.Now()), why))
	}
}

// replaceOld takes the oldest member that has passed the maximum instance
// lifetime, one at a time: the next only once it is gone and the group is whole
// again.
func (s *Sim) replaceOld(g *group) {
	going := func(m *member) bool { return m.terminating() && m.origin.cause == CauseLifetime }
	if g.lifetime == 0 || g.isSuspended("Terminate") || g.inService() < g.desired || slices.ContainsFunc(g.members, going) {
		return
	}
	serving := slices.DeleteFunc(slices.Clone(g.members), func(m *member) bool { return m.state != stateInService })
	if len(serving) == 0 {
		return
	}
	oldest := slices.MinFunc(serving, byAge)
	if left := time.Until(oldest.inst.launched.Add(time.Duration(g.lifetime) * time.Second)); left > 0 {
		if due := time.Now().Add(left); !g.lifetimeDue.Equal(due) {
			g.lifetimeDue = due
			s.after(left, func() { s.reconcile(g) })
		}
		return
	}
	s.terminateMember(oldest, CauseLifetime, fmt.Sprintf("At %s an instance was taken out of service in response to the maximum instance lifetime.", stamp(time.Now())))
}

func (g *group) inService() int {
	n := 0
	for _, m := range g.members {
		if m.state == stateInService {
			n += m.units()
		}
	}
	return n
}

func (s *Sim) scaleOut(g *group) {
	for g.capacity() < g.desired && !g.isSuspended("Launch") {
		if wait := time.Until(g.launchAfter); wait > 0 {
			return
		}
		was := g.capacity()
		cause := fmt.Sprintf("%sAt %s an instance was started in response to a difference between desired and actual capacity, increasing the capacity from %d to %d.",
			g.takeCause(), stamp(time.Now()), was, was+1)
		if m := g.warmest(); m != nil {
			s.takeFromPool(m, cause)
		} else if s.launch(g, CauseScaleOut, g.emptiestZone(), cause) == nil {
			return
		}
	}
}

// launch starts one instance; nil says that it failed.
func (s *Sim) launch(g *group, why, zone, cause string) *member {
	o := g.next()
	t, version := s.resolve(o.template)
	kind, weight := cmp.Or(o.kind, version.kind, s.configOf(g.name).InstanceType), o.weight
	if s.configOf(g.name).LaunchFailure != "" {
		s.failLaunch(g, zone, kind, cause)
		return nil
	}
	g.launchAfter, g.failedLaunches = time.Time{}, 0

	tags := map[string]string{"aws:autoscaling:groupName": g.name}
	templateTags(tags, t)
	for _, tag := range g.tags {
		if tag.propagate {
			tags[tag.key] = tag.value
		}
	}
	inst := s.newInstance(s.origin(why), g.name, zone, kind, tags)
	inst.nodeLabels, inst.image = nodeLabelsOf(g), cmp.Or(o.image, version.image, standardImage)
	m := &member{inst: inst, group: g, healthy: true, protected: g.protectNew, weight: weight, template: t, unnamed: o.template.version == ""}
	m.warm = why == CauseWarmPool
	inst.pooled = m.warm
	inst.member = m
	g.members = append(g.members, m)
	s.begin(m, why, "Launching a new EC2 instance", cause).code = activityPreInService
	s.setState(m, m.named(statePending))
	s.boot(inst, s.configOf(g.name).Boot)
	s.afterMember(m, s.configOf(g.name).Boot, func() { s.runHooks(m, hookLaunching) })
	return m
}

// failLaunch leaves a failed activity and pauses ever longer, as AWS does.
func (s *Sim) failLaunch(g *group, zone, kind, cause string) {
	code := s.configOf(g.name).LaunchFailure
	reason := fmt.Sprintf("Could not launch On-Demand Instances. %s - %s Launching EC2 instance failed.", code, s.launchFailureText(code, zone, kind))
	a := s.newActivity(g, zone, "Launching a new EC2 instance.  Status Reason: "+reason, cause)
	a.finish(activityFailed, reason)
	if s.cfg.LaunchFailures > 0 {
		if s.cfg.LaunchFailures--; s.cfg.LaunchFailures == 0 {
			s.cfg.LaunchFailure = ""
			s.inherit()
		}
	}
	pause := s.configOf(g.name).LaunchRetry << min(g.failedLaunches, 4)
	g.failedLaunches++
	// Without a pause a group that cannot launch would spin.
	pause = max(pause, time.Second)
	g.launchAfter = time.Now().Add(pause)
	s.after(pause, func() { s.reconcile(g) })
}

func (s *Sim) launchFailureText(code, zone, kind string) string {
	switch code {
	case "InsufficientInstanceCapacity":
		return fmt.Sprintf("We currently do not have sufficient %s capacity in the Availability Zone you requested (%s). Our system will be working on provisioning additional capacity. You can currently get %s capacity by not specifying an Availability Zone in your request.", kind, zone, kind)
	case "VcpuLimitExceeded":
		return "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket that the specified instance type belongs to."
	case "UnauthorizedOperation":
		return "You are not authorized to perform this operation."
	}
	return "The launch was refused."
}

// arrive puts a member in service.
func (s *Sim) arrive(m *member) {
	if m.surplus && m.replaces == nil {
		m.group.rebalanced += m.units()
	}
	m.surplus, m.fromPool = false, false
	s.setState(m, stateInService)
	m.activity.finish(activitySuccessful, "")
}

// next is the first override of a mixed instances policy, the one that the
// prioritized strategy takes while there is capacity, with its template.
func (g *group) next() override {
	var o override
	if g.mixed != nil && len(g.mixed.overrides) > 0 {
		o = g.mixed.overrides[0]
	}
	if o.template == (template{}) {
		o.template = g.template
	}
	return o
}

// emptiestZone has the fewest members that count; the first of equals.
func (g *group) emptiestZone() string {
	byZone := g.perZone(func(m *member) bool { return m.counts() || m.surplus })
	return slices.MinFunc(g.zones, func(a, b string) int { return byZone[a] - byZone[b] })
}

func (g *group) perZone(which func(*member) bool) map[string]int {
	out := map[string]int{}
	for _, m := range g.members {
		if which(m) {
			out[m.inst.zone]++
		}
	}
	return out
}

func (s *Sim) scaleIn(g *group) {
	serving, pending := !g.isSuspended("Terminate"), s.configOf(g.name).PendingScaleIn == PendingTake
	mayGo := func(m *member) bool {
		return serving && m.state == stateInService || pending && m.pending() && !m.surplus
	}
	for serving || pending {
		excess := g.capacity() - g.desired
		victim := g.victim(excess, mayGo, time.Now())
		if excess <= 0 {
			g.rebalanced = 0
		}
		if victim == nil {
			return
		}
		why := CauseScaleIn
		if g.rebalanced > 0 {
			why = CauseAZRebalance
			g.rebalanced = max(0, g.rebalanced-victim.units())
		}
		victim.reuse = g.takesBack()
		was := g.capacity()
		now := stamp(time.Now())
		s.terminateMember(victim, why, fmt.Sprintf("%sAt %s an instance was taken out of service in response to a difference between desired and actual capacity, shrinking the capacity from %d to %d.  At %s instance %s was selected for termination.",
			g.takeCause(), now, was, was-victim.units(), now, victim.inst.id))
	}
}

// terminateMember begins the end of a member, by way of its hooks.
func (s *Sim) terminateMember(m *member, why, cause string) *activity {
	a := s.begin(m, why, "Terminating EC2 instance", cause)
	s.setState(m, m.named(stateTerminating))
	s.runHooks(m, hookTerminating)
	return a
}

// shutDown is what follows once no termination hook is in the way.
func (s *Sim) shutDown(m *member) {
	s.terminateInstance(m.inst, m.origin)
	s.afterMember(m, s.configOf(m.group.name).Terminating, func() {
		s.setState(m, m.named(stateTerminated))
		m.activity.finish(activitySuccessful, "")
		s.leave(m)
	})
}

func userChange(g *group) string {
	return "At " + stamp(time.Now()) + " a user request update of AutoScalingGroup constraints to min: " + strconv.Itoa(g.min) +
		", max: " + strconv.Itoa(g.max) + ", desired: " + strconv.Itoa(g.desired)
}
