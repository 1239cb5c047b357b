package store_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

const maxReads = 5

func TestPickup(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		p := testkit.Must(db.Pickup(ctx, e.TokenHash))(t)
		testkit.Equal(t, "token", p.TokenHash, e.TokenHash)
		testkit.Equal(t, "serial", p.Serial, e.Serial())
		sameBytes(t, "key", p.Key, []byte("sealed key"))
		sameBytes(t, "password", p.Password, []byte("sealed password"))
		testkit.Equal(t, "end", p.Expires, testkit.Noon.Add(15*time.Minute))
		testkit.Equal(t, "end of password", p.PasswordUntil, testkit.Noon.Add(time.Hour))
		testkit.Equal(t, "reads", p.Reads, 0)
		testkit.Equal(t, "device", p.Device.Name, "iPhone")
		testkit.Equal(t, "certificate", p.Device.Certificate.Serial, e.Serial())
		sameBytes(t, "DER", p.CertificateDER, e.Completion.Certificate.Raw)
		_, err := db.Pickup(ctx, [32]byte{1})
		wantError(t, "unknown token", err, portal.ErrNotFound)
		wantError(t, "claiming unknown", db.ClaimRead(ctx, [32]byte{1}, maxReads, audit.Entry{}), portal.ErrNotFound)
		wantError(t, "confirming unknown", db.ConfirmRead(ctx, [32]byte{1}, maxReads, testkit.Noon), portal.ErrNotFound)
		wantError(t, "part of unknown", db.NotePart(ctx, [32]byte{1}, testkit.Noon, audit.Entry{}), portal.ErrNotFound)
		testkit.Equal(t, "audit log", actions(fixture.Entries(t, db)), "[certificate.reserved certificate.issued]")
	})
}

// TestFilesAreNumbered: no two files of a person have the same number, also when one was
// revoked or its device removed; other people's do not count.
func TestFilesAreNumbered(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		first := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		second := first.Renewal(t).Issue(t, db) // revokes the first
		other := fixture.NewEnrolment(t, "ben", "iPhone").Issue(t, db)
		tablet := fixture.NewEnrolment(t, anna, "tablet")
		tablet.Reservation.Requested = testkit.Noon.Add(time.Hour)
		tablet = tablet.Issue(t, db)
		for i, want := range []struct {
			e      fixture.Enrolment
			number int
		}{{first, 1}, {second, 2}, {other, 1}, {tablet, 3}} {
			p := testkit.Must(db.Pickup(t.Context(), want.e.TokenHash))(t)
			if p.Number != want.number {
				t.Errorf("file %d: got number %d, want %d", i, p.Number, want.number)
			}
		}
	})
}

func TestReadsAreCounted(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		later, read := testkit.Noon.Add(time.Minute), fixture.NewEntry(testkit.Noon, audit.PickupRead, anna)
		// A claim given back does not count; one that is confirmed cannot be given
		// back.
		steps := []error{
			db.ClaimRead(ctx, e.TokenHash, 1, read), db.ReturnRead(ctx, e.TokenHash), db.ReturnRead(ctx, e.TokenHash),
			db.ClaimRead(ctx, e.TokenHash, 1, read), db.ConfirmRead(ctx, e.TokenHash, maxReads, later),
			db.ReturnRead(ctx, e.TokenHash),
		}
		for i, err := range steps {
			if err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
		}
		wantError(t, "second read of one", db.ClaimRead(ctx, e.TokenHash, 1, read), portal.ErrConflict)
		p := testkit.Must(db.Pickup(ctx, e.TokenHash))(t)
		testkit.Equal(t, "reads", p.Reads, 1)
		testkit.Equal(t, "last read", p.LastRead, later)
		testkit.Equal(t, "delivered", p.Device.Certificate.Delivered, later)
		sameBytes(t, "key", p.Key, []byte("sealed key"))
		// The entry belongs to the claim: there are two, and no third for the read
		// that arrived.
		log := fixture.Entries(t, db)
		testkit.Equal(t, "audit log", actions(log[2:]), "[pickup.read pickup.read]")
		testkit.Equal(t, "object", log[3].Object, e.Serial().String())
	})
}

