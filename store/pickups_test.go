package store_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"certportal/enroll"
	"certportal/ledger"
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
		wantError(t, "unknown token", err, enroll.ErrNotFound)
		wantError(t, "claiming unknown", db.ClaimRead(ctx, [32]byte{1}, maxReads), enroll.ErrNotFound)
		wantError(t, "confirming unknown", db.ConfirmRead(ctx, [32]byte{1}, maxReads, noon, ledger.Entry{}), enroll.ErrNotFound)
	})
}

func TestReadsAreCounted(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		e := issue(t, db, request(t, anna, "iPhone"))
		later := noon.Add(time.Minute)
		// A claim given back counts no longer; one that is confirmed cannot be.
		steps := []error{
			db.ClaimRead(ctx, e.token, 1), db.ReturnRead(ctx, e.token), db.ReturnRead(ctx, e.token),
			db.ClaimRead(ctx, e.token, 1), db.ConfirmRead(ctx, e.token, maxReads, later, entry(ledger.PickupRead, anna)),
			db.ReturnRead(ctx, e.token),
		}
		for i, err := range steps {
			if err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
		}
		wantError(t, "second read of one", db.ClaimRead(ctx, e.token, 1), enroll.ErrConflict)
		p := must[enroll.SealedPickup](t)(db.Pickup(ctx, e.token))
		equal(t, "reads", p.Reads, 1)
		equal(t, "last read", p.LastRead, later)
		equal(t, "delivered", p.Device.Certificate.Delivered, later)
		sameBytes(t, "key", p.Key, []byte("sealed key"))
		log := entries(t, db)
		equal(t, "object", log[len(log)-1].Object, e.serial().String())
	})
}

func TestLastReadWipesKey(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		e := issue(t, db, request(t, anna, "iPhone"))
		for i := range maxReads {
			if err := db.ClaimRead(ctx, e.token, maxReads); err != nil {
				t.Fatal(err)
			}
			err := db.ConfirmRead(ctx, e.token, maxReads, noon.Add(time.Duration(i)*time.Second), entry(ledger.PickupRead, anna))
			if err != nil {
				t.Fatal(err)
			}
		}
		p := must[enroll.SealedPickup](t)(db.Pickup(ctx, e.token))
		sameBytes(t, "key", p.Key, nil)
		sameBytes(t, "password", p.Password, []byte("sealed password"))
		equal(t, "delivered", p.Device.Certificate.Delivered, noon)
		wantError(t, "one more", db.ClaimRead(ctx, e.token, maxReads+1), enroll.ErrConflict)
	})
}

func TestF22_ParallelReadersStayWithinMax(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		e := issue(t, db, request(t, anna, "iPhone"))
		replica := opened(t, db.address)
		var claimed atomic.Int32
		var waiting sync.WaitGroup
		for i := range 50 {
			via := enroll.Pickups(db)
			if i%2 == 1 {
				via = replica
			}
			waiting.Go(func() {
				if via.ClaimRead(t.Context(), e.token, maxReads) == nil {
					claimed.Add(1)
				}
			})
		}
		waiting.Wait()
		equal(t, "claims", claimed.Load(), maxReads)
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
