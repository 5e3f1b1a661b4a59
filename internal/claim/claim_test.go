package claim_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/claim"
)

const (
	id       = "i-0123456789abcdef0"
	duration = 5 * time.Minute
)

// inBubble runs a test in virtual time, with an API server that has no Leases yet.
func inBubble(t *testing.T, story func(*testing.T, *leases)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { story(t, newLeases()) })
}

func claimsOf(server *leases, holder string) claim.Claims {
	return claim.Claims{
		Namespace: "eks-recycle", Leases: server, Holder: holder, Workflow: "argo/" + holder, Duration: duration, Log: slog.New(slog.DiscardHandler),
		Ended: func(context.Context, claim.Record) (bool, error) { return true, nil },
	}
}

// free says whether somebody else works on the instance.
func free(t *testing.T, c claim.Claims) error {
	t.Helper()
	record, err := c.Record(t.Context(), id)
	if err != nil || record == nil {
		return err
	}
	return c.Held(t.Context(), *record)
}

// about writes what a recycle writes when it begins.
func about(r *claim.Record) { r.Node, r.NodeUID = "node-1", "uid-1" }

func nothing(*claim.Record) {}

func acquire(t *testing.T, c claim.Claims) *claim.Claim {
	t.Helper()
	held, err := c.Acquire(t.Context(), id, about)
	if err != nil {
		t.Fatal(err)
	}
	return held
}

func TestAClaimIsALeaseThatPeopleCanRead(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		acquire(t, claimsOf(server, "wf-1"))
		lease := server.get(claim.Name(id))
		now, seconds, transitions, holder := metav1.NewMicroTime(time.Now()), int32(300), int32(0), "wf-1"
		want := &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{
				Name: "eks-recycle-" + id, UID: lease.UID, ResourceVersion: lease.ResourceVersion,
				Labels:      map[string]string{"app.kubernetes.io/name": "eks-recycle"},
				Annotations: map[string]string{"eks-recycle.io/node": "node-1", "eks-recycle.io/node-uid": "uid-1", "eks-recycle.io/workflow": "argo/wf-1"},
			},
			Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now, LeaseTransitions: &transitions},
		}
		if diff := cmp.Diff(want, lease); diff != "" {
			t.Errorf("lease (-want +got):\n%s", diff)
		}
		if record, err := claimsOf(server, "wf-2").Record(t.Context(), id); err != nil || record.Node != "node-1" || record.Workflow != "argo/wf-1" || !record.Live() {
			t.Errorf("anybody can read it: %+v, %v", record, err)
		}
	})
}

func TestTheHolderAcquiresItAgainAndAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		acquire(t, claimsOf(server, "wf-1"))
		acquired := *server.get(claim.Name(id)).Spec.AcquireTime
		time.Sleep(time.Hour) // long expired, and nobody came
		if _, err := claimsOf(server, "wf-1").Acquire(t.Context(), id, nothing); err != nil {
			t.Fatal(err)
		}
		lease := server.get(claim.Name(id))
		if !lease.Spec.AcquireTime.Equal(&acquired) || *lease.Spec.LeaseTransitions != 0 || lease.Spec.RenewTime.Sub(acquired.Time) != time.Hour {
			t.Errorf("spec %+v", lease.Spec)
		}
		if node := lease.Annotations["eks-recycle.io/node"]; node != "node-1" {
			t.Errorf("a step that does not know the node made it %q", node)
		}
	})
}

func TestAnotherHolderHasToWaitForTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		acquire(t, claimsOf(server, "wf-1"))
		second := claimsOf(server, "wf-2")
		until := time.Now().Add(duration)
		time.Sleep(duration - time.Second)
		_, err := second.Acquire(t.Context(), id, about)
		var held *claim.HeldError
		if !errors.As(err, &held) {
			t.Fatalf("error %v", err)
		}
		if diff := cmp.Diff(&claim.HeldError{What: "instance " + id, Holder: "wf-1", Workflow: "argo/wf-1", Until: until}, held); diff != "" {
			t.Errorf("error (-want +got):\n%s", diff)
		}
		if want := "instance " + id + " is claimed by argo/wf-1 until "; !strings.HasPrefix(held.Error(), want) {
			t.Errorf("message %q", held)
		}
		if err := free(t, second); !errors.As(err, &held) {
			t.Errorf("Free says %v", err)
		}
		if err := free(t, claimsOf(server, "wf-1")); err != nil {
			t.Errorf("to its holder it is %v", err)
		}
	})
}

