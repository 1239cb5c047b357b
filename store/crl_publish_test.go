package store_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

const (
	lease = 30 * time.Second
	life  = 72 * time.Hour
)

func take(t testing.TB, db crl.Store, builder string, now time.Time) crl.Lease {
	t.Helper()
	return testkit.Must(db.AcquireLease(context.Background(), "issuing", builder, now, lease))(t)
}

// listOf is an unsigned CRL of everything that its lease covers.
func listOf(turn crl.Lease, now time.Time) crl.List {
	return crl.List{
		Issuer: turn.Issuer, Number: turn.Number, Through: turn.Through,
		ThisUpdate: now.Add(-5 * time.Minute), NextUpdate: now.Add(life), Published: now, DER: []byte{byte(turn.Number)},
	}
}

// deltaOf is a delta CRL to a published one.
func deltaOf(turn crl.Lease, base crl.List, now time.Time) crl.List {
	delta := listOf(turn, now)
	delta.Base, delta.NextUpdate = base.Number, now.Add(time.Hour)
	return delta
}

// publish makes the next CRL of the issuing CA, and returns it with the revocations
// in it.
func publish(t testing.TB, db crl.Store, now time.Time) (crl.List, []ca.Revocation) {
	t.Helper()
	turn := take(t, db, "publish", now)
	revoked := revokedBetween(t, db, 0, turn.Through, now.Add(-life))
	list := listOf(turn, now)
	list.Entries = len(revoked)
	if err := db.Publish(context.Background(), turn, list); err != nil {
		t.Fatal(err)
	}
	return list, revoked
}

func revokedBetween(t testing.TB, db crl.Store, after, through int64, ending time.Time) []ca.Revocation {
	t.Helper()
	return testkit.Must(db.Revoked(context.Background(), "issuing", after, through, ending))(t)
}

func latest(t testing.TB, db crl.Store, delta bool, have int64) crl.List {
	t.Helper()
	list, found, err := db.Latest(context.Background(), "issuing", delta, have)
	if err != nil || !found {
		t.Fatalf("newest list: got %v, %v", found, err)
	}
	return list
}

func TestPublish(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		_, found, err := db.Latest(ctx, "issuing", false, 0)
		if found || err != nil {
			t.Fatalf("list before the first: got %v, %v", found, err)
		}
		fixture.NewEnrolment(t, anna, "works").Issue(t, db)
		replaced, abandoned := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db), fixture.NewEnrolment(t, anna, "iPad").Reserve(t, db)
		revoke(t, db, portal.Replaced, testkit.Noon, replaced.Serial())
		revoke(t, db, portal.Abandoned, testkit.Noon.Add(time.Minute), abandoned.Serial())

		first, revoked := publish(t, db, testkit.Noon)
		testkit.Equal(t, "first number", first.Number, testkit.Noon.UnixMilli())
		want := []ca.Revocation{
			{Serial: replaced.Serial(), At: testkit.Noon, Reason: 4},
			{Serial: abandoned.Serial(), At: testkit.Noon.Add(time.Minute), Reason: 5},
		}
		slices.SortFunc(want, func(a, b ca.Revocation) int { return a.Serial.Compare(b.Serial) })
		testkit.Equal(t, "revoked", slices.Equal(revoked, want), true)

		second, _ := publish(t, db, testkit.Noon)
		testkit.Equal(t, "number with the clock standing", second.Number, first.Number+1)
		third, _ := publish(t, db, testkit.Noon.Add(time.Hour))
		testkit.Equal(t, "number with the clock ahead", third.Number, testkit.Noon.Add(time.Hour).UnixMilli())
		got := latest(t, db, false, second.Number)
		sameBytes(t, "DER", got.DER, third.DER)
		sameBytes(t, "DER that is held", latest(t, db, false, third.Number).DER, nil)
		got.DER, third.DER = nil, nil
		testkit.Equal(t, "newest", got.Published, third.Published)
		testkit.Equal(t, "this update", got.ThisUpdate, third.ThisUpdate)
		testkit.Equal(t, "next update", got.NextUpdate, third.NextUpdate)
		testkit.Equal(t, "through", got.Through, third.Through)
		testkit.Equal(t, "entries", got.Entries, 2)

		root := testkit.Must(db.AcquireLease(ctx, "root", "a", testkit.Noon, lease))(t)
		testkit.Equal(t, "root's number", root.Number, testkit.Noon.UnixMilli())
		testkit.Equal(t, "root's entries", len(testkit.Must(db.Revoked(ctx, "root", 0, root.Through, testkit.Noon.Add(-life)))(t)), 0)
	})
}

func TestDeltaLists(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		old, fresh := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db), fixture.NewEnrolment(t, anna, "iPad").Issue(t, db)
		revoke(t, db, portal.Lost, testkit.Noon, old.Serial())
		base, _ := publish(t, db, testkit.Noon)
		revoke(t, db, portal.Removed, testkit.Noon, fresh.Serial())
		unlisted := func(delta bool) bool { return testkit.Must(db.Unlisted(ctx, "issuing", delta))(t) }
		testkit.Equal(t, "before, in either kind", unlisted(true), true)

		turn := take(t, db, "a", testkit.Noon.Add(time.Minute))
		added := revokedBetween(t, db, base.Through, turn.Through, testkit.Noon)
		testkit.Equal(t, "added", len(added), 1)
		testkit.Equal(t, "serial", added[0].Serial, fresh.Serial())
		delta := deltaOf(turn, base, testkit.Noon.Add(time.Minute))
		if err := db.Publish(ctx, turn, delta); err != nil {
			t.Fatal(err)
		}
		testkit.Equal(t, "in complete lists", unlisted(false), true)
		testkit.Equal(t, "in either kind", unlisted(true), false)
		testkit.Equal(t, "newest complete", latest(t, db, false, 0).Number, base.Number)
		testkit.Equal(t, "newest delta", latest(t, db, true, 0).Base, base.Number)

		turn = take(t, db, "a", testkit.Noon.Add(time.Hour))
		if err := db.Publish(ctx, turn, listOf(turn, testkit.Noon.Add(time.Hour)), deltaOf(turn, base, testkit.Noon.Add(time.Hour))); err != nil {
			t.Fatalf("both kinds of one number: %v", err)
		}
		testkit.Equal(t, "both", latest(t, db, true, 0).Number, latest(t, db, false, 0).Number)
		testkit.Equal(t, "afterwards", unlisted(false), false)
	})
}

