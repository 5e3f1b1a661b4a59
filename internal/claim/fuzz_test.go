package claim_test

import (
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/claim"
)

// leaseOf reads what an API server would send. It returns nil for what no API server sends.
func leaseOf(annotations, spec string) *coordinationv1.Lease {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: claim.Name(id), UID: "uid"}}
	if json.Unmarshal([]byte(annotations), &lease.Annotations) != nil || json.Unmarshal([]byte(spec), &lease.Spec) != nil {
		return nil
	}
	return lease
}

// Leases can be made and edited by anyone who may. Whatever is in one: reading it does not fail, who else holds it until
// later keeps it, and otherwise the claim is ours and can be given back.
func FuzzALeaseOfAnotherHand(f *testing.F) {
	for _, spec := range []string{
		`{}`, `null`, `{"holderIdentity":null,"renewTime":"2000-01-01T00:00:30.000000Z","leaseDurationSeconds":300}`,
		`{"holderIdentity":"","renewTime":"2000-01-01T00:00:30Z","leaseDurationSeconds":300}`,
		`{"holderIdentity":"other","renewTime":"2000-01-01T00:00:00.000000Z","leaseDurationSeconds":300}`,
		`{"holderIdentity":"other","renewTime":"1999-12-31T00:00:00.000000Z","leaseDurationSeconds":300,"leaseTransitions":4}`,
		`{"holderIdentity":"other","renewTime":"2000-01-01T00:00:00.000000Z","leaseDurationSeconds":-300,"leaseTransitions":-1}`,
		`{"holderIdentity":"other","renewTime":"1999-12-31T00:00:00.000000Z","leaseDurationSeconds":1,"leaseTransitions":2147483646}`,
		`{"holderIdentity":"other","renewTime":"9999-12-31T23:59:59.999999Z","leaseDurationSeconds":2147483647}`,
		`{"holderIdentity":"other","renewTime":"0001-01-01T00:00:00.000000Z","leaseDurationSeconds":2147483647}`,
		`{"holderIdentity":"other","leaseDurationSeconds":300}`, `{"holderIdentity":"other","renewTime":null}`,
		`{"holderIdentity":"ours","renewTime":"2000-01-01T00:00:00.000000Z","leaseDurationSeconds":300,"acquireTime":"x"}`,
		`{"holderIdentity":"ours","renewTime":"2000-01-01T00:00:00.000000Z","leaseDurationSeconds":0}`,
	} {
		f.Add(`null`, spec)
		f.Add(`{"eks-recycle.io/node":"","eks-recycle.io/node-uid":"\n","eks-recycle.io/workflow":"argo/x","eks-recycle.io/asg":"g","eks-recycle.io/suspends":"AZRebalance","eks-recycle.io/record":"{\"replaced\":true}"}`, spec)
		f.Add(`{"eks-recycle.io/record":"{"}`, spec)
	}
	f.Fuzz(func(t *testing.T, annotations, spec string) {
		lease := leaseOf(annotations, spec)
		if lease == nil {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			server := newLeases()
			server.store(lease)
			ours := claimsOf(server, "ours")
			until := time.Time{}
			if lease.Spec.RenewTime != nil && lease.Spec.LeaseDurationSeconds != nil {
				until = lease.Spec.RenewTime.Add(time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second)
			}
			parked := lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == ""
			held := until.After(time.Now()) && !parked && *lease.Spec.HolderIdentity != "ours"

			record, err := ours.Record(t.Context(), id)
			if text := lease.Annotations["eks-recycle.io/record"]; text != "" && json.Unmarshal([]byte(text), &claim.Progress{}) != nil {
				if err == nil || server.writes > 0 {
					t.Fatalf("a record that cannot be read: error %v after %d writes", err, server.writes)
				}
				return
			}
			if err != nil || record == nil || record.Live() != (until.After(time.Now()) && !parked) {
				t.Fatalf("record %+v, error %v", record, err)
			}
			if err := free(t, ours); (err != nil) != held {
				t.Errorf("held=%t, and Free says %v", held, err)
			}
			got, err := ours.Acquire(t.Context(), id, about)
			if held {
				var other *claim.HeldError
				if !errors.As(err, &other) || server.writes > 0 || other.Error() == "" {
					t.Fatalf("another one's claim until %s: error %v after %d writes", until, err, server.writes)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			now := server.get(claim.Name(id)).Spec
			if *now.HolderIdentity != "ours" || !now.RenewTime.Equal(&metav1.MicroTime{Time: time.Now()}) || *now.LeaseDurationSeconds != 300 {
				t.Errorf("claimed as %+v", now)
			}
			if got.Record().Node != "node-1" {
				t.Errorf("record %+v", got.Record())
			}
			kept, stop := got.Keep(t.Context())
			time.Sleep(2 * duration)
			if kept.Err() != nil {
				t.Errorf("not kept: %v", kept.Err())
			}
			stop()
			if err := ours.End(t.Context(), id); err != nil || server.stored[claim.Name(id)] != nil {
				t.Errorf("not released: %v", err)
			}
		})
	})
}
