package awssim

// ec2Params are the parameters that each action takes, beside DryRun. Some are
// without effect: client tokens, what makes a shutdown quicker, and of a launch
// template's data all that shows neither in an instance nor in its volumes.
func ec2Params() map[string]string {
	const (
		filters   = "Filter.N.Name Filter.N.Value.N "
		page      = "MaxResults NextToken "
		instances = "InstanceId.N "
		managed   = "IncludeManagedResources "
		shutdown  = "Force SkipOsShutdown "
		tags      = "ResourceId.N Tag.N.Key Tag.N.Value "
		template  = "LaunchTemplateId LaunchTemplateName "
		data      = "ClientToken VersionDescription LaunchTemplateData.ImageId LaunchTemplateData.InstanceType " +
			"LaunchTemplateData.UserData LaunchTemplateData.KeyName LaunchTemplateData.EbsOptimized LaunchTemplateData.IamInstanceProfile.* " +
			"LaunchTemplateData.SecurityGroupId.N LaunchTemplateData.TagSpecification.* LaunchTemplateData.NetworkInterface.* LaunchTemplateData.MetadataOptions.* LaunchTemplateData.Monitoring.* "
	)
	return map[string]string{
		"DescribeInstances":              instances + filters + managed + page,
		"DescribeInstanceStatus":         instances + filters + managed + page + "IncludeAllInstances",
		"DescribeInstanceAttribute":      "InstanceId Attribute",
		"ModifyInstanceAttribute":        "InstanceId Attribute Value DisableApiStop.Value DisableApiTermination.Value",
		"DescribeVolumes":                "VolumeId.N " + filters + managed + page,
		"StopInstances":                  instances + shutdown,
		"StartInstances":                 instances,
		"TerminateInstances":             instances + shutdown,
		"CreateTags":                     tags,
		"DeleteTags":                     tags,
		"DescribeTags":                   filters + page,
		"CreateLaunchTemplate":           "LaunchTemplateName TagSpecification.* " + data,
		"CreateLaunchTemplateVersion":    template + "SourceVersion ResolveAlias " + data,
		"ModifyLaunchTemplate":           template + "ClientToken SetDefaultVersion",
		"DeleteLaunchTemplate":           template,
		"DescribeLaunchTemplates":        "LaunchTemplateId.N LaunchTemplateName.N " + managed + page,
		"DescribeLaunchTemplateVersions": template + "LaunchTemplateVersion.N ResolveAlias " + managed + page,
	}
}
