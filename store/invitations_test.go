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
)

// invitation makes what the desk would make for a person.
func invitation(person portal.PersonID, n byte, at time.Time) signin.InvitationOffer {
	return signin.InvitationOffer{
		Invitation: signin.Invitation{
			ID: signin.InvitationID(fmt.Sprintf("invitation-%d", n)), Person: person, MadeBy: "hedi", MadeRole: portal.Helpdesk,
			Made: at, Check: signin.CheckOther, Note: "Schwester \u202e 李", Purpose: signin.ForBroken, Device: "d1",
			Alone: true, State: signin.InvitationOpen, Expires: at.Add(signin.InvitationLife),
		},
		CodeHash: [32]byte{n}, Entry: about(audit.InvitationMade, person),
	}
}

// about is an entry of the helpdesk's.
func about(action audit.Action, person portal.PersonID) audit.Entry {
	e := entry(action, person)
	e.Actor, e.Role = "hedi", "helpdesk"
	return e
}

func invited(t *testing.T, db *fixture, person portal.PersonID, n byte, at time.Time) signin.InvitationOffer {
	t.Helper()
	o := invitation(person, n, at)
	if err := db.Invite(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o
}

// by gives a request the invitation.
func (e enrolment) by(o signin.InvitationOffer) enrolment {
	e.reservation.Invitation = o.ID
	return e
}

func TestInvitation(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		o := invited(t, db, anna, 1, noon)
		equal(t, "by code", must[signin.Invitation](t)(db.InvitationByCode(ctx, o.CodeHash)), o.Invitation)
		equal(t, "by id", must[signin.Invitation](t)(db.Invitation(ctx, o.ID)), o.Invitation)
		equal(t, "of the person", must[signin.Invitation](t)(db.Invited(ctx, anna)), o.Invitation)
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

		e := issue(t, db, request(t, anna, "Phone").by(o))
		redeemed := must[signin.Invitation](t)(db.Invitation(ctx, o.ID))
		equal(t, "state", redeemed.State, signin.InvitationRedeemed)
		equal(t, "serial", redeemed.Serial, e.serial())
		equal(t, "closed", redeemed.Closed, noon)
		wantRefusal(t, db.Reserve(ctx, request(t, anna, "Second").by(o).reservation), portal.CodeOver)
		all := entries(t, db)
		equal(t, "ledger", actions(all), "[invitation.made invitation.redeemed certificate.reserved certificate.issued]")
		equal(t, "object", all[1].Object, string(o.ID))
		equal(t, "made by", all[1].Detail["by"], "hedi")
	})
}

// A reservation is refused, and leaves nothing behind, when its invitation is not
// open for its person.
func TestInvitationMustBeOpen(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, db *fixture, id signin.InvitationID) // once it is made
		person portal.PersonID
		at     time.Duration
	}{
		{"somebody else's", nil, "ben", 0},
		{"out of time", nil, anna, signin.InvitationLife},
		{"waiting", func(t *testing.T, db *fixture, id signin.InvitationID) {
			if _, err := db.plain.Exec("UPDATE invitations SET state = 'waiting' WHERE id = $1", string(id)); err != nil {
				t.Fatal(err)
			}
		}, anna, 0},
		{"replaced", func(t *testing.T, db *fixture, _ signin.InvitationID) { invited(t, db, anna, 20, noon) }, anna, 0},
		{"another id", func(t *testing.T, db *fixture, id signin.InvitationID) {
			if _, err := db.plain.Exec("UPDATE invitations SET id = 'other' WHERE id = $1", string(id)); err != nil {
				t.Fatal(err)
			}
		}, anna, 0},
	}
	onBoth(t, func(t *testing.T, db *fixture) {
		for n, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				o := invited(t, db, anna, byte(n+1), noon)
				if tt.change != nil {
					tt.change(t, db, o.ID)
				}
				e := request(t, tt.person, "Phone").by(o)
				e.reservation.Requested = noon.Add(tt.at)
				wantRefusal(t, db.Reserve(t.Context(), e.reservation), portal.CodeOver)
				_, err := db.Device(t.Context(), tt.person, e.device())
				wantError(t, "device", err, portal.ErrNotFound)
			})
		}
		for _, e := range entries(t, db) {
			if e.Action == audit.CertificateReserved || e.Action == audit.InvitationRedeemed {
				t.Errorf("got entry %s", e.Action)
			}
		}
	})
}

