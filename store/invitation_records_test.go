package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// invitation makes what the helpdesk would make for a person.
func invitation(person portal.PersonID, n byte, at time.Time) signin.InvitationOffer {
	return signin.InvitationOffer{
		Invitation: signin.Invitation{
			ID: signin.InvitationID(fmt.Sprintf("invitation-%d", n)), Person: person, MadeBy: "hedi", MadeRole: portal.Helpdesk,
			Made: at, Check: signin.CheckOther, Note: "Schwester \u202e 李", Purpose: signin.ForBroken, Device: "d1",
			Alone: true, State: signin.InvitationOpen, Expires: at.Add(signin.InvitationLife),
		},
		CodeHash: [32]byte{n}, Entry: mismatchEntry(audit.InvitationMade, person),
	}
}

// about is an entry of the helpdesk's.
func mismatchEntry(action audit.Action, person portal.PersonID) audit.Entry {
	e := fixture.NewEntry(testkit.Noon, action, person)
	e.Actor, e.Role = "hedi", "helpdesk"
	return e
}

func invited(t *testing.T, db *database, person portal.PersonID, n byte, at time.Time) signin.InvitationOffer {
	t.Helper()
	o := invitation(person, n, at)
	if err := db.Invite(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o
}

// withInvitation gives an enrolment the invitation.
func withInvitation(e fixture.Enrolment, o signin.InvitationOffer) fixture.Enrolment {
	e.Reservation.Invitation = o.ID
	return e
}

func TestInvitation(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		o := invited(t, db, anna, 1, testkit.Noon)
		testkit.Equal(t, "by code", testkit.Must(db.InvitationByCode(ctx, o.CodeHash))(t), o.Invitation)
		testkit.Equal(t, "by id", testkit.Must(db.Invitation(ctx, o.ID))(t), o.Invitation)
		testkit.Equal(t, "of the person", testkit.Must(db.Invited(ctx, anna))(t), o.Invitation)
		for what, find := range map[string]func() (signin.Invitation, error){
			"unknown code":       func() (signin.Invitation, error) { return db.InvitationByCode(ctx, [32]byte{9}) },
			"unstorable id":      func() (signin.Invitation, error) { return db.Invitation(ctx, "\xff") },
			"nobody":             func() (signin.Invitation, error) { return db.Invited(ctx, "ben") },
			"unstorable nobody":  func() (signin.Invitation, error) { return db.Invited(ctx, "a\x00") },
			"somebody else's id": func() (signin.Invitation, error) { return db.Invitation(ctx, "x") },
		} {
			_, err := find()
			wantError(t, what, err, portal.ErrNotFound)
		}

		e := withInvitation(fixture.NewEnrolment(t, anna, "Phone"), o).Issue(t, db)
		redeemed := testkit.Must(db.Invitation(ctx, o.ID))(t)
		testkit.Equal(t, "state", redeemed.State, signin.InvitationRedeemed)
		testkit.Equal(t, "serial", redeemed.Serial, e.Serial())
		testkit.Equal(t, "closed", redeemed.Closed, testkit.Noon)
		wantRefusal(t, db.Reserve(ctx, withInvitation(fixture.NewEnrolment(t, anna, "Second"), o).Reservation), portal.CodeOver)
		all := fixture.Entries(t, db)
		testkit.Equal(t, "audit log", actions(all), "[invitation.made invitation.redeemed certificate.reserved certificate.issued]")
		testkit.Equal(t, "object", all[1].Object, string(o.ID))
		testkit.Equal(t, "made by", all[1].Detail["by"], "hedi")
	})
}

