package node_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/eks-recycle/eks-recycle/internal/node"
)

// ours is the prefix of every key that a recycle writes.
const ours = "eks-recycle.io/"

// optional sets a key unless the value is "-", which stands for a key that is absent.
func optional(m map[string]string, key, value string) {
	if value != "-" {
		m[key] = value
	}
}

// Whatever people have made of the annotations of a recycle, none of its marks outlives Restored.
func FuzzRestoredLeavesNoMark(f *testing.F) {
	for _, seed := range []string{
		"-", "", "null", "{}", "[]", "{", `"{}"`, `{"unschedulable":true}`, `{"unschedulable":1}`, `{"scaleDownDisabled":"false","unschedulable":"yes"}`,
		`{"scaleDownDisabled":null,"excludeFromBalancers":"true"}`,
	} {
		f.Add(seed, "2026-11-23T12:00:00Z", "i-2")
		f.Add(seed, "yesterday", "-")
	}
	f.Fuzz(func(t *testing.T, before, since, replaces string) {
		n := newNode("n", id)
		node.Leaving("argo/wf")(n)
		node.Cordoned("argo/wf")(n)
		node.OutOfBalancers(n)
		delete(n.Annotations, node.AnnotationBefore)
		optional(n.Annotations, node.AnnotationBefore, before)
		optional(n.Annotations, node.AnnotationInterruption, since)
		optional(n.Labels, node.LabelReplaces, replaces)

		node.Restored(n)
		for _, m := range []map[string]string{n.Annotations, n.Labels} {
			for key := range m {
				if strings.HasPrefix(key, ours) {
					t.Errorf("%s=%q is left", key, m[key])
				}
			}
		}
		if slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return strings.HasPrefix(t.Key, ours) }) {
			t.Errorf("taints %v are left", n.Spec.Taints)
		}
		if !strings.Contains(before, `"`) && before != "-" && (n.Spec.Unschedulable || len(n.Annotations)+len(n.Labels) > 0) {
			t.Errorf("nothing is remembered in %q, and yet the node stays cordoned=%t, annotations %v, labels %v", before, n.Spec.Unschedulable, n.Annotations, n.Labels)
		}
	})
}

// What was there before a recycle is there after it, whatever it was.
func FuzzLeavingAndRestoredIsAsBefore(f *testing.F) {
	f.Add("-", "-", "other", "-", false, "dedicated")
	f.Add("true", "", "other", "x", true, node.TaintLeaving+"x")
	f.Add("false", "true", "a\"b\\", "\u2028<>&", false, "")
	f.Fuzz(func(t *testing.T, scaleDownWas, balancersWas, key, value string, cordoned bool, taint string) {
		if strings.HasPrefix(key, ours) || taint == node.TaintLeaving || key == scaleDown || key == balancers {
			return // the recycle's own: FuzzRestoredLeavesNoMark
		}
		// JSON, in which the API server gets and gives everything, knows no other strings.
		valid := func(s string) string { return strings.ToValidUTF8(s, "?") }
		if len(validation.IsValidLabelValue(balancersWas)) > 0 && balancersWas != "-" {
			return
		}
		was := newNode("n", id)
		was.Annotations, was.Labels = map[string]string{}, map[string]string{}
		optional(was.Annotations, scaleDown, valid(scaleDownWas))
		optional(was.Labels, balancers, balancersWas)
		optional(was.Annotations, valid(key), valid(value))
		was.Spec.Unschedulable = cordoned
		if taint != "" {
			was.Spec.Taints = []corev1.Taint{{Key: valid(taint), Value: valid(value), Effect: corev1.TaintEffectNoSchedule}}
		}
		is := was.DeepCopy()
		for _, mark := range []node.Mark{node.Leaving(value), node.Cordoned(value), node.OutOfBalancers, node.Replaces("i-1"), node.Restored} {
			mark(is)
		}
		if diff := cmp.Diff(was, is, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("node (-before +after):\n%s", diff)
		}
	})
}

// NamesOf names no Node that cannot be, and none twice: each costs a call.
func FuzzNamesOf(f *testing.F) {
	f.Add(id, "ip-10-0-1-2.eu-central-1.compute.internal", "eu-central-1")
	f.Add(id, "ip-10-0-1-2.ec2.internal", "us-east-1")
	f.Add(id, id+".eu-central-1.compute.internal", "eu-central-1")
	f.Add(id, id, "")
	f.Add(id, "", "")
	f.Fuzz(func(t *testing.T, id, dns, region string) {
		names := node.NamesOf(id, dns, region)
		if !slices.Contains(names, id) || (dns != "" && names[0] != dns) {
			t.Errorf("names %q of instance %q with the DNS name %q", names, id, dns)
		}
		for i, name := range names {
			if slices.Contains(names[:i], name) {
				t.Errorf("names %q: %q is there twice", names, name)
			}
		}
	})
}
