package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

var (
	_ ocsp.Store = (*store.DB)(nil)
	_ crl.Store  = (*store.DB)(nil)
)

func status(t testing.TB, db ocsp.Store, serial ca.Serial) ocsp.Status {
	t.Helper()
	found := testkit.Must(db.Status(context.Background(), serial))(t)
	if (found.Issuer == "") != (found.State == ocsp.Unknown) {
		t.Errorf("%s is %v of issuer %q", serial, found.State, found.Issuer)
	}
	found.Issuer = ""
	return found
}

func TestStatus(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		first := fixture.NewEnrolment(t, anna, "iPhone")
		first.Completion.Delivered = true
		old := first.Issue(t, db)
		renewed := overlapping(t, old).Issue(t, db)
		reserved, lost := fixture.NewEnrolment(t, anna, "iPad").Reserve(t, db), fixture.NewEnrolment(t, anna, "Pixel").Issue(t, db)
		never := fixture.NewEnrolment(t, anna, "PC").Reserve(t, db)
		revoke(t, db, portal.Lost, testkit.Noon.Add(time.Minute), lost.Serial())
		revoke(t, db, portal.Abandoned, testkit.Noon, never.Serial())
		serial := fixture.NewEnrolment(t, anna, "nothing").Serial()
		for _, c := range []struct {
			name   string
			serial ca.Serial
			want   ocsp.Status
		}{
			{"never heard of", serial, ocsp.Status{}},
			{"none", ca.Serial{}, ocsp.Status{}},
			{"reserved and not signed", reserved.Serial(), ocsp.Status{}},
			{"issued", renewed.Serial(), ocsp.Status{State: ocsp.Good}},
			{"superseded", old.Serial(), ocsp.Status{State: ocsp.Good}},
			{"revoked", lost.Serial(), ocsp.Status{State: ocsp.Revoked, At: testkit.Noon.Add(time.Minute), Reason: 1}},
			{"abandoned", never.Serial(), ocsp.Status{State: ocsp.Revoked, At: testkit.Noon, Reason: 5}},
		} {
			testkit.Equal(t, c.name, status(t, db, c.serial), c.want)
		}
		// Nothing in the database moves a certificate to another CA, whose lists it is not in.
		for _, change := range []string{"issuer = 'root'", "authority = 'issuing-9'"} {
			_, err := db.plain.Exec("UPDATE certificates SET "+change+" WHERE serial = $1", renewed.Serial().String())
			if err == nil || !strings.Contains(err.Error(), "does not change") {
				t.Errorf("%s: got %v", change, err)
			}
		}
	})
}

// overlapping makes a renewal that keeps the earlier certificate valid.
func overlapping(t testing.TB, earlier fixture.Enrolment) fixture.Enrolment {
	next := earlier.Renewal(t)
	next.Completion.Supersede, next.Completion.Overlap = false, 72*time.Hour
	next.Completion.Delivered = true
	return next
}

func TestChanges(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
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
		testkit.Equal(t, "of an empty audit log", fmt.Sprint(serials, through), "[] 0")
		a, b := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db), fixture.NewEnrolment(t, anna, "iPad").Issue(t, db)
		if err := db.Note(ctx, fixture.NewEntry(testkit.Noon, audit.SignedIn, anna)); err != nil {
			t.Fatal(err)
		}
		// The revocation counts with any action.
		ended := testkit.Must(db.Revoke(ctx, enroll.Revocation{
			RemoveDevice: a.Device(), Cause: portal.Removed, At: testkit.Noon, Entry: fixture.NewEntry(testkit.Noon, "device.taken", anna),
		}))(t)
		testkit.Equal(t, "ended", len(ended), 1)
		serials, through = changes(0, 100)
		testkit.Equal(t, "all", fmt.Sprint(serials), fmt.Sprint([]ca.Serial{a.Serial(), a.Serial(), b.Serial(), b.Serial(), a.Serial()}))
		testkit.Equal(t, "through", through, 6)
		serials, through = changes(4, 1)
		testkit.Equal(t, "of an entry about nothing", fmt.Sprint(serials, through), "[] 5")
		serials, through = changes(5, 1)
		testkit.Equal(t, "of the last", fmt.Sprint(serials, through), fmt.Sprint([]ca.Serial{a.Serial()}, 6))
		serials, through = changes(6, 10)
		testkit.Equal(t, "nothing new", fmt.Sprint(serials, through), "[] 6")
		_, _, err := db.Changes(ctx, 7, 10)
		wantError(t, "behind the end", err, ocsp.ErrRewound)
	})
}