// A reservation is refused, and leaves nothing behind, when its invitation is not
// open for its person.
func TestInvitationMustBeOpen(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, db *database, id signin.InvitationID) // once it is made
		person portal.PersonID
		at     time.Duration
	}{
		{"somebody else's", nil, "ben", 0},
		{"out of time", nil, anna, signin.InvitationLife},
		{"waiting", func(t *testing.T, db *database, id signin.InvitationID) {
			if _, err := db.plain.Exec("UPDATE invitations SET state = 'waiting' WHERE id = $1", string(id)); err != nil {
				t.Fatal(err)
			}
		}, anna, 0},
		{"replaced", func(t *testing.T, db *database, _ signin.InvitationID) { invited(t, db, anna, 20, testkit.Noon) }, anna, 0},
		{"another id", func(t *testing.T, db *database, id signin.InvitationID) {
			if _, err := db.plain.Exec("UPDATE invitations SET id = 'other' WHERE id = $1", string(id)); err != nil {
				t.Fatal(err)
			}
		}, anna, 0},
	}
	onBoth(t, func(t *testing.T, db *database) {
		for n, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				o := invited(t, db, anna, byte(n+1), testkit.Noon)
				if tt.change != nil {
					tt.change(t, db, o.ID)
				}
				e := withInvitation(fixture.NewEnrolment(t, tt.person, "Phone"), o)
				e.Reservation.Requested = testkit.Noon.Add(tt.at)
				wantRefusal(t, db.Reserve(t.Context(), e.Reservation), portal.CodeOver)
				_, err := db.Device(t.Context(), tt.person, e.Device())
				wantError(t, "device", err, portal.ErrNotFound)
			})
		}
		for _, e := range fixture.Entries(t, db) {
			if e.Action == audit.CertificateReserved || e.Action == audit.InvitationRedeemed {
				t.Errorf("got entry %s", e.Action)
			}
		}
	})
}

func TestOneInvitationAtATime(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		first, other := invited(t, db, anna, 1, testkit.Noon), invited(t, db, "ben", 2, testkit.Noon)
		second := invited(t, db, anna, 3, testkit.Noon.Add(time.Minute))
		ended := testkit.Must(db.Invitation(ctx, first.ID))(t)
		testkit.Equal(t, "state of the first", ended.State, signin.InvitationEnded)
		testkit.Equal(t, "its end", ended.Closed, testkit.Noon.Add(time.Minute))
		testkit.Equal(t, "the second", testkit.Must(db.Invited(ctx, anna))(t).ID, second.ID)
		testkit.Equal(t, "somebody else's", testkit.Must(db.Invited(ctx, "ben"))(t).ID, other.ID)
		wantError(t, "the same code again", db.Invite(ctx, second), portal.ErrConflict)
		all := fixture.Entries(t, db)
		testkit.Equal(t, "audit log", actions(all), "[invitation.made invitation.made invitation.ended invitation.made]")
		testkit.Equal(t, "which ended", all[2].Object, string(first.ID))

		// Old invitations are deleted with the next one.
		invited(t, db, "carl", 4, testkit.Noon.Add(100*24*time.Hour))
		_, err := db.Invitation(ctx, first.ID)
		wantError(t, "after a hundred days", err, portal.ErrNotFound)
	})
}

// Of many requests with the same code at once, on two replicas, one gets a
// certificate.
func TestF22_InvitationIsUsedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		replica := opened(t, db.address)
		o := invited(t, db, anna, 1, testkit.Noon)
		results := make(chan error, 20)
		var waiting sync.WaitGroup
		for n := range cap(results) {
			via := enroll.Store(db)
			if n%2 == 1 {
				via = replica
			}
			e := withInvitation(fixture.NewEnrolment(t, anna, fmt.Sprint("Phone ", n)), o)
			e.Reservation.Quota = 100
			waiting.Go(func() { results <- via.Reserve(t.Context(), e.Reservation) })
		}
		waiting.Wait()
		close(results)
		in := 0
		for err := range results {
			if err == nil {
				in++
				continue
			}
			wantRefusal(t, err, portal.CodeOver)
		}
		testkit.Equal(t, "certificates", in, 1)
		testkit.Equal(t, "audit log", actions(fixture.Entries(t, db)), "[invitation.made invitation.redeemed certificate.reserved]")
	})
}

// A certificate that the portal failed to make uses up no code; one that was made and
// not fetched does.
func TestInvitationComesBack(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		o := invited(t, db, anna, 1, testkit.Noon)
		e := withInvitation(fixture.NewEnrolment(t, anna, "Phone"), o).Reserve(t, db)
		revoke(t, db, portal.Abandoned, testkit.Noon, e.Serial())
		testkit.Equal(t, "given back", testkit.Must(db.Invitation(ctx, o.ID))(t), o.Invitation)
		testkit.Equal(t, "told", fixture.Entries(t, db)[3].Detail["reopened"], string(o.ID))

		e = withInvitation(fixture.NewEnrolment(t, anna, "Phone"), o).Issue(t, db)
		revoke(t, db, portal.Undelivered, testkit.Noon, e.Serial())
		testkit.Equal(t, "kept", testkit.Must(db.Invitation(ctx, o.ID))(t).State, signin.InvitationRedeemed)

		o = invited(t, db, anna, 2, testkit.Noon)
		e = withInvitation(fixture.NewEnrolment(t, anna, "Phone"), o).Reserve(t, db)
		newer := invited(t, db, anna, 3, testkit.Noon)
		revoke(t, db, portal.Abandoned, testkit.Noon, e.Serial())
		testkit.Equal(t, "behind a newer one", testkit.Must(db.Invitation(ctx, o.ID))(t).State, signin.InvitationRedeemed)
		testkit.Equal(t, "the newer one", testkit.Must(db.Invited(ctx, anna))(t).ID, newer.ID)
	})
}

