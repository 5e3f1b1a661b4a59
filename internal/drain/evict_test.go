package drain_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// crowd is one pod of each kind on the node.
func crowd(s *server) {
	s.put(pod("web", always))
	s.put(pod("other", always, in("team-a")))
	s.put(pod("batch"))
	s.put(pod("agent", always, ownedBy("DaemonSet")))
	s.put(pod("static", always, mirror))
	s.put(pod("done", phase(corev1.PodSucceeded)))
	s.put(pod("crashed", phase(corev1.PodFailed)))
	s.put(pod("recycle", in("eks-recycle"), labelled("app.kubernetes.io/name", "eks-recycle")))
	s.put(pod("elsewhere", always, func(p *corev1.Pod) { p.Spec.NodeName = "node-2" }))
}

// evict evicts until the end, and counts.
func evict(t *testing.T, s *server, h drain.Host, e drain.Eviction) (evicted int, err error) {
	t.Helper()
	out, err := s.client(t).Evict(t.Context(), h, e)
	return out.Evicted, err
}

func TestEvictees(t *testing.T) {
	for name, c := range map[string]struct {
		eviction drain.Eviction
		want     []string
	}{
		"the rest":                   {drain.Eviction{Selection: selection(t, "", "")}, []string{"default/web", "team-a/other"}},
		"the rest, by a selector":    {drain.Eviction{Selection: selection(t, "app=none", "")}, []string{"default/batch", "default/web", "team-a/other"}},
		"those that matter, not yet": {drain.Eviction{Selection: selection(t, "", ""), ThenEvict: true, Until: time.Now().Add(1 << 40)}, []string{"default/web", "team-a/other"}},
		"those that matter, as well": {drain.Eviction{Selection: selection(t, "", ""), ThenEvict: true, Until: time.Unix(1, 0)}, []string{"default/batch", "default/web", "team-a/other"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newServer()
				crowd(s)
				got, _, err := s.client(t).Evictees(t.Context(), host, c.eviction)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, names(got)); diff != "" {
					t.Errorf("evictees (-want +got):\n%s", diff)
				}
				if len(s.evicts) > 0 {
					t.Errorf("asking evicted %v", s.evicts)
				}
			})
		})
	}
}

func TestEvictLeavesOnlyWhatMayStay(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		crowd(s)
		s.finish("default/batch", 30*time.Minute)
		evicted, err := evict(t, s, host, drain.Eviction{Selection: selection(t, "", "")})
		if err != nil || evicted != 2 {
			t.Errorf("%d evicted, error %v", evicted, err)
		}
		slices.Sort(s.evicts)
		if diff := cmp.Diff([]string{"other", "web"}, s.evicts); diff != "" {
			t.Errorf("evictions, each asked for once (-want +got):\n%s", diff)
		}
		if p := s.pods["default/batch"]; p == nil || p.Status.Phase != corev1.PodSucceeded {
			t.Error("the pod that matters did not finish by itself")
		}
	})
}

func TestEvictActsWhenAPodGoes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		s.grace = 30 * time.Second
		s.put(pod("web", always))
		before := time.Now()
		if _, err := evict(t, s, host, drain.Eviction{Selection: selection(t, "", "")}); err != nil {
			t.Fatal(err)
		}
		if late := time.Since(before) - s.grace; late > 2*syncLag {
			t.Errorf("it ended %s after the pod", late)
		}
	})
}

// syncLag is how late the first list of a view may be noticed.
const syncLag = 10 * time.Millisecond

func TestEvictWaitsForABudget(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		s.put(pod("web", always))
		s.budget["web"] = blocked("web-pdb")
		window, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("the window ended"))
		defer cancel()
		_, err := s.client(t).Evict(window, host, drain.Eviction{Selection: selection(t, "", "")})
		var notDone *poll.NotDoneError
		want := "not done yet: 1 pod(s) on node node-1: default/web is blocked: The disruption budget web-pdb needs 2 healthy pods and has 2 currently: the window ended"
		if !errors.As(err, &notDone) || err.Error() != want {
			t.Errorf("error %v\nwant %s", err, want)
		}
		if n := len(s.evicts); n < 4 || n > 7 {
			t.Errorf("%d attempts in a minute", n)
		}
		go func() {
			time.Sleep(time.Hour)
			s.mu.Lock()
			delete(s.budget, "web")
			s.mu.Unlock()
		}()
		if evicted, err := evict(t, s, host, drain.Eviction{Selection: selection(t, "", "")}); err != nil || evicted != 1 {
			t.Errorf("%d evicted, error %v", evicted, err)
		}
	})
}

