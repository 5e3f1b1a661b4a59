package awssim

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

type groupXML struct {
	AutoScalingGroupName             string
	AutoScalingGroupARN              string
	LaunchConfigurationName          string       `xml:",omitempty"`
	LaunchTemplate                   *templateXML `xml:",omitempty"`
	MixedInstancesPolicy             *mixedXML    `xml:",omitempty"`
	MinSize                          int
	MaxSize                          int
	DesiredCapacity                  int
	DefaultCooldown                  int
	AvailabilityZones                members[string]
	LoadBalancerNames                members[string]
	TargetGroupARNs                  members[string]
	HealthCheckType                  string
	HealthCheckGracePeriod           int
	MaxInstanceLifetime              int `xml:",omitempty"`
	Instances                        members[memberXML]
	CreatedTime                      xmlTime
	SuspendedProcesses               members[suspendedXML]
	VPCZoneIdentifier                string
	EnabledMetrics                   members[string]
	Status                           string `xml:",omitempty"`
	Tags                             members[groupTagXML]
	TerminationPolicies              members[string]
	NewInstancesProtectedFromScaleIn bool
	CapacityRebalance                bool
	InstanceLifecyclePolicy          *lifecyclePolicyXML `xml:",omitempty"`
	WarmPoolConfiguration            *warmPoolXML        `xml:",omitempty"`
	WarmPoolSize                     int                 `xml:",omitempty"`
	ServiceLinkedRoleARN             string
	TrafficSources                   members[string]
}

type templateXML struct {
	LaunchTemplateId   string //nolint:revive // the name on the wire
	LaunchTemplateName string
	Version            string `xml:",omitempty"` // none where the group names none
}

type mixedXML struct {
	LaunchTemplate struct {
		LaunchTemplateSpecification *templateXML `xml:",omitempty"`
		Overrides                   members[overrideXML]
	}
	InstancesDistribution struct {
		OnDemandAllocationStrategy          string
		OnDemandBaseCapacity                int
		OnDemandPercentageAboveBaseCapacity int
		SpotAllocationStrategy              string
	}
}

type overrideXML struct {
	InstanceType                string
	ImageId                     string       `xml:",omitempty"` //nolint:revive // the name on the wire
	WeightedCapacity            string       `xml:",omitempty"`
	LaunchTemplateSpecification *templateXML `xml:",omitempty"`
}

// memberXML is an instance in both places that describe it; only one names the group.
type memberXML struct {
	InstanceId              string //nolint:revive // the name on the wire
	InstanceType            string
	AutoScalingGroupName    string `xml:",omitempty"`
	AvailabilityZone        string
	LifecycleState          string
	HealthStatus            string
	LaunchConfigurationName string       `xml:",omitempty"`
	LaunchTemplate          *templateXML `xml:",omitempty"`
	ProtectedFromScaleIn    bool
	WeightedCapacity        string `xml:",omitempty"`
}

type suspendedXML struct {
	ProcessName, SuspensionReason string
}

type groupTagXML struct {
	ResourceId        string //nolint:revive // the name on the wire
	ResourceType      string
	Key               string
	Value             string
	PropagateAtLaunch bool
}

func (t template) xml() *templateXML {
	if t.configuration != "" || t == (template{}) {
		return nil
	}
	return &templateXML{t.id, t.name, t.version}
}

func (s *Sim) memberXML(m *member) memberXML {
	health := "Healthy"
	if !m.healthy {
		health = "Unhealthy"
	}
	out := memberXML{
		InstanceId: m.inst.id, InstanceType: m.inst.kind, AvailabilityZone: m.inst.zone,
		LifecycleState: m.state, HealthStatus: health, ProtectedFromScaleIn: m.protected, WeightedCapacity: m.weight,
		LaunchConfigurationName: m.template.configuration, LaunchTemplate: m.template.xml(),
	}
	if m.unnamed && out.LaunchTemplate != nil && s.cfg.UnnamedVersion == VersionHidden {
		out.LaunchTemplate.Version = ""
	}
	return out
}

func (g *group) tagXML(t groupTag) groupTagXML {
	return groupTagXML{g.name, "auto-scaling-group", t.key, t.value, t.propagate}
}

func (s *Sim) groupXML(g *group) groupXML {
	same := func(v string) string { return v }
	out := groupXML{
		AutoScalingGroupName: g.name, AutoScalingGroupARN: g.arn, LaunchConfigurationName: g.template.configuration,
		MinSize: g.min, MaxSize: g.max, DesiredCapacity: g.desired, DefaultCooldown: g.cooldown,
		AvailabilityZones: memberList(g.zones, same), LoadBalancerNames: memberList(g.balancers, same), TargetGroupARNs: memberList(g.targets, same), HealthCheckType: g.healthCheckType, HealthCheckGracePeriod: g.healthGrace, MaxInstanceLifetime: g.lifetime,
		Instances: memberList(g.serving(), s.memberXML), CreatedTime: xmlTime(g.created),
		SuspendedProcesses: memberList(g.suspended, func(p suspension) suspendedXML { return suspendedXML{p.process, p.reason} }),
		VPCZoneIdentifier:  g.zoneIdentifier, Tags: memberList(g.tags, g.tagXML),
		TerminationPolicies: memberList(g.policies, same), NewInstancesProtectedFromScaleIn: g.protectNew, CapacityRebalance: g.capacityRebalance,
		ServiceLinkedRoleARN: s.iamARN("role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"),
	}
	if len(g.policies) == 0 {
		out.TerminationPolicies.Member = []string{"Default"}
	}
	if g.warm != nil {
		out.WarmPoolConfiguration, out.WarmPoolSize = g.warm.xml(), len(g.pool())
	}
	if g.retention != "" {
		out.InstanceLifecyclePolicy = &lifecyclePolicyXML{g.retention}
	}
	if g.deleting {
		out.Status = "Delete in progress"
	}
	if g.mixed == nil {
		out.LaunchTemplate = g.template.xml()
		return out
	}
	out.MixedInstancesPolicy = &mixedXML{}
	out.MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification = g.template.xml()
	out.MixedInstancesPolicy.LaunchTemplate.Overrides = memberList(g.mixed.overrides, func(o override) overrideXML { return overrideXML{o.kind, o.image, o.weight, o.template.xml()} })
	d := &out.MixedInstancesPolicy.InstancesDistribution
	d.OnDemandAllocationStrategy, d.SpotAllocationStrategy = g.mixed.allocation, "lowest-price"
	d.OnDemandBaseCapacity, d.OnDemandPercentageAboveBaseCapacity = g.mixed.onDemandBase, g.mixed.onDemandPct
	return out
}

