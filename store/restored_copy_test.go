package store_test

import (
	"errors"
	"testing"
	"time"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// TestF15_ARestoredCopyBringsNoRightBack: what an older copy holds of sessions, hand-offs,
// codes, challenges and files ends, and nothing is issued until an administrator resumes.
func TestF15_ARestoredCopyBringsNoRightBack(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		handoff := offered(t, db, anna, 1, testkit.Noon) // with the session of the number
		code := invited(t, db, anna, 1, testkit.Noon)
		challenge := addChallenge(t, db, fixture.NewEnrolment(t, anna, "Anna's iPhone"), "one")
		file := fixture.NewEnrolment(t, "ben", "Ben's Galaxy").Issue(t, db)
		open := func() map[string]bool {
			_, session := db.Session(ctx, [32]byte{1}, testkit.Noon)
			_, byCode := db.OpenHandoff(ctx, handoff.CodeHash, testkit.Noon)
			_, bySecret := db.ChallengeBySecret(ctx, challenge.SecretHash)
			pickup := testkit.Must(db.Pickup(ctx, file.TokenHash))(t)
			return map[string]bool{
				"session": session == nil, "hand-off": byCode == nil, "challenge": bySecret == nil,
				"code": testkit.Must(db.Invitation(ctx, code.ID))(t).State == signin.InvitationOpen,
				"key":  len(pickup.Key) > 0, "password": len(pickup.Password) > 0,
			}
		}
		for what, is := range open() {
			if !is {
				t.Errorf("before: no open %s", what)
			}
		}
		later := testkit.Noon.Add(time.Minute)
		testkit.NoError(t, db.EndRestored(ctx, later))
		for what, is := range open() {
			if is {
				t.Errorf("the %s is still open", what)
			}
		}
		err := db.Reserve(ctx, fixture.NewEnrolment(t, "ben", "Another").Reservation)
		wantRefusal(t, err, portal.Halted)
		halt := testkit.Must(db.Halted(ctx))(t)
		testkit.Equal(t, "halt", halt, admin.Halt{Reason: admin.RestoredCopy, Actor: "system", Since: later})
		entries := fixture.EntriesOf(t, db.DB, audit.IssuingHalted)
		if len(entries) != 1 || entries[0].Detail["sessions"] != "1" || entries[0].Detail["codes"] != "1" || entries[0].Detail["pickups"] != "1" {
			t.Errorf("audit log: got %+v", entries)
		}
		resumed := testkit.Must(db.SetHalt(ctx, admin.Halt{Actor: "ada"}, fixture.NewEntry(later, audit.IssuingResumed, "ada")))(t)
		testkit.Equal(t, "resumed", resumed, true)
		testkit.NoError(t, db.Reserve(ctx, fixture.NewEnrolment(t, "ben", "Another").Reservation))
		// A running request does not bring its session back.
		err = db.SaveSession(ctx, [32]byte{1}, string(anna), []byte("x"), time.Hour, later.Add(time.Hour), later)
		if !errors.Is(err, portal.ErrConflict) {
			t.Errorf("saving an ended session: got %v", err)
		}
	})
}

// TestF15_AUsedCodeStaysUsed: the copy has a reservation with a code whose certificate was
// issued afterwards. The end of that reservation gives the code not back.
func TestF15_AUsedCodeStaysUsed(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		code := invited(t, db, anna, 1, testkit.Noon)
		pending := withInvitation(fixture.NewEnrolment(t, anna, "Phone"), code).Reserve(t, db)
		used := invited(t, db, "ben", 2, testkit.Noon)
		withInvitation(fixture.NewEnrolment(t, "ben", "Phone"), used).Issue(t, db)
		testkit.NoError(t, db.EndRestored(ctx, testkit.Noon.Add(time.Minute)))
		revoke(t, db, portal.Abandoned, testkit.Noon.Add(time.Hour), pending.Serial())
		testkit.Equal(t, "code of the reservation", testkit.Must(db.Invitation(ctx, code.ID))(t).State, signin.InvitationEnded)
		testkit.Equal(t, "code of a certificate", testkit.Must(db.Invitation(ctx, used.ID))(t).State, signin.InvitationRedeemed)
		testkit.Equal(t, "counted", fixture.EntriesOf(t, db.DB, audit.IssuingHalted)[0].Detail["codes used"], "1")
	})
}
