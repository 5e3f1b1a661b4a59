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

	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Template names a launch template in a version: a number, "$Latest" or "$Default".
type Template struct{ ID, Name, Version string }

func (t Template) String() string {
	if t.Name == "" {
		return t.ID
	}
	return t.Name
}

// Plan is what a group would launch now: from a launch configuration, or from a launch template with overrides.
type Plan struct {
	Configuration string
	Template      Template
	Overrides     []Override
}

// Override is one of a mixed instances policy. Without a type it chooses one by requirements; without a template of its
// own it takes the policy's; an image of its own wins over its template's
// (https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LaunchTemplateOverrides.html).
type Override struct {
	Type, Image string
	Template    Template
}

// LaunchSpec says how a group would launch an instance now. Without types any will do. Images that are not known
// are empty.
type LaunchSpec struct {
	Configuration string
	Template      Template // with a number for its version
	Image         string
	Types         []string
}

func templateOf(in *astypes.LaunchTemplateSpecification) Template {
	if in == nil {
		return Template{}
	}
	return Template{ID: aws.ToString(in.LaunchTemplateId), Name: aws.ToString(in.LaunchTemplateName), Version: aws.ToString(in.Version)}
}

func planOf(g *astypes.AutoScalingGroup) Plan {
	p := Plan{Configuration: aws.ToString(g.LaunchConfigurationName), Template: templateOf(g.LaunchTemplate)}
	if g.MixedInstancesPolicy == nil || g.MixedInstancesPolicy.LaunchTemplate == nil {
		return p
	}
	mixed := g.MixedInstancesPolicy.LaunchTemplate
	p.Template = templateOf(mixed.LaunchTemplateSpecification)
	for _, o := range mixed.Overrides {
		p.Overrides = append(p.Overrides, Override{Type: aws.ToString(o.InstanceType), Image: aws.ToString(o.ImageId), Template: templateOf(o.LaunchTemplateSpecification)})
	}
	return p
}

// Templates resolves launch templates, each version once.
type Templates struct {
	Describe call[ec2.DescribeLaunchTemplateVersionsInput, ec2.Options, ec2.DescribeLaunchTemplateVersionsOutput]
	known    map[Template]LaunchSpec
}

// Launches lists the specs from which a group would launch now. If one of its templates does not exist any more, gone names
// it: then the group can launch nothing, and there is nothing to compare with.
func (t *Templates) Launches(ctx context.Context, p Plan) (specs []LaunchSpec, gone string, err error) {
	if p.Configuration != "" {
		return []LaunchSpec{{Configuration: p.Configuration}}, "", nil
	}
	if len(p.Overrides) == 0 {
		spec, err := t.resolve(ctx, p.Template)
		return []LaunchSpec{spec}, goneIf(spec, p.Template), err
	}
	type source struct {
		template Template
		image    string
	}
	bySource := map[source]int{}
	for _, o := range p.Overrides {
		from := o.Template
		if from.ID == "" && from.Name == "" {
			from = p.Template
		}
		key := source{from, o.Image}
		i, seen := bySource[key]
		if !seen {
			spec, err := t.resolve(ctx, from)
			if err != nil || goneIf(spec, from) != "" {
				return nil, goneIf(spec, from), err
			}
			spec.Types = []string{}
			if o.Image != "" {
				spec.Image = o.Image
			}
			if strings.HasPrefix(o.Image, "resolve:") {
				spec.Image = "" // which one the parameter names is not known
			}
			i, specs = len(specs), append(specs, spec)
			bySource[key] = i
		}
		switch {
		case o.Type == "":
			specs[i].Types = nil // whatever fits the requirements, and that AWS decides
		case specs[i].Types != nil:
			specs[i].Types = append(specs[i].Types, o.Type)
		}
	}
	return specs, "", nil
}

// goneIf names a template that was not found.
func goneIf(spec LaunchSpec, t Template) string {
	if spec.Template == (Template{}) {
		return t.String()
	}
	return ""
}

// resolve reads one version of a launch template. One that does not exist is a LaunchSpec without a template.
func (t *Templates) resolve(ctx context.Context, of Template) (LaunchSpec, error) {
	if spec, known := t.known[of]; known {
		return spec, nil
	}
	spec, err := t.read(ctx, of, false)
	if err == nil && strings.HasPrefix(spec.Image, "resolve:") {
		// Which AMI a parameter names now is asked only where there is one: it takes a permission of its own.
		if spec, err = t.read(ctx, of, true); awserr.IsDenied(err) {
			return LaunchSpec{}, hint.Wrap(err, "the template names its AMI by an SSM parameter: allow ssm:GetParameters on it")
		}
	}
	switch {
	case awserr.IsTemplateNotFound(err):
		spec = LaunchSpec{}
	case awserr.IsDenied(err):
		return LaunchSpec{}, hint.Wrap(err, "--drifted needs ec2:DescribeLaunchTemplateVersions: see workflows/base/accounts/")
	case err != nil:
		return LaunchSpec{}, err
	}
	if t.known == nil {
		t.known = map[Template]LaunchSpec{}
	}
	t.known[of] = spec
	return spec, nil
}

