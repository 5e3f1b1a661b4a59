package drain_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// unsynced is the answer while a budget has not been evaluated; the API server asks to come back in ten seconds.
func unsynced(budget string) error {
	err := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 10)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: policyv1.DisruptionBudgetCause, Message: "The disruption budget " + budget + " is still being processed by the server."}}
	return err
}

func graced(seconds int64) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = &seconds }
}

func tolerating(p *corev1.Pod) {
	p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
}

func annotated(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Annotations = map[string]string{key: value} }
}

// On Spot every second counts: pods behind budgets that are never synced hold up no other, and those that matter are told in time.
func TestABlockedPodHoldsUpNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		for i := range 13 {
			name := fmt.Sprintf("a-blocked-%02d", i)
			s.put(pod(name, always))
			s.budget[name] = unsynced([]string{"one", "two"}[i%2])
		}
		s.put(pod("web", always))
		s.put(pod("batch", graced(30)))
		began := time.Now()
		by := began.Add(2 * time.Minute)
		told := map[string]time.Duration{}
		ctx, cancel := context.WithDeadline(t.Context(), by)
		defer cancel()
		go func() {
			for ctx.Err() == nil {
				time.Sleep(100 * time.Millisecond)
				s.mu.Lock()
				for _, name := range s.evicts {
					if _, known := told[name]; !known {
						told[name] = time.Since(began)
					}
				}
				s.mu.Unlock()
			}
		}()
		_, err := s.client(t).Evict(ctx, host, drain.Eviction{Selection: selection(t, "", ""), By: by})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if told["web"] == 0 || told["web"] > 3*time.Second {
			t.Errorf("the pod that may go was told after %s", told["web"])
		}
		if late := told["batch"] - (2*time.Minute - 35*time.Second); told["batch"] == 0 || late > 3*time.Second {
			t.Errorf("the pod that matters was told after %s, %s too late", told["batch"], late)
		}
		t.Logf("told: web after %s, batch after %s; %d evictions", told["web"], told["batch"], len(s.evicts))
	})
}

// Pods that change all the time make no eviction come sooner.
func TestRefusedEvictionsArePaced(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		for i := range 11 {
			name := fmt.Sprintf("blocked-%02d", i)
			s.put(pod(name, always))
			s.budget[name] = blocked("web")
		}
		window, cancel := context.WithTimeoutCause(t.Context(), 10*time.Minute, errors.New("the window ended"))
		defer cancel()
		go func() {
			for i := 0; window.Err() == nil; i++ {
				time.Sleep(100 * time.Millisecond)
				s.mu.Lock()
				p := s.pods["default/blocked-00"].DeepCopy()
				s.mu.Unlock()
				p.Labels = map[string]string{"seen": fmt.Sprint(i)}
				s.put(p)
			}
		}()
		_, err := s.client(t).Evict(window, host, drain.Eviction{Selection: selection(t, "", "")})
		if calls := len(s.evicts); calls < 11*8 || calls > 11*15 {
			t.Errorf("%d evictions of 11 pods in ten minutes", calls)
		}
		if got := err.Error(); !strings.Contains(got, "default/blocked-09 is blocked") || !strings.Contains(got, "and 1 more") || strings.Contains(got, "blocked-10") {
			t.Errorf("it says %s", got)
		}
		t.Logf("%d evictions of 11 pods in ten minutes", len(s.evicts))
	})
}

// A pod that tolerates the taint would come back at once, without end. It is named, unless it matters.
func TestPodsThatTolerateTheTaint(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		s.put(pod("operator", always, tolerating))
		s.put(pod("web", always))
		s.put(pod("batch", tolerating))
		s.finish("default/batch", 30*time.Minute)
		before := time.Now()
		out, err := s.client(t).Evict(t.Context(), host, drain.Eviction{Selection: selection(t, "", "")})
		if err != nil || out.Evicted != 1 || !slices.Equal(names(out.Tolerating), []string{"default/operator"}) || !slices.Equal(s.evicts, []string{"web"}) {
			t.Errorf("%d evicted, %v tolerate; asked for %v; error %v", out.Evicted, names(out.Tolerating), s.evicts, err)
		}
		if took := time.Since(before); took < 30*time.Minute || took > 31*time.Minute {
			t.Errorf("it took %s: the pod that matters needs 30 minutes", took)
		}
	})
}

