package store_test

import (
	"crypto/sha256"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/scep"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

var (
	_ enroll.Store = (*store.DB)(nil)
	_ scep.Store   = (*store.DB)(nil)
)

// challenge makes what the registrar would make for a device of a request.
func challenge(e fixture.Enrolment, id string) enroll.StoredChallenge {
	return enroll.StoredChallenge{
		ID: enroll.ChallengeID(id), SecretHash: sha256.Sum256([]byte("secret " + id)), TokenHash: sha256.Sum256([]byte("token " + id)),
		Device: e.Reservation.Device, Names: sha256.Sum256([]byte("names")), Made: testkit.Noon, Expires: testkit.Noon.Add(10 * time.Minute),
	}
}

func addChallenge(t testing.TB, db *database, e fixture.Enrolment, id string) enroll.StoredChallenge {
	t.Helper()
	c := challenge(e, id)
	if err := db.AddChallenge(t.Context(), c, 5, fixture.NewEntry(testkit.Noon, audit.ChallengeMade, e.Reservation.Person)); err != nil {
		t.Fatal(err)
	}
	return c
}

// withChallenge has a reservation use up a challenge, for the device that it made.
func withChallenge(e fixture.Enrolment, c enroll.StoredChallenge) fixture.Enrolment {
	e.Reservation.NewDevice, e.Reservation.Challenge = false, c.SecretHash
	e.Completion.Pickup, e.Completion.Delivered = nil, true
	return e
}

func TestChallenge(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		e := fixture.NewEnrolment(t, anna, "Anna's iPhone")
		want := addChallenge(t, db, e, "one")
		for name, find := range map[string]func() (enroll.StoredChallenge, error){
			"secret": func() (enroll.StoredChallenge, error) { return db.ChallengeBySecret(ctx, want.SecretHash) },
			"token":  func() (enroll.StoredChallenge, error) { return db.ChallengeByToken(ctx, want.TokenHash) },
			"device": func() (enroll.StoredChallenge, error) {
				return db.OpenChallenge(ctx, anna, want.Device.ID, testkit.Noon)
			},
		} {
			got := testkit.Must(find())(t)
			testkit.Equal(t, name+": id", got.ID, want.ID)
			testkit.Equal(t, name+": secret", got.SecretHash, want.SecretHash)
			testkit.Equal(t, name+": token", got.TokenHash, want.TokenHash)
			testkit.Equal(t, name+": names", got.Names, want.Names)
			testkit.Equal(t, name+": made", got.Made, testkit.Noon)
			testkit.Equal(t, name+": end", got.Expires, testkit.Noon.Add(10*time.Minute))
			testkit.Equal(t, name+": used", got.Used.IsZero(), true)
			testkit.Equal(t, name+": certificate", got.Serial, ca.Serial{})
			testkit.Equal(t, name+": device", got.Device.ID, want.Device.ID)
			testkit.Equal(t, name+": person", got.Device.Person, anna)
			testkit.Equal(t, name+": platform", got.Device.Platform, portal.IOS)
		}
		_, err := db.ChallengeBySecret(ctx, want.TokenHash)
		wantError(t, "token for a secret", err, portal.ErrNotFound)
		_, err = db.OpenChallenge(ctx, "bert", want.Device.ID, testkit.Noon)
		wantError(t, "somebody else's", err, portal.ErrNotFound)
		_, err = db.OpenChallenge(ctx, anna, want.Device.ID, want.Expires)
		wantError(t, "run out", err, portal.ErrNotFound)
		// The device exists for its page, and is in no list yet.
		testkit.Equal(t, "device", testkit.Must(db.Device(ctx, anna, want.Device.ID))(t).Name, "Anna's iPhone")
		testkit.Equal(t, "devices", len(testkit.Must(db.Devices(ctx, anna))(t)), 0)
		testkit.Equal(t, "audit log", actions(fixture.Entries(t, db)), "[challenge.made]")

		withChallenge(e, want).Issue(t, db)
		used := testkit.Must(db.ChallengeBySecret(ctx, want.SecretHash))(t)
		testkit.Equal(t, "used", used.Used, testkit.Noon)
		testkit.Equal(t, "certificate", used.Serial, e.Serial())
		_, err = db.OpenChallenge(ctx, anna, want.Device.ID, testkit.Noon)
		wantError(t, "used", err, portal.ErrNotFound)
		got := testkit.Must(db.Devices(ctx, anna))(t)
		testkit.Equal(t, "devices", len(got), 1)
		testkit.Equal(t, "delivered", got[0].Certificate.Delivered, testkit.Noon)
		held := testkit.Must(db.Held(ctx, e.Serial()))(t)
		testkit.Equal(t, "holder", held.Person, anna)
		sameBytes(t, "held certificate", held.Certificate.DER, e.Completion.Certificate.Raw)
		_, err = db.Held(ctx, fixture.NewEnrolment(t, anna, "x").Serial())
		wantError(t, "unknown serial", err, portal.ErrNotFound)
		// A stolen file and its password renew nothing.
		file := fixture.NewEnrolment(t, anna, "Android")
		file.Issue(t, db)
		_, err = db.Held(ctx, file.Serial())
		wantError(t, "key made by the portal", err, portal.ErrNotFound)
	})
}

