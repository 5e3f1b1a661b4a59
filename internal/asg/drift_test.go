package asg_test

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

func TestDrift(t *testing.T) {
	v := func(n string) asg.Template { return asg.Template{ID: "lt-1", Name: "workers", Version: n} }
	from := func(t asg.Template) asg.Serving { return asg.Serving{ID: "i-1", Type: "m5.large", Template: t} }
	spec := func(image string, types ...string) asg.LaunchSpec {
		return asg.LaunchSpec{Template: v("4"), Image: image, Types: types}
	}
	arm := asg.LaunchSpec{Template: asg.Template{ID: "lt-2", Name: "arm", Version: "1"}, Image: "ami-arm", Types: []string{"m7g.large"}}
	for name, c := range map[string]struct {
		member asg.Serving
		specs  []asg.LaunchSpec
		want   []string
	}{
		"the same in all":                       {from(v("4")), []asg.LaunchSpec{spec("ami-1", "m5.large")}, nil},
		"an older version":                      {from(v("3")), []asg.LaunchSpec{spec("ami-1", "m5.large")}, []string{"launch template version 3, group launches 4"}},
		"an older version with another AMI":     {from(v("3")), []asg.LaunchSpec{spec("ami-2")}, []string{"launch template version 3, group launches 4", "AMI ami-1, group launches ami-2"}},
		"the same version, whose AMI moved on":  {from(v("4")), []asg.LaunchSpec{spec("ami-2")}, []string{"AMI ami-1, group launches ami-2"}},
		"an AMI that is not known":              {from(v("4")), []asg.LaunchSpec{spec("")}, nil},
		"an AMI by a parameter":                 {from(v("4")), []asg.LaunchSpec{spec("resolve:ssm:/ami")}, nil},
		"another type":                          {from(v("4")), []asg.LaunchSpec{spec("ami-1", "m6i.large")}, []string{"instance type m5.large, group launches m6i.large"}},
		"a type that is not among the choice":   {from(v("4")), []asg.LaunchSpec{spec("ami-1", "m6i.large", "m6a.large")}, []string{"instance type m5.large is not among m6i.large, m6a.large"}},
		"a type among the choice":               {from(v("4")), []asg.LaunchSpec{spec("ami-1", "m6i.large", "m5.large")}, nil},
		"types by requirements":                 {from(v("4")), []asg.LaunchSpec{spec("ami-1")}, nil},
		"another template":                      {from(asg.Template{ID: "lt-0", Name: "old", Version: "4"}), []asg.LaunchSpec{spec("ami-1")}, []string{"launch template old, group launches workers"}},
		"a template of the same name, made new": {from(asg.Template{ID: "lt-0", Name: "workers", Version: "4"}), []asg.LaunchSpec{spec("ami-1")}, []string{"launch template workers, group launches workers"}},
		"a template that was deleted":           {from(asg.Template{}), []asg.LaunchSpec{spec("ami-1")}, []string{"launch template is not known any more, group launches workers version 4"}},
		"nothing to compare with":               {from(v("3")), nil, nil},
		"the template of an override":           {asg.Serving{Type: "m7g.large", Template: arm.Template}, []asg.LaunchSpec{spec("ami-1", "m5.large"), {Template: arm.Template, Types: arm.Types}}, nil},
		"not the template of its override": {
			asg.Serving{Type: "m7g.large", Template: v("4")}, []asg.LaunchSpec{spec("ami-1", "m5.large"), arm},
			[]string{"launch template workers, group launches arm", "AMI ami-1, group launches ami-arm"},
		},
		"the second of two specs that take any type": {from(v("4")), []asg.LaunchSpec{{Template: arm.Template, Image: "ami-arm"}, spec("ami-1")}, nil},
		"the same launch configuration":              {asg.Serving{Configuration: "lc-1"}, []asg.LaunchSpec{{Configuration: "lc-1"}}, nil},
		"another launch configuration":               {asg.Serving{Configuration: "lc-1"}, []asg.LaunchSpec{{Configuration: "lc-2"}}, []string{"launch configuration lc-1, group launches lc-2"}},
		"a launch configuration that was deleted":    {asg.Serving{}, []asg.LaunchSpec{{Configuration: "lc-2"}}, []string{"launch configuration is not known any more, group launches lc-2"}},
		"a group that went over to templates":        {asg.Serving{Configuration: "lc-1"}, []asg.LaunchSpec{spec("ami-1")}, []string{"launch configuration lc-1, group launches launch template workers"}},
		"a group that went back to configurations":   {from(v("4")), []asg.LaunchSpec{{Configuration: "lc-1"}}, []string{"launch template workers, group launches launch configuration lc-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, asg.Drift(c.member, "ami-1", c.specs)); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
		})
	}
}

// templates is EC2's part: versions by template and version asked for.
type templates struct {
	versions map[string]types.LaunchTemplateVersion
	err      error
	asked    []string
}

func (f *templates) DescribeLaunchTemplateVersions(_ context.Context, in *ec2.DescribeLaunchTemplateVersionsInput, _ ...func(*ec2.Options)) (*ec2.DescribeLaunchTemplateVersionsOutput, error) {
	key := aws.ToString(in.LaunchTemplateId) + aws.ToString(in.LaunchTemplateName) + ":" + in.Versions[0]
	if aws.ToBool(in.ResolveAlias) {
		key += " resolved"
	}
	f.asked = append(f.asked, key)
	v, found := f.versions[key]
	if !found && f.err != nil {
		return nil, f.err
	}
	if !found {
		return nil, &smithy.GenericAPIError{Code: "InvalidLaunchTemplateId.NotFound"}
	}
	return &ec2.DescribeLaunchTemplateVersionsOutput{LaunchTemplateVersions: []types.LaunchTemplateVersion{v}}, nil
}

