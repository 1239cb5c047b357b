package store_test

import (
	"context"
	"database/sql"
	"slices"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/internal/portal"
)

const (
	lease = 30 * time.Second
	life  = 72 * time.Hour
)

func take(t testing.TB, db crl.Lists, builder string, now time.Time) crl.Turn {
	t.Helper()
	return must[crl.Turn](t)(db.Take(context.Background(), "issuing", builder, now, lease))
}

// listOf is a list that nobody signed, of all that its turn may tell of.
func listOf(turn crl.Turn, now time.Time) crl.List {
	return crl.List{
		Issuer: turn.Issuer, Number: turn.Number, Through: turn.Through,
		ThisUpdate: now.Add(-5 * time.Minute), NextUpdate: now.Add(life), Published: now, DER: []byte{byte(turn.Number)},
	}
}

// deltaOf adds to a list that was published.
func deltaOf(turn crl.Turn, base crl.List, now time.Time) crl.List {
	delta := listOf(turn, now)
	delta.Base, delta.NextUpdate = base.Number, now.Add(time.Hour)
	return delta
}

// publish makes the next list of the issuing CA, and gives it with what it holds.
func publish(t testing.TB, db crl.Lists, now time.Time) (crl.List, []ca.Revocation) {
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

func revokedBetween(t testing.TB, db crl.Lists, after, through int64, ending time.Time) []ca.Revocation {
	t.Helper()
	return must[[]ca.Revocation](t)(db.Revoked(context.Background(), "issuing", after, through, ending))
}

func latest(t testing.TB, db crl.Lists, delta bool, have int64) crl.List {
	t.Helper()
	list, found, err := db.Latest(context.Background(), "issuing", delta, have)
	if err != nil || !found {
		t.Fatalf("newest list: got %v, %v", found, err)
	}
	return list
}

func TestPublish(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		_, found, err := db.Latest(ctx, "issuing", false, 0)
		if found || err != nil {
			t.Fatalf("list before the first: got %v, %v", found, err)
		}
		issue(t, db, request(t, anna, "works"))
		replaced, abandoned := issue(t, db, request(t, anna, "iPhone")), reserve(t, db, request(t, anna, "iPad"))
		revoke(t, db, portal.Replaced, noon, replaced.serial())
		revoke(t, db, portal.Abandoned, noon.Add(time.Minute), abandoned.serial())

		first, revoked := publish(t, db, noon)
		equal(t, "first number", first.Number, noon.UnixMilli())
		want := []ca.Revocation{
			{Serial: replaced.serial(), At: noon, Reason: 4},
			{Serial: abandoned.serial(), At: noon.Add(time.Minute), Reason: 5},
		}
		slices.SortFunc(want, func(a, b ca.Revocation) int { return a.Serial.Compare(b.Serial) })
		equal(t, "revoked", slices.Equal(revoked, want), true)

		second, _ := publish(t, db, noon)
		equal(t, "number with the clock standing", second.Number, first.Number+1)
		third, _ := publish(t, db, noon.Add(time.Hour))
		equal(t, "number with the clock ahead", third.Number, noon.Add(time.Hour).UnixMilli())
		got := latest(t, db, false, second.Number)
		sameBytes(t, "DER", got.DER, third.DER)
		sameBytes(t, "DER that is held", latest(t, db, false, third.Number).DER, nil)
		got.DER, third.DER = nil, nil
		equal(t, "newest", got.Published, third.Published)
		equal(t, "this update", got.ThisUpdate, third.ThisUpdate)
		equal(t, "next update", got.NextUpdate, third.NextUpdate)
		equal(t, "through", got.Through, third.Through)
		equal(t, "entries", got.Entries, 2)

		root := must[crl.Turn](t)(db.Take(ctx, "root", "a", noon, lease))
		equal(t, "root's number", root.Number, noon.UnixMilli())
		equal(t, "root's entries", len(must[[]ca.Revocation](t)(db.Revoked(ctx, "root", 0, root.Through, noon.Add(-life)))), 0)
	})
}

