package store_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

const grace = 10 * time.Minute

// mismatchUpdate asks that the certificates have exactly these mismatches.
func mismatchUpdate(at time.Time, changes []portal.Change, certificates ...fixture.Enrolment) drift.MismatchUpdate {
	m := drift.MismatchUpdate{
		Person: certificates[0].Reservation.Person, At: at,
		Entry: audit.Entry{At: at, Actor: "system", Role: "system"},
	}
	for _, e := range certificates {
		c := drift.Certificate{Serial: e.Serial()}
		for _, change := range changes {
			c.Mismatches = append(c.Mismatches, drift.Mismatch{Change: change})
		}
		m.Certificates = append(m.Certificates, c)
	}
	return m
}

// updateMismatches updates mismatches and compares how many were set and removed.
func updateMismatches(t testing.TB, db drift.Writer, m drift.MismatchUpdate, wantSet, wantRemoved int) {
	t.Helper()
	set, removed, err := db.UpdateMismatches(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Equal(t, "marks set", set, wantSet)
	testkit.Equal(t, "marks removed", removed, wantRemoved)
}

func leaverAt(at time.Time) drift.Leaver {
	return drift.Leaver{
		Person: anna, Cause: portal.Left, At: at, Due: at.Add(-grace), Entry: audit.Entry{At: at, Actor: "system", Role: "system"},
	}
}

func changes(list ...portal.Change) []portal.Change { return list }

// superseded makes a certificate one that a newer one replaced and that is valid
// until its end.
func superseded(t testing.TB, db *database, e fixture.Enrolment) {
	t.Helper()
	if _, err := db.plain.Exec("UPDATE certificates SET status = 'superseded' WHERE serial = $1", e.Serial().String()); err != nil {
		t.Fatal(err)
	}
}

func TestMismatchesComeAndGoWithTheirEntries(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		testkit.Equal(t, "unmarked", newest(t, db, e).Changed, "")
		steps := []struct {
			name         string
			changes      []portal.Change
			set, removed int
			shown        portal.Change
			entries      string
		}{
			{"UPN", changes(portal.UPNChanged), 1, 0, portal.UPNChanged, "[certificate.marked]"},
			{"again", changes(portal.UPNChanged), 0, 0, portal.UPNChanged, "[]"},
			{"gravest first", changes(portal.UPNChanged, portal.SIDChanged), 1, 0, portal.SIDChanged, "[certificate.marked]"},
			{"account", changes(portal.UPNChanged, portal.AccountExpired), 1, 1, portal.AccountExpired, "[certificate.marked certificate.unmarked]"},
			{"one account change for another", changes(portal.UPNChanged, portal.AccountGone), 1, 0, portal.AccountGone, "[certificate.marked]"},
			{"disabled", changes(portal.AccountDisabled), 1, 1, portal.AccountDisabled, "[certificate.marked certificate.unmarked]"},
			{"none", nil, 0, 1, "", "[certificate.unmarked]"},
			{"none again", nil, 0, 0, "", "[]"},
		}
		before := len(fixture.Entries(t, db))
		for i, s := range steps {
			t.Run(s.name, func(t *testing.T) {
				updateMismatches(t, db, mismatchUpdate(testkit.Noon.Add(time.Duration(i)*time.Minute), s.changes, e), s.set, s.removed)
				testkit.Equal(t, "shown", newest(t, db, e).Changed, s.shown)
				log := fixture.Entries(t, db)
				testkit.Equal(t, "entries", actions(log[before:]), s.entries)
				before = len(log)
			})
		}
		first := fixture.Entries(t, db)[2]
		testkit.Equal(t, "object", first.Object, e.Serial().String())
		testkit.Equal(t, "person", first.Person, string(anna))
		testkit.Equal(t, "actor", first.Actor, "system")
		testkit.Equal(t, "change", first.Detail["change"], "upn")
		testkit.Equal(t, "upn", first.Detail["upn"], "anna@corp.example")
		testkit.Equal(t, "device", first.Detail["device"], string(e.Device()))
	})
}

func TestMismatchesBeginOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		phone, tablet := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db), fixture.NewEnrolment(t, anna, "iPad").Issue(t, db)
		since := func(e fixture.Enrolment, change portal.Change) string {
			t.Helper()
			for _, c := range testkit.Must(db.Holders(t.Context(), testkit.Noon, "", 10))(t)[0].Certificates {
				for _, m := range c.Mismatches {
					if c.Serial == e.Serial() && m.Change == change {
						return m.Since.Format(time.TimeOnly)
					}
				}
			}
			return ""
		}
		updateMismatches(t, db, mismatchUpdate(testkit.Noon, changes(portal.AccountDisabled, portal.UPNChanged), phone), 2, 0)
		updateMismatches(t, db, mismatchUpdate(testkit.Noon.Add(time.Minute), changes(portal.AccountGone, portal.UPNChanged), phone, tablet), 3, 0)
		testkit.Equal(t, "what replaces keeps the beginning", since(phone, portal.AccountGone), "12:00:00")
		testkit.Equal(t, "another certificate shares it", since(tablet, portal.AccountGone), "12:00:00")
		testkit.Equal(t, "a name that stays", since(phone, portal.UPNChanged), "12:00:00")
		testkit.Equal(t, "a name of another certificate", since(tablet, portal.UPNChanged), "12:01:00")

		before := len(fixture.Entries(t, db))
		updateMismatches(t, db, mismatchUpdate(testkit.Noon.Add(-time.Hour), changes(portal.AccountGone, portal.UPNChanged), phone, tablet), 0, 0)
		testkit.Equal(t, "after the clock was set back", since(phone, portal.AccountGone), "11:00:00")
		testkit.Equal(t, "a name then", since(tablet, portal.UPNChanged), "11:00:00")
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), before)
	})
}

func TestMismatchesGoWithTheirCertificate(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		revoked, lasting := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db), fixture.NewEnrolment(t, anna, "iPad").Issue(t, db)
		updateMismatches(t, db, mismatchUpdate(testkit.Noon, changes(portal.SIDChanged), revoked, lasting), 2, 0)
		revoke(t, db, portal.Removed, testkit.Noon, revoked.Serial())
		testkit.Equal(t, "after revoking", newest(t, db, revoked).Changed, "")
		updateMismatches(t, db, mismatchUpdate(testkit.Noon, changes(portal.UPNChanged), revoked), 0, 0)
		testkit.Equal(t, "marking what is revoked", newest(t, db, revoked).Changed, "")

		end := lasting.Reservation.NotAfter
		for _, step := range []struct {
			at   time.Time
			want portal.Change
		}{{end.Add(-time.Second), portal.SIDChanged}, {end, ""}} {
			if err := db.RecordDriftPass(ctx, step.at, "builtin"); err != nil {
				t.Fatal(err)
			}
			testkit.Equal(t, "after a pass at "+step.at.String(), newest(t, db, lasting).Changed, step.want)
		}
		testkit.Equal(t, "passed", testkit.Must(db.DriftState(ctx))(t).Passed, end)
	})
}

func TestA11_AnEndedAccountIsSignedOut(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		open := func(id byte) bool {
			_, err := db.Session(t.Context(), [32]byte{id}, testkit.Noon)
			return err == nil
		}
		save(t, db, 1, "anna", testkit.Noon)
		save(t, db, 2, "bob", testkit.Noon)
		updateMismatches(t, db, mismatchUpdate(testkit.Noon, changes(portal.UPNChanged, portal.SIDChanged), e), 2, 0)
		testkit.Equal(t, "session after names changed", open(1), true)
		updateMismatches(t, db, mismatchUpdate(testkit.Noon, changes(portal.AccountDisabled), e), 1, 2)
		testkit.Equal(t, "session after the account ended", open(1), false)
		testkit.Equal(t, "session of another", open(2), true)
		save(t, db, 3, "anna", testkit.Noon)
		testkit.Must(db.RevokeLeaver(t.Context(), leaverAt(testkit.Noon.Add(grace))))(t)
		testkit.Equal(t, "session after the grace", open(3), false)
	})
}

