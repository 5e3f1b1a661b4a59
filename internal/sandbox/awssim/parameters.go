package awssim

import (
	"maps"
	"slices"
	"strings"
)

// unknown is the error of the first parameter that is none of those named. A
// parameter that nothing reads is refused, whether AWS knows it or not: ignored,
// it would make a caller believe in what is not there. N stands for any place in
// a list, and a star for all that follows.
func (p params) unknown(known string) error {
	for _, key := range slices.Sorted(maps.Keys(p.values)) {
		if !p.common(key) && !p.takes(known, key) {
			return p.notRecognized(key)
		}
	}
	return nil
}

// common tells a parameter of every call, be it part of a signature.
func (p params) common(key string) bool {
	switch key {
	case "Action", "Version":
		return true
	case "DryRun":
		return p.service == "ec2"
	}
	return strings.HasPrefix(key, "X-Amz-")
}

func (p params) takes(known, key string) bool {
	pattern := p.pattern(key)
	for one := range strings.FieldsSeq(known) {
		prefix, open := strings.CutSuffix(one, "*")
		// SDKs send an empty list as its bare name without a value.
		list := p.str(key) == "" && strings.HasPrefix(one, pattern+".N")
		if one == pattern || open && strings.HasPrefix(pattern, prefix) || list {
			return true
		}
	}
	return false
}

// pattern is a parameter's name with N for each place in a list, and without
// the word that the service puts before it.
func (p params) pattern(key string) string {
	parts := strings.Split(key, ".")
	out := parts[:0]
	for i, part := range parts {
		switch {
		case i > 0 && part == "member" && p.service != "ec2":
			continue
		case i > 0 && part != "" && strings.Trim(part, "0123456789") == "":
			part = "N"
		}
		out = append(out, part)
	}
	return strings.Join(out, ".")
}

func (p params) notRecognized(key string) *apiError {
	switch p.service {
	case "ec2":
		return fail("UnknownParameter", "The parameter %s is not recognized", key)
	case "eks":
		return fail("InvalidParameterException", "The parameter %s is not recognized", key)
	}
	return validation("The parameter %s is not recognized", key)
}
