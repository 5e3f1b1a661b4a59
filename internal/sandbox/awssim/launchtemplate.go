package awssim

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// launchTemplate is one of EC2's. Versions are numbered from 1 and stay.
type launchTemplate struct {
	id, name  string
	created   time.Time
	creator   string // ARN
	versions  []templateVersion
	preferred int // the default version
}

type templateVersion struct {
	number      int
	created     time.Time
	description string
	image, kind string
}

// template finds a launch template by id or name.
func (s *Sim) template(id, name string) *launchTemplate {
	i := slices.IndexFunc(s.templates, func(t *launchTemplate) bool { return t.id == id || (name != "" && t.name == name) })
	if i < 0 {
		return nil
	}
	return s.templates[i]
}

// version finds one by number, $Latest or $Default; none is the default.
func (t *launchTemplate) version(text string) (templateVersion, bool) {
	var n int
	switch text {
	case "$Latest":
		n = len(t.versions)
	case "", "$Default":
		n = t.preferred
	default:
		n, _ = strconv.Atoi(text) // no number is no version either
	}
	if n < 1 || n > len(t.versions) {
		return templateVersion{}, false
	}
	return t.versions[n-1], true
}

// resolve is what a group's template stands for at launch: the number of the
// version, and its image and type where the template is known.
func (s *Sim) resolve(t template) (template, templateVersion) {
	if known := s.template(t.id, t.name); known != nil && t.configuration == "" {
		if v, found := known.version(t.version); found {
			return template{id: known.id, name: known.name, version: itoa(v.number)}, v
		}
	}
	return t.resolved(s.cfg.LaunchTemplateLatest), templateVersion{}
}

// called takes the template that a call names, in EC2's words if there is none.
func (s *Sim) called(r *request) (*launchTemplate, error) {
	id, name := r.str("LaunchTemplateId"), r.str("LaunchTemplateName")
	switch {
	case id != "" && name != "":
		return nil, fail("InvalidParameterCombination", "Only one of launchTemplateId and launchTemplateName may be specified")
	case id == "" && name == "":
		return nil, fail("MissingParameter", "Either a launch template ID or a launch template name must be specified in the request.")
	}
	t := s.template(id, name)
	switch {
	case t == nil && id != "":
		return nil, fail("InvalidLaunchTemplateId.NotFound", "The specified launch template, with template ID %s, does not exist.", id)
	case t == nil:
		return nil, fail("InvalidLaunchTemplateName.NotFoundException", "The specified launch template, with template name %s, does not exist.", name)
	}
	return t, nil
}

func versionNotFound(t *launchTemplate, version string) error {
	return fail("InvalidLaunchTemplateId.VersionNotFound", "Could not find launch template version %s for the launch template ID %s.", version, t.id)
}

func (s *Sim) createLaunchTemplate(r *request) (any, error) {
	name, err := r.required("LaunchTemplateName")
	if err != nil {
		return nil, err
	}
	if s.template("", name) != nil {
		return nil, fail("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")
	}
	// A group that named it before has given it this id.
	t := &launchTemplate{id: "lt-0" + nameDigits(name), name: name, created: time.Now(), creator: s.userARN(r.accessKey), preferred: 1}
	t.add(r.params, templateVersion{})
	s.templates = append(s.templates, t)
	return &templateResult{Template: t.xml()}, nil
}

// add makes a version of a call's data, on top of another version's.
func (t *launchTemplate) add(p params, source templateVersion) templateVersion {
	v := templateVersion{number: len(t.versions) + 1, created: time.Now(), description: p.str("VersionDescription"), image: source.image, kind: source.kind}
	if image := p.str("LaunchTemplateData.ImageId"); image != "" {
		v.image = image
	}
	if kind := p.str("LaunchTemplateData.InstanceType"); kind != "" {
		v.kind = kind
	}
	t.versions = append(t.versions, v)
	return v
}

func (s *Sim) createLaunchTemplateVersion(r *request) (any, error) {
	t, err := s.called(r)
	if err != nil {
		return nil, err
	}
	var source templateVersion
	if number := r.str("SourceVersion"); number != "" {
		var found bool
		if source, found = t.version(number); !found {
			return nil, versionNotFound(t, number)
		}
	}
	v := t.add(r.params, source)
	return &versionResult{Version: t.versionXML(v)}, nil
}