func TestHoldersArePagedWithAllThatWorks(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		testkit.Equal(t, "holders of nothing", len(testkit.Must(db.Holders(ctx, testkit.Noon, "", 10))(t)), 0)
		old := fixture.NewEnrolment(t, "carol", "iPhone").Issue(t, db)
		renewed := old.Renewal(t)
		renewed.Completion.Supersede = false
		superseded(t, db, old)
		renewed.Issue(t, db)
		fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		fixture.NewEnrolment(t, "bob", "pending").Reserve(t, db)
		gone := fixture.NewEnrolment(t, "bob", "revoked").Issue(t, db)
		revoke(t, db, portal.Removed, testkit.Noon, gone.Serial())
		fixture.NewEnrolment(t, "dora", "iPhone").Issue(t, db)
		if err := db.Reserve(ctx, server(t)); err != nil {
			t.Fatal(err)
		}

		var pages []string
		after := portal.PersonID("")
		for {
			page := testkit.Must(db.Holders(ctx, testkit.Noon, after, 2))(t)
			if len(page) == 0 {
				break
			}
			for _, h := range page {
				pages = append(pages, fmt.Sprint(h.Person, len(h.Certificates)))
				after = h.Person
			}
			pages = append(pages, "|")
		}
		testkit.Equal(t, "pages", fmt.Sprint(pages), "[anna1 carol2 | dora1 |]")
		testkit.Equal(t, "count", testkit.Must(db.CountHolders(ctx, testkit.Noon))(t), 3)
		carol := testkit.Must(db.Holders(ctx, testkit.Noon, "anna", 1))(t)[0]
		testkit.Equal(t, "newest first", carol.Certificates[0].Serial, renewed.Serial())
		testkit.Equal(t, "upn", carol.Certificates[0].UPN, "carol@corp.example")
		testkit.Equal(t, "sid", carol.Certificates[1].SID, "S-1-5-21-1-2-3-1001")
		end := old.Reservation.NotAfter
		testkit.Equal(t, "count at the end", testkit.Must(db.CountHolders(ctx, end))(t), 0)
		testkit.Equal(t, "holders at the end", len(testkit.Must(db.Holders(ctx, end, "", 10))(t)), 0)
	})
}

// server is a certificate of the portal itself, which belongs to no person.
func server(t testing.TB) enroll.Reservation {
	t.Helper()
	r := fixture.NewEnrolment(t, "", "").Reservation
	r.Kind, r.Device, r.Idempotent = portal.KindServer, portal.Device{}, ""
	return r
}

func TestA11_MismatchesInParallelLeaveNoDoubleEntries(t *testing.T) {
	const people, watches = 5, 4
	onBoth(t, func(t *testing.T, db *database) {
		var holders [][]fixture.Enrolment
		for i := range people {
			person := portal.PersonID(fmt.Sprint("person", i))
			holders = append(holders, []fixture.Enrolment{fixture.NewEnrolment(t, person, "iPhone").Issue(t, db), fixture.NewEnrolment(t, person, "iPad").Issue(t, db)})
		}
		var waiting sync.WaitGroup
		for i := range watches {
			mine := slices.Clone(holders)
			if i%2 == 1 {
				slices.Reverse(mine)
			}
			waiting.Go(func() {
				for _, held := range mine {
					if _, _, err := db.UpdateMismatches(t.Context(), mismatchUpdate(testkit.Noon, changes(portal.AccountDisabled), held...)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		waiting.Wait()
		log := fixture.Entries(t, db)
		testkit.Equal(t, "marked", count(log, audit.MismatchFound), 2*people)
		testkit.Equal(t, "entries", len(log), 2*2*people+2*people)
	})
}

func count(log []audit.Entry, action audit.Action) int {
	n := 0
	for _, e := range log {
		if e.Action == action {
			n++
		}
	}
	return n
}
