package store_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

const grace = 10 * time.Minute

// marking asks that the certificates bear exactly these marks.
func marking(at time.Time, changes []portal.Change, certificates ...enrolment) drift.MismatchUpdate {
	m := drift.MismatchUpdate{
		Person: certificates[0].reservation.Person, At: at,
		Entry: audit.Entry{At: at, Actor: "system", Role: "system"},
	}
	for _, e := range certificates {
		c := drift.Certificate{Serial: e.serial()}
		for _, change := range changes {
			c.Mismatches = append(c.Mismatches, drift.Mismatch{Change: change})
		}
		m.Certificates = append(m.Certificates, c)
	}
	return m
}

// mark marks and compares how many marks came and went.
func mark(t testing.TB, db drift.Store, m drift.MismatchUpdate, wantSet, wantRemoved int) {
	t.Helper()
	set, removed, err := db.UpdateMismatches(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "marks set", set, wantSet)
	equal(t, "marks removed", removed, wantRemoved)
}

func departure(at time.Time) drift.Leaver {
	return drift.Leaver{
		Person: anna, At: at, Due: at.Add(-grace), Entry: audit.Entry{At: at, Actor: "system", Role: "system"},
	}
}

func changes(list ...portal.Change) []portal.Change { return list }

// superseded makes a certificate one that a newer one replaced and that works
// until its end.
func superseded(t testing.TB, db *fixture, e enrolment) {
	t.Helper()
	if _, err := db.plain.Exec("UPDATE certificates SET status = 'superseded' WHERE serial = $1", e.serial().String()); err != nil {
		t.Fatal(err)
	}
}

func TestMarksComeAndGoWithTheirEntries(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		e := issue(t, db, request(t, anna, "iPhone"))
		equal(t, "unmarked", newest(t, db, e).Changed, "")
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
		before := len(entries(t, db))
		for i, s := range steps {
			t.Run(s.name, func(t *testing.T) {
				mark(t, db, marking(noon.Add(time.Duration(i)*time.Minute), s.changes, e), s.set, s.removed)
				equal(t, "shown", newest(t, db, e).Changed, s.shown)
				log := entries(t, db)
				equal(t, "entries", actions(log[before:]), s.entries)
				before = len(log)
			})
		}
		first := entries(t, db)[2]
		equal(t, "object", first.Object, e.serial().String())
		equal(t, "person", first.Person, string(anna))
		equal(t, "actor", first.Actor, "system")
		equal(t, "change", first.Detail["change"], "upn")
		equal(t, "upn", first.Detail["upn"], "anna@corp.example")
		equal(t, "device", first.Detail["device"], string(e.device()))
	})
}

func TestMarksBeginOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		phone, tablet := issue(t, db, request(t, anna, "iPhone")), issue(t, db, request(t, anna, "iPad"))
		since := func(e enrolment, change portal.Change) string {
			t.Helper()
			for _, c := range must[[]drift.CertificateHolder](t)(db.Holders(t.Context(), noon, "", 10))[0].Certificates {
				for _, m := range c.Mismatches {
					if c.Serial == e.serial() && m.Change == change {
						return m.Since.Format(time.TimeOnly)
					}
				}
			}
			return ""
		}
		mark(t, db, marking(noon, changes(portal.AccountDisabled, portal.UPNChanged), phone), 2, 0)
		mark(t, db, marking(noon.Add(time.Minute), changes(portal.AccountGone, portal.UPNChanged), phone, tablet), 3, 0)
		equal(t, "what replaces keeps the beginning", since(phone, portal.AccountGone), "12:00:00")
		equal(t, "another certificate shares it", since(tablet, portal.AccountGone), "12:00:00")
		equal(t, "a name that stays", since(phone, portal.UPNChanged), "12:00:00")
		equal(t, "a name of another certificate", since(tablet, portal.UPNChanged), "12:01:00")

		before := len(entries(t, db))
		mark(t, db, marking(noon.Add(-time.Hour), changes(portal.AccountGone, portal.UPNChanged), phone, tablet), 0, 0)
		equal(t, "after the clock was set back", since(phone, portal.AccountGone), "11:00:00")
		equal(t, "a name then", since(tablet, portal.UPNChanged), "11:00:00")
		equal(t, "entries", len(entries(t, db)), before)
	})
}