func TestOneInvitationAtATime(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		first, other := invited(t, db, anna, 1, noon), invited(t, db, "ben", 2, noon)
		second := invited(t, db, anna, 3, noon.Add(time.Minute))
		ended := must[signin.Invitation](t)(db.Invitation(ctx, first.ID))
		equal(t, "state of the first", ended.State, signin.InvitationEnded)
		equal(t, "its end", ended.Closed, noon.Add(time.Minute))
		equal(t, "the second", must[signin.Invitation](t)(db.Invited(ctx, anna)).ID, second.ID)
		equal(t, "somebody else's", must[signin.Invitation](t)(db.Invited(ctx, "ben")).ID, other.ID)
		wantError(t, "the same code again", db.Invite(ctx, second), portal.ErrConflict)
		all := entries(t, db)
		equal(t, "ledger", actions(all), "[invitation.made invitation.made invitation.ended invitation.made]")
		equal(t, "which ended", all[2].Object, string(first.ID))

		// What ended long ago is dropped with the next one.
		invited(t, db, "carl", 4, noon.Add(100*24*time.Hour))
		_, err := db.Invitation(ctx, first.ID)
		wantError(t, "after a hundred days", err, portal.ErrNotFound)
	})
}

// Of many who bring the same code at once, over two replicas, one gets a
// certificate.
func TestF22_InvitationIsUsedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		replica := opened(t, db.address)
		o := invited(t, db, anna, 1, noon)
		results := make(chan error, 20)
		var waiting sync.WaitGroup
		for n := range cap(results) {
			via := enroll.Store(db)
			if n%2 == 1 {
				via = replica
			}
			e := request(t, anna, fmt.Sprint("Phone ", n)).by(o)
			e.reservation.Quota = 100
			waiting.Go(func() { results <- via.Reserve(t.Context(), e.reservation) })
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
		equal(t, "certificates", in, 1)
		equal(t, "ledger", actions(entries(t, db)), "[invitation.made invitation.redeemed certificate.reserved]")
	})
}

// A certificate that the portal did not manage to make uses nobody's code up; one
// that was made and not fetched does.
func TestInvitationComesBack(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		o := invited(t, db, anna, 1, noon)
		e := reserve(t, db, request(t, anna, "Phone").by(o))
		revoke(t, db, portal.Abandoned, noon, e.serial())
		equal(t, "given back", must[signin.Invitation](t)(db.Invitation(ctx, o.ID)), o.Invitation)
		equal(t, "told", entries(t, db)[3].Detail["reopened"], string(o.ID))

		e = issue(t, db, request(t, anna, "Phone").by(o))
		revoke(t, db, portal.Undelivered, noon, e.serial())
		equal(t, "kept", must[signin.Invitation](t)(db.Invitation(ctx, o.ID)).State, signin.InvitationRedeemed)

		o = invited(t, db, anna, 2, noon)
		e = reserve(t, db, request(t, anna, "Phone").by(o))
		newer := invited(t, db, anna, 3, noon)
		revoke(t, db, portal.Abandoned, noon, e.serial())
		equal(t, "behind a newer one", must[signin.Invitation](t)(db.Invitation(ctx, o.ID)).State, signin.InvitationRedeemed)
		equal(t, "the newer one", must[signin.Invitation](t)(db.Invited(ctx, anna)).ID, newer.ID)
	})
}

func TestA4_ApproveInvitation(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		approve := func(id signin.InvitationID, by portal.PersonID, at time.Time) error {
			return db.ApproveInvitation(ctx, id, by, at, about(audit.InvitationApproved, anna))
		}
		o := invitation(anna, 1, noon)
		o.State = signin.InvitationWaiting
		if err := db.Invite(ctx, o); err != nil {
			t.Fatal(err)
		}
		late := invitation("ben", 2, noon.Add(time.Minute))
		late.State = signin.InvitationWaiting
		if err := db.Invite(ctx, late); err != nil {
			t.Fatal(err)
		}
		waiting := must[[]signin.Invitation](t)(db.WaitingInvitations(ctx, noon, 10))
		if len(waiting) != 2 || waiting[0] != o.Invitation || waiting[1].ID != late.ID {
			t.Errorf("waiting: got %v", waiting)
		}
		wantError(t, "by its maker", approve(o.ID, "hedi", noon), portal.ErrConflict)
		wantError(t, "by its person", approve(o.ID, anna, noon), portal.ErrConflict)
		wantError(t, "too late", approve(o.ID, "ada", noon.Add(signin.InvitationLife)), portal.ErrConflict)
		wantError(t, "unknown", approve("x\x00", "ada", noon), portal.ErrConflict)
		if err := approve(o.ID, "ada", noon); err != nil {
			t.Fatal(err)
		}
		wantError(t, "twice", approve(o.ID, "adam", noon), portal.ErrConflict)
		got := must[signin.Invitation](t)(db.Invitation(ctx, o.ID))
		equal(t, "state", got.State, signin.InvitationOpen)
		equal(t, "approver", got.Approver, portal.PersonID("ada"))
		issue(t, db, request(t, anna, "Phone").by(o))
		waiting = must[[]signin.Invitation](t)(db.WaitingInvitations(ctx, noon.Add(signin.InvitationLife), 10))
		equal(t, "waiting a day later", len(waiting), 1) // ben's was made a minute later
		equal(t, "approvals", len(entries(t, db)), 6)
	})
}