func TestEvictAndTheAnswersOfTheAPIServer(t *testing.T) {
	terminatingNamespace := apierrors.NewForbidden(corev1.Resource("pods"), "web", errors.New("namespace is being terminated"))
	terminatingNamespace.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	for name, c := range map[string]struct {
		answer        error
		message, hint string // of the failure; none: it goes on until the pod is gone
	}{
		"the pod's namespace is being terminated": {terminatingNamespace, "", ""},
		"two budgets": {apierrors.NewInternalError(errors.New("this pod has more than one PodDisruptionBudget, which the eviction subresource does not support")),
			`evicting pod "default/web": it has more than one PodDisruptionBudget`, "leave one budget"},
		"no permission": {apierrors.NewForbidden(corev1.Resource("pods"), "web", errors.New("no such permission")), `evicting pod "default/web": `, ""},
		"429 without a budget, as from a busy API server": {apierrors.NewTooManyRequests("slow down", 1), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newServer()
				s.put(pod("web", always))
				s.budget["web"] = c.answer
				go func() {
					time.Sleep(time.Minute)
					s.remove("default/web")
				}()
				_, err := evict(t, s, host, drain.Eviction{Selection: selection(t, "", "")})
				if (err != nil) != (c.message != "") || (err != nil && (!strings.Contains(err.Error(), c.message) || !strings.Contains(hint.Of(err), c.hint))) {
					t.Errorf("error %v, hint %q", err, hint.Of(err))
				}
				time.Sleep(time.Hour)
			})
		})
	}
}

// A StatefulSet's next pod has the name of the one that was evicted, and may land on the same node if it tolerates the taint.
func TestEvictKnowsPodsByTheirUID(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		s.put(pod("db-0", always))
		go func() {
			time.Sleep(s.grace + time.Second)
			s.put(pod("db-0", always, func(p *corev1.Pod) { p.UID = "uid-second" }))
		}()
		s.put(pod("slow", always, terminating))
		go func() {
			time.Sleep(time.Minute)
			s.remove("default/slow")
		}()
		evicted, err := evict(t, s, host, drain.Eviction{Selection: selection(t, "", "")})
		if err != nil || evicted != 2 {
			t.Errorf("%d evicted, error %v", evicted, err)
		}
		if diff := cmp.Diff([]string{"db-0", "db-0"}, s.evicts); diff != "" {
			t.Errorf("evictions: none of a pod that is terminating (-want +got):\n%s", diff)
		}
	})
}

func TestEvictFailsWithoutPermissionToList(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		s.fail("list", apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New("no such permission")))
		if _, err := evict(t, s, host, drain.Eviction{Selection: selection(t, "", "")}); !apierrors.IsForbidden(err) {
			t.Errorf("error %v", err)
		}
		if _, _, err := s.client(t).Evictees(t.Context(), host, drain.Eviction{Selection: selection(t, "", "")}); !apierrors.IsForbidden(err) {
			t.Errorf("error %v", err)
		}
	})
}

func TestEvictOfABadPodDoesNotStopTheOthers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		for _, name := range []string{"a", "bad", "z"} {
			s.put(pod(name, always))
		}
		s.budget["bad"] = apierrors.NewInternalError(errors.New("this pod has more than one PodDisruptionBudget, which the eviction subresource does not support"))
		before := time.Now()
		_, err := evict(t, s, host, drain.Eviction{Selection: selection(t, "", "")})
		if err == nil || !strings.Contains(err.Error(), `evicting pod "default/bad": it has more than one PodDisruptionBudget`) {
			t.Errorf("error %v", err)
		}
		if len(s.pods) != 1 || time.Since(before) < s.grace {
			t.Errorf("%d pods are left after %s", len(s.pods), time.Since(before))
		}
	})
}

// The name of a Node that is gone may be another's by now.
func TestEvictStopsWhenTheNodeIsNoLongerTheOneMeant(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		s.put(pod("web", always))
		s.budget["web"] = blocked("web-pdb")
		here := true
		go func() {
			time.Sleep(time.Minute)
			s.mu.Lock()
			defer s.mu.Unlock()
			here = false
			delete(s.budget, "web")
		}()
		evicted, err := evict(t, s, drain.Host{Name: "node-1", Here: func(context.Context) (bool, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return here, nil
		}}, drain.Eviction{Selection: selection(t, "", "")})
		if err != nil || evicted != 0 || s.pods["default/web"] == nil {
			t.Errorf("%d evicted, error %v", evicted, err)
		}
		gone := errors.New("boom")
		if _, err := evict(t, s, drain.Host{Name: "node-1", Here: func(context.Context) (bool, error) { return false, gone }}, drain.Eviction{Selection: selection(t, "", "")}); !errors.Is(err, gone) {
			t.Errorf("error %v", err)
		}
	})
}