func TestA4_ApproveInvitation(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		approve := func(id signin.InvitationID, by portal.PersonID, at time.Time) error {
			return db.ApproveInvitation(ctx, id, by, at, mismatchEntry(audit.InvitationApproved, anna))
		}
		o := invitation(anna, 1, testkit.Noon)
		o.State = signin.InvitationWaiting
		if err := db.Invite(ctx, o); err != nil {
			t.Fatal(err)
		}
		late := invitation("ben", 2, testkit.Noon.Add(time.Minute))
		late.State = signin.InvitationWaiting
		if err := db.Invite(ctx, late); err != nil {
			t.Fatal(err)
		}
		waiting := testkit.Must(db.WaitingInvitations(ctx, testkit.Noon, 10))(t)
		if len(waiting) != 2 || waiting[0] != o.Invitation || waiting[1].ID != late.ID {
			t.Errorf("waiting: got %v", waiting)
		}
		wantError(t, "by its maker", approve(o.ID, "hedi", testkit.Noon), portal.ErrConflict)
		wantError(t, "by its person", approve(o.ID, anna, testkit.Noon), portal.ErrConflict)
		wantError(t, "too late", approve(o.ID, "ada", testkit.Noon.Add(signin.InvitationLife)), portal.ErrConflict)
		wantError(t, "unknown", approve("x\x00", "ada", testkit.Noon), portal.ErrConflict)
		if err := approve(o.ID, "ada", testkit.Noon); err != nil {
			t.Fatal(err)
		}
		wantError(t, "twice", approve(o.ID, "adam", testkit.Noon), portal.ErrConflict)
		got := testkit.Must(db.Invitation(ctx, o.ID))(t)
		testkit.Equal(t, "state", got.State, signin.InvitationOpen)
		testkit.Equal(t, "approver", got.Approver, portal.PersonID("ada"))
		withInvitation(fixture.NewEnrolment(t, anna, "Phone"), o).Issue(t, db)
		waiting = testkit.Must(db.WaitingInvitations(ctx, testkit.Noon.Add(signin.InvitationLife), 10))(t)
		testkit.Equal(t, "waiting a day later", len(waiting), 1) // ben's was made a minute later
		testkit.Equal(t, "approvals", len(fixture.Entries(t, db)), 6)
	})
}

// Without its audit entry an invitation is neither made nor used nor approved.
func TestInvitationNeedsItsEntry(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		o := invited(t, db, anna, 1, testkit.Noon)
		waits := invitation("ben", 2, testkit.Noon)
		waits.State = signin.InvitationWaiting
		if err := db.Invite(ctx, waits); err != nil {
			t.Fatal(err)
		}
		if _, err := db.plain.Exec("DELETE FROM ledger_head"); err != nil {
			t.Fatal(err)
		}
		if db.Invite(ctx, invitation(anna, 3, testkit.Noon)) == nil || db.Reserve(ctx, withInvitation(fixture.NewEnrolment(t, anna, "Phone"), o).Reservation) == nil ||
			db.ApproveInvitation(ctx, waits.ID, "ada", testkit.Noon, mismatchEntry(audit.InvitationApproved, "ben")) == nil {
			t.Error("done without an entry")
		}
		testkit.Equal(t, "still open", testkit.Must(db.Invited(ctx, anna))(t), o.Invitation)
		testkit.Equal(t, "still waiting", testkit.Must(db.Invited(ctx, "ben"))(t), waits.Invitation)
	})
}

