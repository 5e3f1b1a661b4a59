package asg

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// TemplateReader reads launch templates.
type TemplateReader interface {
	DescribeLaunchTemplateVersions(context.Context, *ec2.DescribeLaunchTemplateVersionsInput, ...func(*ec2.Options)) (*ec2.DescribeLaunchTemplateVersionsOutput, error)
}

// TemplateRef names a version of a launch template, as a group or a member does: a number, $Latest or $Default.
type TemplateRef struct{ ID, Name, Version string }

func (t TemplateRef) same(o TemplateRef) bool {
	return t.ID == o.ID || (t.ID == "" || o.ID == "") && t.Name == o.Name
}

// LaunchSpec is what a group launches instances with. Types are the instance types of a mixed instances policy, and ByType the
// templates of those that have one of their own; AnyType says that the policy chooses types by their attributes.
type LaunchSpec struct {
	Configuration string
	Template      TemplateRef
	Types         []string
	ByType        map[string]TemplateRef
	AnyType       bool
}

// Template is a version of a launch template as it is now. Image and Type are "" where it leaves them open.
type Template struct {
	TemplateRef
	Image, Type string
}

func launchOf(g astypes.AutoScalingGroup) LaunchSpec {
	l := LaunchSpec{Configuration: aws.ToString(g.LaunchConfigurationName), Template: refOf(g.LaunchTemplate)}
	if g.MixedInstancesPolicy == nil || g.MixedInstancesPolicy.LaunchTemplate == nil {
		return l
	}
	l.Template = refOf(g.MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification)
	for _, o := range g.MixedInstancesPolicy.LaunchTemplate.Overrides {
		if o.InstanceRequirements != nil || aws.ToString(o.InstanceType) == "" {
			l.AnyType = true
			continue
		}
		kind := aws.ToString(o.InstanceType)
		l.Types = append(l.Types, kind)
		if o.LaunchTemplateSpecification != nil {
			if l.ByType == nil {
				l.ByType = map[string]TemplateRef{}
			}
			l.ByType[kind] = refOf(o.LaunchTemplateSpecification)
		}
	}
	return l
}

func refOf(s *astypes.LaunchTemplateSpecification) TemplateRef {
	if s == nil {
		return TemplateRef{}
	}
	return TemplateRef{aws.ToString(s.LaunchTemplateId), aws.ToString(s.LaunchTemplateName), aws.ToString(s.Version)}
}

// TemplateFor is the one with which the group would launch an instance of a type.
func (l LaunchSpec) TemplateFor(kind string) TemplateRef {
	if own, ok := l.ByType[kind]; ok {
		return own
	}
	return l.Template
}

// Resolve reads what a group's reference stands for now. An image that is a parameter of Systems Manager is resolved too:
// the same version may launch another image by now.
func (c *Client) Resolve(ctx context.Context, ref TemplateRef) (Template, error) {
	in := &ec2.DescribeLaunchTemplateVersionsInput{Versions: []string{ref.Version}, ResolveAlias: aws.Bool(true)}
	if ref.Version == "" {
		in.Versions = []string{"$Default"}
	}
	if ref.ID != "" {
		in.LaunchTemplateId = aws.String(ref.ID)
	} else {
		in.LaunchTemplateName = aws.String(ref.Name)
	}
	out, err := c.Templates.DescribeLaunchTemplateVersions(ctx, in)
	if err != nil {
		return Template{}, fmt.Errorf("describing version %s of launch template %q: %w", in.Versions[0], ref.label(), err)
	}
	if len(out.LaunchTemplateVersions) == 0 {
		return Template{}, hint.Errorf("point the group at a version that exists", "launch template %q has no version %s", ref.label(), in.Versions[0])
	}
	v := out.LaunchTemplateVersions[0]
	t := Template{TemplateRef: TemplateRef{aws.ToString(v.LaunchTemplateId), aws.ToString(v.LaunchTemplateName), strconv.FormatInt(aws.ToInt64(v.VersionNumber), 10)}}
	if v.LaunchTemplateData != nil {
		t.Type = string(v.LaunchTemplateData.InstanceType)
		if image := aws.ToString(v.LaunchTemplateData.ImageId); strings.HasPrefix(image, "ami-") {
			t.Image = image
		}
	}
	return t, nil
}

func (t TemplateRef) label() string {
	if t.Name != "" {
		return t.Name
	}
	return t.ID
}

// Drift says in what a member differs from what its group would launch now, or "". now is what the group's template for
// the member's type stands for; it is not looked at in a group with a launch configuration.
func Drift(m Member, i Instance, l LaunchSpec, now Template) string {
	if l.Configuration != "" {
		if m.Configuration != l.Configuration {
			return fmt.Sprintf("launch configuration %s, group launches %s", orNone(m.Configuration), l.Configuration)
		}
		return ""
	}
	switch {
	case m.Template == TemplateRef{}:
		return "its launch template is unknown, group launches " + now.label()
	case !m.Template.same(now.TemplateRef):
		return fmt.Sprintf("launch template %s, group launches %s", m.Template.label(), now.label())
	case m.Template.Version != now.Version && !strings.HasPrefix(m.Template.Version, "$"):
		return fmt.Sprintf("launch template version %s, group launches %s", m.Template.Version, now.Version)
	case now.Image != "" && i.Image != "" && i.Image != now.Image:
		return fmt.Sprintf("AMI %s, group launches %s", i.Image, now.Image)
	case len(l.Types) > 0 && !l.AnyType && !slices.Contains(l.Types, i.Type):
		return fmt.Sprintf("instance type %s is not among %s", i.Type, strings.Join(l.Types, ", "))
	case len(l.Types) == 0 && !l.AnyType && now.Type != "" && i.Type != now.Type:
		return fmt.Sprintf("instance type %s, group launches %s", i.Type, now.Type)
	}
	return ""
}

func orNone(name string) string {
	if name == "" {
		return "none"
	}
	return name
}
