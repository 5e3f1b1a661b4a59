package drain_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/poll"
)

func never() time.Time { return time.Now().Add(1000 * time.Hour) }

func quiet(drain.Result) {}

func names(pods []*corev1.Pod) (names []string) {
	for _, p := range pods {
		names = append(names, p.Namespace+"/"+p.Name)
	}
	return names
}

func TestAwaitEndsWithTheLastPod(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		s.put(pod("old"))
		time.Sleep(time.Minute)
		s.put(pod("young"))
		s.put(pod("service", always))
		s.put(pod("elsewhere", func(p *corev1.Pod) { p.Spec.NodeName = "node-2" }))
		s.put(pod("agent", ownedBy("DaemonSet"), always))
		s.put(pod("done", phase(corev1.PodSucceeded)))
		s.finish("default/old", 3*time.Hour)
		s.finish("default/young", 20*time.Hour+17*time.Second)
		before := time.Now()
		var reports []string
		result, err := s.client(t).Await(t.Context(), host, selection(t, "", ""), never(), func(now drain.Result) {
			reports = append(reports, strings.Join(names(now.Left), " "))
		})
		if err != nil || !result.Drained() || result.Finished != 2 || result.TimedOut {
			t.Errorf("result %+v, error %v", result, err)
		}
		if late := time.Since(before) - (20*time.Hour + 17*time.Second); late != 0 {
			t.Errorf("it ended %s after the last pod", late)
		}
		if diff := cmp.Diff([]string{"default/old default/young", "default/young", ""}, reports); diff != "" {
			t.Errorf("reports, oldest first (-want +got):\n%s", diff)
		}
		if lists := len(s.asked["list"]); lists != 1 {
			t.Errorf("%d lists in twenty hours of good weather", lists)
		}
	})
}

// A list from the API server's cache may be older than the cordon, and miss a pod that was bound just before.
func TestAwaitAsksForTheNewestAndFiltersOnTheServer(t *testing.T) {
	for name, c := range map[string]struct {
		selector, namespaces string
		labels, fields       string
		lists                int
	}{
		"every run-to-completion pod": {"", "", "", "spec.nodeName=node-1,status.phase!=Succeeded,status.phase!=Failed", 1},
		"a selector":                  {"app=batch", "", "app=batch", "spec.nodeName=node-1,status.phase!=Succeeded,status.phase!=Failed", 1},
		"two namespaces":              {"app", "a,b", "app", "spec.nodeName=node-1,status.phase!=Succeeded,status.phase!=Failed", 2},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newServer()
				if _, err := s.client(t).Await(t.Context(), host, selection(t, c.selector, c.namespaces), never(), quiet); err != nil {
					t.Fatal(err)
				}
				if len(s.asked["list"]) != c.lists {
					t.Errorf("%d lists, want %d", len(s.asked["list"]), c.lists)
				}
				for _, q := range append(s.asked["list"], s.asked["watch"]...) {
					if q.Get("labelSelector") != c.labels || q.Get("fieldSelector") != c.fields {
						t.Errorf("asked for labels %q, fields %q", q.Get("labelSelector"), q.Get("fieldSelector"))
					}
				}
				if slices.ContainsFunc(s.asked["list"], func(q url.Values) bool { return q.Get("resourceVersion") != "" || q.Get("resourceVersionMatch") != "" }) {
					t.Errorf("asked for a list that may be old: %v", s.asked["list"])
				}
			})
		})
	}
}

func TestAwaitSurvives(t *testing.T) {
	for name, mishap := range map[string]func(*server){
		"closed watches": func(s *server) {
			for range 30 {
				time.Sleep(5 * time.Minute)
				s.closeWatches(false)
			}
		},
		"410 Gone": func(s *server) {
			for range 30 {
				time.Sleep(5 * time.Minute)
				s.closeWatches(true)
			}
		},
		"an API server that is away for an hour": func(s *server) {
			away := apierrors.NewServiceUnavailable("away")
			time.Sleep(time.Hour)
			s.fail("list", away)
			s.fail("watch", away)
			s.closeWatches(true)
			time.Sleep(time.Hour)
			s.fail("list", nil)
			s.fail("watch", nil)
		},
		"throttling": func(s *server) {
			s.fail("list", apierrors.NewTooManyRequests("slow down", 1))
			time.Sleep(10 * time.Minute)
			s.fail("list", nil)
		},
		"a pod's end while nobody watches": func(s *server) {
			time.Sleep(3*time.Hour - time.Second)
			s.fail("watch", apierrors.NewServiceUnavailable("away"))
			s.closeWatches(true)
			time.Sleep(5 * time.Second)
			s.fail("watch", nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newServer()
				s.put(pod("batch"))
				s.finish("default/batch", 3*time.Hour)
				before := time.Now()
				go mishap(s)
				result, err := s.client(t).Await(t.Context(), host, selection(t, "", ""), never(), quiet)
				if err != nil || !result.Drained() {
					t.Errorf("result %+v, error %v", result, err)
				}
				if took := time.Since(before); took < 3*time.Hour || took > 3*time.Hour+time.Minute {
					t.Errorf("it took %s, the pod 3 h", took)
				}
			})
		})
	}
}

