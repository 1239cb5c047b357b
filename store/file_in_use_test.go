package store_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// newFile makes what the registrar would make for a new file of a device, which ends at
// most the certificate that its person agreed to.
func newFile(t testing.TB, e fixture.Enrolment, at time.Time, ends ca.Serial) fixture.Enrolment {
	t.Helper()
	next := renewal(t, e, at)
	next.Reservation.RenewFrom, next.Reservation.Ends, next.Completion.Ends = 0, ends, ends
	return next
}

// TestF22_TwoReplicasEndNoFileUnasked asks two replicas for a new file of one device: the
// one that the phone fetched in between ends only as its person agreed.
func TestF22_TwoReplicasEndNoFileUnasked(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx, replica, at := t.Context(), opened(t, db.address), testkit.Noon.Add(time.Hour)
		old := fetched(t, db, fixture.NewEnrolment(t, anna, "Phone").Issue(t, db))
		one := newFile(t, old, at, ca.Serial{}).Issue(t, db)
		// This replica is asked before the phone fetches what the other one made.
		two := newFile(t, old, at, ca.Serial{}).Reserve(t, replica)
		fetched(t, db, one)
		wantError(t, "fetched meanwhile", replica.Complete(ctx, two.Completion), enroll.ErrFileInUse)
		revoke(t, replica, portal.Abandoned, at, two.Serial())
		testkit.Equal(t, "the fetched one", certificate(t, db, one).Status, portal.Issued)
		testkit.Equal(t, "the one before", certificate(t, db, old).Status, portal.Superseded)

		for _, ends := range []ca.Serial{{}, old.Serial(), two.Serial()} {
			err := replica.Reserve(ctx, newFile(t, old, at, ends).Reservation)
			wantError(t, "a new file that ends "+ends.String(), err, enroll.ErrFileInUse)
		}
		early := renewal(t, old, late(old)) // a renewal does not end it either
		early.Reservation.Requested = at.Add(time.Minute)
		early.Reservation.RenewFrom = fixture.Year
		wantError(t, "a renewal", replica.Reserve(ctx, early.Reservation), enroll.ErrFileInUse)

		three := newFile(t, old, at, one.Serial()).Issue(t, replica)
		testkit.Equal(t, "as agreed", certificate(t, db, one).Cause, portal.Replaced)
		testkit.Equal(t, "the newest", certificate(t, db, three).Status, portal.Issued)
		testkit.Equal(t, "the one before", certificate(t, db, old).Status, portal.Superseded)
	})
}

// TestF22_FilesAtOnce has both replicas make files that their phone fetches at once: each
// one that was fetched works, but for those that a person gave up.
func TestF22_FilesAtOnce(t *testing.T) {
	const rounds, taps = 6, 6
	onBoth(t, func(t *testing.T, db *database) {
		replica := opened(t, db.address)
		for round := range rounds {
			at := testkit.Noon.Add(time.Hour)
			old := fetched(t, db, fixture.NewEnrolment(t, portal.PersonID(fmt.Sprint("person", round)), "Phone").Issue(t, db))
			var waiting sync.WaitGroup
			var made atomic.Int32
			var all [taps]fixture.Enrolment
			for i := range taps {
				all[i] = newFile(t, old, at, ca.Serial{})
				via := enroll.Store(db)
				if i%2 == 1 {
					via = replica
				}
				waiting.Go(func() {
					err := via.Reserve(t.Context(), all[i].Reservation)
					if err == nil {
						err = via.Complete(t.Context(), all[i].Completion)
					}
					if err == nil {
						err = via.ConfirmRead(t.Context(), all[i].TokenHash, 5, at)
					}
					if err == nil {
						made.Add(1)
					} else if !errors.Is(err, portal.ErrConflict) {
						t.Error(err)
					}
				})
			}
			waiting.Wait()
			if made.Load() == 0 {
				t.Error("no file was made")
			}
			for _, e := range all {
				var ended int
				err := db.plain.QueryRow("SELECT count(*) FROM certificates WHERE serial = $1 AND status = 'revoked' AND delivered_at IS NOT NULL",
					e.Serial().String()).Scan(&ended)
				if err != nil || ended > 0 {
					t.Errorf("round %d: a file that was fetched ended unasked: %v", round, err)
				}
			}
			checkHeld(t, db, old.Device())
		}
	})
}

// TestF22_ChallengeEndsWhatWasAgreed: a phone that comes with its challenge ends what its
// person agreed to when the challenge was made, and nothing else.
func TestF22_ChallengeEndsWhatWasAgreed(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx, at := t.Context(), testkit.Noon.Add(time.Minute)
		old := fetched(t, db, fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db))
		one := fetched(t, db, newFile(t, old, at, ca.Serial{}).Issue(t, db))
		c := challenge(old, "agreed")
		c.Ends = one.Serial()
		testkit.NoError(t, db.AddChallenge(ctx, c, 5, fixture.NewEntry(testkit.Noon, audit.ChallengeMade, anna)))
		read := testkit.Must(db.ChallengeBySecret(ctx, c.SecretHash))(t)
		testkit.Equal(t, "what may end", read.Ends, one.Serial())
		wrong := withChallenge(newFile(t, old, at, ca.Serial{}), c)
		wantError(t, "nothing agreed", db.Reserve(ctx, wrong.Reservation), enroll.ErrFileInUse)
		right := withChallenge(newFile(t, old, at, read.Ends), c).Issue(t, db)
		testkit.Equal(t, "as agreed", certificate(t, db, one).Cause, portal.Replaced)
		testkit.Equal(t, "the newest", certificate(t, db, right).Status, portal.Issued)
	})
}
