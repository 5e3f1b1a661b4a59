package awssim

import (
	"slices"
	"strings"
)

func (s *Sim) ec2Actions() map[string]handler {
	return map[string]handler{
		"DescribeInstances":              s.describeInstances,
		"DescribeInstanceStatus":         s.describeInstanceStatus,
		"DescribeInstanceAttribute":      s.describeInstanceAttribute,
		"ModifyInstanceAttribute":        s.modifyInstanceAttribute,
		"DescribeVolumes":                s.describeVolumes,
		"StopInstances":                  s.stopInstances,
		"StartInstances":                 s.startInstances,
		"TerminateInstances":             s.terminateInstances,
		"CreateTags":                     s.createTags,
		"DeleteTags":                     s.deleteTags,
		"DescribeTags":                   s.describeTags,
		"CreateLaunchTemplate":           s.createLaunchTemplate,
		"CreateLaunchTemplateVersion":    s.createLaunchTemplateVersion,
		"ModifyLaunchTemplate":           s.modifyLaunchTemplate,
		"DeleteLaunchTemplate":           s.deleteLaunchTemplate,
		"DescribeLaunchTemplates":        s.describeLaunchTemplates,
		"DescribeLaunchTemplateVersions": s.describeLaunchTemplateVersions,
	}
}

// wellFormed tells an instance id: i- and 8 or 17 hexadecimal digits.
func wellFormed(id string) bool {
	digits, ok := strings.CutPrefix(id, "i-")
	return ok && (len(digits) == 8 || len(digits) == 17) && strings.Trim(digits, "0123456789abcdef") == ""
}

// lookup finds all of the instances, or says of the first trouble what EC2 says.
func (s *Sim) lookup(ids []string) ([]*instance, error) {
	var out []*instance
	var missing []string
	for _, id := range ids {
		if !wellFormed(id) {
			return nil, fail("InvalidInstanceID.Malformed", "Invalid id: \"%s\"", id)
		}
		inst := s.instances[id]
		switch {
		case inst == nil || inst.forgotten:
			missing = append(missing, id)
		case !slices.Contains(out, inst):
			out = append(out, inst)
		}
	}
	switch len(missing) {
	case 0:
		return out, nil
	case 1:
		return nil, fail("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", missing[0])
	}
	return nil, fail("InvalidInstanceID.NotFound", "The instance IDs '%s' do not exist", strings.Join(missing, ", "))
}

// wildcard matches a filter value: * is any text, ? any one character. After
// a star it tries the shortest text first and comes back to lengthen it.
func wildcard(pattern, text string) bool {
	star, resume := -1, 0
	p, i := 0, 0
	for i < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[i]):
			p++
			i++
		case star >= 0:
			resume++
			p, i = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// matches tells whether an instance passes a filter, and whether EC2 knows it.
func (s *Sim) matches(inst *instance, f filter) (matches, known bool) {
	if ok, known := f.matchesTag(inst.tags); known {
		return ok, true
	}
	value := ""
	switch f.name {
	case "instance-id":
		value = inst.id
	case "instance-state-name":
		value = inst.state
	case "instance-state-code":
		value = itoa(stateCode(inst.state))
	case "private-dns-name":
		value = s.shownDNSName(inst)
	case "private-ip-address", "network-interface.addresses.private-ip-address":
		value = s.shownAddress(inst)
	case "availability-zone":
		value = inst.zone
	case "image-id":
		value = inst.image
	case "instance-type":
		value = inst.kind
	case "subnet-id":
		value = inst.subnet
	case "vpc-id":
		value = vpcID
	case "root-device-type":
		value = inst.rootDevice
	case "instance-lifecycle":
		value = inst.lifecycle
	case "reservation-id":
		value = inst.reservation
	default:
		return false, false
	}
	return slices.ContainsFunc(f.values, func(v string) bool { return wildcard(v, value) }), true
}

// selected are the instances that a describing call asks for, of one page.
func (s *Sim) selected(r *request, page func([]*instance) ([]*instance, error)) ([]*instance, error) {
	var found []*instance
	var err error
	if ids := r.list("InstanceId"); len(ids) > 0 {
		if r.has("MaxResults") {
			return nil, fail("InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults")
		}
		if found, err = s.lookup(ids); err != nil {
			return nil, err
		}
	} else {
		for _, inst := range s.order {
			if !inst.forgotten {
				found = append(found, inst)
			}
		}
	}
	filters, err := ec2Filters(r.params)
	if err != nil {
		return nil, err
	}
	for _, f := range filters {
		var kept []*instance
		if _, known := s.matches(&instance{}, f); !known {
			return nil, fail("InvalidParameterValue", "The filter '%s' is invalid", f.name)
		}
		for _, inst := range found {
			if ok, _ := s.matches(inst, f); ok {
				kept = append(kept, inst)
			}
		}
		found = kept
	}
	return page(found)
}

// maxFilterValues is what EC2 takes in one call.
const maxFilterValues = 200

func ec2Filters(p params) ([]filter, error) {
	filters, values := p.filters("Filter", "Value"), 0
	for _, f := range filters {
		if values += len(f.values); values > maxFilterValues {
			return nil, fail("FilterLimitExceeded", "The maximum number of filter values specified on a single call is %d", maxFilterValues)
		}
	}
	return filters, nil
}

// ec2Page reads MaxResults and NextToken as EC2 has them.
func ec2Page[T any](p params, all []T, key func(T) string) ([]T, string, error) {
	size, err := p.integer("MaxResults", 1000)
	if err != nil {
		return nil, "", err
	}
	if size < 5 || size > 1000 {
		return nil, "", fail("InvalidParameterValue", "Value ( %d ) for parameter maxResults is invalid. Expecting a value between 5 and 1000.", size)
	}
	part, next, ok := page(all, key, p.str("NextToken"), size)
	if !ok {
		return nil, "", fail("InvalidParameterValue", "Unable to parse pagination token")
	}
	return part, next, nil
}
