package awssim

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// launchTemplate is one that was created over the API. Groups may name others, of which nothing is known but the name.
type launchTemplate struct {
	id, name string
	created  time.Time
	def      int // the default version
	versions []templateVersion
}

// templateVersion is what instances are launched with; "" where the version leaves it open.
type templateVersion struct{ image, kind string }

const defaultImage = "ami-0123456789abcdef0"

type launchTemplateXML struct {
	ID      string  `xml:"launchTemplateId"`
	Name    string  `xml:"launchTemplateName"`
	Created xmlTime `xml:"createTime"`
	Default int     `xml:"defaultVersionNumber"`
	Latest  int     `xml:"latestVersionNumber"`
}

type templateVersionXML struct {
	ID      string  `xml:"launchTemplateId"`
	Name    string  `xml:"launchTemplateName"`
	Number  int     `xml:"versionNumber"`
	Created xmlTime `xml:"createTime"`
	Default bool    `xml:"defaultVersion"`
	Image   string  `xml:"launchTemplateData>imageId,omitempty"`
	Type    string  `xml:"launchTemplateData>instanceType,omitempty"`
}

type templateResult struct {
	ec2Head
	Template launchTemplateXML `xml:"launchTemplate"`
}

type templateVersionResult struct {
	ec2Head
	Version templateVersionXML `xml:"launchTemplateVersion"`
}

type templateVersionsResult struct {
	ec2Head
	Versions items[templateVersionXML] `xml:"launchTemplateVersionSet"`
}

func (t *launchTemplate) xml() launchTemplateXML {
	return launchTemplateXML{t.id, t.name, xmlTime(t.created), t.def, len(t.versions)}
}

func (t *launchTemplate) versionXML(number int) templateVersionXML {
	v := t.versions[number-1]
	return templateVersionXML{t.id, t.name, number, xmlTime(t.created), number == t.def, v.image, v.kind}
}

func readVersion(r *request) templateVersion {
	return templateVersion{r.str("LaunchTemplateData.ImageId"), r.str("LaunchTemplateData.InstanceType")}
}

func (s *Sim) createLaunchTemplate(r *request) (any, error) {
	name := r.str("LaunchTemplateName")
	switch {
	case name == "":
		return nil, fail("MissingParameter", "The request must contain the parameter LaunchTemplateName")
	case slices.ContainsFunc(s.templates, func(t *launchTemplate) bool { return t.name == name }):
		return nil, fail("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")
	}
	// A group may have named it before: its id is the one that was made up for the name.
	t := &launchTemplate{id: "lt-0" + nameDigits(name), name: name, created: time.Now(), def: 1, versions: []templateVersion{readVersion(r)}}
	s.templates = append(s.templates, t)
	return &templateResult{Template: t.xml()}, nil
}

func (s *Sim) createLaunchTemplateVersion(r *request) (any, error) {
	t, err := s.launchTemplate(r)
	if err != nil {
		return nil, err
	}
	v := readVersion(r)
	if source := r.str("SourceVersion"); source != "" {
		number, err := t.number(source)
		if err != nil {
			return nil, err
		}
		was := t.versions[number-1]
		if v.image == "" {
			v.image = was.image
		}
		if v.kind == "" {
			v.kind = was.kind
		}
	}
	t.versions = append(t.versions, v)
	return &templateVersionResult{Version: t.versionXML(len(t.versions))}, nil
}

func (s *Sim) modifyLaunchTemplate(r *request) (any, error) {
	t, err := s.launchTemplate(r)
	if err != nil {
		return nil, err
	}
	if version := r.str("SetDefaultVersion"); version != "" {
		if t.def, err = t.number(version); err != nil {
			return nil, err
		}
	}
	return &templateResult{Template: t.xml()}, nil
}

func (s *Sim) describeLaunchTemplateVersions(r *request) (any, error) {
	t, err := s.launchTemplate(r)
	if err != nil {
		return nil, err
	}
	wanted := r.list("LaunchTemplateVersion")
	var numbers []int
	for _, version := range wanted {
		number, err := t.number(version)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(numbers, number) {
			numbers = append(numbers, number)
		}
	}
	for number := range t.versions {
		if len(wanted) == 0 {
			numbers = append(numbers, number+1)
		}
	}
	return &templateVersionsResult{Versions: itemList(numbers, t.versionXML)}, nil
}

// launchTemplate finds the one that a request names by id or by name.
func (s *Sim) launchTemplate(r *request) (*launchTemplate, error) {
	id, name := r.str("LaunchTemplateId"), r.str("LaunchTemplateName")
	if t := s.templateOf(template{id: id, name: name}); t != nil {
		return t, nil
	}
	switch {
	case id != "":
		return nil, fail("InvalidLaunchTemplateId.NotFound", "The specified launch template, with template ID %s, does not exist.", id)
	case name != "":
		return nil, fail("InvalidLaunchTemplateName.NotFoundException", "The specified launch template, with template name %s, does not exist.", name)
	}
	return nil, fail("MissingParameter", "Either a launch template ID or a launch template name must be specified in the request.")
}

func (s *Sim) templateOf(named template) *launchTemplate {
	for _, t := range s.templates {
		if (named.id != "" && t.id == named.id) || (named.id == "" && named.name != "" && t.name == named.name) {
			return t
		}
	}
	return nil
}

// number is what $Latest, $Default or a number stands for.
func (t *launchTemplate) number(version string) (int, error) {
	switch version {
	case "$Latest":
		return len(t.versions), nil
	case "$Default", "":
		return t.def, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(version))
	if err != nil || n < 1 || n > len(t.versions) {
		return 0, fail("InvalidLaunchTemplateId.VersionNotFound", "Could not find the specified version %s for the launch template with ID %s.", version, t.id)
	}
	return n, nil
}

// atLaunch is a group's template with the version that counts now, and what that version says.
func (s *Sim) atLaunch(g *group) (template, templateVersion) {
	t := s.templateOf(g.template)
	if t == nil || g.template.configuration != "" {
		return g.template.resolved(s.cfg.LaunchTemplateLatest), templateVersion{}
	}
	resolved := g.template
	number, err := t.number(g.template.version)
	if err != nil {
		return resolved, templateVersion{}
	}
	resolved.version = strconv.Itoa(number)
	return resolved, t.versions[number-1]
}