func TestPublishRefuses(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		revoke(t, db, portal.Removed, testkit.Noon, fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db).Serial())
		first, _ := publish(t, db, testkit.Noon)
		cases := []struct {
			name      string
			change    func(*crl.List)
			overtaken bool
		}{
			{"another issuer", func(l *crl.List) { l.Issuer = "root" }, false},
			{"another number", func(l *crl.List) { l.Number++ }, false},
			{"a base that is not there yet", func(l *crl.List) { l.Base = l.Number }, false},
			{"what has not happened", func(l *crl.List) { l.Through++ }, false},
			{"no content", func(l *crl.List) { l.DER = nil }, false},
			{"an end before its beginning", func(l *crl.List) { l.NextUpdate = l.ThisUpdate }, false},
			{"no moment", func(l *crl.List) { l.Published = time.Time{} }, false},
			{"a clock behind", func(l *crl.List) { l.ThisUpdate = first.ThisUpdate.Add(-time.Millisecond) }, true},
			{"fewer revocations", func(l *crl.List) { l.Through = first.Through - 1 }, true},
		}
		for _, c := range cases {
			turn := take(t, db, "a", testkit.Noon)
			list := listOf(turn, testkit.Noon)
			c.change(&list)
			err := db.Publish(ctx, turn, list)
			if err == nil {
				t.Errorf("%s: was published", c.name)
			}
			if c.overtaken {
				wantError(t, c.name, err, crl.ErrOvertaken)
			}
			testkit.Equal(t, c.name+": newest", latest(t, db, false, 0).Number, first.Number)
		}
		testkit.Equal(t, "afterwards", take(t, db, "a", testkit.Noon).Number, first.Number+int64(len(cases))+1)
	})
}

func TestLeases(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		busy := func(name string, at time.Time) {
			t.Helper()
			_, err := db.AcquireLease(ctx, "issuing", "b", at, lease)
			wantError(t, name, err, crl.ErrBusy)
		}
		dead := take(t, db, "a", testkit.Noon)
		busy("at once", testkit.Noon)
		busy("a moment before the end", testkit.Noon.Add(lease-time.Millisecond))
		next := take(t, db, "b", testkit.Noon.Add(lease))
		testkit.Equal(t, "higher", next.Number > dead.Number, true)
		wantError(t, "publishing too late", db.Publish(ctx, dead, listOf(dead, testkit.Noon)), crl.ErrOvertaken)
		if err := db.ReleaseLease(ctx, dead); err != nil {
			t.Error(err)
		}
		_, err := db.AcquireLease(ctx, "issuing", "a", testkit.Noon.Add(lease), lease)
		wantError(t, "the other's turn goes on", err, crl.ErrBusy)
		if err := db.ReleaseLease(ctx, next); err != nil {
			t.Error(err)
		}
		late := take(t, db, "a", testkit.Noon.Add(lease))
		if err := db.Publish(ctx, late, listOf(late, testkit.Noon.Add(time.Hour))); err != nil {
			t.Errorf("late, and nobody waits: %v", err)
		}
		again := take(t, db, "b", testkit.Noon.Add(time.Hour))
		own := take(t, db, "b", testkit.Noon.Add(time.Hour))
		wantError(t, "its own turn before", db.Publish(ctx, again, listOf(again, testkit.Noon.Add(time.Hour))), crl.ErrOvertaken)
		if err := db.Publish(ctx, own); err != nil {
			t.Errorf("nothing to publish: %v", err)
		}

		// A clock that was a year ahead took a lease, and was corrected.
		ahead := take(t, db, "a", testkit.Noon.Add(365*24*time.Hour))
		after := take(t, db, "b", testkit.Noon.Add(2*time.Hour))
		testkit.Equal(t, "number", after.Number, ahead.Number+1)
	})
}

// A transaction that waits for another one ends with its context.
func TestWaitingEndsWithTheContext(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		first, _ := publish(t, db, testkit.Noon)
		holding := testkit.Must(db.plain.Conn(t.Context()))(t)
		defer holding.Close()
		for _, statement := range []string{"BEGIN", "UPDATE crl_numbers SET builder = ''"} {
			if _, err := holding.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		_, err := db.AcquireLease(ctx, "issuing", "a", testkit.Noon, lease)
		wantError(t, "waiting", err, context.Canceled)
		if _, err := holding.ExecContext(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		testkit.Equal(t, "number", take(t, db, "a", testkit.Noon).Number, first.Number+1)
	})
}

func TestUnlisted(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		unlisted := func(issuer string) bool { return testkit.Must(db.Unlisted(t.Context(), issuer, false))(t) }
		testkit.Equal(t, "nothing revoked", unlisted("issuing"), false)
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		revoke(t, db, portal.Removed, testkit.Noon, e.Serial())
		testkit.Equal(t, "revoked", unlisted("issuing"), true)
		testkit.Equal(t, "other issuer", unlisted("root"), false)
		publish(t, db, testkit.Noon.Add(-time.Hour))
		testkit.Equal(t, "listed, whatever the clock said", unlisted("issuing"), false)
	})
}
