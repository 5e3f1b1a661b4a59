package iampolicy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Request is a call to AWS as IAM sees it. Its JSON form is that of an entry of awssim's call log.
type Request struct {
	Service   string            `json:"service"`
	Action    string            `json:"action"`
	Params    map[string]string `json:"params"`
	Resources []Resource        `json:"resources"`
}

// Resource is something that a call acts on. An action that knows no resources has none.
type Resource struct {
	ARN  string            `json:"arn"`
	Tags map[string]string `json:"tags"`
}

// Check is nil when the policy allows the call on each of its resources, and otherwise says what is missing.
func (p Policy) Check(r Request) error {
	// AWS asks no permission for it, not even under an explicit Deny.
	if r.Service == "sts" && r.Action == "GetCallerIdentity" {
		return nil
	}
	resources := r.Resources
	if len(resources) == 0 {
		resources = []Resource{{ARN: "*"}}
	}
	for _, res := range resources {
		if err := p.check(r.Service+":"+r.Action, res.ARN, context(r, res)); err != nil {
			return err
		}
	}
	return nil
}

func (p Policy) check(action, arn string, ctx map[string][]string) error {
	allowed := false
	reason := "no statement names the action"
	for _, s := range p.Statement {
		if !matchesAny(s.Action, action, matchFold) {
			continue
		}
		if !matchesAny(s.Resource, arn, matchARN) {
			if s.Effect == "Allow" {
				reason = fmt.Sprintf("statement %q does not cover the resource", s.Sid)
			}
			continue
		}
		unmet := s.unmet(ctx)
		switch {
		case s.Effect == "Deny" && unmet == "":
			return fmt.Errorf("%s on %s is denied by statement %q", action, arn, s.Sid)
		case s.Effect == "Allow" && unmet == "":
			allowed = true
		case s.Effect == "Allow":
			reason = fmt.Sprintf("statement %q asks for %s", s.Sid, unmet)
		}
	}
	if !allowed {
		return fmt.Errorf("%s on %s is not allowed: %s", action, arn, reason)
	}
	return nil
}

// unmet is the first condition that does not hold; all of them must.
func (s Statement) unmet(ctx map[string][]string) string {
	for _, name := range slices.Sorted(maps.Keys(s.Condition)) {
		op, err := parseOperator(name)
		if err != nil {
			return err.Error()
		}
		for _, key := range slices.Sorted(maps.Keys(s.Condition[name])) {
			want := s.Condition[name][key]
			if !op.holds(lookup(ctx, key), want) {
				return fmt.Sprintf("%s %s %q, which is %q", name, key, want, lookup(ctx, key))
			}
		}
	}
	return ""
}

// lookup finds a condition key. Key names do not depend on case; the tag key in one does.
func lookup(ctx map[string][]string, key string) []string {
	name, tag, _ := strings.Cut(key, "/")
	for k, v := range ctx {
		n, t, _ := strings.Cut(k, "/")
		if strings.EqualFold(n, name) && t == tag {
			return v
		}
	}
	return nil
}

// context holds the condition keys of a call on one resource. A key that AWS leaves out of the request context, such as
// the size that a request does not set, is left out here too.
func context(r Request, res Resource) map[string][]string {
	ctx := map[string][]string{}
	for k, v := range res.Tags {
		ctx["aws:ResourceTag/"+k] = []string{v}
		ctx[r.Service+":ResourceTag/"+k] = []string{v}
	}
	for name, key := range r.Params {
		prefix, isKey := strings.CutSuffix(name, ".Key")
		if isKey && (strings.HasPrefix(name, "Tag.") || strings.HasPrefix(name, "Tags.")) {
			ctx["aws:TagKeys"] = append(ctx["aws:TagKeys"], key)
			ctx["aws:RequestTag/"+key] = []string{r.Params[prefix+".Value"]}
		}
	}
	if r.Service == "autoscaling" {
		for _, name := range []string{"MinSize", "MaxSize"} {
			if v, ok := r.Params[name]; ok {
				ctx["autoscaling:"+name] = []string{v}
			}
		}
	}
	return ctx
}
