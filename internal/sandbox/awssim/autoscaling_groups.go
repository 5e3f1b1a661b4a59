package awssim

import (
	"slices"
	"time"
)

func (s *Sim) createGroup(r *request) (any, error) {
	name, err := r.required("AutoScalingGroupName")
	if err != nil {
		return nil, err
	}
	if s.group(name) != nil {
		return nil, fail("AlreadyExists", "AutoScalingGroup by this name already exists - A group with the name %s already exists", name)
	}
	for _, needed := range []string{"MinSize", "MaxSize"} {
		if _, err := r.required(needed); err != nil {
			return nil, err
		}
	}
	g := &group{name: name, arn: s.groupARN(uuid(s.rng), name), created: time.Now(), cooldown: 300, healthCheckType: "EC2",
		balancers: r.list("LoadBalancerNames"), targets: r.list("TargetGroupARNs")}
	if err := s.readGroup(r, g); err != nil {
		return nil, err
	}
	if g.desired, err = r.integer("DesiredCapacity", g.min); err != nil {
		return nil, err
	}
	if len(g.zones) == 0 {
		return nil, validation("At least one Availability Zone or VPC Subnet is required.")
	}
	if g.template == (template{}) {
		return nil, validation("Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter.")
	}
	if err := g.checkSizes(); err != nil {
		return nil, err
	}
	for _, entry := range r.entries("Tags") {
		tag, err := readTag(r.params, entry)
		if err != nil {
			return nil, err
		}
		g.setTag(tag)
	}
	s.groups = append(s.groups, g)
	s.record(s.origin(CauseCall), Event{Kind: KindDesired, Group: g.name, From: "0", To: itoa(g.desired)})
	g.cause = userChange(g) + " changing the desired capacity from 0 to " + itoa(g.desired) + "."
	s.reconcileSoon(g)
	return empty{}, nil
}

// readGroup takes from a request what create and update have in common.
func (s *Sim) readGroup(r *request, g *group) error {
	var err error
	for _, f := range []struct {
		name  string
		field *int
	}{{"MinSize", &g.min}, {"MaxSize", &g.max}, {"DefaultCooldown", &g.cooldown}, {"HealthCheckGracePeriod", &g.healthGrace}, {"MaxInstanceLifetime", &g.lifetime}} {
		if *f.field, err = r.integer(f.name, *f.field); err != nil {
			return err
		}
	}
	if g.capacityRebalance, err = r.boolean("CapacityRebalance", g.capacityRebalance); err != nil {
		return err
	}
	if g.lifetime != 0 && (g.lifetime < 86400 || g.lifetime > 31536000) {
		return validation("MaxInstanceLifetime must be 0 or between 86400 and 31536000 seconds")
	}
	if err := g.readRetention(r.params); err != nil {
		return err
	}
	if g.protectNew, err = r.boolean("NewInstancesProtectedFromScaleIn", g.protectNew); err != nil {
		return err
	}
	if v := r.str("HealthCheckType"); v != "" {
		g.healthCheckType = v
	}
	if policies := r.list("TerminationPolicies"); len(policies) > 0 {
		for _, p := range policies {
			if !slices.Contains([]string{"Default", "AllocationStrategy", "OldestLaunchTemplate", "OldestLaunchConfiguration", "ClosestToNextInstanceHour", "NewestInstance", "OldestInstance"}, p) {
				return validation("Termination policy '%s' is invalid", p)
			}
		}
		g.policies = policies
	}
	if err := s.readZones(r, g); err != nil {
		return err
	}
	return s.readTemplate(r.params, g)
}

// readZones stands each subnet for the zone of its place in the list, as
// there is no network to look it up in.
func (s *Sim) readZones(r *request, g *group) error {
	if subnets := splitCommas(r.str("VPCZoneIdentifier")); len(subnets) > 0 {
		if len(subnets) > 6 {
			return validation("No more than 6 subnets are known to the simulator")
		}
		g.zoneIdentifier, g.zones = r.str("VPCZoneIdentifier"), nil
		for i := range subnets {
			g.zones = append(g.zones, s.cfg.Region+string(rune('a'+i)))
		}
	}
	if zones := r.list("AvailabilityZones"); len(zones) > 0 {
		for _, zone := range zones {
			if !s.isZone(zone) {
				return validation("Invalid Availability Zones: [%s]", zone)
			}
		}
		g.zones = zones
	}
	return nil
}