// A kubelet that is dead ends no pod. Once the grace period is over by a minute, and its Node is not Ready, a pod is lost.
func TestPodsOfADeadKubelet(t *testing.T) {
	for name, ready := range map[string]bool{"the Node is not Ready": false, "the Node is Ready": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newServer()
				s.dead, s.grace = true, 30*time.Second
				h := host
				h.Ready = func(context.Context) (bool, error) { return ready, nil }
				s.put(pod("web", always))
				s.put(pod("batch", func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Now().Add(time.Minute)} }))
				patient := pod("patient", func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Now().Add(time.Hour)} })
				s.put(patient)
				s.put(pod("a-overdue", func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Now().Add(-time.Hour)} }))
				want := []string{"default/batch", "default/patient"}
				if ready {
					want = append([]string{"default/a-overdue"}, want...)
				}
				if left, err := s.client(t).Left(t.Context(), h, selection(t, "", "")); err != nil || !slices.Equal(names(left.Left), want) {
					t.Errorf("pods whose grace period runs: %v, error %v", names(left.Left), err)
				}
				s.remove("default/patient")
				s.remove("default/a-overdue")
				began := time.Now()
				window, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errors.New("the window ended"))
				defer cancel()
				result, err := s.client(t).Await(window, h, selection(t, "", ""), never(), quiet)
				waited := time.Since(began)
				out, evictErr := s.client(t).Evict(window, h, drain.Eviction{Selection: selection(t, "", "")})
				if ready {
					var notDone *poll.NotDoneError
					if !errors.As(err, &notDone) || !errors.As(evictErr, &notDone) || len(result.Lost)+len(out.Lost) > 0 {
						t.Errorf("errors %v, %v; lost %v, %v", err, evictErr, names(result.Lost), names(out.Lost))
					}
					return
				}
				if err != nil || !slices.Equal(names(result.Lost), []string{"default/batch"}) || waited > 3*time.Minute {
					t.Errorf("drain: lost %v after %s, error %v", names(result.Lost), waited, err)
				}
				if took := time.Since(began) - waited; evictErr != nil || len(out.Lost) != 2 || took > 2*time.Minute {
					t.Errorf("evict: lost %v after %s, error %v", names(out.Lost), took, evictErr)
				}
				if left, err := s.client(t).Left(t.Context(), h, selection(t, "", "")); err != nil || !left.Drained() || len(left.Lost) != 1 {
					t.Errorf("a last look: %+v, error %v", left, err)
				}
			})
		})
	}
}

// An eviction gives up once nothing has moved for a while, over attempts; it warns at half time, and waits out grace periods.
func TestEvictionsGiveUp(t *testing.T) {
	for name, c := range map[string]struct {
		before        time.Duration // since a pod went last, when the attempt begins
		change        func(*server)
		after         time.Duration
		warned, goes  bool
		namesThatStay string
	}{
		"an hour after the beginning":    {change: func(*server) {}, after: time.Hour, warned: true},
		"an hour after an attempt":       {before: 50 * time.Minute, change: func(*server) {}, after: 10 * time.Minute},
		"an hour after another pod went": {change: func(s *server) { time.Sleep(40 * time.Minute); s.remove("default/other") }, after: 100 * time.Minute, warned: true},
		"not while a grace period runs": {change: func(s *server) {
			time.Sleep(50 * time.Minute)
			s.put(pod("other", always, func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Now().Add(3 * time.Hour)} }))
			time.Sleep(3 * time.Hour)
			s.remove("default/other")
		}, after: 50*time.Minute + 4*time.Hour, warned: true},
		"not if all go in time": {change: func(s *server) {
			time.Sleep(50 * time.Minute)
			s.remove("default/web")
			time.Sleep(50 * time.Minute)
			s.remove("default/other")
		}, after: 100 * time.Minute, warned: true, goes: true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newServer()
				for _, name := range []string{"web", "other"} {
					s.put(pod(name, always))
					s.budget[name] = blocked("web")
				}
				go c.change(s)
				began, warned := time.Now(), 0
				out, err := s.client(t).Evict(t.Context(), host, drain.Eviction{
					Selection: selection(t, "", ""), Timeout: time.Hour, Since: began.Add(-c.before), Stalled: func(_ context.Context, _ string, blocked []drain.Blocked) {
						if warned++; len(blocked) == 0 || blocked[0].Why == "" {
							t.Errorf("it does not say which pod is blocked: %v", blocked)
						}
					},
				})
				took := time.Since(began)
				if err != nil || out.TimedOut == c.goes || (took-c.after).Abs() > 10*time.Second || (warned > 0) != c.warned {
					t.Errorf("after %s: %+v, %d warnings, error %v", took, out, warned, err)
				}
				if out.TimedOut && !strings.Contains(out.Blocked, "default/web is blocked: The disruption budget web needs 2 healthy pods") {
					t.Errorf("it says %q", out.Blocked)
				}
			})
		})
	}
}

