package awssim

import (
	"slices"
	"strings"
)

func (s *Sim) autoscalingActions() map[string]handler {
	return map[string]handler{
		"CreateAutoScalingGroup":              s.createGroup,
		"UpdateAutoScalingGroup":              s.updateGroup,
		"DeleteAutoScalingGroup":              s.deleteGroup,
		"DescribeAutoScalingGroups":           s.describeGroups,
		"SetDesiredCapacity":                  s.setDesiredCapacity,
		"DescribeAutoScalingInstances":        s.describeMembers,
		"DescribeScalingActivities":           s.describeActivities,
		"EnterStandby":                        s.enterStandby,
		"ExitStandby":                         s.exitStandby,
		"DetachInstances":                     s.detachInstances,
		"AttachInstances":                     s.attachInstances,
		"TerminateInstanceInAutoScalingGroup": s.terminateInGroup,
		"SetInstanceHealth":                   s.setInstanceHealth,
		"SetInstanceProtection":               s.setInstanceProtection,
		"SuspendProcesses":                    s.suspendProcesses,
		"ResumeProcesses":                     s.resumeProcesses,
		"PutLifecycleHook":                    s.putHook,
		"DescribeLifecycleHooks":              s.describeHooks,
		"DeleteLifecycleHook":                 s.deleteHook,
		"CompleteLifecycleAction":             s.completeLifecycleAction,
		"RecordLifecycleActionHeartbeat":      s.recordHeartbeat,
		"StartInstanceRefresh":                s.startInstanceRefresh,
		"DescribeInstanceRefreshes":           s.describeRefreshes,
		"CancelInstanceRefresh":               s.cancelRefresh,
		"PutWarmPool":                         s.putWarmPool,
		"DescribeWarmPool":                    s.describeWarmPool,
		"DeleteWarmPool":                      s.deleteWarmPool,
		"CreateOrUpdateTags":                  s.createOrUpdateTags,
		"DescribeTags":                        s.describeGroupTags,
		"DeleteTags":                          s.deleteGroupTags,
	}
}

// groupOf is the group that a call names.
func (s *Sim) groupOf(r *request) (*group, error) {
	name, err := r.required("AutoScalingGroupName")
	if err != nil {
		return nil, err
	}
	g := s.group(name)
	if g == nil {
		return nil, groupNotFound(name)
	}
	return g, nil
}

// openGroup is one that can still be changed.
func (s *Sim) openGroup(r *request) (*group, error) {
	g, err := s.groupOf(r)
	if err == nil && g.deleting {
		return nil, validation("The AutoScaling group may not be modified while it is pending delete")
	}
	return g, err
}

func splitCommas(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

type filter struct {
	name   string
	values []string
}

// filters reads Filters (Auto Scaling: Values) or Filter (EC2: Value).
func (p params) filters(list, valueList string) []filter {
	var out []filter
	for _, entry := range p.entries(list) {
		out = append(out, filter{p.str(entry + ".Name"), p.list(entry + "." + valueList)})
	}
	return out
}

func (f filter) matchesTag(tags map[string]string) (matches, known bool) {
	if key, ok := strings.CutPrefix(f.name, "tag:"); ok {
		value, has := tags[key]
		return has && slices.ContainsFunc(f.values, func(v string) bool { return wildcard(v, value) }), true
	}
	for key, value := range tags {
		if f.name == "tag-key" && slices.Contains(f.values, key) || f.name == "tag-value" && slices.Contains(f.values, value) {
			return true, true
		}
	}
	return false, f.name == "tag-key" || f.name == "tag-value"
}