func TestRecords(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		revoke(t, db, portal.Lost, testkit.Noon.Add(time.Minute), e.Serial())
		records, through, err := db.Records(ctx, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		log := fixture.Entries(t, db)
		testkit.Equal(t, "through", through, int64(len(log)))
		testkit.Equal(t, "records", len(records), 3)
		for i, r := range records {
			want := crl.Record{
				Seq: log[i].Seq, Hash: hex.EncodeToString(log[i].Hash[:]), Issuer: "issuing", Serial: e.Serial(), NotAfter: e.Reservation.NotAfter,
			}
			if i == 2 {
				want.Revoked, want.Reason = testkit.Noon.Add(time.Minute), 1
			}
			testkit.Equal(t, fmt.Sprint("record ", i), r, want)
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
			testkit.Equal(t, c.name, testkit.Must(db.HasEntry(ctx, c.seq, c.hash))(t), c.want)
		}
		records, through, err = db.Records(ctx, through, 100)
		testkit.Equal(t, "nothing new", fmt.Sprint(records, through, err), "[] 3 <nil>")
	})
}

// A reader that follows the numbers misses nothing while many revoke at the same
// time: a lower number is never committed after a higher one that could be seen.
func TestA12_FollowersMissNoRevocation(t *testing.T) {
	const people = 8
	each := 25
	if raced || testing.Short() {
		each = 8
	}
	onEach(t, func(t *testing.T, db *database) {
		replica := opened(t, db.address)
		theirs, all := make([][]fixture.Enrolment, people), make(map[ca.Serial]int)
		for i := range people * each {
			r := fixture.NewEnrolment(t, portal.PersonID(fmt.Sprint("person", i%people)), fmt.Sprint("device", i))
			r.Reservation.Quota = each
			theirs[i%people] = append(theirs[i%people], r.Reserve(t, db))
			all[r.Serial()] = 0
		}
		start := testkit.Must(db.Head(t.Context()))(t).Seq
		done := make(chan struct{})
		answered, listed := follower(t, replica, start, done), lister(t, db.DB, start, done)
		var working sync.WaitGroup
		for i, mine := range theirs {
			via := []*store.DB{db.DB, replica}[i%2]
			working.Go(func() {
				for _, e := range mine {
					abandon(t, via, e)
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
			testkit.Equal(t, name, len(seen), len(all))
		}
	})
}

// abandon revokes a certificate. A database that does not answer in time is asked
// again, as its callers do: two SQLite processes do not share the lock fairly.
func abandon(t *testing.T, db *store.DB, e fixture.Enrolment) {
	const tries = 10
	var err error
	for range tries {
		_, err = db.Revoke(t.Context(), enroll.Revocation{
			Serials: []ca.Serial{e.Serial()}, Cause: portal.Abandoned, At: testkit.Noon, Entry: fixture.NewEntry(testkit.Noon, "", e.Reservation.Person),
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			break
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// follower counts the serials that Changes returns, as an OCSP responder does.
func follower(t *testing.T, db *store.DB, after int64, done <-chan struct{}) <-chan map[ca.Serial]int {
	return following(t, done, after, func(after int64) ([]ca.Serial, int64, error) {
		return db.Changes(context.WithoutCancel(t.Context()), after, 7)
	})
}

// lister counts what is revoked between the leases of a builder.
func lister(t *testing.T, db *store.DB, after int64, done <-chan struct{}) <-chan map[ca.Serial]int {
	ctx := context.WithoutCancel(t.Context())
	return following(t, done, after, func(after int64) ([]ca.Serial, int64, error) {
		turn, err := db.AcquireLease(ctx, "issuing", "lister", testkit.Noon, lease)
		if err != nil {
			return nil, 0, err
		}
		revoked, err := db.Revoked(ctx, "issuing", after, turn.Through, testkit.Noon)
		var serials []ca.Serial
		for _, r := range revoked {
			serials = append(serials, r.Serial)
		}
		return serials, turn.Through, err
	})
}

// following polls until everything is done and nothing is new. It pauses as a real
// one does, or it would starve the others of SQLite's only lock.
func following(t *testing.T, done <-chan struct{}, after int64, poll func(int64) ([]ca.Serial, int64, error)) <-chan map[ca.Serial]int {
	const pause = 5 * time.Millisecond
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
			case <-time.After(pause):
			}
		}
	}()
	return result
}