func (s *Sim) modifyLaunchTemplate(r *request) (any, error) {
	t, err := s.called(r)
	if err != nil {
		return nil, err
	}
	if number := r.str("SetDefaultVersion"); number != "" {
		v, found := t.version(number)
		if !found {
			return nil, versionNotFound(t, number)
		}
		t.preferred = v.number
	}
	return &templateResult{Template: t.xml()}, nil
}

func (s *Sim) deleteLaunchTemplate(r *request) (any, error) {
	t, err := s.called(r)
	if err != nil {
		return nil, err
	}
	s.templates = slices.DeleteFunc(slices.Clone(s.templates), func(o *launchTemplate) bool { return o == t })
	for _, g := range s.groups {
		for _, m := range g.members {
			if m.template.id == t.id {
				m.template = template{} // Auto Scaling shows none for its instances from then on
			}
		}
	}
	return &templateResult{Template: t.xml()}, nil
}

func (s *Sim) describeLaunchTemplates(r *request) (any, error) {
	ids, names := r.list("LaunchTemplateId"), r.list("LaunchTemplateName")
	for _, id := range ids {
		if s.template(id, "") == nil {
			return nil, fail("InvalidLaunchTemplateId.NotFound", "The specified launch template, with template ID %s, does not exist.", id)
		}
	}
	for _, name := range names {
		if s.template("", name) == nil {
			return nil, fail("InvalidLaunchTemplateName.NotFoundException", "At least one of the launch templates specified in the request does not exist.")
		}
	}
	var found []*launchTemplate
	for _, t := range s.templates {
		if len(ids)+len(names) == 0 || slices.Contains(ids, t.id) || slices.Contains(names, t.name) {
			found = append(found, t)
		}
	}
	part, next, err := templatePage(r.params, found, func(t *launchTemplate) string { return t.id })
	if err != nil {
		return nil, err
	}
	return &templatesResult{Templates: itemList(part, (*launchTemplate).xml), NextToken: next}, nil
}

// describeLaunchTemplateVersions shows the versions asked for, newest first.
// Without a template it takes $Latest and $Default of all.
func (s *Sim) describeLaunchTemplateVersions(r *request) (any, error) {
	wanted := r.list("LaunchTemplateVersion")
	templates := s.templates
	if r.has("LaunchTemplateId") || r.has("LaunchTemplateName") {
		t, err := s.called(r)
		if err != nil {
			return nil, err
		}
		templates = []*launchTemplate{t}
	} else if len(wanted) == 0 || slices.ContainsFunc(wanted, func(v string) bool { return !strings.HasPrefix(v, "$") }) {
		return nil, fail("MissingParameter", "Either a launch template ID or a launch template name must be specified in the request.")
	}
	var found []versionXML
	for _, t := range templates {
		numbers := map[int]bool{}
		for _, text := range wanted {
			v, ok := t.version(text)
			if !ok {
				return nil, versionNotFound(t, text)
			}
			numbers[v.number] = true
		}
		for _, v := range slices.Backward(t.versions) {
			if len(wanted) == 0 || numbers[v.number] {
				found = append(found, t.versionXML(v))
			}
		}
	}
	part, next, err := templatePage(r.params, found, func(v versionXML) string { return v.ID + "/" + itoa(v.Number) })
	if err != nil {
		return nil, err
	}
	return &versionsResult{Versions: items[versionXML]{part}, NextToken: next}, nil
}

// templatePage reads MaxResults as these two actions have it, up to 200.
func templatePage[T any](p params, all []T, key func(T) string) ([]T, string, error) {
	size, err := p.integer("MaxResults", 200)
	if err != nil {
		return nil, "", err
	}
	if size < 1 || size > 200 {
		return nil, "", fail("InvalidParameterValue", "Value ( %d ) for parameter maxResults is invalid. Expecting a value between 1 and 200.", size)
	}
	part, next, ok := page(all, key, p.str("NextToken"), size)
	if !ok {
		return nil, "", fail("InvalidParameterValue", "Unable to parse pagination token")
	}
	return part, next, nil
}

// cloneTemplates keeps what a template is, as its versions never change.
func cloneTemplates(all []*launchTemplate) []*launchTemplate {
	return listOf(all, func(t *launchTemplate) *launchTemplate { k := *t; return &k })
}

// templateTags are those of an instance launched from a template.
func templateTags(tags map[string]string, t template) {
	if t.configuration == "" {
		maps.Copy(tags, map[string]string{"aws:ec2launchtemplate:id": t.id, "aws:ec2launchtemplate:version": t.version})
	}
}
