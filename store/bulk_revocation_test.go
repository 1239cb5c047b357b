package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// order makes a bulk revocation of certificates, confirmed and running.
func order(t *testing.T, db *database, id string, serials []ca.Serial) {
	t.Helper()
	ctx := t.Context()
	o := admin.BulkRevocation{
		ID: id, State: admin.Gathering, Filter: "status=working", Maker: "ada", MakerName: "Ada", Role: "admin",
		Made: testkit.Noon, Expires: testkit.Noon.Add(time.Hour),
	}
	steps := []error{
		db.AddBulk(ctx, o, fixture.NewEntry(testkit.Noon, audit.BulkMade, "ada")),
		db.AddBulkItems(ctx, id, admin.Cursor{}, serials, admin.Cursor{Last: "ff"}),
		db.AddBulkItems(ctx, id, admin.Cursor{Last: "ff"}, serials, admin.Cursor{}), // the same again adds nothing
		db.TransitionBulk(ctx, admin.BulkTransition{
			ID: id, From: admin.Draft, To: admin.Running, At: testkit.Noon,
			Grounds: admin.Grounds{Cause: portal.Left, Comment: "branch closed"}, Entry: fixture.NewEntry(testkit.Noon, audit.BulkConfirmed, "ada"),
		}),
	}
	for i, err := range steps {
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
}

func issuedSerials(t *testing.T, db *database, n int) []ca.Serial {
	t.Helper()
	var serials []ca.Serial
	for i := range n {
		serials = append(serials, fixture.NewEnrolment(t, portal.PersonID(fmt.Sprint("p", i)), "iPhone").Issue(t, db).Serial())
	}
	return serials
}

func runAll(db *database, id string, limit int) (ended int, err error) {
	for {
		n, more, err := db.RevokeBulkItems(context.Background(), id, limit, testkit.Noon)
		ended += n
		if err != nil || !more {
			return ended, err
		}
	}
}

func TestOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		serials := issuedSerials(t, db, 7)
		revoke(t, db, portal.Lost, testkit.Noon, serials[2])
		order(t, db, "o1", serials)
		o := testkit.Must(db.Bulk(t.Context(), "o1"))(t)
		testkit.Equal(t, "certificates", o.Items, 7)
		testkit.Equal(t, "comment", o.Comment, "branch closed")
		before := len(fixture.Entries(t, db))

		// A crash between two batches: what is done is recorded, the rest goes on.
		ended, more, err := db.RevokeBulkItems(t.Context(), "o1", 3, testkit.Noon)
		if err != nil || ended != 2 || !more {
			t.Fatalf("first batch: got %d, %v, %v", ended, more, err)
		}
		o = testkit.Must(db.Bulk(t.Context(), "o1"))(t)
		testkit.Equal(t, "looked at", o.Finished, 3)
		rest := testkit.Must(runAll(db, "o1", 3))(t)
		testkit.Equal(t, "ended by the rest", rest, 4)
		o = testkit.Must(db.Bulk(t.Context(), "o1"))(t)
		testkit.Equal(t, "state", o.State, admin.Done)
		testkit.Equal(t, "ended", o.Revoked, 6)
		items := testkit.Must(db.BulkItems(t.Context(), "o1", 0, 50, testkit.Noon))(t)
		for i, item := range items {
			want := admin.ItemRevoked
			if i == 2 {
				want = admin.ItemSkipped
			}
			testkit.Equal(t, "outcome", item.Outcome, want)
			testkit.Equal(t, "state", item.State, admin.Revoked)
		}
		all := fixture.Entries(t, db)
		testkit.Equal(t, "entries", len(all)-before, 7) // one each, and the end
		last := all[len(all)-1]
		testkit.Equal(t, "last", last.Action, audit.BulkDone)
		testkit.Equal(t, "ended in the audit log", last.Detail["ended"], "6")
		testkit.Equal(t, "actor", all[len(all)-2].Actor, "ada")
		testkit.Equal(t, "order in the audit log", all[len(all)-2].Detail["order"], "o1")

		open := testkit.Must(db.Bulks(t.Context(), true, 0, 10))(t)
		testkit.Equal(t, "open orders", len(open), 0)
	})
}

// Two administrators revoke the same certificates at once, and two replicas carry out
// each bulk revocation: every certificate is revoked once.
func TestTwoAdministratorsRevokeAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		serials := issuedSerials(t, db, 12)
		order(t, db, "o1", serials)
		order(t, db, "o2", serials)
		other := &database{DB: opened(t, db.address)}
		var mu sync.Mutex
		total := 0
		var all sync.WaitGroup
		for _, run := range []func() (int, error){
			func() (int, error) { return runAll(db, "o1", 2) }, func() (int, error) { return runAll(other, "o1", 2) },
			func() (int, error) { return runAll(db, "o2", 3) }, func() (int, error) { return runAll(other, "o2", 3) },
			func() (int, error) {
				ended, err := db.Revoke(context.Background(), enroll.Revocation{
					Serials: serials, Cause: portal.Lost, At: testkit.Noon, Entry: fixture.NewEntry(testkit.Noon, "", "eve"),
				})
				return len(ended), err
			},
		} {
			all.Go(func() {
				n, err := run()
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				total += n
			})
		}
		all.Wait()
		testkit.Equal(t, "ended", total, len(serials))
		told := map[string]int{}
		for _, e := range fixture.Entries(t, db) {
			if e.Action == audit.CertificateRevoked {
				told[e.Object]++
			}
		}
		for _, serial := range serials {
			testkit.Equal(t, "entries of a certificate", told[serial.String()], 1)
		}
	})
}

