package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// namesake is an enrolment of a person under a UPN and SID.
func namesake(t testing.TB, person portal.PersonID, upn, sid, device string) fixture.Enrolment {
	t.Helper()
	e := fixture.NewEnrolment(t, person, device)
	e.Reservation.Subject.UPN, e.Reservation.Subject.SID = upn, sid
	return e
}

// held returns the people that stand in the way of a reservation.
func held(t testing.TB, err error) []portal.PersonID {
	t.Helper()
	var h *enroll.UPNHeld
	if !errors.As(err, &h) {
		t.Fatalf("got error %v, want that the UPN is held", err)
	}
	return h.People
}

const (
	sidA = "S-1-5-21-1-2-3-1001"
	sidB = "S-1-5-21-1-2-3-1002"
)

func TestA5_OneUPNWorksForOneAccount(t *testing.T) {
	cases := []struct {
		name       string
		upn, sid   string // of the earlier certificate
		nextUPN    string
		nextSID    string
		nextPerson portal.PersonID
		clash      bool
	}{
		{"the same", "anna@corp.example", sidA, "anna@corp.example", sidB, "bob", true},
		{"other case", "anna@corp.example", sidA, "ANNA@Corp.Example", sidB, "bob", true},
		{"other case beyond ASCII", "ÄNNA@corp.example", sidA, "änna@corp.example", sidB, "bob", true},
		{"folded to two letters", "weiß@corp.example", sidA, "WEISS@corp.example", sidB, "bob", true},
		{"decomposed", "a\u0308nna@corp.example", sidA, "änna@corp.example", sidB, "bob", true},
		{"earlier SID unknown", "anna@corp.example", "", "anna@corp.example", sidB, "bob", true},
		{"no SID at all", "anna@corp.example", "", "anna@corp.example", "", "bob", true},
		{"another UPN", "anna@corp.example", sidA, "anna2@corp.example", sidB, "bob", false},
		{"one account under two ids", "anna@corp.example", sidA, "anna@corp.example", sidA, "bob", false},
		{"the person moved to another domain", "anna@corp.example", sidA, "anna@corp.example", sidB, anna, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, db *database) {
				namesake(t, anna, c.upn, c.sid, "phone").Issue(t, db)
				err := db.Reserve(t.Context(), namesake(t, c.nextPerson, c.nextUPN, c.nextSID, "tablet").Reservation)
				if !c.clash {
					testkit.NoError(t, err)
					return
				}
				testkit.Equal(t, "people", fmt.Sprint(held(t, err)), "[anna]")
				testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 2)
			})
		})
	}
}

func TestA5_TheFormerOwnerLosesTheUPNInTheReservation(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		phone := namesake(t, anna, "Anna@corp.example", sidA, "phone").Issue(t, db)
		old := namesake(t, anna, "anna@corp.example", sidA, "old").Issue(t, db)
		superseded(t, db, old)
		pending := namesake(t, anna, "anna@corp.example", sidA, "pending").Reserve(t, db)
		renamed := namesake(t, anna, "anna.smith@corp.example", sidA, "tablet").Issue(t, db)

		next := namesake(t, "bob", "anna@corp.example", sidB, "phone")
		next.Reservation.Requested, next.Reservation.Entry.At = testkit.Noon.Add(time.Hour), testkit.Noon.Add(time.Hour)
		next.Reservation.Former = []portal.PersonID{anna}
		next.Issue(t, db)
		for _, e := range []fixture.Enrolment{phone, old, pending} {
			c := testkit.Must(db.Certificate(ctx, e.Serial()))(t)
			testkit.Equal(t, "status", c.Status, portal.Revoked)
			testkit.Equal(t, "cause", c.Cause, portal.Reused)
			testkit.Equal(t, "moment", c.RevokedAt, testkit.Noon.Add(time.Hour))
		}
		testkit.Equal(t, "under her new name", newest(t, db, renamed).Status, portal.Issued)
		wantError(t, "completing what was under way", db.Complete(ctx, pending.Completion), portal.ErrConflict)
		_, revoked := publish(t, db, testkit.Noon.Add(time.Hour))
		testkit.Equal(t, "in the list", len(revoked), 3)
		testkit.Equal(t, "reason in the list", revoked[0].Reason, 3)

		log := fixture.Entries(t, db)
		e := fixture.Last(t, log, audit.CertificateRevoked)
		testkit.Equal(t, "person", e.Person, string(anna))
		testkit.Equal(t, "actor and address", e.Actor+" "+e.Address, "system ")
		testkit.Equal(t, "why", e.Detail["cause"]+" "+e.Detail["by"], "reused "+next.Serial().String())
		note := fixture.Last(t, log, audit.UPNReused)
		testkit.Equal(t, "owner", note.Person, "bob")
		testkit.Equal(t, "former owner", note.Detail["former"]+" "+note.Detail["upn"]+" "+note.Detail["certificates"], "anna anna@corp.example 3")
	})
}

func TestA5_WhatNoLongerWorksHoldsNoUPN(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ended := namesake(t, anna, "anna@corp.example", sidA, "phone").Issue(t, db)
		revoke(t, db, portal.Removed, testkit.Noon, ended.Serial())
		expired := fixture.NewEnrolmentAt(t, testkit.Noon.Add(-time.Hour), time.Hour, anna, "expired")
		expired.Reservation.Subject.SID = sidA
		expired.Issue(t, db)
		namesake(t, "bob", "anna@corp.example", sidB, "phone").Issue(t, db)
	})
}

// The people to be revoked are those that the directory was asked about, and no others.
func TestA5_AnUnknownHolderIsNotRevoked(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		first := namesake(t, anna, "anna@corp.example", sidA, "phone").Issue(t, db)
		next := namesake(t, "bob", "anna@corp.example", sidB, "phone")
		next.Reservation.Former = []portal.PersonID{"carol"}
		testkit.Equal(t, "people", fmt.Sprint(held(t, db.Reserve(t.Context(), next.Reservation))), "[anna]")
		testkit.Equal(t, "first", newest(t, db, first).Status, portal.Issued)
	})
}

// Rows of binaries without the column count by their UPN in lower case.
func TestF18_UPNsOfOlderBinariesAreFound(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		namesake(t, anna, "Anna@Corp.example", sidA, "phone").Issue(t, db)
		if _, err := db.plain.Exec("UPDATE certificates SET upn_key = NULL"); err != nil {
			t.Fatal(err)
		}
		err := db.Reserve(t.Context(), namesake(t, "bob", "anna@corp.example", sidB, "phone").Reservation)
		testkit.Equal(t, "people", fmt.Sprint(held(t, err)), "[anna]")
	})
}

// Many accounts ask for one UPN at the same time: one gets it.
func TestA5_OneUPNAtTheSameTime(t *testing.T) {
	onEach(t, func(t *testing.T, db *database) {
		const people = 8
		var all sync.WaitGroup
		results := make([]error, people)
		for i := range people {
			e := namesake(t, portal.PersonID(fmt.Sprint("p", i)), "anna@corp.example", fmt.Sprint("S-1-5-21-1-2-3-", i), "phone")
			all.Go(func() { results[i] = db.Reserve(t.Context(), e.Reservation) })
		}
		all.Wait()
		reserved := 0
		for _, err := range results {
			if err == nil {
				reserved++
				continue
			}
			held(t, err)
		}
		testkit.Equal(t, "reserved", reserved, 1)
	})
}