func TestA15_ChallengeIsUsedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		first := fixture.NewEnrolment(t, anna, "iPhone")
		c := addChallenge(t, db, first, "one")
		replica := opened(t, db.address)
		var waiting sync.WaitGroup
		var reserved atomic.Int32
		for i := range 16 {
			e := fixture.NewEnrolment(t, anna, "iPhone")
			e.Reservation.Device = first.Reservation.Device
			via := enroll.Store(db)
			if i%2 == 1 {
				via = replica
			}
			waiting.Go(func() {
				if via.Reserve(t.Context(), withChallenge(e, c).Reservation) == nil {
					reserved.Add(1)
				}
			})
		}
		waiting.Wait()
		testkit.Equal(t, "reservations", reserved.Load(), 1)
		testkit.Equal(t, "audit log", actions(fixture.Entries(t, db)), "[challenge.made certificate.reserved]")
	})
}

func TestChallengeIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		e := fixture.NewEnrolment(t, anna, "iPhone")
		c := addChallenge(t, db, e, "one")
		late := withChallenge(e, c)
		late.Reservation.Requested = c.Expires
		wantError(t, "run out", db.Reserve(ctx, late.Reservation), portal.ErrConflict)
		other := fixture.NewEnrolment(t, anna, "iPad").Issue(t, db)
		foreign := withChallenge(fixture.NewEnrolment(t, anna, "iPad"), c)
		foreign.Reservation.Device = other.Reservation.Device
		wantError(t, "another device", db.Reserve(ctx, foreign.Reservation), portal.ErrConflict)
		unknown := withChallenge(e, challenge(e, "never made"))
		wantError(t, "unknown", db.Reserve(ctx, unknown.Reservation), portal.ErrConflict)
		// The next profile of the device ends the one before.
		next := challenge(e, "two")
		if err := db.AddChallenge(ctx, next, 5, fixture.NewEntry(testkit.Noon, audit.ChallengeMade, anna)); err != nil {
			t.Fatal(err)
		}
		wantError(t, "replaced", db.Reserve(ctx, withChallenge(e, c).Reservation), portal.ErrConflict)
		withChallenge(e, next).Reserve(t, db)
	})
}

// The registrar checked the holder before; what happened since then counts.
func TestA15_RenewalOfWhatEndedMeanwhile(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		first := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		renewal := func(of fixture.Enrolment) fixture.Enrolment {
			e := of.Renewal(t)
			e.Reservation.Renews = of.Serial()
			e.Completion.Pickup, e.Completion.Delivered, e.Completion.Supersede = nil, true, false
			return e
		}
		denied := func(doing string, of fixture.Enrolment, at time.Time, why string) {
			t.Helper()
			e := renewal(of)
			e.Reservation.Requested = at
			var denial *portal.Denial
			if err := db.Reserve(ctx, e.Reservation); !errors.As(err, &denial) || denial.Why != why {
				t.Errorf("%s: got %v, want %s", doing, err, why)
			}
		}
		soon, later := testkit.Noon.Add(time.Hour), first.Reservation.NotAfter.Add(-time.Hour)
		second := renewal(first)
		second.Reservation.NotAfter = first.Reservation.NotAfter.Add(24 * time.Hour)
		second.Issue(t, db)
		denied("the one it renewed works", second, later, portal.HolderEarly)
		denied("renewed before, another form", first, later, portal.HolderEarly)
		third := renewal(second)
		third.Reservation.Requested = first.Reservation.NotAfter.Add(time.Hour)
		third.Reserve(t, db)
		revoke(t, db, portal.Abandoned, soon, third.Serial())
		// A new file of the person ends all certificates of the device.
		second.Renewal(t).Issue(t, db)
		denied("replaced", second, soon, portal.HolderEnded)
	})
}

