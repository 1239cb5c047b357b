package store_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

const maxReads = 5

func TestPickup(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		e := issue(t, db, request(t, anna, "iPhone"))
		p := must[enroll.SealedPickup](t)(db.Pickup(ctx, e.token))
		equal(t, "token", p.TokenHash, e.token)
		equal(t, "serial", p.Serial, e.serial())
		sameBytes(t, "key", p.Key, []byte("sealed key"))
		sameBytes(t, "password", p.Password, []byte("sealed password"))
		equal(t, "end", p.Expires, noon.Add(15*time.Minute))
		equal(t, "end of password", p.PasswordUntil, noon.Add(time.Hour))
		equal(t, "reads", p.Reads, 0)
		equal(t, "device", p.Device.Name, "iPhone")
		equal(t, "certificate", p.Device.Certificate.Serial, e.serial())
		sameBytes(t, "DER", p.CertificateDER, e.completion.Certificate.Raw)
		_, err := db.Pickup(ctx, [32]byte{1})
		wantError(t, "unknown token", err, portal.ErrNotFound)
		wantError(t, "claiming unknown", db.ClaimRead(ctx, [32]byte{1}, maxReads, audit.Entry{}), portal.ErrNotFound)
		wantError(t, "confirming unknown", db.ConfirmRead(ctx, [32]byte{1}, maxReads, noon), portal.ErrNotFound)
		wantError(t, "part of unknown", db.NotePart(ctx, [32]byte{1}, noon, audit.Entry{}), portal.ErrNotFound)
		equal(t, "ledger", actions(entries(t, db)), "[certificate.reserved certificate.issued]")
	})
}

func TestReadsAreCounted(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		e := issue(t, db, request(t, anna, "iPhone"))
		later, read := noon.Add(time.Minute), entry(audit.PickupRead, anna)
		// A claim given back counts no longer; one that is confirmed cannot be.
		steps := []error{
			db.ClaimRead(ctx, e.token, 1, read), db.ReturnRead(ctx, e.token), db.ReturnRead(ctx, e.token),
			db.ClaimRead(ctx, e.token, 1, read), db.ConfirmRead(ctx, e.token, maxReads, later),
			db.ReturnRead(ctx, e.token),
		}
		for i, err := range steps {
			if err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
		}
		wantError(t, "second read of one", db.ClaimRead(ctx, e.token, 1, read), portal.ErrConflict)
		p := must[enroll.SealedPickup](t)(db.Pickup(ctx, e.token))
		equal(t, "reads", p.Reads, 1)
		equal(t, "last read", p.LastRead, later)
		equal(t, "delivered", p.Device.Certificate.Delivered, later)
		sameBytes(t, "key", p.Key, []byte("sealed key"))
		// The entry belongs to the claim: both of them, and no third for what arrived.
		log := entries(t, db)
		equal(t, "ledger", actions(log[2:]), "[pickup.read pickup.read]")
		equal(t, "object", log[3].Object, e.serial().String())
	})
}

