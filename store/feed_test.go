package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store"
)

var (
	_ ocsp.Records = (*store.DB)(nil)
	_ crl.Recorded = (*store.DB)(nil)
)

func status(t testing.TB, db ocsp.Records, serial ca.Serial) ocsp.Status {
	t.Helper()
	return must[ocsp.Status](t)(db.Status(context.Background(), serial))
}

func TestStatus(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		first := request(t, anna, "iPhone")
		first.completion.Delivered = true
		old := issue(t, db, first)
		renewed := issue(t, db, overlapping(t, old))
		reserved, lost := reserve(t, db, request(t, anna, "iPad")), issue(t, db, request(t, anna, "Pixel"))
		never := reserve(t, db, request(t, anna, "PC"))
		revoke(t, db, portal.Lost, noon.Add(time.Minute), lost.serial())
		revoke(t, db, portal.Abandoned, noon, never.serial())
		serial := request(t, anna, "nothing").serial()
		for _, c := range []struct {
			name   string
			serial ca.Serial
			want   ocsp.Status
		}{
			{"never heard of", serial, ocsp.Status{}},
			{"none", ca.Serial{}, ocsp.Status{}},
			{"reserved and not signed", reserved.serial(), ocsp.Status{}},
			{"issued", renewed.serial(), ocsp.Status{State: ocsp.Good}},
			{"superseded", old.serial(), ocsp.Status{State: ocsp.Good}},
			{"revoked", lost.serial(), ocsp.Status{State: ocsp.Revoked, At: noon.Add(time.Minute), Reason: 1}},
			{"abandoned", never.serial(), ocsp.Status{State: ocsp.Revoked, At: noon, Reason: 5}},
		} {
			equal(t, c.name, status(t, db, c.serial), c.want)
		}
		// The serials of another CA are none of ours.
		_, err := db.plain.Exec("UPDATE certificates SET issuer = 'root' WHERE serial = $1", renewed.serial().String())
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "of the root", status(t, db, renewed.serial()), ocsp.Status{})
	})
}

// overlapping makes a renewal that lets the earlier certificate work on.
func overlapping(t testing.TB, earlier enrolment) enrolment {
	next := earlier.again(t)
	next.completion.Supersede, next.completion.Overlap = false, 72*time.Hour
	next.completion.Delivered = true
	return next
}

func TestChanges(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		changes := func(after int64, limit int) ([]ca.Serial, int64) {
			t.Helper()
			serials, through, err := db.Changes(ctx, after, limit)
			if err != nil {
				t.Fatal(err)
			}
			return serials, through
		}
		serials, through := changes(0, 10)
		equal(t, "of an empty ledger", fmt.Sprint(serials, through), "[] 0")
		a, b := issue(t, db, request(t, anna, "iPhone")), issue(t, db, request(t, anna, "iPad"))
		if err := db.Note(ctx, entry(audit.SignedIn, anna)); err != nil {
			t.Fatal(err)
		}
		// Whatever the action is called: the revocation counts.
		ended := must[[]ca.Serial](t)(db.Revoke(ctx, enroll.Revocation{
			RemoveDevice: a.device(), Cause: portal.Removed, At: noon, Entry: entry("device.taken", anna),
		}))
		equal(t, "ended", len(ended), 1)
		serials, through = changes(0, 100)
		equal(t, "all", fmt.Sprint(serials), fmt.Sprint([]ca.Serial{a.serial(), a.serial(), b.serial(), b.serial(), a.serial()}))
		equal(t, "through", through, 6)
		serials, through = changes(4, 1)
		equal(t, "of an entry about nothing", fmt.Sprint(serials, through), "[] 5")
		serials, through = changes(5, 1)
		equal(t, "of the last", fmt.Sprint(serials, through), fmt.Sprint([]ca.Serial{a.serial()}, 6))
		serials, through = changes(6, 10)
		equal(t, "nothing new", fmt.Sprint(serials, through), "[] 6")
		_, _, err := db.Changes(ctx, 7, 10)
		wantError(t, "behind the end", err, ocsp.ErrRewound)
	})
}