func TestLastReadWipesKey(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		for i := range maxReads {
			if err := db.ClaimRead(ctx, e.TokenHash, maxReads, fixture.NewEntry(testkit.Noon, audit.PickupRead, anna)); err != nil {
				t.Fatal(err)
			}
			if err := db.ConfirmRead(ctx, e.TokenHash, maxReads, testkit.Noon.Add(time.Duration(i)*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		p := testkit.Must(db.Pickup(ctx, e.TokenHash))(t)
		sameBytes(t, "key", p.Key, nil)
		sameBytes(t, "password", p.Password, []byte("sealed password"))
		testkit.Equal(t, "delivered", p.Device.Certificate.Delivered, testkit.Noon)
		wantError(t, "one more", db.ClaimRead(ctx, e.TokenHash, maxReads+1, audit.Entry{}), portal.ErrConflict)
		wantError(t, "a part more", db.NotePart(ctx, e.TokenHash, testkit.Noon, audit.Entry{}), portal.ErrConflict)
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 2+maxReads)
	})
}

// A client that fetches the file in parts may have all of it: the certificate is not
// swept as undelivered.
func TestPartsDeliverAndDoNotCount(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		over := testkit.Noon.Add(16 * time.Minute)
		testkit.Equal(t, "undelivered before", len(testkit.Must(db.Undelivered(ctx, over, 10))(t)), 1)
		for i := range maxReads + 2 {
			at := testkit.Noon.Add(time.Duration(i+1) * time.Minute)
			if err := db.NotePart(ctx, e.TokenHash, at, fixture.NewEntry(testkit.Noon, audit.PickupRead, anna)); err != nil {
				t.Fatal(err)
			}
		}
		p := testkit.Must(db.Pickup(ctx, e.TokenHash))(t)
		testkit.Equal(t, "delivered", p.Device.Certificate.Delivered, testkit.Noon.Add(time.Minute))
		testkit.Equal(t, "reads", p.Reads, 0)
		testkit.Equal(t, "last read", p.LastRead.IsZero(), true)
		sameBytes(t, "key", p.Key, []byte("sealed key"))
		testkit.Equal(t, "undelivered", len(testkit.Must(db.Undelivered(ctx, over, 10))(t)), 0)
		if err := db.ClaimRead(ctx, e.TokenHash, 1, fixture.NewEntry(testkit.Noon, audit.PickupRead, anna)); err != nil {
			t.Errorf("claiming the only read after parts: %v", err)
		}
		log := fixture.Entries(t, db)
		testkit.Equal(t, "entries", len(log), 2+maxReads+2+1)
		testkit.Equal(t, "object", log[2].Object, e.Serial().String())
	})
}

func TestPartOfARevokedCertificateIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		revoke(t, db, portal.Removed, testkit.Noon, e.Serial())
		wantError(t, "part", db.NotePart(t.Context(), e.TokenHash, testkit.Noon, audit.Entry{}), portal.ErrConflict)
		testkit.Equal(t, "delivered", newest(t, db, e).Delivered.IsZero(), true)
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 3)
	})
}

func TestF22_ParallelReadersStayWithinMax(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		replica := opened(t, db.address)
		var claimed atomic.Int32
		var waiting sync.WaitGroup
		for i := range 50 {
			via := enroll.Store(db)
			if i%2 == 1 {
				via = replica
			}
			waiting.Go(func() {
				if via.ClaimRead(t.Context(), e.TokenHash, maxReads, fixture.NewEntry(testkit.Noon, audit.PickupRead, anna)) == nil {
					claimed.Add(1)
				}
			})
		}
		waiting.Wait()
		testkit.Equal(t, "claims", claimed.Load(), maxReads)
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 2+maxReads)
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
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				testkit.Equal(t, "touched", testkit.Must(db.WipePickups(t.Context(), testkit.Noon.Add(c.at)))(t), c.touched)
				p := testkit.Must(db.Pickup(t.Context(), e.TokenHash))(t)
				testkit.Equal(t, "key", p.Key != nil, c.key)
				testkit.Equal(t, "password", p.Password != nil, c.password)
			})
		}
		log := fixture.Entries(t, db)
		testkit.Equal(t, "audit log", actions(log[2:]), "[pickup.wiped]")
		testkit.Equal(t, "object", log[2].Object, e.Serial().String())
		testkit.Equal(t, "person", log[2].Person, string(anna))
	})
}