func TestAwaitIsNotFooled(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(*server)
		took    time.Duration
	}{
		"by a pod that comes after the cordon": {func(s *server) {
			time.Sleep(time.Minute)
			s.put(pod("late"))
			s.finish("default/late", 2*time.Hour)
		}, 2*time.Hour + time.Minute},
		"by a pod that terminates slowly": {func(s *server) {
			time.Sleep(time.Minute)
			s.put(pod("batch", terminating))
			time.Sleep(2 * time.Hour)
			s.remove("default/batch")
		}, 2*time.Hour + time.Minute},
		"by a pod that is deleted": {func(s *server) {
			time.Sleep(time.Minute)
			s.remove("default/batch")
		}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newServer()
				s.put(pod("batch"))
				if strings.Contains(name, "after the cordon") {
					s.finish("default/batch", time.Hour)
				}
				before := time.Now()
				go c.happens(s)
				result, err := s.client(t).Await(t.Context(), host, selection(t, "", ""), never(), quiet)
				if err != nil || !result.Drained() {
					t.Errorf("result %+v, error %v", result, err)
				}
				if took := time.Since(before); took != c.took {
					t.Errorf("it took %s, want %s", took, c.took)
				}
			})
		})
	}
}

func TestAwaitEndsWithItsWindowOrItsDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		s.put(pod("batch"))
		window, cancel := context.WithTimeoutCause(t.Context(), 20*time.Minute, errors.New("the window ended"))
		defer cancel()
		result, err := s.client(t).Await(window, host, selection(t, "", ""), never(), quiet)
		var notDone *poll.NotDoneError
		if !errors.As(err, &notDone) || len(result.Left) != 1 {
			t.Fatalf("result %+v, error %v", result, err)
		}
		if want := "not done yet: 1 pod(s) on node node-1 still run: default/batch (20m): the window ended"; err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}

		result, err = s.client(t).Await(t.Context(), host, selection(t, "", ""), time.Now().Add(time.Hour), quiet)
		if err != nil || !result.TimedOut || result.Drained() {
			t.Errorf("result %+v, error %v", result, err)
		}
		result, err = s.client(t).Await(t.Context(), host, selection(t, "", ""), time.Now().Add(-time.Hour), quiet)
		if err != nil || !result.TimedOut || result.Drained() {
			t.Errorf("a deadline that has passed: result %+v, error %v", result, err)
		}
		s.remove("default/batch")
		result, err = s.client(t).Await(t.Context(), host, selection(t, "", ""), time.Now().Add(-time.Hour), quiet)
		if err != nil || result.TimedOut || !result.Drained() {
			t.Errorf("an empty node past its deadline: result %+v, error %v", result, err)
		}
	})
}

func TestAwaitSaysWhatKeepsItFromLooking(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		s.fail("list", apierrors.NewServiceUnavailable("the API server is away"))
		window, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
		defer cancel()
		c := s.client(t)
		var log bytes.Buffer
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
		_, err := c.Await(window, host, selection(t, "", ""), never(), quiet)
		var notDone *poll.NotDoneError
		if !errors.As(err, &notDone) || !strings.Contains(err.Error(), "the API server is away") {
			t.Errorf("error %v", err)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "the API server is away") {
			t.Errorf("logged %d times:\n%s", lines, log.String())
		}
	})
}

func TestAwaitFailsAtOnceWithoutThePermissionToLook(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		s.put(pod("batch"))
		s.fail("list", forbidden())
		before := time.Now()
		_, err := s.client(t).Await(t.Context(), host, selection(t, "", ""), never(), quiet)
		if !apierrors.IsForbidden(err) || !strings.HasPrefix(err.Error(), "listing pods: ") {
			t.Errorf("error %v", err)
		}
		if took := time.Since(before); took > time.Minute {
			t.Errorf("it took %s to say so", took)
		}
	})
}

// An API server that has just started refuses what it will allow once it knows its roles.
func TestAwaitOutlivesARefusalInMidWait(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		s.put(pod("batch"))
		go func() {
			time.Sleep(time.Hour)
			s.fail("list", forbidden())
			s.closeWatches(true)
		}()
		synctest.Wait()
		window, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		_, err := s.client(t).Await(window, host, selection(t, "", ""), never(), quiet)
		var notDone *poll.NotDoneError
		if !errors.As(err, &notDone) {
			t.Errorf("error %v", err)
		}
	})
}

func forbidden() error {
	return apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New("no such permission"))
}

func TestLeftIsOneConsistentLook(t *testing.T) {
	s := newServer()
	s.put(pod("b", in("team-b")))
	s.put(pod("a", in("team-a")))
	s.put(pod("web", in("team-a"), always))
	s.put(pod("c", in("team-c")))
	left, err := s.client(t).Left(t.Context(), host, selection(t, "", "team-a,team-b"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"team-a/a", "team-b/b"}, names(left.Left)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	for _, q := range s.asked["list"] {
		if q.Get("resourceVersion") != "" {
			t.Errorf("asked for a list that may be old: %v", q)
		}
	}
	s.fail("list", apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New("no such permission")))
	if _, err := s.client(t).Left(t.Context(), host, selection(t, "", "")); !apierrors.IsForbidden(err) {
		t.Errorf("error %v", err)
	}
}
