package node_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/eks-recycle/eks-recycle/internal/node"
)

const (
	scaleDown = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
	balancers = "node.kubernetes.io/exclude-from-external-load-balancers"
)

// anyNode draws a Node as others may have left it.
func anyNode(t *rapid.T) *corev1.Node {
	text := func(keys ...string) map[string]string {
		m := rapid.MapOfN(rapid.SampledFrom(keys), rapid.SampledFrom([]string{"", "true", "false"}), 0, len(keys)).Draw(t, "map")
		if len(m) == 0 && rapid.Bool().Draw(t, "nil") {
			return nil
		}
		return m
	}
	n := newNode("n", id)
	n.Annotations = text(scaleDown, "other", "node.alpha.kubernetes.io/ttl")
	n.Labels = text(balancers, "team", "type")
	n.Spec.Unschedulable = rapid.Bool().Draw(t, "unschedulable")
	for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"node.kubernetes.io/unschedulable", "dedicated"}), 0, 2, rapid.ID).Draw(t, "taints") {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule})
	}
	return n
}

// marks are all but Restored, by name.
func marks() map[string]node.Mark {
	return map[string]node.Mark{
		"leaving":          node.Leaving("argo/wf"),
		"cordoned":         node.Cordoned("argo/wf"),
		"interrupted":      node.Interrupted("argo/wf", time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)),
		"out of balancers": node.OutOfBalancers,
		"replaces":         node.Replaces("i-3"),
		"released":         node.Released("i-3"),
	}
}

func anyMarks(t *rapid.T) []node.Mark {
	var chosen []node.Mark
	for _, name := range rapid.SliceOfN(rapid.SampledFrom(slices.Sorted(maps.Keys(marks()))), 0, 8).Draw(t, "marks") {
		chosen = append(chosen, marks()[name])
	}
	return chosen
}

func TestRestoredBringsBackWhatWasThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := anyNode(t)
		after := before.DeepCopy()
		for _, mark := range append(anyMarks(t), node.Restored) {
			mark(after)
			after = throughTheServer(t, after)
		}
		if diff := cmp.Diff(before, after, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("node (-before +after):\n%s", diff)
		}
	})
}

func TestEveryMarkMadeTwiceIsMadeOnce(t *testing.T) {
	all := marks()
	all["restored"] = node.Restored
	for name, mark := range all {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				once := anyNode(t)
				for _, earlier := range anyMarks(t) {
					earlier(once)
				}
				mark(once)
				once = throughTheServer(t, once)
				twice := once.DeepCopy()
				mark(twice)
				if diff := cmp.Diff(once, twice, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("node (-once +twice):\n%s", diff)
				}
				if node.Changes(once, mark) {
					t.Error("a patch would be sent")
				}
			})
		})
	}
}

// throughTheServer drops what JSON does not keep, such as empty maps.
func throughTheServer(t *rapid.T, n *corev1.Node) *corev1.Node {
	data, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	out := &corev1.Node{}
	if err := json.Unmarshal(data, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMarksTouchNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := anyNode(t)
		after := before.DeepCopy()
		for _, mark := range anyMarks(t) {
			mark(after)
		}
		for key, value := range before.Annotations {
			if key != scaleDown && after.Annotations[key] != value {
				t.Errorf("annotation %s is %q, was %q", key, after.Annotations[key], value)
			}
		}
		for key, value := range before.Labels {
			if key != balancers && after.Labels[key] != value {
				t.Errorf("label %s is %q, was %q", key, after.Labels[key], value)
			}
		}
		for i, taint := range before.Spec.Taints {
			if after.Spec.Taints[i] != taint {
				t.Errorf("taint %v is gone", taint)
			}
		}
		if before.Spec.Unschedulable && !after.Spec.Unschedulable {
			t.Error("the node was uncordoned")
		}
	})
}

// What others do to the node while it leaves stays, as far as it is not ours.
func TestRestoredLeavesTheWorkOfOthersAlone(t *testing.T) {
	n := newNode("n", id, func(n *corev1.Node) { n.Labels = map[string]string{balancers: "false"} })
	node.Leaving("argo/wf")(n)
	n.Spec.Unschedulable = true // a person cordons it before the recycle does
	n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "theirs", Effect: corev1.TaintEffectNoExecute})
	n.Labels = nil // and a controller rewrites its labels
	node.Restored(n)
	if !n.Spec.Unschedulable || len(n.Spec.Taints) != 1 || n.Spec.Taints[0].Key != "theirs" || n.Labels[balancers] != "false" {
		t.Errorf("spec %+v, labels %v", n.Spec, n.Labels)
	}
}

func TestSoftTaintGivesWayToTheHardOne(t *testing.T) {
	n := newNode("n", id)
	leaving := node.Leaving("argo/wf")
	leaving(n)
	if node.IsCordoned(n) || !node.IsLeaving(n) || taints(n) != "eks-recycle.io/leaving:PreferNoSchedule" || n.Spec.Unschedulable {
		t.Errorf("after standby: %s, unschedulable %t", taints(n), n.Spec.Unschedulable)
	}
	node.Cordoned("argo/wf")(n)
	if !node.IsCordoned(n) || taints(n) != "eks-recycle.io/leaving:NoSchedule" {
		t.Errorf("after taint: %s", taints(n))
	}
	leaving(n)
	if taints(n) != "eks-recycle.io/leaving:NoSchedule" {
		t.Errorf("standby run again: %s", taints(n))
	}
	n.Spec.Unschedulable = false
	if node.IsCordoned(n) {
		t.Error("an uncordoned node counts as closed")
	}
}

func taints(n *corev1.Node) (text string) {
	for _, taint := range n.Spec.Taints {
		text += taint.ToString()
	}
	return text
}

func TestAReplacementIsReleasedByWhomItReplaces(t *testing.T) {
	n := newNode("newer", "i-2")
	node.Replaces("i-1")(n)
	node.Released("i-9")(n)
	if n.Labels[node.LabelReplaces] != "i-1" || n.Annotations[scaleDown] != "true" {
		t.Errorf("somebody else released it: %v, %v", n.Labels, n.Annotations)
	}
	node.Released("i-1")(n)
	if len(n.Annotations)+len(n.Labels) != 0 {
		t.Errorf("left: %v, %v", n.Annotations, n.Labels)
	}
}

func TestAReplacementThatLeavesItselfKeepsItsProtection(t *testing.T) {
	n := newNode("n", "i-2", func(n *corev1.Node) { n.Annotations = map[string]string{scaleDown: "false"} })
	node.Replaces("i-1")(n)
	node.Leaving("argo/wf")(n)
	node.Released("i-1")(n)
	if n.Annotations[scaleDown] != "true" || !node.IsLeaving(n) || n.Labels[node.LabelReplaces] != "" {
		t.Errorf("annotations %v, taints %s", n.Annotations, taints(n))
	}
	node.Restored(n)
	if diff := cmp.Diff(map[string]string{scaleDown: "false"}, n.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}
