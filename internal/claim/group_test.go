package claim_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/claim"
)

func TestAGroupIsChangedByOneRecycleAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		c := claimsOf(server, "alice@laptop") // recycles two nodes of one group
		if _, err := c.AcquireGroup(t.Context(), "workers", id); err != nil {
			t.Fatal(err)
		}
		const other = "i-0123456789abcdef1"
		var held *claim.HeldError
		if _, err := c.AcquireGroup(t.Context(), "workers", other); !errors.As(err, &held) || !strings.Contains(held.Error(), "Auto Scaling group workers is claimed by argo/alice@laptop") {
			t.Errorf("error %v", err)
		}
		if _, err := c.AcquireGroup(t.Context(), "others", other); err != nil {
			t.Errorf("another group: %v", err)
		}
		if err := c.ReleaseGroup(t.Context(), "workers", other); err != nil || server.get(claim.GroupName("workers")) == nil {
			t.Errorf("released by one who did not hold it: %v", err)
		}
		if err := claimsOf(server, "bob@laptop").ReleaseGroup(t.Context(), "workers", id); err != nil { // the next to hold the claim on the instance
			t.Fatal(err)
		}
		if _, err := c.AcquireGroup(t.Context(), "workers", other); err != nil {
			t.Errorf("after the release: %v", err)
		}
	})
}

func TestASuspensionIsRememberedThroughRenewalsAndTakeovers(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		held := acquire(t, claimsOf(server, "wf-1"))
		if held.Suspended("AZRebalance") || held.From != "" {
			t.Errorf("a new claim suspends AZRebalance: %t, comes from %q", held.Suspended("AZRebalance"), held.From)
		}
		for _, process := range []string{"AZRebalance", "Terminate", "HealthCheck"} {
			if err := held.Suspends(t.Context(), "workers", process); err != nil {
				t.Fatal(err)
			}
		}
		if err := held.Resumed(t.Context(), "HealthCheck"); err != nil {
			t.Fatal(err)
		}
		_, stop := held.Keep(t.Context())
		time.Sleep(duration)
		stop()
		time.Sleep(2 * duration) // its workflow died

		second := acquire(t, claimsOf(server, "wf-2"))
		if !second.Suspended("AZRebalance") || !second.Suspended("Terminate") || second.Suspended("HealthCheck") || second.From != "argo/wf-1" || !second.Fresh {
			t.Errorf("taken over from %q, fresh %t, suspends AZRebalance: %t, Terminate: %t, HealthCheck: %t", second.From, second.Fresh, second.Suspended("AZRebalance"), second.Suspended("Terminate"), second.Suspended("HealthCheck"))
		}
		if _, err := claimsOf(server, "wf-2").AcquireGroup(t.Context(), "workers", id); err != nil {
			t.Fatal(err)
		}
		records, err := claimsOf(server, "wf-3").Records(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		until := time.Now().Add(duration)
		want := []claim.Record{
			{InstanceID: id, Holder: "wf-2", Workflow: "argo/wf-2", Node: "node-1", NodeUID: "uid-1", Group: "workers", Suspends: []string{"AZRebalance", "Terminate"}, Until: until},
			{InstanceID: id, OnGroup: true, Holder: id, Workflow: "argo/wf-2", Group: "workers", Until: until},
		}
		if diff := cmp.Diff(want, records); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
	})
}

func TestANodeOfTheSameNameIsAnotherOne(t *testing.T) {
	inBubble(t, func(t *testing.T, server *leases) {
		c := claimsOf(server, "wf-1")
		if acquire(t, c).Reborn(node("uid-1")) {
			t.Error("a node is reborn at the first claim on it")
		}
		for range 2 { // the first attempt may die before it has remembered
			held, err := c.Acquire(t.Context(), id, node("uid-2"), "")
			if err != nil || !held.Reborn(node("uid-2")) {
				t.Fatalf("reborn: %t, error %v", held.Reborn(node("uid-2")), err)
			}
			if held.Reborn(node("uid-1")) {
				t.Error("the first node counts as reborn")
			}
		}
		held, err := c.Acquire(t.Context(), id, node("uid-2"), "")
		if err != nil {
			t.Fatal(err)
		}
		if err := held.Remember(t.Context(), node("uid-2")); err != nil || held.Reborn(node("uid-2")) {
			t.Errorf("reborn once it is remembered, error %v", err)
		}
		time.Sleep(2 * duration)
		if held, err = c.Acquire(t.Context(), id, node("uid-3"), ""); err != nil || held.Reborn(node("uid-3")) {
			t.Errorf("an expired claim knows nothing of the node's past: %v", err)
		}
	})
}