func (t *Templates) read(ctx context.Context, of Template, aliases bool) (LaunchSpec, error) {
	in := &ec2.DescribeLaunchTemplateVersionsInput{Versions: []string{of.Version}}
	if of.Version == "" {
		in.Versions = []string{"$Default"} // what Auto Scaling takes then
	}
	if in.LaunchTemplateId = aws.String(of.ID); of.ID == "" {
		in.LaunchTemplateId, in.LaunchTemplateName = nil, aws.String(of.Name)
	}
	if aliases {
		in.ResolveAlias = aws.Bool(true)
	}
	out, err := t.Describe(ctx, in)
	if err != nil {
		return LaunchSpec{}, fmt.Errorf("describing launch template %q, version %q: %w", of, in.Versions[0], err)
	}
	if len(out.LaunchTemplateVersions) == 0 {
		return LaunchSpec{}, nil
	}
	v := out.LaunchTemplateVersions[0]
	spec := LaunchSpec{Template: Template{ID: aws.ToString(v.LaunchTemplateId), Name: aws.ToString(v.LaunchTemplateName), Version: strconv.FormatInt(aws.ToInt64(v.VersionNumber), 10)}}
	if data := v.LaunchTemplateData; data != nil {
		spec.Image = aws.ToString(data.ImageId)
		if data.InstanceType != "" {
			spec.Types = []string{string(data.InstanceType)}
		}
	}
	return spec, nil
}

// Drift says in what a member differs from all that its group would launch now; nothing says that it does not. The first
// spec that would launch its type is the one that it is compared with, if it fits none.
func Drift(m Serving, image string, specs []LaunchSpec) (reasons []string) {
	var types []string
	fits := false
	for _, spec := range specs {
		types = append(types, spec.Types...)
		if spec.Types != nil && !slices.Contains(spec.Types, m.Type) {
			continue
		}
		differences := spec.differences(m, image)
		if len(differences) == 0 {
			return nil
		}
		if !fits {
			reasons = differences
		}
		fits = true
	}
	switch {
	case fits || len(specs) == 0:
		return reasons
	case len(types) == 1:
		reasons = []string{fmt.Sprintf("instance type %s, group launches %s", m.Type, types[0])}
	default:
		reasons = []string{fmt.Sprintf("instance type %s is not among %s", m.Type, strings.Join(types, ", "))}
	}
	return append(specs[0].differences(m, image), reasons...)
}

// differences compares all but the type.
func (w LaunchSpec) differences(m Serving, image string) (found []string) {
	was, now := m.Template, w.Template
	nothing := m.Configuration == "" && was == (Template{})
	switch {
	case w.Configuration != "" && m.Configuration == w.Configuration:
		return nil // it cannot be changed, so the name says it all
	case w.Configuration != "" && nothing:
		return []string{fmt.Sprintf("launch configuration is not known any more, group launches %s", w.Configuration)}
	case w.Configuration != "" && m.Configuration != "":
		return []string{fmt.Sprintf("launch configuration %s, group launches %s", m.Configuration, w.Configuration)}
	case w.Configuration != "":
		return []string{fmt.Sprintf("launch template %s, group launches launch configuration %s", was, w.Configuration)}
	case m.Configuration != "":
		found = append(found, fmt.Sprintf("launch configuration %s, group launches launch template %s", m.Configuration, now))
	case nothing:
		found = append(found, fmt.Sprintf("launch template is not known any more, group launches %s version %s", now, now.Version))
	case was.ID != now.ID && (was.ID != "" || was.Name != now.Name):
		found = append(found, fmt.Sprintf("launch template %s, group launches %s", was, now))
	case was.Version != now.Version:
		found = append(found, fmt.Sprintf("launch template version %s, group launches %s", was.Version, now.Version))
	}
	if now := w.Image; now != "" && !strings.HasPrefix(now, "resolve:") && image != "" && image != now {
		found = append(found, fmt.Sprintf("AMI %s, group launches %s", image, now))
	}
	return found
}