// What a budget says of itself is said too, when it will never allow the eviction by itself.
func TestWhyABudgetBlocks(t *testing.T) {
	always, policy := policyv1.AlwaysAllow, policyv1.PodDisruptionBudgetStatus{CurrentHealthy: 1, DesiredHealthy: 2, ExpectedPods: 3}
	for name, c := range map[string]struct {
		change func(*policyv1.PodDisruptionBudget)
		ready  bool
		want   string
	}{
		"its owner has no scale": {func(b *policyv1.PodDisruptionBudget) {
			b.Status.Conditions = []metav1.Condition{{Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.SyncFailedReason, Message: "found no controllers for pod"}}
		}, true, "(budget web: SyncFailed: found no controllers for pod)"},
		"the pod itself is unhealthy": {func(*policyv1.PodDisruptionBudget) {}, false, "(the pod itself is not Ready: unhealthyPodEvictionPolicy AlwaysAllow of budget web would let it go)"},
		"it has that policy":          {func(b *policyv1.PodDisruptionBudget) { b.Spec.UnhealthyPodEvictionPolicy = &always }, false, ""},
		"it wants all of them":        {func(b *policyv1.PodDisruptionBudget) { b.Status.DesiredHealthy = 3 }, true, "(budget web never allows a disruption: it wants 3 healthy pods of 3)"},
		"it waits for healthy pods":   {func(*policyv1.PodDisruptionBudget) {}, true, ""},
		"it is another pod's":         {func(b *policyv1.PodDisruptionBudget) { b.Spec.Selector.MatchLabels["app"] = "other" }, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newServer()
				p := pod("web", func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyAlways }, labelled("app", "web"))
				if c.ready {
					p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
				}
				s.put(p)
				s.budget["web"] = unsynced("web")
				b := policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"}, Status: policy}
				b.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
				c.change(&b)
				s.budgets = []policyv1.PodDisruptionBudget{b}
				window, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := s.client(t).Evict(window, host, drain.Eviction{Selection: selection(t, "", "")})
				if c.want != "" && !strings.Contains(err.Error(), c.want) || c.want == "" && strings.Contains(err.Error(), " (") {
					t.Errorf("it says %v\nwant %s", err, c.want)
				}
			})
		})
	}
}

// A webhook may deny with any code, for a while. That is no missing permission.
func TestWebhooksThatDeny(t *testing.T) {
	for _, code := range []int32{http.StatusForbidden, http.StatusBadRequest, http.StatusConflict, http.StatusInternalServerError} {
		t.Run(http.StatusText(int(code)), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := newServer()
				s.put(pod("web", always))
				denied := apierrors.NewGenericServerResponse(int(code), "create", corev1.Resource("pods"), "web", "", 0, true)
				denied.ErrStatus.Message = `admission webhook "guard.example.com" denied the request: an operator moves the shard first`
				s.budget["web"] = denied
				window, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				_, err := s.client(t).Evict(window, host, drain.Eviction{Selection: selection(t, "", "")})
				var notDone *poll.NotDoneError
				if !errors.As(err, &notDone) || !strings.Contains(err.Error(), "an operator moves the shard first") {
					t.Errorf("error %v", err)
				}
				s.mu.Lock()
				delete(s.budget, "web")
				s.mu.Unlock()
				if out, err := s.client(t).Evict(t.Context(), host, drain.Eviction{Selection: selection(t, "", "")}); err != nil || out.Evicted != 1 {
					t.Errorf("%+v, error %v", out, err)
				}
			})
		})
	}
}

// A rehearsal asks the API server and evicts nothing.
func TestEvicteesAreRehearsed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		for i := range 25 {
			s.put(pod(fmt.Sprintf("web-%02d", i), always))
		}
		s.budget["web-07"] = blocked("web")
		pods, refused, err := s.client(t).Evictees(t.Context(), host, drain.Eviction{Selection: selection(t, "", "")})
		want := []string{"default/web-07 is blocked: The disruption budget web needs 2 healthy pods and has 2 currently"}
		if err != nil || len(pods) != 25 || !slices.Equal(refused, want) || len(s.evicts) > 0 || len(s.rehearsed) != 25 {
			t.Errorf("%d pods, refused %v; evicted %v, rehearsed %d; error %v", len(pods), refused, s.evicts, len(s.rehearsed), err)
		}
	})
}