// Without its ledger entry an invitation is neither made nor used nor approved.
func TestInvitationNeedsItsEntry(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		o := invited(t, db, anna, 1, noon)
		waits := invitation("ben", 2, noon)
		waits.State = signin.InvitationWaiting
		if err := db.Invite(ctx, waits); err != nil {
			t.Fatal(err)
		}
		if _, err := db.plain.Exec("DELETE FROM ledger_head"); err != nil {
			t.Fatal(err)
		}
		if db.Invite(ctx, invitation(anna, 3, noon)) == nil || db.Reserve(ctx, request(t, anna, "Phone").by(o).reservation) == nil ||
			db.ApproveInvitation(ctx, waits.ID, "ada", noon, about(audit.InvitationApproved, "ben")) == nil {
			t.Error("done without an entry")
		}
		equal(t, "still open", must[signin.Invitation](t)(db.Invited(ctx, anna)), o.Invitation)
		equal(t, "still waiting", must[signin.Invitation](t)(db.Invited(ctx, "ben")), waits.Invitation)
	})
}

// A challenge carries the invitation to the certificate that a phone asks for.
func TestInvitationOfAChallenge(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		o := invited(t, db, anna, 1, noon)
		e := request(t, anna, "Phone").by(o)
		c := enroll.StoredChallenge{
			ID: "c1", SecretHash: [32]byte{1}, TokenHash: [32]byte{2}, Device: e.reservation.Device, Names: [32]byte{3},
			Made: noon, Expires: noon.Add(time.Minute), Invitation: o.ID,
		}
		if err := db.AddChallenge(ctx, c, 5, entry(audit.ChallengeMade, anna)); err != nil {
			t.Fatal(err)
		}
		equal(t, "carried", must[enroll.StoredChallenge](t)(db.ChallengeBySecret(ctx, c.SecretHash)).Invitation, o.ID)
		equal(t, "not used yet", must[signin.Invitation](t)(db.Invitation(ctx, o.ID)).State, signin.InvitationOpen)
		e.reservation.NewDevice, e.reservation.Challenge = false, c.SecretHash
		issue(t, db, e)
		equal(t, "used", must[signin.Invitation](t)(db.Invitation(ctx, o.ID)).Serial, e.serial())
		c.ID, c.SecretHash, c.TokenHash = "c2", [32]byte{4}, [32]byte{5}
		err := db.AddChallenge(ctx, c, 5, entry(audit.ChallengeMade, anna))
		wantRefusal(t, err, portal.CodeOver)
	})
}

func TestFindDevices(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		e := issue(t, db, request(t, anna, "Änne’s iPhone"))
		issue(t, db, request(t, "ben", "Ben's phone"))
		gone := issue(t, db, request(t, "carl", "Ben's old"))
		if _, err := db.Revoke(ctx, enroll.Revocation{
			Cause: portal.Removed, At: noon, RemoveDevice: gone.device(), Entry: entry("", "carl"),
		}); err != nil {
			t.Fatal(err)
		}
		serial := e.serial().String()
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
				for _, d := range must[[]portal.Device](t)(db.FindDevices(ctx, tt.query, 10)) {
					people = append(people, d.Person)
				}
				equal(t, "found", fmt.Sprint(people), tt.want)
			})
		}
		equal(t, "limit", len(must[[]portal.Device](t)(db.FindDevices(ctx, "", 1))), 1)
	})
}

func TestEntriesAbout(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		for _, e := range []audit.Entry{
			entry(audit.SignedIn, anna), entry(audit.SignInRefused, anna), entry(audit.SignedIn, "ben"),
			about(audit.InvitationRefused, anna), entry(audit.SignedOut, anna),
		} {
			if err := db.Note(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
		equal(t, "newest", actions(must[[]audit.Entry](t)(db.EntriesAbout(ctx, anna, 2))), "[session.signed-out invitation.refused]")
		failed := must[[]audit.Entry](t)(db.EntriesAbout(ctx, anna, 10, audit.SignInRefused, audit.InvitationRefused))
		equal(t, "failed", actions(failed), "[invitation.refused session.refused]")
		equal(t, "nobody", len(must[[]audit.Entry](t)(db.EntriesAbout(ctx, "a\x00", 10))), 0)
	})
}

func TestPausedUntil(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx, limit := t.Context(), signin.Limit{Tries: 1, Window: time.Hour}
		for range 2 {
			equal(t, "not yet", must[time.Time](t)(db.PausedUntil(ctx, "anna", noon)), time.Time{})
			must[signin.Tries](t)(db.Try(ctx, "anna", limit, noon))
		}
		equal(t, "paused", must[time.Time](t)(db.PausedUntil(ctx, "anna", noon)), noon.Add(time.Hour))
		equal(t, "somebody else", must[time.Time](t)(db.PausedUntil(ctx, "ben", noon)), time.Time{})
		equal(t, "over", must[time.Time](t)(db.PausedUntil(ctx, "anna", noon.Add(time.Hour))), time.Time{})
	})
}