// A challenge carries the invitation to the certificate that a phone asks for.
func TestInvitationOfAChallenge(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		o := invited(t, db, anna, 1, testkit.Noon)
		e := withInvitation(fixture.NewEnrolment(t, anna, "Phone"), o)
		c := enroll.StoredChallenge{
			ID: "c1", SecretHash: [32]byte{1}, TokenHash: [32]byte{2}, Device: e.Reservation.Device, Names: [32]byte{3},
			Made: testkit.Noon, Expires: testkit.Noon.Add(time.Minute), Invitation: o.ID,
		}
		if err := db.AddChallenge(ctx, c, 5, fixture.NewEntry(testkit.Noon, audit.ChallengeMade, anna)); err != nil {
			t.Fatal(err)
		}
		testkit.Equal(t, "carried", testkit.Must(db.ChallengeBySecret(ctx, c.SecretHash))(t).Invitation, o.ID)
		testkit.Equal(t, "not used yet", testkit.Must(db.Invitation(ctx, o.ID))(t).State, signin.InvitationOpen)
		e.Reservation.NewDevice, e.Reservation.Challenge = false, c.SecretHash
		e.Issue(t, db)
		testkit.Equal(t, "used", testkit.Must(db.Invitation(ctx, o.ID))(t).Serial, e.Serial())
		c.ID, c.SecretHash, c.TokenHash = "c2", [32]byte{4}, [32]byte{5}
		err := db.AddChallenge(ctx, c, 5, fixture.NewEntry(testkit.Noon, audit.ChallengeMade, anna))
		wantRefusal(t, err, portal.CodeOver)
	})
}

func TestFindDevices(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		e := fixture.NewEnrolment(t, anna, "Änne’s iPhone").Issue(t, db)
		fixture.NewEnrolment(t, "ben", "Ben's phone").Issue(t, db)
		gone := fixture.NewEnrolment(t, "carl", "Ben's old").Issue(t, db)
		if _, err := db.Revoke(ctx, enroll.Revocation{
			Cause: portal.Removed, At: testkit.Noon, RemoveDevice: gone.Device(), Entry: fixture.NewEntry(testkit.Noon, "", "carl"),
		}); err != nil {
			t.Fatal(err)
		}
		serial := e.Serial().String()
		tests := []struct {
			name, query string
			want        string
		}{
			{"beginning", "änne", "[anna]"},
			{"another case", "BEN'S", "[ben]"},
			{"whole name", "Ben's phone", "[ben]"},
			{"middle", "phone", "[]"},
			{"wildcards", "%", "[]"},
			{"sql", "' OR 1=1 --", "[]"},
			{"unstorable", "ben\x00", "[]"},
			{"serial", serial, "[anna]"},
			{"serial with colons", "0x" + serial[:2] + ":" + serial[2:], "[anna]"},
			{"part of a serial", serial[:10], "[]"},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				people := []portal.PersonID{}
				for _, d := range testkit.Must(db.FindDevices(ctx, tt.query, 10))(t) {
					people = append(people, d.Person)
				}
				testkit.Equal(t, "found", fmt.Sprint(people), tt.want)
			})
		}
		testkit.Equal(t, "limit", len(testkit.Must(db.FindDevices(ctx, "", 1))(t)), 1)
	})
}

func TestEntriesAbout(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		for _, e := range []audit.Entry{
			fixture.NewEntry(testkit.Noon, audit.SignedIn, anna), fixture.NewEntry(testkit.Noon, audit.SignInRefused, anna), fixture.NewEntry(testkit.Noon, audit.SignedIn, "ben"),
			mismatchEntry(audit.InvitationRefused, anna), fixture.NewEntry(testkit.Noon, audit.SignedOut, anna),
		} {
			if err := db.Note(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
		testkit.Equal(t, "newest", actions(testkit.Must(db.EntriesAbout(ctx, anna, 2))(t)), "[session.signed-out invitation.refused]")
		failed := testkit.Must(db.EntriesAbout(ctx, anna, 10, audit.SignInRefused, audit.InvitationRefused))(t)
		testkit.Equal(t, "failed", actions(failed), "[invitation.refused session.refused]")
		testkit.Equal(t, "nobody", len(testkit.Must(db.EntriesAbout(ctx, "a\x00", 10))(t)), 0)
	})
}

func TestPausedUntil(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx, limit := t.Context(), signin.Limit{Tries: 1, Window: time.Hour}
		for range 2 {
			testkit.Equal(t, "not yet", testkit.Must(db.PausedUntil(ctx, "anna", testkit.Noon))(t), time.Time{})
			testkit.Must(db.Try(ctx, "anna", limit, testkit.Noon))(t)
		}
		testkit.Equal(t, "paused", testkit.Must(db.PausedUntil(ctx, "anna", testkit.Noon))(t), testkit.Noon.Add(time.Hour))
		testkit.Equal(t, "somebody else", testkit.Must(db.PausedUntil(ctx, "ben", testkit.Noon))(t), time.Time{})
		testkit.Equal(t, "over", testkit.Must(db.PausedUntil(ctx, "anna", testkit.Noon.Add(time.Hour)))(t), time.Time{})
	})
}