// People ask with annotations that a pod be left in peace. With a selector the selector alone says who matters.
func TestPodsThatAskNotToBeDisrupted(t *testing.T) {
	asking := map[string]*corev1.Pod{
		"Karpenter's":            pod("a", always, annotated("karpenter.sh/do-not-disrupt", "true")),
		"cluster-autoscaler's":   pod("b", always, annotated("cluster-autoscaler.kubernetes.io/safe-to-evict", "false")),
		"not, says Karpenter's":  pod("c", always, annotated("karpenter.sh/do-not-disrupt", "false")),
		"not, says autoscaler's": pod("d", always, annotated("cluster-autoscaler.kubernetes.io/safe-to-evict", "true")),
	}
	for name, p := range asking {
		s := selection(t, "", "")
		if want := !strings.HasPrefix(name, "not"); s.Matters(p) != want {
			t.Errorf("%s: matters %t", name, s.Matters(p))
		}
		s.Disruptable = true
		if s.Matters(p) || selection(t, "app=batch", "").Matters(p) {
			t.Errorf("%s: matters although that is turned off, or by a selector", name)
		}
	}
}

// A pod's volume is free once it is no longer attached. Volumes of pods that stay are not waited for.
func TestVolumesAreDetached(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		claimed := func(claim string) func(*corev1.Pod) {
			return func(p *corev1.Pod) {
				p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}}
			}
		}
		scratch := func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}}
		}
		s.put(pod("agent", always, ownedBy("DaemonSet"), claimed("logs")))
		s.put(pod("operator", always, tolerating, scratch))
		s.claims = map[string]string{"default/logs": "pv-agent", "default/operator-scratch": "pv-operator"}
		attach := func(volume, node string) {
			a := attachment(volume, node)
			s.attachments = append(s.attachments, a)
		}
		attach("pv-agent", "node-1")
		attach("pv-operator", "node-1")
		attach("pv-db", "node-1")
		attach("pv-other", "node-2")
		go func() {
			time.Sleep(90 * time.Second)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.attachments = slices.Delete(s.attachments, 2, 3)
		}()
		began := time.Now()
		window, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("the window ended"))
		defer cancel()
		err := s.client(t).AwaitDetached(window, host)
		if want := "not done yet: 1 volume(s) are still attached to node node-1: pv-db: the window ended"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		if err := s.client(t).AwaitDetached(t.Context(), host); err != nil || time.Since(began) < 90*time.Second || time.Since(began) > 2*time.Minute {
			t.Errorf("after %s: error %v", time.Since(began), err)
		}
	})
}

// One pod behind a webhook that hangs is one pod: the others go at once.
func TestAnEvictionThatIsNotAnswered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		s.slow = map[string]bool{"a-hangs": true}
		s.put(pod("a-hangs", always))
		for i := range 20 {
			s.put(pod(fmt.Sprintf("web-%02d", i), always))
		}
		window, cancel := context.WithTimeoutCause(t.Context(), 20*time.Second, errors.New("the window ended"))
		defer cancel()
		out, err := s.client(t).Evict(window, host, drain.Eviction{Selection: selection(t, "", "")})
		if err == nil || out.Evicted != 20 || len(s.pods) != 1 {
			t.Errorf("%d evicted, %d left, error %v", out.Evicted, len(s.pods), err)
		}
	})
}

// A pod that matters and is late does not end the eviction of the others.
func TestALatePodBesideABlockedOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := newServer()
		s.put(pod("batch"))
		s.put(pod("web", always))
		s.budget["web"] = blocked("web")
		began := time.Now()
		go func() {
			time.Sleep(30 * time.Minute)
			s.remove("default/web")
		}()
		out, err := s.client(t).Evict(t.Context(), host, drain.Eviction{Selection: selection(t, "", ""), Until: began.Add(10 * time.Minute), Timeout: time.Hour})
		if took := time.Since(began); err != nil || !slices.Equal(names(out.Late), []string{"default/batch"}) || took < 30*time.Minute || took > 31*time.Minute {
			t.Errorf("after %s: late %v, error %v", took, names(out.Late), err)
		}
	})
}
