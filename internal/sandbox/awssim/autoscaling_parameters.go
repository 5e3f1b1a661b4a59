package awssim

// autoscalingParams are the parameters that each action takes. Some are without
// effect, as what they are about is not played: cooldowns, grace periods,
// warm-up times, load balancers, the strategies of a mixed instances policy.
func autoscalingParams() map[string]string {
	const (
		group     = "AutoScalingGroupName "
		instances = group + "InstanceIds.N "
		decrement = "ShouldDecrementDesiredCapacity "
		page      = "MaxRecords NextToken "
		filters   = "Filters.N.Name Filters.N.Values.N "
		managed   = "IncludeManagedResources "
		tags      = "Tags.N.Key Tags.N.Value Tags.N.PropagateAtLaunch Tags.N.ResourceId Tags.N.ResourceType "
		hook      = group + "LifecycleHookName "
		action    = hook + "LifecycleActionToken InstanceId "

		template = "LaunchTemplate.LaunchTemplateId LaunchTemplate.LaunchTemplateName LaunchTemplate.Version "
		mixed    = "MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification.LaunchTemplateId " +
			"MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification.LaunchTemplateName " +
			"MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification.Version " +
			"MixedInstancesPolicy.LaunchTemplate.Overrides.N.InstanceType " +
			"MixedInstancesPolicy.LaunchTemplate.Overrides.N.ImageId " +
			"MixedInstancesPolicy.LaunchTemplate.Overrides.N.WeightedCapacity " +
			"MixedInstancesPolicy.LaunchTemplate.Overrides.N.LaunchTemplateSpecification.LaunchTemplateId " +
			"MixedInstancesPolicy.LaunchTemplate.Overrides.N.LaunchTemplateSpecification.LaunchTemplateName " +
			"MixedInstancesPolicy.LaunchTemplate.Overrides.N.LaunchTemplateSpecification.Version " +
			"MixedInstancesPolicy.InstancesDistribution.*"
		settings = group + template + mixed + " MinSize MaxSize DesiredCapacity DefaultCooldown DefaultInstanceWarmup " +
			"HealthCheckType HealthCheckGracePeriod MaxInstanceLifetime CapacityRebalance NewInstancesProtectedFromScaleIn " +
			"TerminationPolicies.N VPCZoneIdentifier AvailabilityZones.N LaunchConfigurationName ServiceLinkedRoleARN " +
			retentionTrigger + " "
	)
	return map[string]string{
		"CreateAutoScalingGroup":              settings + tags + "LoadBalancerNames.N TargetGroupARNs.N",
		"UpdateAutoScalingGroup":              settings,
		"DeleteAutoScalingGroup":              group + "ForceDelete",
		"DescribeAutoScalingGroups":           "AutoScalingGroupNames.N " + filters + managed + page,
		"SetDesiredCapacity":                  group + "DesiredCapacity HonorCooldown",
		"DescribeAutoScalingInstances":        "InstanceIds.N " + managed + page,
		"DescribeScalingActivities":           group + "ActivityIds.N " + managed + page,
		"EnterStandby":                        instances + decrement,
		"ExitStandby":                         instances,
		"DetachInstances":                     instances + decrement,
		"AttachInstances":                     instances,
		"TerminateInstanceInAutoScalingGroup": "InstanceId " + decrement,
		"SetInstanceHealth":                   "InstanceId HealthStatus ShouldRespectGracePeriod",
		"SetInstanceProtection":               instances + "ProtectedFromScaleIn",
		"SuspendProcesses":                    group + "ScalingProcesses.N",
		"ResumeProcesses":                     group + "ScalingProcesses.N",
		"PutLifecycleHook":                    hook + "LifecycleTransition DefaultResult HeartbeatTimeout NotificationTargetARN RoleARN NotificationMetadata",
		"DescribeLifecycleHooks":              group + "LifecycleHookNames.N",
		"DeleteLifecycleHook":                 hook,
		"CompleteLifecycleAction":             action + "LifecycleActionResult",
		"RecordLifecycleActionHeartbeat":      action,
		"StartInstanceRefresh":                group + "Strategy Preferences.MinHealthyPercentage Preferences.InstanceWarmup Preferences.StandbyInstances",
		"DescribeInstanceRefreshes":           group + "InstanceRefreshIds.N " + page,
		"CancelInstanceRefresh":               group,
		"PutWarmPool":                         group + "MinSize MaxGroupPreparedCapacity PoolState InstanceReusePolicy.ReuseOnScaleIn",
		"DescribeWarmPool":                    group + page,
		"DeleteWarmPool":                      group + "ForceDelete",
		"CreateOrUpdateTags":                  tags,
		"DescribeTags":                        filters + managed + page,
		"DeleteTags":                          tags,
	}
}
