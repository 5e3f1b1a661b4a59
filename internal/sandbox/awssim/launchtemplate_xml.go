package awssim

type launchTemplateXML struct {
	ID        string        `xml:"launchTemplateId"`
	Name      string        `xml:"launchTemplateName"`
	Created   xmlTime       `xml:"createTime"`
	CreatedBy string        `xml:"createdBy"`
	Default   int           `xml:"defaultVersionNumber"`
	Latest    int           `xml:"latestVersionNumber"`
	Tags      items[tagXML] `xml:"tagSet"`
}

type versionXML struct {
	ID          string  `xml:"launchTemplateId"`
	Name        string  `xml:"launchTemplateName"`
	Number      int     `xml:"versionNumber"`
	Description string  `xml:"versionDescription,omitempty"`
	Created     xmlTime `xml:"createTime"`
	CreatedBy   string  `xml:"createdBy"`
	Default     bool    `xml:"defaultVersion"`
	Image       string  `xml:"launchTemplateData>imageId,omitempty"`
	Kind        string  `xml:"launchTemplateData>instanceType,omitempty"`
}

type templateResult struct {
	ec2Head
	Template launchTemplateXML `xml:"launchTemplate"`
}

type versionResult struct {
	ec2Head
	Version versionXML `xml:"launchTemplateVersion"`
}

type templatesResult struct {
	ec2Head
	Templates items[launchTemplateXML] `xml:"launchTemplates"`
	NextToken string                   `xml:"nextToken,omitempty"`
}

type versionsResult struct {
	ec2Head
	Versions  items[versionXML] `xml:"launchTemplateVersionSet"`
	NextToken string            `xml:"nextToken,omitempty"`
}

func (t *launchTemplate) xml() launchTemplateXML {
	return launchTemplateXML{ID: t.id, Name: t.name, Created: xmlTime(t.created), CreatedBy: t.creator, Default: t.preferred, Latest: len(t.versions)}
}

func (t *launchTemplate) versionXML(v templateVersion) versionXML {
	return versionXML{
		ID: t.id, Name: t.name, Number: v.number, Description: v.description, Created: xmlTime(v.created), CreatedBy: t.creator,
		Default: v.number == t.preferred, Image: v.image, Kind: v.kind,
	}
}