func TestAnExpiredClaimIsTakenOver(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		acquire(t, claimsOf(server, "wf-1"))
		time.Sleep(duration)
		second := claimsOf(server, "wf-2")
		var log bytes.Buffer
		second.Log = slog.New(slog.NewTextHandler(&log, nil))
		if err := free(t, second); err != nil {
			t.Errorf("Free says %v", err)
		}
		acquire(t, second)
		lease := server.get(claim.Name(id))
		if *lease.Spec.HolderIdentity != "wf-2" || *lease.Spec.LeaseTransitions != 1 || !lease.Spec.AcquireTime.Time.Equal(time.Now()) {
			t.Errorf("spec %+v", lease.Spec)
		}
		if !strings.Contains(log.String(), "taking over an expired claim") || !strings.Contains(log.String(), "from=wf-1") {
			t.Errorf("log: %s", log.String())
		}
	})
}

func TestOfTwoThatComeAtOnceOneGetsIt(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, *leases){
		"an instance that nobody claimed": func(*testing.T, *leases) {},
		"an expired claim": func(t *testing.T, server *leases) {
			acquire(t, claimsOf(server, "wf-0"))
			time.Sleep(duration)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, server *leases) {
				prepare(t, server)
				server.latency = time.Second // both have read before one writes
				var group sync.WaitGroup
				errs := make([]error, 2)
				for i, holder := range []string{"wf-1", "wf-2"} {
					group.Go(func() { _, errs[i] = claimsOf(server, holder).Acquire(t.Context(), id, nothing) })
				}
				group.Wait()
				if (errs[0] == nil) == (errs[1] == nil) {
					t.Fatalf("errors %v", errs)
				}
				// The loser's error is one that goes away by itself; then it finds the claim held.
				if lost := errors.Join(errs...); !apierrors.IsConflict(lost) && !apierrors.IsAlreadyExists(lost) {
					t.Errorf("the loser's error is %v", lost)
				}
			})
		})
	}
}

func TestAClaimIsKeptWhileAStepActs(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		kept, stop := acquire(t, claimsOf(server, "wf-1")).Keep(t.Context())
		writes := server.writes
		for range 20 * 60 {
			time.Sleep(time.Minute)
			if err := free(t, claimsOf(server, "wf-2")); err == nil {
				t.Fatal("somebody else finds it free")
			}
		}
		if kept.Err() != nil {
			t.Errorf("the step was stopped: %v", context.Cause(kept))
		}
		if n, want := server.writes-writes, 20*3600/100; n < want-1 || n > want+1 {
			t.Errorf("%d writes in twenty hours, want one every 100 s: %d", n, want)
		}
		stop()
		time.Sleep(duration)
		if err := free(t, claimsOf(server, "wf-2")); err != nil {
			t.Errorf("after the step it is not given up in time: %v", err)
		}
	})
}

func TestAStepStopsWhenItsClaimIsGone(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(*testing.T, *leases)
		cause   error
		within  time.Duration
	}{
		"another took it over": {func(t *testing.T, server *leases) {
			server.edit(claim.Name(id), func(l *coordinationv1.Lease) { other := "wf-2"; l.Spec.HolderIdentity = &other })
		}, claim.ErrLost, duration / 3},
		"somebody deleted it": {func(t *testing.T, server *leases) {
			if err := server.Delete(t.Context(), claim.Name(id), metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}, claim.ErrLost, duration / 3},
		"the API server is away":         {func(_ *testing.T, server *leases) { server.away = true }, claim.ErrNotRenewed, duration - time.Second},
		"the API server does not answer": {func(_ *testing.T, server *leases) { server.latency = time.Hour }, claim.ErrNotRenewed, duration - time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, server *leases) {
				kept, stop := acquire(t, claimsOf(server, "wf-1")).Keep(t.Context())
				defer stop()
				before := time.Now()
				c.happens(t, server)
				<-kept.Done()
				if cause := context.Cause(kept); !errors.Is(cause, c.cause) {
					t.Errorf("cause %v, want %v", cause, c.cause)
				}
				if took := time.Since(before); took > c.within {
					t.Errorf("it went on for %s, want %s at most", took, c.within)
				}
			})
		})
	}
}

