package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// offer makes a hand-off of a person, whose desktop has the session of the number.
func offer(person portal.PersonID, n byte, at time.Time) signin.HandoffOffer {
	return signin.HandoffOffer{
		Handoff: signin.Handoff{
			ID: signin.HandoffID(fmt.Sprintf("handoff-%d", n)), Person: person, Masked: "A** 李**", Number: 12,
			State: signin.HandoffOpen, Expires: at.Add(signin.HandoffLife),
		},
		CodeHash: [32]byte{n}, Session: [32]byte{n}, At: at, Entry: fixture.NewEntry(testkit.Noon, audit.HandoffMade, person),
	}
}

// offered records a hand-off and the session it belongs to.
func offered(t *testing.T, db *database, person portal.PersonID, n byte, at time.Time) signin.HandoffOffer {
	t.Helper()
	save(t, db, n, string(person), at)
	o := offer(person, n, at)
	if err := db.OfferHandoff(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o
}

func redeem(t *testing.T, db signin.Store, id signin.HandoffID, at time.Time) error {
	t.Helper()
	return db.CloseHandoff(t.Context(), id, signin.HandoffRedeemed, at, fixture.NewEntry(testkit.Noon, audit.HandoffRedeemed, anna))
}

func TestHandoff(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		o := offered(t, db, anna, 1, testkit.Noon)
		open := testkit.Must(db.OpenHandoff(ctx, o.CodeHash, testkit.Noon.Add(time.Minute)))(t)
		testkit.Equal(t, "found by code", open, o.Handoff)
		testkit.Equal(t, "found by id", testkit.Must(db.Handoff(ctx, anna, o.ID))(t), o.Handoff)
		_, err := db.Handoff(ctx, "bob", o.ID)
		wantError(t, "somebody else's", err, portal.ErrNotFound)
		_, err = db.Handoff(ctx, "a\x00", signin.HandoffID("\xff"))
		wantError(t, "unstorable", err, portal.ErrNotFound)
		_, err = db.OpenHandoff(ctx, [32]byte{9}, testkit.Noon)
		wantError(t, "unknown code", err, portal.ErrNotFound)

		testkit.NoError(t, db.NoteHandoffDevice(ctx, o.ID, "early"))
		if err := redeem(t, db, o.ID, testkit.Noon.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		testkit.Equal(t, "its device", testkit.Must(db.Handoff(ctx, anna, o.ID))(t).Device, "")
		testkit.NoError(t, db.NoteHandoffDevice(ctx, o.ID, "phone"))
		testkit.NoError(t, db.NoteHandoffDevice(ctx, o.ID, "another"))
		testkit.Equal(t, "its device afterwards", testkit.Must(db.Handoff(ctx, anna, o.ID))(t).Device, "phone")
		testkit.Equal(t, "state", testkit.Must(db.Handoff(ctx, anna, o.ID))(t).State, signin.HandoffRedeemed)
		_, err = db.OpenHandoff(ctx, o.CodeHash, testkit.Noon.Add(time.Minute))
		wantError(t, "used code", err, portal.ErrNotFound)
		wantError(t, "closing twice", redeem(t, db, o.ID, testkit.Noon.Add(time.Minute)), portal.ErrNotFound)
		testkit.Equal(t, "audit log", actions(fixture.Entries(t, db)), "[handoff.made handoff.redeemed]")
	})
}

// A code is good for its time, and only while the desktop is signed in.
func TestA9_HandoffEndsWithItsSession(t *testing.T) {
	tests := []struct {
		name string
		end  func(t *testing.T, db *database)
		at   time.Duration
		open bool
	}{
		{"last moment", nil, signin.HandoffLife - time.Millisecond, true},
		{"time over", nil, signin.HandoffLife, false},
		{"signed out", func(t *testing.T, db *database) {
			if err := db.EndSession(t.Context(), [32]byte{1}); err != nil {
				t.Fatal(err)
			}
		}, time.Minute, false},
		{"all sessions ended", func(t *testing.T, db *database) { testkit.Must(db.EndSessions(t.Context(), string(anna)))(t) }, time.Minute, false},
		{"session pruned", func(t *testing.T, db *database) {
			testkit.Must(db.PruneSessions(t.Context(), testkit.Noon.Add(absolute+kept)))(t)
		}, time.Minute, false},
		{"session idle", func(t *testing.T, db *database) {
			if err := db.SaveSession(t.Context(), [32]byte{1}, string(anna), nil, time.Minute, testkit.Noon.Add(absolute), testkit.Noon); err != nil {
				t.Fatal(err)
			}
		}, time.Minute, false},
	}
	onBoth(t, func(t *testing.T, db *database) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				if _, err := db.plain.Exec("DELETE FROM handoffs"); err != nil {
					t.Fatal(err)
				}
				if _, err := db.plain.Exec("DELETE FROM sessions"); err != nil {
					t.Fatal(err)
				}
				o := offered(t, db, anna, 1, testkit.Noon)
				if tt.end != nil {
					tt.end(t, db)
				}
				want := portal.ErrNotFound
				if tt.open {
					want = nil
				}
				_, err := db.OpenHandoff(t.Context(), o.CodeHash, testkit.Noon.Add(tt.at))
				wantError(t, "opening", err, want)
				wantError(t, "closing", redeem(t, db, o.ID, testkit.Noon.Add(tt.at)), want)
			})
		}
	})
}