func (s *Sim) readTemplate(p params, g *group) error {
	read := func(prefix string) template {
		t := template{id: p.str(prefix + ".LaunchTemplateId"), name: p.str(prefix + ".LaunchTemplateName"), version: p.str(prefix + ".Version")}
		if known := s.template(t.id, t.name); known != nil {
			t.id, t.name = known.id, known.name
		}
		if t.id == "" {
			t.id = "lt-0" + nameDigits(t.name)
		}
		if t.name == "" {
			t.name = t.id
		}
		return t
	}
	if v := p.str("LaunchConfigurationName"); v != "" {
		g.template, g.mixed = template{configuration: v}, nil
	}
	if p.under("LaunchTemplate") {
		g.template, g.mixed = read("LaunchTemplate"), nil
	}
	const policy = "MixedInstancesPolicy"
	if !p.under(policy) {
		return nil
	}
	g.mixed = &mixedPolicy{allocation: "prioritized"}
	if spec := policy + ".LaunchTemplate.LaunchTemplateSpecification"; p.under(spec) {
		g.template = read(spec)
	}
	var err error
	if g.mixed.onDemandBase, err = p.integer(policy+".InstancesDistribution.OnDemandBaseCapacity", 0); err != nil {
		return err
	}
	if g.mixed.onDemandPct, err = p.integer(policy+".InstancesDistribution.OnDemandPercentageAboveBaseCapacity", 100); err != nil {
		return err
	}
	for _, entry := range p.entries(policy + ".LaunchTemplate.Overrides") {
		o := override{kind: p.str(entry + ".InstanceType"), weight: p.str(entry + ".WeightedCapacity"), image: p.str(entry + ".ImageId")}
		if spec := entry + ".LaunchTemplateSpecification"; p.under(spec) {
			o.template = read(spec)
		}
		if _, err := parseWeight(o.weight); err != nil {
			return err
		}
		g.mixed.overrides = append(g.mixed.overrides, o)
	}
	return nil
}

func (g *group) checkSizes() error {
	switch {
	case g.min < 0 || g.max < 0:
		return validation("Min and max size must not be negative")
	case g.min > g.max:
		return validation("Max bound, %d, must be greater than or equal to min bound, %d", g.max, g.min)
	case g.desired < g.min || g.desired > g.max:
		return validation("Desired capacity:%d must be between the specified min size:%d and max size:%d", g.desired, g.min, g.max)
	}
	return nil
}

func (s *Sim) updateGroup(r *request) (any, error) {
	g, err := s.openGroup(r)
	if err != nil {
		return nil, err
	}
	next := *g
	if err := s.readGroup(r, &next); err != nil {
		return nil, err
	}
	// Bounds that move past desired capacity take it along.
	absent := max(min(g.desired, next.max), next.min)
	if next.desired, err = r.integer("DesiredCapacity", absent); err != nil {
		return nil, err
	}
	if err := next.checkSizes(); err != nil {
		return nil, err
	}
	was, wanted := g.desired, next.desired
	next.desired = was
	s.setBound(g, KindMin, g.min, next.min)
	s.setBound(g, KindMax, g.max, next.max)
	*g = next
	if wanted != was {
		s.setDesired(g, wanted)
		g.cause = userChange(g) + " changing the desired capacity from " + itoa(was) + " to " + itoa(wanted) + "."
	}
	s.reconcileSoon(g)
	return empty{}, nil
}

func (s *Sim) setBound(g *group, kind string, was, is int) {
	if was != is {
		s.record(s.origin(CauseCall), Event{Kind: kind, Group: g.name, From: itoa(was), To: itoa(is)})
	}
}

func (s *Sim) setDesiredCapacity(r *request) (any, error) {
	g, err := s.openGroup(r)
	if err != nil {
		return nil, err
	}
	if _, err := r.required("DesiredCapacity"); err != nil {
		return nil, err
	}
	wanted, err := r.integer("DesiredCapacity", 0)
	if err != nil {
		return nil, err
	}
	switch {
	case wanted > g.max:
		return nil, validation("New SetDesiredCapacity value %d is above max value %d for the AutoScalingGroup.", wanted, g.max)
	case wanted < g.min:
		return nil, validation("New SetDesiredCapacity value %d is below min value %d for the AutoScalingGroup.", wanted, g.min)
	}
	was := g.desired
	s.setDesired(g, wanted)
	if was != wanted {
		g.cause = "At " + stamp(time.Now()) + " a user request explicitly set group desired capacity changing the desired capacity from " + itoa(was) + " to " + itoa(wanted) + "."
	}
	return empty{}, nil
}

func (s *Sim) deleteGroup(r *request) (any, error) {
	g, err := s.groupOf(r)
	if err != nil {
		return nil, err
	}
	force, err := r.boolean("ForceDelete", false)
	if err != nil {
		return nil, err
	}
	if g.deleting {
		return empty{}, nil
	}
	if len(g.members) > 0 && !force {
		for _, m := range g.members {
			if m.busy() != nil {
				return nil, fail("ScalingActivityInProgress", "You cannot delete an AutoScalingGroup while there are scaling activities in progress for that group.")
			}
		}
		return nil, fail("ResourceInUse", "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.")
	}
	g.deleting = true
	s.setDesired(g, 0)
	s.finishDelete(g)
	return empty{}, nil
}

// finishDelete lets the members go, without their hooks, and the group after them.
func (s *Sim) finishDelete(g *group) {
	for _, m := range slices.Clone(g.members) {
		if m.state == m.named(stateTerminating) || m.state == m.named(stateTerminatingProceed) {
			continue
		}
		s.begin(m, CauseCall, "Terminating EC2 instance", "At "+stamp(time.Now())+" an instance was taken out of service in response to a user request to delete the group.")
		s.setState(m, m.named(stateTerminating))
		s.shutDown(m)
	}
	if len(g.members) == 0 {
		s.groups = slices.DeleteFunc(s.groups, func(o *group) bool { return o == g })
	}
}

// nameDigits turns the name of a launch template into the digits of its id.
func nameDigits(name string) string { return hexSHA256(name)[:16] }