func TestBulkTransitions(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		serials := issuedSerials(t, db, 1)
		order(t, db, "o1", serials)
		move := admin.BulkTransition{ID: "o1", From: admin.Draft, To: admin.Dropped, At: testkit.Noon, Entry: fixture.NewEntry(testkit.Noon, audit.BulkDropped, "ada")}
		wantError(t, "dropping a running order", db.TransitionBulk(ctx, move), portal.ErrConflict)
		wantError(t, "gathering for a running order", db.AddBulkItems(ctx, "o1", admin.Cursor{}, serials, admin.Cursor{}), portal.ErrConflict)
		move.ID = "none"
		wantError(t, "dropping no order", db.TransitionBulk(ctx, move), portal.ErrConflict)
		_, err := db.Bulk(ctx, "none")
		wantError(t, "reading no order", err, portal.ErrNotFound)
		same := admin.BulkTransition{ID: "o1", From: admin.Running, To: admin.Running, At: testkit.Noon, Approver: "ada", Entry: fixture.NewEntry(testkit.Noon, "x", "ada")}
		if err := db.TransitionBulk(ctx, same); err == nil {
			t.Error("the maker approved their own order")
		}
		if n, more, err := db.RevokeBulkItems(ctx, "none", 5, testkit.Noon); n != 0 || more || err != nil {
			t.Errorf("running no order: got %d, %v, %v", n, more, err)
		}
	})
}

// TestA11_ParallelRevocationsStayBelowSecondPerson has one administrator end certificates
// on two replicas at once, more than they may alone.
func TestA11_ParallelRevocationsStayBelowSecondPerson(t *testing.T) {
	const most = 5
	onBoth(t, func(t *testing.T, db *database) {
		other := &database{DB: opened(t, db.address)}
		alone := enroll.Alone{Person: "ada", Since: testkit.Noon.Add(-time.Hour), Most: most}
		var ended, refused atomic.Int32
		var all sync.WaitGroup
		for i, serial := range issuedSerials(t, db, 12) {
			via := []*database{db, other}[i%2]
			all.Go(func() {
				entry := fixture.NewEntry(testkit.Noon, "", "ada")
				entry.Role = string(portal.Admin)
				got, err := via.Revoke(context.Background(), enroll.Revocation{
					Serials: []ca.Serial{serial}, Cause: portal.Lost, At: testkit.Noon, Entry: entry, Alone: alone,
				})
				switch {
				case errors.Is(err, enroll.ErrSecondPerson):
					refused.Add(1)
				case err != nil:
					t.Error(err)
				}
				ended.Add(int32(len(got)))
			})
		}
		all.Wait()
		testkit.Equal(t, "ended", ended.Load(), most)
		testkit.Equal(t, "refused", refused.Load(), 12-most)
		testkit.Equal(t, "counted", testkit.Must(db.EndedAlone(t.Context(), alone))(t), most)
		alone.Since = testkit.Noon
		testkit.Equal(t, "counted later", testkit.Must(db.EndedAlone(t.Context(), alone))(t), 0)
	})
}

// TestA11_BulkRevocationEndsTheFormer gathers the newest certificates of devices whose
// earlier ones still work: these are counted, proven and end too.
func TestA11_BulkRevocationEndsTheFormer(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		var newest []ca.Serial
		var all []fixture.Enrolment
		for _, person := range []portal.PersonID{anna, "ben"} {
			old := fetched(t, db, fixture.NewEnrolment(t, person, "iPhone").Issue(t, db))
			next := renewal(t, old, late(old)).Issue(t, db)
			testkit.Equal(t, "former", certificate(t, db, old).Status, portal.Superseded)
			newest, all = append(newest, next.Serial()), append(all, next, old)
		}
		other := fixture.NewEnrolment(t, "cleo", "iPhone").Issue(t, db)
		order(t, db, "o1", newest)
		o := testkit.Must(db.Bulk(t.Context(), "o1"))(t)
		testkit.Equal(t, "counted", o.Items, len(all))
		alone := enroll.Alone{Person: "ada", Since: testkit.Noon.Add(-time.Hour), Most: 1}
		testkit.Equal(t, "counted for the second person", testkit.Must(db.EndedAlone(t.Context(), alone))(t), len(all))

		testkit.Equal(t, "ended", testkit.Must(runAll(db, "o1", 3))(t), len(all))
		items := testkit.Must(db.BulkItems(t.Context(), "o1", 0, 50, testkit.Noon))(t)
		if len(items) != len(all) {
			t.Fatalf("listed: got %d, want %d", len(items), len(all))
		}
		for i, e := range all {
			testkit.Equal(t, "listed in order", items[i].Serial, e.Serial())
			testkit.Equal(t, "outcome", items[i].Outcome, admin.ItemRevoked)
			testkit.Equal(t, "status", certificate(t, db, e).Status, portal.Revoked)
		}
		testkit.Equal(t, "of another device", certificate(t, db, other).Status, portal.Issued)
	})
}
