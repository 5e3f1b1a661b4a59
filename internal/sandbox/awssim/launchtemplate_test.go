package awssim_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

func (w *world) createTemplate(name, image string, kind ec2types.InstanceType) error {
	_, err := w.ec2.CreateLaunchTemplate(w.ctx, &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: &name, LaunchTemplateData: &ec2types.RequestLaunchTemplateData{ImageId: &image, InstanceType: kind},
	})
	return err
}

func (w *world) templateVersion(name, image string) {
	w.Helper()
	_, err := w.ec2.CreateLaunchTemplateVersion(w.ctx, &ec2.CreateLaunchTemplateVersionInput{
		LaunchTemplateName: &name, SourceVersion: aws.String("$Latest"), LaunchTemplateData: &ec2types.RequestLaunchTemplateData{ImageId: &image},
	})
	w.ok(err)
}

func (w *world) versions(in ec2.DescribeLaunchTemplateVersionsInput) ([]ec2types.LaunchTemplateVersion, error) {
	out, err := w.ec2.DescribeLaunchTemplateVersions(w.ctx, &in)
	if err != nil {
		return nil, err
	}
	return out.LaunchTemplateVersions, nil
}

func TestInstancesFollowTheirLaunchTemplate(t *testing.T) {
	for _, c := range []struct {
		version, number, image string
	}{
		{"1", "1", "ami-1"}, {"$Default", "2", "ami-2"}, {"", "", "ami-2"}, {"$Latest", "3", "ami-3"},
	} {
		t.Run("version "+c.version, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.ok(w.createTemplate("nodes", "ami-1", "m6i.large"))
				w.templateVersion("nodes", "ami-2")
				w.templateVersion("nodes", "ami-3")
				_, err := w.ec2.ModifyLaunchTemplate(w.ctx, &ec2.ModifyLaunchTemplateInput{LaunchTemplateName: aws.String("nodes"), DefaultVersion: aws.String("2")})
				w.ok(err)
				ids := w.group(1, 2, 1, func(in *autoscaling.CreateAutoScalingGroupInput) {
					in.LaunchTemplate.Version = nil
					if c.version != "" {
						in.LaunchTemplate.Version = &c.version
					}
				})
				i, m := w.instance(ids[0]), w.describe().Instances[0]
				w.want(*i.ImageId, c.image, "image")
				w.want(string(i.InstanceType), "m6i.large", "type, which version 1 gave on")
				w.want(aws.ToString(m.LaunchTemplate.Version), c.number, "the member's version")
				w.want(aws.ToString(w.describe().LaunchTemplate.Version), c.version, "the group's version")
				w.want(*m.InstanceType, "m6i.large", "the member's type")
			})
		})
	}
}

func TestAVersionThatTheGroupDoesNotNameMayBeShown(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.UnnamedVersion = awssim.VersionShown }, func(w *world) {
		w.group(1, 2, 1, func(in *autoscaling.CreateAutoScalingGroupInput) { in.LaunchTemplate.Version = nil })
		g := w.describe()
		w.want(aws.ToString(g.Instances[0].LaunchTemplate.Version), "1", "the member's version")
		w.want(g.LaunchTemplate.Version == nil, true, "the group names none")
	})
}

func TestAnOverridesImageComesFirst(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.ok(w.createTemplate("nodes", "ami-x86", "m6i.large"))
		ids := w.group(1, 2, 1, func(in *autoscaling.CreateAutoScalingGroupInput) {
			in.MixedInstancesPolicy = &types.MixedInstancesPolicy{LaunchTemplate: &types.LaunchTemplate{
				LaunchTemplateSpecification: in.LaunchTemplate,
				Overrides:                   []types.LaunchTemplateOverrides{{InstanceType: aws.String("m7g.large"), ImageId: aws.String("ami-arm")}},
			}}
			in.LaunchTemplate = nil
		})
		w.want(*w.instance(ids[0]).ImageId, "ami-arm", "image")
		w.want(*w.describe().MixedInstancesPolicy.LaunchTemplate.Overrides[0].ImageId, "ami-arm", "the override's image")
	})
}