func TestLastReadWipesKey(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		e := issue(t, db, request(t, anna, "iPhone"))
		for i := range maxReads {
			if err := db.ClaimRead(ctx, e.token, maxReads, entry(audit.PickupRead, anna)); err != nil {
				t.Fatal(err)
			}
			if err := db.ConfirmRead(ctx, e.token, maxReads, noon.Add(time.Duration(i)*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		p := must[enroll.SealedPickup](t)(db.Pickup(ctx, e.token))
		sameBytes(t, "key", p.Key, nil)
		sameBytes(t, "password", p.Password, []byte("sealed password"))
		equal(t, "delivered", p.Device.Certificate.Delivered, noon)
		wantError(t, "one more", db.ClaimRead(ctx, e.token, maxReads+1, audit.Entry{}), portal.ErrConflict)
		wantError(t, "a part more", db.NotePart(ctx, e.token, noon, audit.Entry{}), portal.ErrConflict)
		equal(t, "entries", len(entries(t, db)), 2+maxReads)
	})
}

// Who fetches the file in pieces may have the whole of it: the certificate is not
// swept as undelivered.
func TestPartsDeliverAndDoNotCount(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		e := issue(t, db, request(t, anna, "iPhone"))
		over := noon.Add(16 * time.Minute)
		equal(t, "undelivered before", len(must[[]ca.Serial](t)(db.Undelivered(ctx, over, 10))), 1)
		for i := range maxReads + 2 {
			at := noon.Add(time.Duration(i+1) * time.Minute)
			if err := db.NotePart(ctx, e.token, at, entry(audit.PickupRead, anna)); err != nil {
				t.Fatal(err)
			}
		}
		p := must[enroll.SealedPickup](t)(db.Pickup(ctx, e.token))
		equal(t, "delivered", p.Device.Certificate.Delivered, noon.Add(time.Minute))
		equal(t, "reads", p.Reads, 0)
		equal(t, "last read", p.LastRead.IsZero(), true)
		sameBytes(t, "key", p.Key, []byte("sealed key"))
		equal(t, "undelivered", len(must[[]ca.Serial](t)(db.Undelivered(ctx, over, 10))), 0)
		if err := db.ClaimRead(ctx, e.token, 1, entry(audit.PickupRead, anna)); err != nil {
			t.Errorf("claiming the only read after parts: %v", err)
		}
		log := entries(t, db)
		equal(t, "entries", len(log), 2+maxReads+2+1)
		equal(t, "object", log[2].Object, e.serial().String())
	})
}

func TestPartOfARevokedCertificateIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		e := issue(t, db, request(t, anna, "iPhone"))
		revoke(t, db, portal.Removed, noon, e.serial())
		wantError(t, "part", db.NotePart(t.Context(), e.token, noon, audit.Entry{}), portal.ErrConflict)
		equal(t, "delivered", newest(t, db, e).Delivered.IsZero(), true)
		equal(t, "entries", len(entries(t, db)), 3)
	})
}

func TestF22_ParallelReadersStayWithinMax(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		e := issue(t, db, request(t, anna, "iPhone"))
		replica := opened(t, db.address)
		var claimed atomic.Int32
		var waiting sync.WaitGroup
		for i := range 50 {
			via := enroll.Store(db)
			if i%2 == 1 {
				via = replica
			}
			waiting.Go(func() {
				if via.ClaimRead(t.Context(), e.token, maxReads, entry(audit.PickupRead, anna)) == nil {
					claimed.Add(1)
				}
			})
		}
		waiting.Wait()
		equal(t, "claims", claimed.Load(), maxReads)
		equal(t, "entries", len(entries(t, db)), 2+maxReads)
	})
}

func TestWipePickups(t *testing.T) {
	cases := []struct {
		name          string
		at            time.Duration
		touched       int
		key, password bool
	}{
		{"before", 15*time.Minute - time.Millisecond, 0, true, true},
		{"file over", 15 * time.Minute, 1, false, true},
		{"again", 16 * time.Minute, 0, false, true},
		{"password over", time.Hour, 1, false, false},
		{"all gone", 2 * time.Hour, 0, false, false},
	}
	onBoth(t, func(t *testing.T, db *fixture) {
		e := issue(t, db, request(t, anna, "iPhone"))
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				equal(t, "touched", must[int](t)(db.WipePickups(t.Context(), noon.Add(c.at))), c.touched)
				p := must[enroll.SealedPickup](t)(db.Pickup(t.Context(), e.token))
				equal(t, "key", p.Key != nil, c.key)
				equal(t, "password", p.Password != nil, c.password)
			})
		}
		log := entries(t, db)
		equal(t, "ledger", actions(log[2:]), "[pickup.wiped]")
		equal(t, "object", log[2].Object, e.serial().String())
		equal(t, "person", log[2].Person, string(anna))
	})
}