func TestAClaimSurvivesShortMishaps(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		kept, stop := acquire(t, claimsOf(server, "wf-1")).Keep(t.Context())
		defer stop()
		server.away = true
		time.Sleep(duration / 2)
		server.away = false
		time.Sleep(duration)
		server.edit(claim.Name(id), func(l *coordinationv1.Lease) { l.Labels["somebody"] = "labelled it" })
		time.Sleep(duration)
		if kept.Err() != nil {
			t.Errorf("the step was stopped: %v", context.Cause(kept))
		}
		if label := server.get(claim.Name(id)).Labels["somebody"]; label == "" {
			t.Error("what somebody else wrote is lost")
		}
	})
}

func TestRelease(t *testing.T) {
	for name, c := range map[string]struct {
		holder string // of the claim; empty: there is none
		left   bool
	}{
		"one's own":      {"wf-1", false},
		"somebody's":     {"wf-2", true},
		"none is there ": {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, server *leases) {
				if c.holder != "" {
					acquire(t, claimsOf(server, c.holder))
					time.Sleep(time.Hour) // that it has expired makes it nobody else's
				}
				if err := claimsOf(server, "wf-1").End(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				if left := server.get(claim.Name(id)) != nil; left != c.left {
					t.Errorf("left: %t", left)
				}
			})
		})
	}
}

func TestReleaseLeavesAClaimAloneThatIsTakenOverMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		acquire(t, claimsOf(server, "wf-1"))
		time.Sleep(duration)
		server.latency = time.Second
		released := make(chan error)
		go func() { released <- claimsOf(server, "wf-1").End(t.Context(), id) }()
		time.Sleep(1500 * time.Millisecond) // it has read the Lease and is about to delete it
		server.edit(claim.Name(id), func(l *coordinationv1.Lease) { other := "wf-2"; l.Spec.HolderIdentity = &other })
		if err := <-released; !apierrors.IsConflict(err) {
			t.Errorf("error %v, want a conflict, which the step waits out", err)
		}
		if server.get(claim.Name(id)) == nil {
			t.Error("the other's claim is gone")
		}
	})
}

func TestReadingWithoutAClaim(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		c := claimsOf(server, "wf-1")
		if record, err := c.Record(t.Context(), id); err != nil || record != nil {
			t.Errorf("record %+v, error %v", record, err)
		}
		if err := free(t, c); err != nil {
			t.Error(err)
		}
		server.away = true
		if _, err := c.Record(t.Context(), id); !apierrors.IsServiceUnavailable(err) {
			t.Errorf("error %v", err)
		}
		if err := free(t, c); !apierrors.IsServiceUnavailable(err) {
			t.Errorf("error %v", err)
		}
		if _, err := c.Acquire(t.Context(), id, nothing); !apierrors.IsServiceUnavailable(err) {
			t.Errorf("error %v", err)
		}
		if err := c.End(t.Context(), id); !apierrors.IsServiceUnavailable(err) {
			t.Errorf("error %v", err)
		}
	})
}

func TestAClaimIsTakenUnlessItsHolderHasIt(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		for _, c := range []struct {
			after  time.Duration
			holder string
			taken  bool
			why    string
		}{
			{0, "wf-1", true, "it is new"},
			{time.Minute, "wf-1", false, "its holder comes back"},
			{10 * duration, "wf-1", false, "its holder comes back late, and nobody has taken it"},
			{duration, "wf-2", true, "it is taken over"},
			{duration - time.Second, "wf-2", false, "its holder comes back in the last moment"},
		} {
			time.Sleep(c.after)
			if held := acquire(t, claimsOf(server, c.holder)); held.Taken != c.taken {
				t.Errorf("taken is %t, though %s", held.Taken, c.why)
			}
		}
	})
}