func TestRecords(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		e := issue(t, db, request(t, anna, "iPhone"))
		revoke(t, db, portal.Lost, noon.Add(time.Minute), e.serial())
		records, through, err := db.Records(ctx, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		log := entries(t, db)
		equal(t, "through", through, int64(len(log)))
		equal(t, "records", len(records), 3)
		for i, r := range records {
			want := crl.Record{
				Seq: log[i].Seq, Hash: hex.EncodeToString(log[i].Hash[:]), Issuer: "issuing", Serial: e.serial(), NotAfter: e.reservation.NotAfter,
			}
			if i == 2 {
				want.Revoked, want.Reason = noon.Add(time.Minute), 1
			}
			equal(t, fmt.Sprint("record ", i), r, want)
		}
		for _, c := range []struct {
			name string
			seq  int64
			hash string
			want bool
		}{
			{"the last", 3, records[2].Hash, true},
			{"another history", 3, hex.EncodeToString(make([]byte, sha256.Size)), false},
			{"one that is not there", 4, records[2].Hash, false},
			{"none", 0, "", false},
		} {
			equal(t, c.name, must[bool](t)(db.Remembers(ctx, c.seq, c.hash)), c.want)
		}
		records, through, err = db.Records(ctx, through, 100)
		equal(t, "nothing new", fmt.Sprint(records, through, err), "[] 3 <nil>")
	})
}

// Who follows the numbers misses nothing, however many revoke at the same time: a
// lower number is never committed behind a higher one that could be seen.
func TestA12_FollowersMissNoRevocation(t *testing.T) {
	const people = 8
	each := 25
	if raced || testing.Short() {
		each = 8
	}
	onBoth(t, func(t *testing.T, db *fixture) {
		replica := opened(t, db.address)
		theirs, all := make([][]enrolment, people), make(map[ca.Serial]int)
		for i := range people * each {
			r := request(t, portal.PersonID(fmt.Sprint("person", i%people)), fmt.Sprint("device", i))
			r.reservation.Quota = each
			theirs[i%people] = append(theirs[i%people], reserve(t, db, r))
			all[r.serial()] = 0
		}
		start := must[audit.Head](t)(db.Head(t.Context())).Seq
		done := make(chan struct{})
		answered, listed := follower(t, replica, start, done), lister(t, db.DB, start, done)
		var working sync.WaitGroup
		for i, mine := range theirs {
			via := []*store.DB{db.DB, replica}[i%2]
			working.Go(func() {
				for _, e := range mine {
					_, err := via.Revoke(t.Context(), enroll.Revocation{
						Serials: []ca.Serial{e.serial()}, Cause: portal.Abandoned, At: noon, Entry: entry("", e.reservation.Person),
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		working.Wait()
		close(done)
		for name, seen := range map[string]map[ca.Serial]int{"answers": <-answered, "lists": <-listed} {
			for serial := range all {
				if seen[serial] != 1 {
					t.Errorf("%s: %s was seen %d times", name, serial, seen[serial])
				}
			}
			equal(t, name, len(seen), len(all))
		}
	})
}

// follower counts the serials that Changes tells of, as who answers online does.
func follower(t *testing.T, db *store.DB, after int64, done <-chan struct{}) <-chan map[ca.Serial]int {
	return following(t, done, after, func(after int64) ([]ca.Serial, int64, error) {
		return db.Changes(context.WithoutCancel(t.Context()), after, 7)
	})
}

// lister counts what is revoked between the turns of a builder.
func lister(t *testing.T, db *store.DB, after int64, done <-chan struct{}) <-chan map[ca.Serial]int {
	ctx := context.WithoutCancel(t.Context())
	return following(t, done, after, func(after int64) ([]ca.Serial, int64, error) {
		turn, err := db.Take(ctx, "issuing", "lister", noon, lease)
		if err != nil {
			return nil, 0, err
		}
		revoked, err := db.Revoked(ctx, "issuing", after, turn.Through, noon)
		var serials []ca.Serial
		for _, r := range revoked {
			serials = append(serials, r.Serial)
		}
		return serials, turn.Through, err
	})
}

// following polls until everything is done and nothing is new.
func following(t *testing.T, done <-chan struct{}, after int64, poll func(int64) ([]ca.Serial, int64, error)) <-chan map[ca.Serial]int {
	result := make(chan map[ca.Serial]int, 1)
	go func() {
		seen := make(map[ca.Serial]int)
		defer func() { result <- seen }()
		for last := false; ; {
			serials, through, err := poll(after)
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
				return
			}
			for _, serial := range serials {
				seen[serial]++
			}
			if last && through == after {
				return
			}
			after = through
			select {
			case <-done:
				last = true
			default:
			}
		}
	}()
	return result
}
