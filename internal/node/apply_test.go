package node_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/eks-recycle/eks-recycle/internal/node"
)

func TestApply(t *testing.T) {
	taken := newNode("n", "i-00000000000000009")
	taken.UID, taken.ResourceVersion = "another", "77"
	for name, c := range map[string]struct {
		meanwhile func(*api) // happens before the first patch
		gone      bool
		calls     []string
		message   string
	}{
		"nobody interferes": {nil, false, []string{"PATCH"}, ""},
		"somebody labels the node in between": {func(a *api) {
			a.touch("n", func(n *corev1.Node) { n.Labels = map[string]string{"team": "a"} })
		}, false, []string{"PATCH", "GET", "PATCH"}, ""},
		"somebody taints the node in between": {func(a *api) {
			a.touch("n", func(n *corev1.Node) {
				n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "mine", Effect: corev1.TaintEffectNoExecute})
			})
		}, false, []string{"PATCH", "GET", "PATCH"}, ""},
		"a new Node takes the name in between": {func(a *api) { a.nodes["n"] = taken.DeepCopy() }, false, []string{"PATCH", "GET"}, "a new Node has taken the name meanwhile"},
		"the Node goes in between":             {func(a *api) { delete(a.nodes, "n") }, true, []string{"PATCH"}, `marking node "n": `},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(newNode("n", id))
			nodes := a.client(t, slog.New(slog.DiscardHandler))
			n, err := nodes.Get(t.Context(), "n")
			if err != nil {
				t.Fatal(err)
			}
			a.log = nil
			a.before = func(method string) {
				if method == http.MethodPatch && len(a.log) == 0 && c.meanwhile != nil {
					c.meanwhile(a)
				}
			}
			expected := []node.Mark{node.Leaving("argo/wf"), node.Cordoned("argo/wf")}
			after, err := nodes.Apply(t.Context(), n, expected...)
			if diff := cmp.Diff(c.calls, a.log); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			if c.message != "" {
				if err == nil || !strings.Contains(err.Error(), c.message) || apierrors.IsNotFound(err) != c.gone {
					t.Errorf("error %v", err)
				}
				if left := a.nodes["n"]; left != nil && node.IsLeaving(left) {
					t.Error("the other Node was marked")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			stored := a.nodes["n"]
			if !node.IsCordoned(after) || !node.IsCordoned(stored) || after.ResourceVersion != stored.ResourceVersion {
				t.Errorf("it returned %+v, the server has %+v", after.Spec, stored.Spec)
			}
			if c.meanwhile != nil && stored.Labels["team"] == "" && len(stored.Spec.Taints) != 2 {
				t.Errorf("what somebody else wrote is lost: %v %v", stored.Labels, stored.Spec.Taints)
			}
			a.log = nil
			if again, err := nodes.Apply(t.Context(), after, expected...); err != nil || len(a.log) != 0 || again != after {
				t.Errorf("the second time sent %v, error %v", a.log, err)
			}
		})
	}
}

func TestApplyGivesUpOnANodeThatChangesAllTheTime(t *testing.T) {
	a := newAPI(newNode("n", id))
	nodes := a.client(t, slog.New(slog.DiscardHandler))
	n, err := nodes.Get(t.Context(), "n")
	if err != nil {
		t.Fatal(err)
	}
	a.before = func(method string) {
		if method == http.MethodPatch {
			a.touch("n", func(*corev1.Node) {})
		}
	}
	if _, err = nodes.Apply(t.Context(), n, node.Cordoned("argo/wf")); !apierrors.IsConflict(err) {
		t.Errorf("error %v, want a conflict, which the step waits out", err)
	}
}

func TestDeleteTakesTheNodeOfTheInstance(t *testing.T) {
	for name, c := range map[string]struct {
		there  []*corev1.Node
		refuse int
		left   int
		fails  bool
	}{
		"it is there":                     {[]*corev1.Node{newNode("n", id)}, 0, 0, false},
		"it is gone":                      {nil, 0, 0, false},
		"it has registered anew":          {[]*corev1.Node{newNode("n", id, func(n *corev1.Node) { n.UID = "later" })}, 0, 0, false},
		"another instance has its name":   {[]*corev1.Node{newNode("n", "i-0fedcba9876543210", func(n *corev1.Node) { n.UID = "later" })}, 0, 1, false},
		"the API server does not like it": {[]*corev1.Node{newNode("n", id)}, http.StatusForbidden, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(c.there...)
			if c.refuse != 0 {
				a.refuse = map[string]int{http.MethodDelete: c.refuse}
			}
			nodes := a.client(t, slog.New(slog.DiscardHandler))
			if err := nodes.Delete(t.Context(), newNode("n", id)); (err != nil) != c.fails {
				t.Errorf("error %v", err)
			}
			if len(a.nodes) != c.left {
				t.Errorf("%d nodes are left", len(a.nodes))
			}
		})
	}
}

// The patch makes of the server's Node what the marks make of a copy: what is added, changed and taken away.
func TestApplyMakesOfTheServersNodeWhatTheMarksMakeOfACopy(t *testing.T) {
	theirs := newNode("n", id)
	theirs.Labels = map[string]string{"team": "a", balancers: "x"}
	theirs.Annotations = map[string]string{scaleDown: "false", "note": "\u2028<>&"}
	theirs.Spec.Taints = []corev1.Taint{{Key: "dedicated", Effect: corev1.TaintEffectNoExecute}}
	a := newAPI(theirs.DeepCopy())
	nodes := a.client(t, slog.New(slog.DiscardHandler))
	want := theirs.DeepCopy()
	for _, marks := range [][]node.Mark{
		{node.Leaving("argo/wf"), node.Cordoned("argo/wf"), node.OutOfBalancers, node.Replaces("i-1")},
		{node.Restored},
	} {
		stored := a.nodes["n"]
		for _, mark := range marks {
			mark(want)
		}
		if _, err := nodes.Apply(t.Context(), stored.DeepCopy(), marks...); err != nil {
			t.Fatal(err)
		}
		want.ResourceVersion = a.nodes["n"].ResourceVersion
		if diff := cmp.Diff(want, a.nodes["n"], cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("node (-marked +stored):\n%s", diff)
		}
	}
}
