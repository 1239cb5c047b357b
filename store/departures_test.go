package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

func depart(t testing.TB, db drift.Store, d drift.Leaver, want int) {
	t.Helper()
	equal(t, "certificates ended", len(must[[]ca.Serial](t)(db.RevokeLeaver(t.Context(), d))), want)
}

func TestA11_DepartEndsAllThatWorksAfterTheGrace(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		old, phone := issue(t, db, request(t, anna, "old")), issue(t, db, request(t, anna, "iPhone"))
		superseded(t, db, old)
		pending := reserve(t, db, request(t, anna, "pending"))
		others := issue(t, db, request(t, "bob", "iPhone"))

		depart(t, db, departure(noon.Add(time.Hour)), 0) // nothing is marked
		mark(t, db, marking(noon, changes(portal.UPNChanged), phone), 1, 0)
		depart(t, db, departure(noon.Add(time.Hour)), 0) // a name is no end
		mark(t, db, marking(noon, changes(portal.AccountDisabled, portal.UPNChanged), phone, old), 3, 0)
		depart(t, db, departure(noon.Add(grace-time.Millisecond)), 0)
		equal(t, "before the grace is over", newest(t, db, phone).Status, portal.Issued)

		at := noon.Add(grace)
		d := departure(at)
		d.Entry.Detail = map[string]string{"account": "disabled"}
		depart(t, db, d, 3)
		depart(t, db, d, 0)
		for _, e := range []enrolment{old, phone, pending} {
			c := must[portal.Certificate](t)(db.Certificate(ctx, e.serial()))
			equal(t, "status", c.Status, portal.Revoked)
			equal(t, "cause", c.Cause, portal.Left)
			equal(t, "moment", c.RevokedAt, at)
			equal(t, "mark", c.Changed, "")
		}
		equal(t, "another person's", newest(t, db, others).Status, portal.Issued)
		wantError(t, "completing what was under way", db.Complete(ctx, pending.completion), portal.ErrConflict)
		p := must[enroll.SealedPickup](t)(db.Pickup(ctx, phone.token))
		sameBytes(t, "key", p.Key, nil)
		equal(t, "unlisted", must[bool](t)(db.Unlisted(ctx, "issuing", false)), true)
		_, revoked := publish(t, db, at)
		equal(t, "in the list", len(revoked), 3)
		equal(t, "reason in the list", revoked[0].Reason, 3)

		log := entries(t, db)
		equal(t, "revoked entries", count(log, audit.CertificateRevoked), 3)
		last := log[len(log)-1]
		equal(t, "actor", last.Actor, "system")
		equal(t, "person", last.Person, string(anna))
		equal(t, "cause in the ledger", last.Detail["cause"], "left")
		equal(t, "account in the ledger", last.Detail["account"], "disabled")
		equal(t, "since in the ledger", last.Detail["since"], "2026-11-22T12:00:00Z")
	})
}

func TestDeparturesCount(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		departed := func(after time.Time) int {
			t.Helper()
			return must[int](t)(db.CountLeavers(t.Context(), after, noon.Add(grace)))
		}
		e := issue(t, db, request(t, anna, "iPhone"))
		mark(t, db, marking(noon, changes(portal.AccountGone), e), 1, 0)
		equal(t, "before", departed(noon.Add(-time.Hour)), 0)
		depart(t, db, departure(noon.Add(grace)), 1)
		equal(t, "after", departed(noon.Add(-time.Millisecond)), 1)
		equal(t, "seen before the moment", departed(noon), 0)
		revoke(t, db, portal.Left, noon, issue(t, db, request(t, "bob", "iPhone")).serial())
		equal(t, "revoked by others", departed(noon.Add(-time.Hour)), 1)

		back := issue(t, db, request(t, anna, "iPad"))
		equal(t, "who came back", departed(noon.Add(-time.Hour)), 0)
		mark(t, db, marking(noon.Add(time.Hour), changes(portal.AccountGone), back), 1, 0)
		depart(t, db, departure(noon.Add(time.Hour+grace)), 1)
		equal(t, "left again", departed(noon.Add(59*time.Minute)), 1)
	})
}

func TestA11_DepartAndUnmarkInParallel(t *testing.T) {
	const rounds = 10
	onBoth(t, func(t *testing.T, db *fixture) {
		for i := range rounds {
			e := issue(t, db, request(t, portal.PersonID(fmt.Sprint("person", i)), "iPhone"))
			mark(t, db, marking(noon, changes(portal.AccountDisabled), e), 1, 0)
			d := departure(noon.Add(grace))
			d.Person = e.reservation.Person
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
				if _, _, err := db.UpdateMismatches(t.Context(), marking(noon.Add(grace), nil, e)); err != nil {
					t.Error(err)
				}
			})
			waiting.Wait()
			revoked := newest(t, db, e).Status == portal.Revoked
			equal(t, "revoked", revoked, ended == 1)
		}
		log := entries(t, db)
		equal(t, "ends and returns", count(log, audit.CertificateRevoked)+count(log, audit.MismatchResolved), rounds)
	})
}

// What the ledger does not take does not happen.
func TestA11_NothingIsMarkedOrEndedWithoutItsEntry(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		e := issue(t, db, request(t, anna, "iPhone"))
		mark(t, db, marking(noon, changes(portal.AccountDisabled), e), 1, 0)
		save(t, db, 1, "anna", noon)
		if _, err := db.plain.Exec("DELETE FROM ledger_head"); err != nil {
			t.Fatal(err)
		}
		if _, err := db.RevokeLeaver(t.Context(), departure(noon.Add(grace))); err == nil {
			t.Error("ended without an entry")
		}
		if _, _, err := db.UpdateMismatches(t.Context(), marking(noon, nil, e)); err == nil {
			t.Error("unmarked without an entry")
		}
		if _, err := db.StopDrift(t.Context(), drift.NoAnswer, noon, audit.Entry{}); err == nil {
			t.Error("stopped without an entry")
		}
		c := newest(t, db, e)
		equal(t, "status", c.Status, portal.Issued)
		equal(t, "mark", c.Changed, portal.AccountDisabled)
		equal(t, "state", must[drift.State](t)(db.DriftState(t.Context())), drift.State{})
		if _, err := db.Session(t.Context(), [32]byte{1}, noon); err != nil {
			t.Errorf("session: %v", err)
		}
	})
}
