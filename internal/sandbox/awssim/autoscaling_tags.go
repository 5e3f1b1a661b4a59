package awssim

import (
	"cmp"
	"slices"
	"strings"
)

func readTag(p params, entry string) (groupTag, error) {
	key, err := p.required(entry + ".Key")
	if err != nil {
		return groupTag{}, err
	}
	if strings.HasPrefix(strings.ToLower(key), "aws:") {
		return groupTag{}, validation("Tag keys starting with 'aws:' are reserved for internal use")
	}
	propagate, err := p.boolean(entry+".PropagateAtLaunch", false)
	return groupTag{key, p.str(entry + ".Value"), propagate}, err
}

func (g *group) setTag(tag groupTag) {
	i, found := slices.BinarySearchFunc(g.tags, tag.key, func(t groupTag, key string) int { return cmp.Compare(t.key, key) })
	if found {
		g.tags[i] = tag
		return
	}
	g.tags = slices.Insert(g.tags, i, tag)
}

// taggedGroup is the group that one entry of Tags is for.
func (s *Sim) taggedGroup(p params, entry string) (*group, error) {
	name, err := p.required(entry + ".ResourceId")
	if err != nil {
		return nil, err
	}
	g := s.group(name)
	if g == nil {
		return nil, groupNotFound(name)
	}
	return g, nil
}

func (s *Sim) createOrUpdateTags(r *request) (any, error) {
	type change struct {
		group *group
		tag   groupTag
	}
	var changes []change
	for _, entry := range r.entries("Tags") {
		g, err := s.taggedGroup(r.params, entry)
		if err != nil {
			return nil, err
		}
		tag, err := readTag(r.params, entry)
		if err != nil {
			return nil, err
		}
		changes = append(changes, change{g, tag})
	}
	for _, c := range changes {
		c.group.setTag(c.tag)
	}
	return empty{}, nil
}

func (s *Sim) deleteGroupTags(r *request) (any, error) {
	for _, entry := range r.entries("Tags") {
		g, err := s.taggedGroup(r.params, entry)
		if err != nil {
			return nil, err
		}
		key := r.str(entry + ".Key")
		g.tags = slices.DeleteFunc(g.tags, func(t groupTag) bool { return t.key == key })
	}
	return empty{}, nil
}

type describeTagsResult struct {
	Tags      members[groupTagXML]
	NextToken string `xml:",omitempty"`
}

func (s *Sim) describeGroupTags(r *request) (any, error) {
	var found []groupTagXML
	for _, g := range s.groups {
		for _, t := range g.tags {
			keep := true
			for _, f := range r.filters("Filters", "Values") {
				switch f.name {
				case "auto-scaling-group":
					keep = keep && slices.Contains(f.values, g.name)
				case "key":
					keep = keep && slices.Contains(f.values, t.key)
				case "value":
					keep = keep && slices.Contains(f.values, t.value)
				case "propagate-at-launch":
					keep = keep && slices.Contains(f.values, map[bool]string{true: "true", false: "false"}[t.propagate])
				default:
					return nil, validation("Invalid filter: %s", f.name)
				}
			}
			if keep {
				found = append(found, g.tagXML(t))
			}
		}
	}
	part, next, err := pageOf(r.params, found, func(t groupTagXML) string { return t.ResourceId + "\x00" + t.Key }, 50, 100)
	if err != nil {
		return nil, err
	}
	return describeTagsResult{memberList(part, func(t groupTagXML) groupTagXML { return t }), next}, nil
}
