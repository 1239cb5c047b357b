package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func revokeLeaver(t testing.TB, db drift.Writer, d drift.Leaver, want int) {
	t.Helper()
	testkit.Equal(t, "certificates ended", len(testkit.Must(db.RevokeLeaver(t.Context(), d))(t)), want)
}

func TestA11_LeaversLoseAllAfterTheGrace(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		old, phone := fixture.NewEnrolment(t, anna, "old").Issue(t, db), fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		superseded(t, db, old)
		pending := fixture.NewEnrolment(t, anna, "pending").Reserve(t, db)
		others := fixture.NewEnrolment(t, "bob", "iPhone").Issue(t, db)

		revokeLeaver(t, db, leaverAt(testkit.Noon.Add(time.Hour)), 0) // nothing is marked
		updateMismatches(t, db, mismatchUpdate(testkit.Noon, changes(portal.UPNChanged), phone), 1, 0)
		revokeLeaver(t, db, leaverAt(testkit.Noon.Add(time.Hour)), 0) // a name is no end
		updateMismatches(t, db, mismatchUpdate(testkit.Noon, changes(portal.AccountDisabled, portal.UPNChanged), phone, old), 3, 0)
		revokeLeaver(t, db, leaverAt(testkit.Noon.Add(grace-time.Millisecond)), 0)
		testkit.Equal(t, "before the grace is over", newest(t, db, phone).Status, portal.Issued)

		at := testkit.Noon.Add(grace)
		d := leaverAt(at)
		d.Entry.Detail = map[string]string{"account": "disabled"}
		revokeLeaver(t, db, d, 3)
		revokeLeaver(t, db, d, 0)
		for _, e := range []fixture.Enrolment{old, phone, pending} {
			c := testkit.Must(db.Certificate(ctx, e.Serial()))(t)
			testkit.Equal(t, "status", c.Status, portal.Revoked)
			testkit.Equal(t, "cause", c.Cause, portal.Left)
			testkit.Equal(t, "moment", c.RevokedAt, at)
			testkit.Equal(t, "mark", c.Changed, "")
		}
		testkit.Equal(t, "another person's", newest(t, db, others).Status, portal.Issued)
		wantError(t, "completing what was under way", db.Complete(ctx, pending.Completion), portal.ErrConflict)
		p := testkit.Must(db.Pickup(ctx, phone.TokenHash))(t)
		sameBytes(t, "key", p.Key, nil)
		testkit.Equal(t, "unlisted", testkit.Must(db.Unlisted(ctx, "issuing", false))(t), true)
		_, revoked := publish(t, db, at)
		testkit.Equal(t, "in the list", len(revoked), 3)
		testkit.Equal(t, "reason in the list", revoked[0].Reason, 3)

		log := fixture.Entries(t, db)
		testkit.Equal(t, "revoked entries", count(log, audit.CertificateRevoked), 3)
		last := log[len(log)-1]
		testkit.Equal(t, "actor", last.Actor, "system")
		testkit.Equal(t, "person", last.Person, string(anna))
		testkit.Equal(t, "cause in the audit log", last.Detail["cause"], "left")
		testkit.Equal(t, "account in the audit log", last.Detail["account"], "disabled")
		testkit.Equal(t, "since in the audit log", last.Detail["since"], "2026-11-22T12:00:00Z")
	})
}

func TestCountLeavers(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		departed := func(after time.Time) int {
			t.Helper()
			return testkit.Must(db.CountLeavers(t.Context(), after, testkit.Noon.Add(grace)))(t)
		}
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		updateMismatches(t, db, mismatchUpdate(testkit.Noon, changes(portal.AccountGone), e), 1, 0)
		testkit.Equal(t, "before", departed(testkit.Noon.Add(-time.Hour)), 0)
		revokeLeaver(t, db, leaverAt(testkit.Noon.Add(grace)), 1)
		testkit.Equal(t, "after", departed(testkit.Noon.Add(-time.Millisecond)), 1)
		testkit.Equal(t, "seen before the moment", departed(testkit.Noon), 0)
		revoke(t, db, portal.Left, testkit.Noon, fixture.NewEnrolment(t, "bob", "iPhone").Issue(t, db).Serial())
		testkit.Equal(t, "revoked by others", departed(testkit.Noon.Add(-time.Hour)), 1)

		back := fixture.NewEnrolment(t, anna, "iPad").Issue(t, db)
		testkit.Equal(t, "who came back", departed(testkit.Noon.Add(-time.Hour)), 0)
		updateMismatches(t, db, mismatchUpdate(testkit.Noon.Add(time.Hour), changes(portal.AccountGone), back), 1, 0)
		revokeLeaver(t, db, leaverAt(testkit.Noon.Add(time.Hour+grace)), 1)
		testkit.Equal(t, "left again", departed(testkit.Noon.Add(59*time.Minute)), 1)
	})
}

func TestA11_RevokeLeaverAndUpdateInParallel(t *testing.T) {
	const rounds = 10
	onBoth(t, func(t *testing.T, db *database) {
		for i := range rounds {
			e := fixture.NewEnrolment(t, portal.PersonID(fmt.Sprint("person", i)), "iPhone").Issue(t, db)
			updateMismatches(t, db, mismatchUpdate(testkit.Noon, changes(portal.AccountDisabled), e), 1, 0)
			d := leaverAt(testkit.Noon.Add(grace))
			d.Person = e.Reservation.Person
			ended := 0
			var waiting sync.WaitGroup
			waiting.Go(func() {
				serials, err := db.RevokeLeaver(t.Context(), d)
				if err != nil {
					t.Error(err)
				}
				ended = len(serials)
			})
			waiting.Go(func() {
				if _, _, err := db.UpdateMismatches(t.Context(), mismatchUpdate(testkit.Noon.Add(grace), nil, e)); err != nil {
					t.Error(err)
				}
			})
			waiting.Wait()
			revoked := newest(t, db, e).Status == portal.Revoked
			testkit.Equal(t, "revoked", revoked, ended == 1)
		}
		log := fixture.Entries(t, db)
		testkit.Equal(t, "ends and returns", count(log, audit.CertificateRevoked)+count(log, audit.MismatchResolved), rounds)
	})
}

// What cannot be recorded in the audit log does not happen.
func TestA11_NoMismatchAndNoLeaverWithoutItsEntry(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		updateMismatches(t, db, mismatchUpdate(testkit.Noon, changes(portal.AccountDisabled), e), 1, 0)
		save(t, db, 1, "anna", testkit.Noon)
		if _, err := db.plain.Exec("DELETE FROM ledger_head"); err != nil {
			t.Fatal(err)
		}
		if _, err := db.RevokeLeaver(t.Context(), leaverAt(testkit.Noon.Add(grace))); err == nil {
			t.Error("ended without an entry")
		}
		if _, _, err := db.UpdateMismatches(t.Context(), mismatchUpdate(testkit.Noon, nil, e)); err == nil {
			t.Error("unmarked without an entry")
		}
		if _, err := db.StopDrift(t.Context(), drift.NoAnswer, testkit.Noon, audit.Entry{}); err == nil {
			t.Error("stopped without an entry")
		}
		c := newest(t, db, e)
		testkit.Equal(t, "status", c.Status, portal.Issued)
		testkit.Equal(t, "mark", c.Changed, portal.AccountDisabled)
		testkit.Equal(t, "state", testkit.Must(db.DriftState(t.Context()))(t), drift.State{})
		if _, err := db.Session(t.Context(), [32]byte{1}, testkit.Noon); err != nil {
			t.Errorf("session: %v", err)
		}
	})
}
