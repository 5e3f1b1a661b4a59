package claim_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// locked runs act while it holds a group's lock, as a process that is killed then if act fails.
func locked(t *testing.T, c claim.Claims, group, instance string, act func() error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	wait := poll.Loop{Interval: time.Second, Log: slog.New(slog.DiscardHandler)}
	return c.WithGroupLock(ctx, wait, group, instance, func(context.Context) error { return act() })
}

var errKilled = errors.New("killed")

func TestAGroupIsChangedByOneRecycleAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		c := claimsOf(server, "alice@laptop") // recycles two nodes of one group
		const other = "i-0123456789abcdef1"
		killed, fine := func() error { return errKilled }, func() error { return nil }
		if err := locked(t, c, "workers", id, killed); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		if err := locked(t, c, "workers", other, fine); err == nil || !strings.Contains(err.Error(), "Auto Scaling group workers is claimed by argo/alice@laptop") {
			t.Errorf("error %v", err)
		}
		if err := locked(t, c, "others", other, fine); err != nil {
			t.Errorf("another group: %v", err)
		}
		if err := c.ReleaseGroupLock(t.Context(), "workers", other); err != nil || server.get(claim.GroupName("workers")) == nil {
			t.Errorf("released by one who did not hold it: %v", err)
		}
		if err := locked(t, claimsOf(server, "bob@laptop"), "workers", id, fine); err != nil { // the next to hold the claim on the instance
			t.Errorf("the same instance: %v", err)
		}
		if err := locked(t, c, "workers", other, fine); err != nil {
			t.Errorf("after the release: %v", err)
		}
		if server.get(claim.GroupName("workers")) != nil {
			t.Error("the lock is left")
		}
	})
}

func TestALockOfAProcessThatWasKilledExpires(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		c := claimsOf(server, "wf-1")
		if err := locked(t, c, "workers", id, func() error { return errKilled }); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		time.Sleep(duration)
		if err := locked(t, c, "workers", "i-00000000", func() error { return nil }); err != nil {
			t.Error(err)
		}
	})
}

func TestAGroupCoolsDownForAsLongAsItIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		var held *claim.HeldError
		if err := claimsOf(server, "wf-1").CoolDown(t.Context(), "workers", 6*time.Hour); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Hour)
		if err := claimsOf(server, "wf-2").CoolDown(t.Context(), "workers", 6*time.Hour); !errors.As(err, &held) {
			t.Errorf("after five of six hours: %v", err)
		}
		time.Sleep(time.Hour)
		if err := claimsOf(server, "wf-2").CoolDown(t.Context(), "workers", 6*time.Hour); err != nil {
			t.Errorf("after six hours: %v", err)
		}
	})
}

func TestARecordIsKeptThroughRenewalsAndTakeovers(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		held := acquire(t, claimsOf(server, "wf-1"))
		began := time.Now().UTC().Truncate(time.Second)
		progress := claim.Progress{
			Members: []string{"i-1", "i-2"}, WaitingSince: began, Replacements: []string{"i-3"}, Replaced: true, DrainingSince: began,
			LabelSelector: "app=batch", Namespaces: "jobs", Action: "stop", OnTimeout: "fail", RetiringSince: began, Return: "{}", Hook: "hook",
		}
		err := held.Update(t.Context(), func(r *claim.Record) {
			r.Group, r.Suspends, r.Progress = "workers", []string{"AZRebalance", "Terminate"}, progress
		})
		if err != nil {
			t.Fatal(err)
		}
		_, stop := held.Keep(t.Context())
		time.Sleep(duration)
		stop()
		time.Sleep(2 * duration) // its workflow died

		second := acquire(t, claimsOf(server, "wf-2"))
		if second.From != "argo/wf-1" || !second.Taken {
			t.Errorf("taken over: %t, from %q", second.Taken, second.From)
		}
		records, unreadable, err := claimsOf(server, "wf-3").Records(t.Context())
		if err != nil || len(unreadable) > 0 {
			t.Fatal(err, unreadable)
		}
		want := []claim.Record{{
			InstanceID: id, Holder: "wf-2", Workflow: "argo/wf-2", Until: time.Now().Add(duration), Renewed: time.Now(), Node: "node-1", NodeUID: "uid-1", Group: "workers",
			Suspends: []string{"AZRebalance", "Terminate"}, Progress: progress,
		}}
		if diff := cmp.Diff(want, records); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
		writes := server.writes
		if err := second.Update(t.Context(), func(r *claim.Record) { r.Group = "workers" }); err != nil || server.writes != writes {
			t.Errorf("nothing is changed by %d writes, error %v", server.writes-writes, err)
		}
		mine, err := claimsOf(server, "wf-2").Mine(t.Context(), "node-1")
		if err != nil || mine == nil || mine.InstanceID != id {
			t.Errorf("by its Node's name the holder finds %+v, %v", mine, err)
		}
		if other, err := claimsOf(server, "wf-3").Mine(t.Context(), "node-1"); err != nil || other != nil {
			t.Errorf("by its Node's name somebody else finds %+v, %v", other, err)
		}
	})
}
