package drain_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

func TestParseSelection(t *testing.T) {
	for name, c := range map[string]struct {
		selector, namespaces string
		says                 string
		message, hint        string
	}{
		"nothing given":                 {"", "", "every run-to-completion pod and every pod that asks not to be disrupted", "", ""},
		"a key alone":                   {"batch", "", "pods with batch", "", ""},
		"key=value, as ever":            {"app=batch", "", "pods with app=batch", "", ""},
		"several":                       {"app=batch,tier", "", "pods with app=batch,tier", "", ""},
		"the full grammar":              {"app in (a, b), tier notin (gold), !preemptible, rank > 3", "", "pods with app in (a,b),!preemptible,rank>3,tier notin (gold)", "", ""},
		"one namespace":                 {"", "team-a", "every run-to-completion pod and every pod that asks not to be disrupted in team-a", "", ""},
		"namespaces with spaces, twice": {"app", " team-a, team-b ,team-a,, ", "pods with app in team-a, team-b", "", ""},
		"an unclosed parenthesis":       {"app in (a", "", "", `label selector "app in (a" is malformed`, "for example"},
		"a value that cannot be":        {"app=-", "", "", `label selector "app=-" is malformed`, "for example"},
		"a namespace in capitals":       {"", "Team", "", `namespace "Team" is malformed: a lowercase RFC 1123 label`, ""},
		"namespaces without a comma":    {"", "a b", "", `namespace "a b" is malformed`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := drain.ParseSelection(c.selector, c.namespaces)
			if c.message != "" {
				if err == nil || !strings.Contains(err.Error(), c.message) || !strings.Contains(hint.Of(err), c.hint) {
					t.Fatalf("error %v, hint %q", err, hint.Of(err))
				}
				return
			}
			if err != nil || s.String() != c.says {
				t.Errorf("selection %q, error %v; want %q", s, err, c.says)
			}
		})
	}
}

// What is accepted can be said again and means the same; what is not never panics.
func FuzzParseSelection(f *testing.F) {
	for _, seed := range [][2]string{{"app=batch,tier in (a, b)", "a,b"}, {"!x", ""}, {"a==b,c!=d", " "}, {"x>1", "A"}, {"(", ","}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, selector, namespaces string) {
		s, err := drain.ParseSelection(selector, namespaces)
		if err != nil {
			return
		}
		for _, namespace := range s.Namespaces {
			if !strings.Contains(namespaces, namespace) || namespace == "" {
				t.Errorf("namespace %q comes from nowhere: %q", namespace, namespaces)
			}
		}
		said, chosen := strings.CutPrefix(s.String(), "pods with ")
		if !chosen {
			said = ""
		}
		again, err := drain.ParseSelection(strings.TrimSuffix(said, " in "+strings.Join(s.Namespaces, ", ")), namespaces)
		if err != nil || again.String() != s.String() {
			t.Errorf("%q was said again as %q: %v", s, again, err)
		}
		p := pod("one", labelled("app", "batch"))
		if s.Matters(p) != again.Matters(p) {
			t.Errorf("%q means something else said again", s)
		}
	})
}

func TestWhichPodsMatter(t *testing.T) {
	for name, c := range map[string]struct {
		selector, namespaces string
		pod                  *corev1.Pod
		matters              bool
	}{
		"runs to completion":                      {"", "", pod("p"), true},
		"runs until it succeeds":                  {"", "", pod("p", func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure }), true},
		"runs for ever":                           {"", "", pod("p", always), false},
		"runs for ever, but is selected":          {"app=web", "", pod("p", always, labelled("app", "web")), true},
		"runs to completion, but is not selected": {"app=web", "", pod("p"), false},
		"is in one of the namespaces":             {"", "a,b", pod("p", in("b")), true},
		"is in another namespace":                 {"", "a,b", pod("p", in("c")), false},
		"is selected, but in another namespace":   {"app=web", "a", pod("p", labelled("app", "web")), false},
		"has succeeded":                           {"", "", pod("p", phase(corev1.PodSucceeded)), false},
		"has failed":                              {"", "", pod("p", phase(corev1.PodFailed)), false},
		"has failed and is terminating":           {"", "", pod("p", phase(corev1.PodFailed), terminating), false},
		"is terminating":                          {"", "", pod("p", terminating), true},
		"is still pending there":                  {"", "", pod("p", phase(corev1.PodPending)), true},
		"is unknown, as on a node that went away": {"", "", pod("p", phase(corev1.PodUnknown)), true},
		"belongs to a DaemonSet":                  {"app", "", pod("p", labelled("app", "x"), ownedBy("DaemonSet")), false},
		"belongs to a Job":                        {"", "", pod("p", ownedBy("Job")), true},
		"is a mirror pod":                         {"", "", pod("p", mirror), false},
		"is the recycle's own":                    {"", "", pod("p", in("eks-recycle"), labelled("app.kubernetes.io/name", "eks-recycle")), false},
		"is the recycle's own and selected":       {"app.kubernetes.io/name", "", pod("p", in("eks-recycle"), labelled("app.kubernetes.io/name", "eks-recycle")), false},
		"has the recycle's label elsewhere":       {"", "", pod("p", labelled("app.kubernetes.io/name", "eks-recycle")), true},
		"is selected by what it lacks":            {"!app", "", pod("p"), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := selection(t, c.selector, c.namespaces).Matters(c.pod); got != c.matters {
				t.Errorf("matters: %t", got)
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, young, ending := pod("old"), pod("young", in("team-a")), pod("ending", terminating)
		old.CreationTimestamp.Time = time.Now().Add(-20 * time.Hour)
		young.CreationTimestamp.Time = time.Now().Add(-90 * time.Second)
		many := make([]*corev1.Pod, 13)
		for i := range many {
			many[i] = pod(fmt.Sprintf("p%d", i))
		}
		var names []string
		for i := range 10 {
			names = append(names, fmt.Sprintf("default/p%d (0s)", i))
		}
		for name, c := range map[string]struct {
			pods []*corev1.Pod
			want string
		}{
			"none":   {nil, ""},
			"ages":   {[]*corev1.Pod{old, young}, "default/old (20h), team-a/young (90s)"},
			"ending": {[]*corev1.Pod{ending}, "default/ending (0s, terminating)"},
			"many":   {many, strings.Join(names, ", ") + ", and 3 more"},
		} {
			if diff := cmp.Diff(c.want, drain.Describe(c.pods)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}
