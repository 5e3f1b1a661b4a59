package iampolicy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// arnParts is the number of an ARN's colon-separated parts; the last one may hold colons of its own.
const arnParts = 6

// operator is a condition operator such as ForAllValues:StringLikeIfExists.
type operator struct {
	set      string // ForAllValues, ForAnyValue or nothing
	name     string
	ifExists bool
}

func parseOperator(s string) (operator, error) {
	var op operator
	op.name = s
	if set, rest, ok := strings.Cut(s, ":"); ok {
		if set != "ForAllValues" && set != "ForAnyValue" {
			return op, fmt.Errorf("condition operator %q is not supported", s)
		}
		op.set, op.name = set, rest
	}
	op.name, op.ifExists = strings.CutSuffix(op.name, "IfExists")
	switch op.name {
	case "StringEquals", "StringNotEquals", "StringLike":
		return op, nil
	case "Null":
		if op.set == "" && !op.ifExists {
			return op, nil
		}
	}
	return op, fmt.Errorf("condition operator %q is not supported", s)
}

// holds compares a key's values in the request with those in the policy.
func (op operator) holds(have []string, want values) bool {
	if op.name == "Null" {
		return slices.ContainsFunc(want, func(w string) bool { return w == strconv.FormatBool(len(have) == 0) })
	}
	if len(have) == 0 {
		return op.ifExists || op.set == "ForAllValues" || (op.name == "StringNotEquals" && op.set == "")
	}
	one := func(v string) bool {
		switch op.name {
		case "StringEquals":
			return slices.Contains(want, v)
		case "StringNotEquals":
			return !slices.Contains(want, v)
		default:
			return matchesAny(want, v, matchWildcard)
		}
	}
	if op.set == "ForAllValues" {
		return !slices.ContainsFunc(have, func(v string) bool { return !one(v) })
	}
	return slices.ContainsFunc(have, one)
}

func matchesAny(patterns []string, s string, match func(pattern, s string) bool) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, s) })
}

func matchFold(pattern, s string) bool {
	return matchWildcard(strings.ToLower(pattern), strings.ToLower(s))
}

// matchARN compares part by part, so that a wildcard does not reach over a colon into another part.
func matchARN(pattern, arn string) bool {
	if pattern == "*" || arn == "*" {
		return pattern == "*"
	}
	ps, as := strings.SplitN(pattern, ":", arnParts), strings.SplitN(arn, ":", arnParts)
	if len(ps) != arnParts || len(as) != arnParts {
		return false
	}
	for i := range ps {
		if !matchWildcard(ps[i], as[i]) {
			return false
		}
	}
	return true
}

// matchWildcard knows * for any run of characters and ? for one.
func matchWildcard(pattern, s string) bool {
	for pattern != "" {
		if pattern[0] == '*' {
			for i := 0; i <= len(s); i++ {
				if matchWildcard(pattern[1:], s[i:]) {
					return true
				}
			}
			return false
		}
		if s == "" || (pattern[0] != '?' && pattern[0] != s[0]) {
			return false
		}
		pattern, s = pattern[1:], s[1:]
	}
	return s == ""
}