func TestChallengeKeepsToQuotaAndNames(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx, made := t.Context(), fixture.NewEntry(testkit.Noon, audit.ChallengeMade, anna)
		fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		wantRefusal(t, db.AddChallenge(ctx, challenge(fixture.NewEnrolment(t, anna, "IPHONE"), "name"), 5, made), portal.NameTaken)
		wantRefusal(t, db.AddChallenge(ctx, challenge(fixture.NewEnrolment(t, anna, "iPad"), "quota"), 1, made), portal.QuotaReached)
		theirs := fixture.NewEnrolment(t, "bert", "iPhone").Issue(t, db)
		stolen := challenge(theirs, "stolen")
		stolen.Device.Person, stolen.Device.Name = anna, "iPad"
		wantError(t, "device of another", db.AddChallenge(ctx, stolen, 5, made), portal.ErrConflict)
		gone := fixture.NewEnrolment(t, anna, "gone").Issue(t, db)
		_, err := db.Revoke(ctx, enroll.Revocation{RemoveDevice: gone.Device(), Cause: portal.Removed, At: testkit.Noon, Entry: made})
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, "removed device", db.AddChallenge(ctx, challenge(gone, "gone"), 5, made), portal.ErrConflict)
	})
}

func TestPruneChallenges(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		never, came := fixture.NewEnrolment(t, anna, "never came"), fixture.NewEnrolment(t, anna, "came")
		addChallenge(t, db, never, "never")
		withChallenge(came, addChallenge(t, db, came, "came")).Issue(t, db)
		end := testkit.Noon.Add(10*time.Minute + time.Hour)
		testkit.Equal(t, "too early", testkit.Must(db.PruneChallenges(ctx, end.Add(-time.Millisecond)))(t), 0)
		testkit.Equal(t, "gone", testkit.Must(db.PruneChallenges(ctx, end))(t), 2)
		_, err := db.Device(ctx, anna, never.Device())
		wantError(t, "device that never came", err, portal.ErrNotFound)
		testkit.Equal(t, "device that came", testkit.Must(db.Device(ctx, anna, came.Device()))(t).Name, "came")
	})
}

func TestRAs(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		var serials []ca.Serial
		for i := range 3 {
			e := fixture.NewEnrolment(t, anna, "agent")
			e.Reservation = enroll.Reservation{
				Serial: e.Serial(), Kind: portal.KindServer, Profile: "SCEP", PublicKey: e.Reservation.PublicKey,
				NotBefore: testkit.Noon, NotAfter: testkit.Noon.Add(time.Hour), Requested: testkit.Noon, Entry: fixture.NewEntry(testkit.Noon, audit.CertificateReserved, ""),
			}
			e.Completion.Pickup = nil
			e.Issue(t, db)
			err := db.AddRA(ctx, e.Serial(), []byte("sealed "+strconv.Itoa(i)), testkit.Noon.Add(time.Duration(i+1)*time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			serials = append(serials, e.Serial())
		}
		list := func(at time.Time) string {
			all := ""
			err := db.RAs(ctx, at, func(der, sealed []byte) error {
				if len(der) == 0 {
					t.Error("RA without certificate")
				}
				all += string(sealed) + " "
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		one := func(serial ca.Serial, at time.Time) string {
			der, sealed, err := db.RA(ctx, serial, at)
			if err != nil {
				wantError(t, "RA "+serial.String(), err, portal.ErrNotFound)
			}
			if (len(der) == 0) != (err != nil) {
				t.Errorf("certificate of %d bytes with error %v", len(der), err)
			}
			return string(sealed)
		}
		user := fixture.NewEnrolment(t, anna, "no agent").Issue(t, db)
		testkit.Equal(t, "certificate of a person", one(user.Serial(), testkit.Noon), "")
		testkit.Equal(t, "first one", one(serials[0], testkit.Noon), "sealed 0")
		testkit.Equal(t, "first one at its end", one(serials[0], testkit.Noon.Add(time.Hour)), "")
		testkit.Equal(t, "agents", list(testkit.Noon), "sealed 2 sealed 1 sealed 0 ")
		testkit.Equal(t, "later", list(testkit.Noon.Add(time.Hour)), "sealed 2 sealed 1 ")
		revoke(t, db, portal.Removed, testkit.Noon, serials[2])
		testkit.Equal(t, "last one, revoked", one(serials[2], testkit.Noon), "")
		testkit.Equal(t, "after revocation", list(testkit.Noon), "sealed 1 sealed 0 ")
		if _, err := db.PruneChallenges(ctx, testkit.Noon.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		testkit.Equal(t, "after pruning", list(testkit.Noon), "sealed 1 ")
	})
}