func TestOverridesBringTypeAndTemplate(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.ok(w.createTemplate("nodes", "ami-x86", "m6i.large"))
		w.ok(w.createTemplate("arm", "ami-arm", "m7g.large"))
		ids := w.group(1, 2, 1, func(in *autoscaling.CreateAutoScalingGroupInput) {
			in.MixedInstancesPolicy = &types.MixedInstancesPolicy{LaunchTemplate: &types.LaunchTemplate{
				LaunchTemplateSpecification: in.LaunchTemplate,
				Overrides: []types.LaunchTemplateOverrides{
					{InstanceType: aws.String("c7g.large"), LaunchTemplateSpecification: &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("arm"), Version: aws.String("1")}},
					{InstanceType: aws.String("m5.large")},
				},
			}}
			in.LaunchTemplate = nil
		})
		i, g := w.instance(ids[0]), w.describe()
		w.want(*i.ImageId, "ami-arm", "image")
		w.want(string(i.InstanceType), "c7g.large", "type")
		w.want(*g.Instances[0].LaunchTemplate.LaunchTemplateName, "arm", "the member's template")
		shown := g.MixedInstancesPolicy.LaunchTemplate.Overrides
		w.want(*shown[0].LaunchTemplateSpecification.LaunchTemplateName, "arm", "the override's template")
		if shown[1].LaunchTemplateSpecification != nil {
			w.Error("an override without a template of its own shows one")
		}
	})
}

func TestLaunchTemplateVersions(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		nodes := aws.String("nodes")
		w.ok(w.createTemplate("nodes", "ami-1", ""))
		w.refused(w.createTemplate("nodes", "ami-1", ""), "InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")
		w.templateVersion("nodes", "ami-2")
		all, err := w.versions(ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateName: nodes})
		w.ok(err)
		w.want(len(all), 2, "versions")
		w.want(*all[0].VersionNumber, 2, "the newest first")
		w.want(*all[0].LaunchTemplateData.ImageId, "ami-2", "its image")
		w.want(*all[1].DefaultVersion, true, "the default")
		one, err := w.versions(ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateId: all[0].LaunchTemplateId, Versions: []string{"$Default"}})
		w.ok(err)
		w.want(*one[0].VersionNumber, 1, "$Default")
		templates, err := w.ec2.DescribeLaunchTemplates(w.ctx, &ec2.DescribeLaunchTemplatesInput{})
		w.ok(err)
		w.want(*templates.LaunchTemplates[0].LatestVersionNumber, 2, "the latest")

		_, err = w.versions(ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateName: nodes, Versions: []string{"3"}})
		w.refused(err, "InvalidLaunchTemplateId.VersionNotFound", "Could not find launch template version 3 for the launch template ID %s.", *all[0].LaunchTemplateId)
		_, err = w.versions(ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateName: aws.String("none"), Versions: []string{"1"}})
		w.refused(err, "InvalidLaunchTemplateName.NotFoundException", "The specified launch template, with template name none, does not exist.")
		_, err = w.versions(ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateId: aws.String("lt-1"), Versions: []string{"1"}})
		w.refused(err, "InvalidLaunchTemplateId.NotFound", "The specified launch template, with template ID lt-1, does not exist.")
	})
}

func TestADeletedLaunchTemplateIsNoLongerShown(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.ok(w.createTemplate("nodes", "ami-1", ""))
		w.group(1, 2, 1)
		_, err := w.ec2.DeleteLaunchTemplate(w.ctx, &ec2.DeleteLaunchTemplateInput{LaunchTemplateName: aws.String("nodes")})
		w.ok(err)
		w.pass(time.Second)
		if m := w.describe().Instances[0]; m.LaunchTemplate != nil {
			w.Errorf("the member shows %v", *m.LaunchTemplate.LaunchTemplateName)
		}
	})
}

func TestGroupFilters(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.group(0, 1, 0)
		for _, c := range []struct {
			filter, value string
			want          int
		}{
			{"tag:kubernetes.io/cluster/sandbox", "owned", 1},
			{"tag:kubernetes.io/cluster/sandbox", "shared", 0},
			{"tag-key", "kubernetes.io/cluster/sandbox", 1},
			{"tag-key", "kubernetes.io/cluster/other", 0},
		} {
			out, err := w.asg.DescribeAutoScalingGroups(w.ctx, &autoscaling.DescribeAutoScalingGroupsInput{Filters: []types.Filter{{Name: &c.filter, Values: []string{c.value}}}})
			w.ok(err)
			w.want(len(out.AutoScalingGroups), c.want, c.filter+"="+c.value)
		}
	})
}