// An expired claim is taken over only from a holder that has ended: its next pod may be Pending.
func TestAnExpiredClaimIsItsHoldersWhileThatRuns(t *testing.T) {
	for name, c := range map[string]struct {
		ended func(context.Context, claim.Record) (bool, error)
		free  bool
	}{
		"it has ended":      {func(context.Context, claim.Record) (bool, error) { return true, nil }, true},
		"it runs":           {func(context.Context, claim.Record) (bool, error) { return false, nil }, false},
		"Argo says nothing": {func(context.Context, claim.Record) (bool, error) { return true, errors.New("away") }, false},
		"nobody can say":    {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, server *leases) {
				acquire(t, claimsOf(server, "wf-1"))
				time.Sleep(100 * duration)
				second := claimsOf(server, "wf-2")
				second.Ended = c.ended
				var held *claim.HeldError
				if _, err := second.Acquire(t.Context(), id, about); errors.As(err, &held) == c.free {
					t.Errorf("error %v", err)
				}
				if err := free(t, second); errors.As(err, &held) && c.free {
					t.Errorf("Free says %v", err)
				}
			})
		})
	}
}

// What a Lease says of a claim that lasts for decades, or is renewed in the future, is not believed.
func TestAClaimHasALongestTime(t *testing.T) {
	for name, edit := range map[string]func(*coordinationv1.Lease){
		"for decades": func(l *coordinationv1.Lease) { decades := int32(math.MaxInt32); l.Spec.LeaseDurationSeconds = &decades },
		"in the future": func(l *coordinationv1.Lease) {
			l.Spec.RenewTime = &metav1.MicroTime{Time: time.Now().AddDate(40, 0, 0)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, server *leases) {
				acquire(t, claimsOf(server, "wf-1"))
				server.edit(claim.Name(id), edit)
				record, err := claimsOf(server, "wf-2").Record(t.Context(), id)
				if err != nil || time.Until(record.Until) > time.Hour {
					t.Errorf("claimed until %s, error %v", record.Until, err)
				}
			})
		})
	}
}

func TestAParkedRecycleKeepsItsRecord(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		held := acquire(t, claimsOf(server, "wf-1"))
		err := held.Update(t.Context(), func(r *claim.Record) { r.Replaced, r.Replacements = true, []string{"i-1"} })
		if err != nil {
			t.Fatal(err)
		}
		if err := held.Park(t.Context()); err != nil {
			t.Fatal(err)
		}
		second := claimsOf(server, "wf-2")
		record, err := second.Record(t.Context(), id)
		if err != nil || !record.Parked() || record.Live() || !record.Replaced || record.Workflow != "argo/wf-1" {
			t.Errorf("record %+v, error %v", record, err)
		}
		second.Ended = nil
		again := acquire(t, second)
		if !again.Taken || again.From != "" || !again.Record().Replaced || again.Record().Holder != "wf-2" {
			t.Errorf("taken %t from %q: %+v", again.Taken, again.From, again.Record())
		}
	})
}

// A Lease that is released between a read and a write is claimed again; a namespace that is not there is not.
func TestALeaseThatIsGoneIsNotANamespaceThatIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		acquire(t, claimsOf(server, "wf-1"))
		time.Sleep(duration)
		second := claimsOf(server, "wf-2")
		second.Ended = func(context.Context, claim.Record) (bool, error) {
			return true, claimsOf(server, "wf-1").End(t.Context(), id)
		}
		if _, err := second.Acquire(t.Context(), id, about); !errors.Is(err, claim.ErrNotRenewed) {
			t.Errorf("error %v", err)
		}
		if held := acquire(t, second); !held.Taken {
			t.Error("it is not claimed anew")
		}
	})
}

func TestARecordThatCannotBeReadHoldsUpNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		c := claimsOf(server, "wf-1")
		acquire(t, c)
		if _, err := c.Acquire(t.Context(), "i-00000000", nothing); err != nil {
			t.Fatal(err)
		}
		server.edit(claim.Name(id), func(l *coordinationv1.Lease) { l.Annotations["eks-recycle.io/record"] = "{" })
		records, unreadable, err := c.Records(t.Context())
		if err != nil || len(records) != 1 || records[0].InstanceID != "i-00000000" || unreadable[claim.Name(id)] == nil {
			t.Errorf("records %+v, unreadable %v, error %v", records, unreadable, err)
		}
		if _, err := c.Acquire(t.Context(), id, nothing); err == nil {
			t.Error("it is claimed all the same")
		}
	})
}
