package awssim

import (
	"maps"
	"slices"
	"strings"
)

// tagged are the instances to tag; the simulator has no other resources.
func (s *Sim) tagged(r *request) ([]*instance, error) {
	ids := r.list("ResourceId")
	if len(ids) == 0 {
		return nil, missingParameter("ec2", "resourceIdSet")
	}
	for _, id := range ids {
		if !strings.HasPrefix(id, "i-") {
			return nil, fail("InvalidID", "The ID '%s' is not valid", id)
		}
	}
	return s.lookup(ids)
}

func (s *Sim) createTags(r *request) (any, error) {
	found, err := s.tagged(r)
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	for _, entry := range r.entries("Tag") {
		key := r.str(entry + ".Key")
		switch {
		case key == "" || len(key) > 127:
			return nil, fail("InvalidParameterValue", "Tag key must be between 1 and 127 characters in length")
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return nil, fail("InvalidParameterValue", "Value ( %s ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use", key)
		case len(r.str(entry+".Value")) > 256:
			return nil, fail("InvalidParameterValue", "Tag value exceeds the maximum length of 256 characters")
		}
		tags[key] = r.str(entry + ".Value")
	}
	if len(tags) == 0 {
		return nil, missingParameter("ec2", "tagSet")
	}
	for _, inst := range found {
		merged := maps.Clone(inst.tags)
		maps.Copy(merged, tags)
		own := 0
		for key := range merged {
			if !strings.HasPrefix(key, "aws:") {
				own++
			}
		}
		if own > 50 {
			return nil, fail("TagLimitExceeded", "More than 50 tags specified")
		}
	}
	for _, inst := range found {
		maps.Copy(inst.tags, tags)
	}
	return &ec2Done{Return: true}, nil
}

// deleteTags without tags takes all but those of AWS; with a value, only where
// the value is that.
func (s *Sim) deleteTags(r *request) (any, error) {
	found, err := s.tagged(r)
	if err != nil {
		return nil, err
	}
	entries := r.entries("Tag")
	for _, inst := range found {
		maps.DeleteFunc(inst.tags, func(key, value string) bool {
			if strings.HasPrefix(key, "aws:") {
				return false
			}
			return len(entries) == 0 || slices.ContainsFunc(entries, func(e string) bool {
				return r.str(e+".Key") == key && (!r.has(e+".Value") || r.str(e+".Value") == value)
			})
		})
	}
	return &ec2Done{Return: true}, nil
}

type resourceTagXML struct {
	ResourceID   string `xml:"resourceId"`
	ResourceType string `xml:"resourceType"`
	Key          string `xml:"key"`
	Value        string `xml:"value"`
}

type describeTagsEC2 struct {
	ec2Head
	Tags      items[resourceTagXML] `xml:"tagSet"`
	NextToken string                `xml:"nextToken,omitempty"`
}

func (s *Sim) describeTags(r *request) (any, error) {
	filters, err := ec2Filters(r.params)
	if err != nil {
		return nil, err
	}
	var found []resourceTagXML
	for _, inst := range s.order {
		if inst.forgotten {
			continue
		}
		for _, tag := range tagList(inst.tags) {
			keep := true
			for _, f := range filters {
				value, ok := map[string]string{"resource-id": inst.id, "resource-type": "instance", "key": tag.Key, "value": tag.Value, "tag:" + tag.Key: tag.Value}[f.name]
				if !ok && !strings.HasPrefix(f.name, "tag:") {
					return nil, fail("InvalidParameterValue", "The filter '%s' is invalid", f.name)
				}
				keep = keep && ok && slices.ContainsFunc(f.values, func(v string) bool { return wildcard(v, value) })
			}
			if keep {
				found = append(found, resourceTagXML{inst.id, "instance", tag.Key, tag.Value})
			}
		}
	}
	part, next, err := ec2Page(r.params, found, func(t resourceTagXML) string { return t.ResourceID + "\x00" + t.Key })
	if err != nil {
		return nil, err
	}
	return &describeTagsEC2{Tags: items[resourceTagXML]{part}, NextToken: next}, nil
}