func TestDeltaLists(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		old, fresh := issue(t, db, request(t, anna, "iPhone")), issue(t, db, request(t, anna, "iPad"))
		revoke(t, db, portal.Lost, noon, old.serial())
		base, _ := publish(t, db, noon)
		revoke(t, db, portal.Removed, noon, fresh.serial())
		unlisted := func(delta bool) bool { return must[bool](t)(db.Unlisted(ctx, "issuing", delta)) }
		equal(t, "before, in either kind", unlisted(true), true)

		turn := take(t, db, "a", noon.Add(time.Minute))
		added := revokedBetween(t, db, base.Through, turn.Through, noon)
		equal(t, "added", len(added), 1)
		equal(t, "serial", added[0].Serial, fresh.serial())
		delta := deltaOf(turn, base, noon.Add(time.Minute))
		if err := db.Publish(ctx, turn, delta); err != nil {
			t.Fatal(err)
		}
		equal(t, "in complete lists", unlisted(false), true)
		equal(t, "in either kind", unlisted(true), false)
		equal(t, "newest complete", latest(t, db, false, 0).Number, base.Number)
		equal(t, "newest delta", latest(t, db, true, 0).Base, base.Number)

		turn = take(t, db, "a", noon.Add(time.Hour))
		if err := db.Publish(ctx, turn, listOf(turn, noon.Add(time.Hour)), deltaOf(turn, base, noon.Add(time.Hour))); err != nil {
			t.Fatalf("both kinds of one number: %v", err)
		}
		equal(t, "both", latest(t, db, true, 0).Number, latest(t, db, false, 0).Number)
		equal(t, "afterwards", unlisted(false), false)
	})
}

func TestPublishRefuses(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		revoke(t, db, portal.Removed, noon, issue(t, db, request(t, anna, "iPhone")).serial())
		first, _ := publish(t, db, noon)
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
			turn := take(t, db, "a", noon)
			list := listOf(turn, noon)
			c.change(&list)
			err := db.Publish(ctx, turn, list)
			if err == nil {
				t.Errorf("%s: was published", c.name)
			}
			if c.overtaken {
				wantError(t, c.name, err, crl.ErrOvertaken)
			}
			equal(t, c.name+": newest", latest(t, db, false, 0).Number, first.Number)
		}
		equal(t, "afterwards", take(t, db, "a", noon).Number, first.Number+int64(len(cases))+1)
	})
}

func TestTurns(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		busy := func(name string, at time.Time) {
			t.Helper()
			_, err := db.Take(ctx, "issuing", "b", at, lease)
			wantError(t, name, err, crl.ErrBusy)
		}
		dead := take(t, db, "a", noon)
		busy("at once", noon)
		busy("a moment before the end", noon.Add(lease-time.Millisecond))
		next := take(t, db, "b", noon.Add(lease))
		equal(t, "higher", next.Number > dead.Number, true)
		wantError(t, "publishing too late", db.Publish(ctx, dead, listOf(dead, noon)), crl.ErrOvertaken)
		if err := db.Return(ctx, dead); err != nil {
			t.Error(err)
		}
		_, err := db.Take(ctx, "issuing", "a", noon.Add(lease), lease)
		wantError(t, "the other's turn goes on", err, crl.ErrBusy)
		if err := db.Return(ctx, next); err != nil {
			t.Error(err)
		}
		late := take(t, db, "a", noon.Add(lease))
		if err := db.Publish(ctx, late, listOf(late, noon.Add(time.Hour))); err != nil {
			t.Errorf("late, and nobody waits: %v", err)
		}
		again := take(t, db, "b", noon.Add(time.Hour))
		own := take(t, db, "b", noon.Add(time.Hour))
		wantError(t, "its own turn before", db.Publish(ctx, again, listOf(again, noon.Add(time.Hour))), crl.ErrOvertaken)
		if err := db.Publish(ctx, own); err != nil {
			t.Errorf("nothing to publish: %v", err)
		}

		// A clock that was a year ahead took a turn, and was set right.
		ahead := take(t, db, "a", noon.Add(365*24*time.Hour))
		after := take(t, db, "b", noon.Add(2*time.Hour))
		equal(t, "number", after.Number, ahead.Number+1)
	})
}

// A transaction that waits for another one ends with its context.
func TestWaitingEndsWithTheContext(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		first, _ := publish(t, db, noon)
		holding := must[*sql.Conn](t)(db.plain.Conn(t.Context()))
		defer holding.Close()
		for _, statement := range []string{"BEGIN", "UPDATE crl_numbers SET builder = ''"} {
			if _, err := holding.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		_, err := db.Take(ctx, "issuing", "a", noon, lease)
		wantError(t, "waiting", err, context.Canceled)
		if _, err := holding.ExecContext(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		equal(t, "number", take(t, db, "a", noon).Number, first.Number+1)
	})
}

func TestUnlisted(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		unlisted := func(issuer string) bool { return must[bool](t)(db.Unlisted(t.Context(), issuer, false)) }
		equal(t, "nothing revoked", unlisted("issuing"), false)
		e := issue(t, db, request(t, anna, "iPhone"))
		revoke(t, db, portal.Removed, noon, e.serial())
		equal(t, "revoked", unlisted("issuing"), true)
		equal(t, "other issuer", unlisted("root"), false)
		publish(t, db, noon.Add(-time.Hour))
		equal(t, "listed, whatever the clock said", unlisted("issuing"), false)
	})
}
