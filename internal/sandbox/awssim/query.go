package awssim

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// params are the flattened parameters of a Query call, such as
// InstanceIds.member.1 or Filter.1.Value.2.
type params struct {
	service string
	values  url.Values
}

func (p params) str(name string) string { return p.values.Get(name) }

func (p params) has(name string) bool {
	_, ok := p.values[name]
	return ok
}

func (p params) required(name string) (string, error) {
	if v := p.str(name); v != "" {
		return v, nil
	}
	return "", missingParameter(p.service, name)
}

// integer is the default where the parameter is absent.
func (p params) integer(name string, absent int) (int, error) {
	if !p.has(name) {
		return absent, nil
	}
	n, err := strconv.ParseInt(p.str(name), 10, 32)
	if err != nil {
		return 0, p.malformed(name, "an integer")
	}
	return int(n), nil
}

func (p params) boolean(name string, absent bool) (bool, error) {
	if !p.has(name) {
		return absent, nil
	}
	switch strings.ToLower(p.str(name)) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, p.malformed(name, "a boolean")
}

func (p params) requiredBool(name string) (bool, error) {
	if _, err := p.required(name); err != nil {
		return false, err
	}
	return p.boolean(name, false)
}

func (p params) malformed(name, want string) *apiError {
	if p.service == "ec2" {
		return fail("InvalidParameterValue", "Value (%s) for parameter %s is invalid. It must be %s.", p.str(name), name, want)
	}
	return fail("MalformedInput", "%s must be %s", name, want)
}

// member is the name of a list's elements: Auto Scaling and STS put "member"
// between, EC2 does not.
func (p params) member(name string) string {
	if p.service == "ec2" {
		return name + "."
	}
	return name + ".member."
}

// entries are the prefixes of a list of structures, in order: Filter.1, Filter.2.
func (p params) entries(name string) []string {
	prefix := p.member(name)
	seen := map[int]bool{}
	for key := range p.values {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		digits, _, _ := strings.Cut(rest, ".")
		if n, err := strconv.Atoi(digits); err == nil && n >= 0 && strconv.Itoa(n) == digits {
			seen[n] = true
		}
	}
	numbers := make([]int, 0, len(seen))
	for n := range seen {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	out := make([]string, 0, len(numbers))
	for _, n := range numbers {
		out = append(out, prefix+strconv.Itoa(n))
	}
	return out
}

// list is a list of scalars.
func (p params) list(name string) []string {
	var out []string
	for _, entry := range p.entries(name) {
		if p.has(entry) {
			out = append(out, p.str(entry))
		}
	}
	return out
}

// under tells whether a structure called name was given.
func (p params) under(name string) bool {
	for key := range p.values {
		if strings.HasPrefix(key, name+".") {
			return true
		}
	}
	return false
}

// flat is one value a name, as the call log shows it.
func (p params) flat() map[string]string {
	out := map[string]string{}
	for key, values := range p.values {
		if key != "Action" && key != "Version" && !strings.HasPrefix(key, "X-Amz-") {
			out[key] = strings.Join(values, ",")
		}
	}
	return out
}