type describeGroupsResult struct {
	AutoScalingGroups members[groupXML]
	NextToken         string `xml:",omitempty"`
}

func (s *Sim) describeGroups(r *request) (any, error) {
	names := r.list("AutoScalingGroupNames")
	var found []*group
	for _, g := range s.groups {
		matches := len(names) == 0 || slices.Contains(names, g.name)
		for _, f := range r.filters("Filters", "Values") {
			ok, known := f.matchesTag(g.tagMap())
			if !known {
				return nil, validation("Invalid filter: %s", f.name)
			}
			matches = matches && ok
		}
		if matches {
			found = append(found, g)
		}
	}
	slices.SortFunc(found, func(a, b *group) int { return cmp.Compare(a.name, b.name) })
	part, next, err := pageOf(r.params, found, func(g *group) string { return g.name }, 50, 100)
	if err != nil {
		return nil, err
	}
	return describeGroupsResult{memberList(part, s.groupXML), next}, nil
}

type describeMembersResult struct {
	AutoScalingInstances members[memberXML]
	NextToken            string `xml:",omitempty"`
}

// describeMembers leaves unknown ids out without a word, as AWS does.
func (s *Sim) describeMembers(r *request) (any, error) {
	ids := r.list("InstanceIds")
	if len(ids) > 50 {
		return nil, validation("The number of instance ids that may be passed in is limited to 50")
	}
	var found []*member
	for _, inst := range s.order {
		if inst.member != nil && (len(ids) == 0 || slices.Contains(ids, inst.id)) {
			found = append(found, inst.member)
		}
	}
	part, next, err := pageOf(r.params, found, func(m *member) string { return m.inst.id }, 50, 50)
	if err != nil {
		return nil, err
	}
	return describeMembersResult{memberList(part, func(m *member) memberXML {
		x := s.memberXML(m)
		x.AutoScalingGroupName = m.group.name
		// This one action shouts its health.
		x.HealthStatus = map[string]string{"Healthy": "HEALTHY", "Unhealthy": "UNHEALTHY"}[x.HealthStatus]
		return x
	}), next}, nil
}

type activityXML struct {
	ActivityId           string //nolint:revive // the name on the wire
	AutoScalingGroupName string
	AutoScalingGroupARN  string
	Description          string
	Cause                string
	StartTime            xmlTime
	EndTime              *xmlTime
	StatusCode           string
	StatusMessage        string `xml:",omitempty"`
	Progress             int
	Details              string
}

func (g *group) activityXML(a *activity) activityXML {
	return activityXML{
		ActivityId: a.id, AutoScalingGroupName: g.name, AutoScalingGroupARN: g.arn, Description: a.description, Cause: a.cause,
		StartTime: xmlTime(a.start), EndTime: timeOrNil(a.end), StatusCode: a.code, StatusMessage: a.message,
		Progress: a.progress, Details: a.details,
	}
}

type activitiesResult struct {
	Activities members[activityXML]
	NextToken  string `xml:",omitempty"`
}

// sixWeeks is how long AWS keeps activities.
const sixWeeks = 6 * 7 * 24 * time.Hour

// describeActivities gives those in progress first, then the newest.
func (s *Sim) describeActivities(r *request) (any, error) {
	groups := s.groups
	if r.str("AutoScalingGroupName") != "" {
		g, err := s.groupOf(r)
		if err != nil {
			return nil, err
		}
		groups = []*group{g}
	}
	ids := r.list("ActivityIds")
	if len(ids) > 50 {
		return nil, validation("The number of activity ids that may be passed in is limited to 50")
	}
	type entry struct {
		*activity
		group *group
	}
	var found []entry
	for _, g := range groups {
		for _, a := range slices.Backward(g.activities) {
			if (len(ids) == 0 || slices.Contains(ids, a.id)) && time.Since(a.start) < sixWeeks {
				found = append(found, entry{a, g})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b entry) int {
		if a.ended() != b.ended() {
			if b.ended() {
				return -1
			}
			return 1
		}
		return b.start.Compare(a.start)
	})
	part, next, err := pageOf(r.params, found, func(e entry) string { return e.id }, 100, 100)
	if err != nil {
		return nil, err
	}
	return activitiesResult{memberList(part, func(e entry) activityXML { return e.group.activityXML(e.activity) }), next}, nil
}