func TestMarksGoWithTheirCertificate(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		revoked, lasting := issue(t, db, request(t, anna, "iPhone")), issue(t, db, request(t, anna, "iPad"))
		mark(t, db, marking(noon, changes(portal.SIDChanged), revoked, lasting), 2, 0)
		revoke(t, db, portal.Removed, noon, revoked.serial())
		equal(t, "after revoking", newest(t, db, revoked).Changed, "")
		mark(t, db, marking(noon, changes(portal.UPNChanged), revoked), 0, 0)
		equal(t, "marking what is revoked", newest(t, db, revoked).Changed, "")

		end := lasting.reservation.NotAfter
		for _, step := range []struct {
			at   time.Time
			want portal.Change
		}{{end.Add(-time.Second), portal.SIDChanged}, {end, ""}} {
			if err := db.RecordDriftPass(ctx, step.at, "builtin"); err != nil {
				t.Fatal(err)
			}
			equal(t, "after a pass at "+step.at.String(), newest(t, db, lasting).Changed, step.want)
		}
		equal(t, "passed", must[drift.State](t)(db.DriftState(ctx)).Passed, end)
	})
}

func TestA11_AnEndedAccountIsSignedOut(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		e := issue(t, db, request(t, anna, "iPhone"))
		open := func(id byte) bool {
			_, err := db.Session(t.Context(), [32]byte{id}, noon)
			return err == nil
		}
		save(t, db, 1, "anna", noon)
		save(t, db, 2, "bob", noon)
		mark(t, db, marking(noon, changes(portal.UPNChanged, portal.SIDChanged), e), 2, 0)
		equal(t, "session after names changed", open(1), true)
		mark(t, db, marking(noon, changes(portal.AccountDisabled), e), 1, 2)
		equal(t, "session after the account ended", open(1), false)
		equal(t, "session of another", open(2), true)
		save(t, db, 3, "anna", noon)
		must[[]ca.Serial](t)(db.RevokeLeaver(t.Context(), departure(noon.Add(grace))))
		equal(t, "session after the grace", open(3), false)
	})
}

func TestHoldersArePagedWithAllThatWorks(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		equal(t, "holders of nothing", len(must[[]drift.CertificateHolder](t)(db.Holders(ctx, noon, "", 10))), 0)
		old := issue(t, db, request(t, "carol", "iPhone"))
		renewed := old.again(t)
		renewed.completion.Supersede = false
		superseded(t, db, old)
		issue(t, db, renewed)
		issue(t, db, request(t, anna, "iPhone"))
		reserve(t, db, request(t, "bob", "pending"))
		gone := issue(t, db, request(t, "bob", "revoked"))
		revoke(t, db, portal.Removed, noon, gone.serial())
		issue(t, db, request(t, "dora", "iPhone"))
		if err := db.Reserve(ctx, server(t)); err != nil {
			t.Fatal(err)
		}

		var pages []string
		after := portal.PersonID("")
		for {
			page := must[[]drift.CertificateHolder](t)(db.Holders(ctx, noon, after, 2))
			if len(page) == 0 {
				break
			}
			for _, h := range page {
				pages = append(pages, fmt.Sprint(h.Person, len(h.Certificates)))
				after = h.Person
			}
			pages = append(pages, "|")
		}
		equal(t, "pages", fmt.Sprint(pages), "[anna1 carol2 | dora1 |]")
		equal(t, "count", must[int](t)(db.CountHolders(ctx, noon)), 3)
		carol := must[[]drift.CertificateHolder](t)(db.Holders(ctx, noon, "anna", 1))[0]
		equal(t, "newest first", carol.Certificates[0].Serial, renewed.serial())
		equal(t, "upn", carol.Certificates[0].UPN, "carol@corp.example")
		equal(t, "sid", carol.Certificates[1].SID, "S-1-5-21-1-2-3-1001")
		end := old.reservation.NotAfter
		equal(t, "count at the end", must[int](t)(db.CountHolders(ctx, end)), 0)
		equal(t, "holders at the end", len(must[[]drift.CertificateHolder](t)(db.Holders(ctx, end, "", 10))), 0)
	})
}

// server is a certificate of the portal itself, which is nobody's.
func server(t testing.TB) enroll.Reservation {
	t.Helper()
	r := request(t, "", "").reservation
	r.Kind, r.Device, r.Idempotent = portal.KindServer, portal.Device{}, ""
	return r
}

func TestA11_MarksInParallelLeaveNoDoubleEntries(t *testing.T) {
	const people, watches = 5, 4
	onBoth(t, func(t *testing.T, db *fixture) {
		var holders [][]enrolment
		for i := range people {
			person := portal.PersonID(fmt.Sprint("person", i))
			holders = append(holders, []enrolment{issue(t, db, request(t, person, "iPhone")), issue(t, db, request(t, person, "iPad"))})
		}
		var waiting sync.WaitGroup
		for i := range watches {
			mine := slices.Clone(holders)
			if i%2 == 1 {
				slices.Reverse(mine)
			}
			waiting.Go(func() {
				for _, held := range mine {
					if _, _, err := db.UpdateMismatches(t.Context(), marking(noon, changes(portal.AccountDisabled), held...)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		waiting.Wait()
		log := entries(t, db)
		equal(t, "marked", count(log, audit.MismatchFound), 2*people)
		equal(t, "entries", len(log), 2*2*people+2*people)
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