func version(id string, number int64, image, kind string) types.LaunchTemplateVersion {
	return types.LaunchTemplateVersion{
		LaunchTemplateId: &id, LaunchTemplateName: aws.String("name-" + id), VersionNumber: &number,
		LaunchTemplateData: &types.ResponseLaunchTemplateData{ImageId: &image, InstanceType: types.InstanceType(kind)},
	}
}

func TestLaunchesOfAPlan(t *testing.T) {
	latest, arm := asg.Template{ID: "lt-1", Version: "$Latest"}, asg.Template{ID: "lt-2", Version: "7"}
	resolved := asg.Template{ID: "lt-1", Name: "name-lt-1", Version: "4"}
	resolvedArm := asg.Template{ID: "lt-2", Name: "name-lt-2", Version: "7"}
	for name, c := range map[string]struct {
		plan asg.Plan
		want []asg.LaunchSpec
		gone string
	}{
		"a launch configuration": {asg.Plan{Configuration: "lc"}, []asg.LaunchSpec{{Configuration: "lc"}}, ""},
		"a launch template":      {asg.Plan{Template: latest}, []asg.LaunchSpec{{Template: resolved, Image: "ami-1", Types: []string{"m5.large"}}}, ""},
		"overrides by type": {
			asg.Plan{Template: latest, Overrides: []asg.Override{{Type: "m6i.large"}, {Type: "m7g.large", Template: arm}, {Type: "m6a.large"}}},
			[]asg.LaunchSpec{{Template: resolved, Image: "ami-1", Types: []string{"m6i.large", "m6a.large"}}, {Template: resolvedArm, Image: "ami-arm", Types: []string{"m7g.large"}}}, "",
		},
		"overrides with images of their own": {
			asg.Plan{Template: latest, Overrides: []asg.Override{{Type: "m6i.large", Image: "ami-own"}, {Type: "m7g.large", Image: "ami-arm"}, {Type: "m6a.large", Image: "ami-own"}, {Type: "t4g.large", Image: "resolve:ssm:/ami"}}},
			[]asg.LaunchSpec{
				{Template: resolved, Image: "ami-own", Types: []string{"m6i.large", "m6a.large"}}, {Template: resolved, Image: "ami-arm", Types: []string{"m7g.large"}},
				{Template: resolved, Types: []string{"t4g.large"}},
			}, "",
		},
		"an override by requirements": {
			asg.Plan{Template: latest, Overrides: []asg.Override{{}, {Type: "m6i.large"}}}, []asg.LaunchSpec{{Template: resolved, Image: "ami-1"}}, "",
		},
		"a template that is gone": {asg.Plan{Template: asg.Template{ID: "lt-9", Name: "gone", Version: "1"}}, nil, "gone"},
		"an override's template that is gone": {
			asg.Plan{Template: latest, Overrides: []asg.Override{{Type: "m7g.large", Template: asg.Template{ID: "lt-9", Version: "1"}}}}, nil, "lt-9",
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := &templates{versions: map[string]types.LaunchTemplateVersion{
				"lt-1:$Latest": version("lt-1", 4, "ami-1", "m5.large"), "lt-2:7": version("lt-2", 7, "ami-arm", ""),
			}}
			reader := asg.Templates{Describe: api.DescribeLaunchTemplateVersions}
			for range 2 {
				specs, gone, err := reader.Launches(t.Context(), c.plan)
				if err != nil || gone != c.gone {
					t.Fatalf("gone %q, %v", gone, err)
				}
				if diff := cmp.Diff(c.want, specs); gone == "" && diff != "" {
					t.Errorf("specs (-want +got):\n%s", diff)
				}
			}
			seen := map[string]bool{}
			for _, key := range api.asked {
				if seen[key] {
					t.Errorf("%s was asked for twice", key)
				}
				seen[key] = true
			}
		})
	}
}

func TestAnImageByParameterIsResolved(t *testing.T) {
	api := &templates{versions: map[string]types.LaunchTemplateVersion{
		"lt-1:1": version("lt-1", 1, "resolve:ssm:/ami", ""), "lt-1:1 resolved": version("lt-1", 1, "ami-7", ""),
	}}
	plan := asg.Plan{Template: asg.Template{ID: "lt-1", Version: "1"}}
	specs, _, err := (&asg.Templates{Describe: api.DescribeLaunchTemplateVersions}).Launches(t.Context(), plan)
	if err != nil || specs[0].Image != "ami-7" {
		t.Errorf("%+v, %v", specs, err)
	}
	delete(api.versions, "lt-1:1 resolved")
	api.err = &smithy.GenericAPIError{Code: "UnauthorizedOperation"}
	_, _, err = (&asg.Templates{Describe: api.DescribeLaunchTemplateVersions}).Launches(t.Context(), plan)
	if text := hint.Of(err); text != "the template names its AMI by an SSM parameter: allow ssm:GetParameters on it" {
		t.Errorf("hint %q, %v", text, err)
	}
}

func TestAMissingPermissionSaysWhatToAllow(t *testing.T) {
	for code, want := range map[string]string{
		"UnauthorizedOperation": "--drifted needs ec2:DescribeLaunchTemplateVersions: see workflows/base/accounts/", "InternalError": "",
	} {
		api := &templates{err: &smithy.GenericAPIError{Code: code}}
		_, _, err := (&asg.Templates{Describe: api.DescribeLaunchTemplateVersions}).Launches(t.Context(), asg.Plan{Template: asg.Template{ID: "lt-1", Version: "1"}})
		var answer smithy.APIError
		if !errors.As(err, &answer) || hint.Of(err) != want {
			t.Errorf("%s: hint %q, %v", code, hint.Of(err), err)
		}
	}
}