func TestOneHandoffAtATime(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		first, other := offered(t, db, anna, 1, testkit.Noon), offered(t, db, "bob", 3, testkit.Noon)
		second := offered(t, db, anna, 2, testkit.Noon.Add(time.Minute))
		_, err := db.OpenHandoff(ctx, first.CodeHash, testkit.Noon.Add(time.Minute))
		wantError(t, "the first", err, portal.ErrNotFound)
		testkit.Equal(t, "state of the first", testkit.Must(db.Handoff(ctx, anna, first.ID))(t).State, signin.HandoffEnded)
		testkit.Must(db.OpenHandoff(ctx, second.CodeHash, testkit.Noon.Add(time.Minute)))(t)
		testkit.Must(db.OpenHandoff(ctx, other.CodeHash, testkit.Noon.Add(time.Minute)))(t)
		wantError(t, "the same code again", db.OfferHandoff(ctx, second), portal.ErrConflict)

		// Old hand-offs are deleted with the next offer.
		offered(t, db, anna, 4, testkit.Noon.Add(2*time.Hour))
		for _, id := range []signin.HandoffID{first.ID, second.ID} {
			_, err = db.Handoff(ctx, anna, id)
			wantError(t, "after two hours", err, portal.ErrNotFound)
		}
	})
}

// Of many requests with the same code at once, on two replicas, one succeeds.
func TestA9_HandoffIsUsedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		replica := opened(t, db.address)
		o := offered(t, db, anna, 1, testkit.Noon)
		results := make(chan error, 20)
		var waiting sync.WaitGroup
		for i := range cap(results) {
			via := signin.Store(db)
			if i%2 == 1 {
				via = replica
			}
			waiting.Go(func() { results <- redeem(t, via, o.ID, testkit.Noon) })
		}
		waiting.Wait()
		close(results)
		in := 0
		for err := range results {
			if err == nil {
				in++
				continue
			}
			wantError(t, "closing", err, portal.ErrNotFound)
		}
		testkit.Equal(t, "let in", in, 1)
		testkit.Equal(t, "audit log", actions(fixture.Entries(t, db)), "[handoff.made handoff.redeemed]")
	})
}

// Two taps on the button at once leave one open code, and no error.
func TestHandoffsOfferedAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		replica := opened(t, db.address)
		var waiting sync.WaitGroup
		for n := byte(1); n <= 6; n++ {
			save(t, db, n, string(anna), testkit.Noon)
			via := signin.Store(db)
			if n%2 == 1 {
				via = replica
			}
			waiting.Go(func() {
				if err := via.OfferHandoff(t.Context(), offer(anna, n, testkit.Noon)); err != nil {
					t.Error(err)
				}
			})
		}
		waiting.Wait()
		open := 0
		for n := byte(1); n <= 6; n++ {
			if _, err := db.OpenHandoff(t.Context(), [32]byte{n}, testkit.Noon); err == nil {
				open++
			}
		}
		testkit.Equal(t, "open", open, 1)
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 6)
	})
}

// Without its audit entry a hand-off is neither made nor used.
func TestHandoffNeedsItsEntry(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		o := offered(t, db, anna, 1, testkit.Noon)
		if _, err := db.plain.Exec("DELETE FROM ledger_head"); err != nil {
			t.Fatal(err)
		}
		if err := db.OfferHandoff(t.Context(), offer(anna, 2, testkit.Noon)); err == nil {
			t.Error("offered without an entry")
		}
		if err := redeem(t, db, o.ID, testkit.Noon); err == nil {
			t.Error("redeemed without an entry")
		}
		testkit.Must(db.OpenHandoff(t.Context(), o.CodeHash, testkit.Noon))(t)
	})
}
