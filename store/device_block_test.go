package store_test

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func block(t testing.TB, db *database, e fixture.Enrolment, cause portal.Cause, at time.Time) int {
	t.Helper()
	ended, err := db.Revoke(t.Context(), enroll.Revocation{
		Cause: cause, At: at, BlockDevice: e.Device(), Entry: fixture.NewEntry(testkit.Noon, "", e.Reservation.Person),
	})
	if err != nil {
		t.Fatal(err)
	}
	return len(ended)
}

// TestA12_ABlockedDeviceGetsNothing: every way to another certificate is closed.
func TestA12_ABlockedDeviceGetsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		old := fetched(t, db, fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db))
		at := late(old)
		next := renewal(t, old, at).Issue(t, db)
		stuck := old.Renewal(t).Reserve(t, db)
		c := addChallenge(t, db, old, "one")
		code := offered(t, db, anna, 1, testkit.Noon).CodeHash

		testkit.Equal(t, "ended", block(t, db, old, portal.Lost, at.Add(time.Hour)), 3)
		for _, e := range []fixture.Enrolment{old, next, stuck} {
			testkit.Equal(t, "status", certificate(t, db, e).Status, portal.Revoked)
			testkit.Equal(t, "cause", certificate(t, db, e).Cause, portal.Lost)
		}
		d := testkit.Must(db.Device(ctx, anna, old.Device()))(t)
		testkit.Equal(t, "blocked", d.Blocked, at.Add(time.Hour))
		testkit.Equal(t, "devices", len(testkit.Must(db.Devices(ctx, anna))(t)), 1)
		_, err := db.ChallengeBySecret(ctx, c.SecretHash)
		wantError(t, "challenge", err, portal.ErrNotFound)
		_, err = db.OpenHandoff(ctx, code, testkit.Noon)
		wantError(t, "hand-off", err, portal.ErrNotFound)
		wantError(t, "completing", db.Complete(ctx, stuck.Completion), portal.ErrConflict)
		wantRefusal(t, db.Reserve(ctx, old.Renewal(t).Reservation), portal.DeviceBlocked)
		wantRefusal(t, db.Reserve(ctx, renewal(t, old, at).Reservation), portal.DeviceBlocked)
		wantRefusal(t, db.AddChallenge(ctx, challenge(old, "two"), 5, fixture.NewEntry(testkit.Noon, audit.ChallengeMade, anna)), portal.DeviceBlocked)

		// A second tap changes nothing; the name is free for the next phone.
		count := len(fixture.Entries(t, db))
		testkit.Equal(t, "ended again", block(t, db, old, portal.Returned, at.Add(2*time.Hour)), 0)
		testkit.Equal(t, "blocked", testkit.Must(db.Device(ctx, anna, old.Device()))(t).Blocked, at.Add(time.Hour))
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), count)
		fixture.NewEnrolment(t, anna, "iPhone").Reserve(t, db)
	})
}

// TestA11_ClosingNeedsNoSecondAdministrator: a device or a person is closed while the
// certificates wait for a second administrator, whose number is used up.
func TestA11_ClosingNeedsNoSecondAdministrator(t *testing.T) {
	for what, closing := range map[string]func(fixture.Enrolment) enroll.Revocation{
		"device": func(e fixture.Enrolment) enroll.Revocation { return enroll.Revocation{BlockDevice: e.Device()} },
		"person": func(e fixture.Enrolment) enroll.Revocation {
			return enroll.Revocation{EndPerson: anna, Serials: []ca.Serial{e.Serial()}}
		},
	} {
		t.Run(what, func(t *testing.T) {
			onBoth(t, func(t *testing.T, db *database) {
				ctx := t.Context()
				other := fixture.NewEnrolment(t, "ben", "Ben's iPhone").Issue(t, db)
				e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
				c, theirs := addChallenge(t, db, e, "one"), addChallenge(t, db, other, "two")
				code := offered(t, db, anna, 1, testkit.Noon).CodeHash // with the session of the number
				r := closing(e)
				r.Cause, r.At, r.CloseOnly = portal.Lost, testkit.Noon, true
				r.Entry = fixture.NewEntry(testkit.Noon, "", "ada")
				r.Alone = enroll.Alone{Person: "ada", Since: testkit.Noon.Add(-time.Hour), Most: 1}
				testkit.Equal(t, "ended", len(testkit.Must(db.Revoke(ctx, r))(t)), 0)
				testkit.Equal(t, "status", certificate(t, db, e).Status, portal.Issued)
				testkit.Equal(t, "blocked", !testkit.Must(db.Device(ctx, anna, e.Device()))(t).Blocked.IsZero(), what == "device")
				_, err := db.ChallengeBySecret(ctx, c.SecretHash)
				wantError(t, "challenge", err, portal.ErrNotFound)
				_, err = db.OpenHandoff(ctx, code, testkit.Noon)
				wantError(t, "hand-off", err, portal.ErrNotFound)
				_, err = db.Session(ctx, [32]byte{1}, testkit.Noon)
				wantError(t, "session", err, portal.ErrNotFound)
				testkit.Equal(t, "file", len(testkit.Must(db.Pickup(ctx, e.TokenHash))(t).Key), 0)
				testkit.Must(db.ChallengeBySecret(ctx, theirs.SecretHash))(t)
				if file := testkit.Must(db.Pickup(ctx, other.TokenHash))(t); len(file.Key) == 0 {
					t.Error("the file of another person is wiped")
				}
				testkit.Equal(t, "counted", testkit.Must(db.EndedAlone(ctx, r.Alone))(t), 0)
			})
		})
	}
}

func TestBlockingWhatHoldsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		revoke(t, db, portal.Undelivered, testkit.Noon, e.Serial())
		testkit.Equal(t, "ended", block(t, db, e, portal.Retired, testkit.Noon), 0)
		all := fixture.Entries(t, db)
		last := all[len(all)-1]
		testkit.Equal(t, "action", last.Action, audit.DeviceBlocked)
		testkit.Equal(t, "object", last.Object, string(e.Device()))
		testkit.Equal(t, "cause", last.Detail["cause"], "retired")
	})
}

func TestRename(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		phone := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		fixture.NewEnrolment(t, anna, "Straße").Issue(t, db)
		gone := fixture.NewEnrolment(t, anna, "gone").Issue(t, db)
		if _, err := db.Revoke(ctx, enroll.Revocation{Cause: portal.Removed, At: testkit.Noon, RemoveDevice: gone.Device()}); err != nil {
			t.Fatal(err)
		}
		rename := func(person portal.PersonID, e fixture.Enrolment, name string) error {
			return db.Rename(ctx, enroll.Renaming{
				Person: person, Device: e.Device(), Name: name, At: testkit.Noon, Entry: fixture.NewEntry(testkit.Noon, audit.DeviceRenamed, person),
			})
		}
		wantRefusal(t, rename(anna, phone, "STRASSE"), portal.NameTaken)
		wantError(t, "somebody else's", rename("bob", phone, "mine"), portal.ErrNotFound)
		wantError(t, "removed", rename(anna, gone, "again"), portal.ErrNotFound)
		wantError(t, "hostile", rename("a\x00", phone, "x"), portal.ErrNotFound)
		for _, name := range []string{"IPHONE", "gone", "gone"} {
			if err := rename(anna, phone, name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		testkit.Equal(t, "name", testkit.Must(db.Device(ctx, anna, phone.Device()))(t).Name, "gone")
		var told []string
		for _, e := range fixture.Entries(t, db) {
			if e.Action == audit.DeviceRenamed {
				told = append(told, e.Detail["was"]+" to "+e.Detail["name"])
			}
		}
		testkit.Equal(t, "audit log", fmt.Sprint(told), "[iPhone to IPHONE IPHONE to gone]")
		// The old name is free, the new one is not.
		wantRefusal(t, db.Reserve(ctx, fixture.NewEnrolment(t, anna, "Gone").Reservation), portal.NameTaken)
		fixture.NewEnrolment(t, anna, "iPhone").Reserve(t, db)
	})
}

// A device with only a superseded certificate in force counts for the quota.
func TestSupersededCountsWhileItWorks(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		old := fetched(t, db, fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db))
		at := late(old)
		next := renewal(t, old, at).Issue(t, db)
		revoke(t, db, portal.Replaced, at, next.Serial())
		d := testkit.Must(db.Device(t.Context(), anna, old.Device()))(t)
		testkit.Equal(t, "newest", d.Certificate.Serial, old.Serial())
		testkit.Equal(t, "works", d.Working(at.Add(week-time.Second)), true)
		testkit.Equal(t, "works after", d.Working(at.Add(week)), false)
		other := fixture.NewEnrolment(t, anna, "iPad")
		other.Reservation.Quota, other.Reservation.Requested = 1, at.Add(time.Hour)
		wantRefusal(t, db.Reserve(t.Context(), other.Reservation), portal.QuotaReached)
		other.Reservation.Requested = at.Add(week)
		other.Reserve(t, db)
	})
}

// TestA12_ALostDeviceIsSignedOut: the finder of a lost device must not ask for
// another certificate in the session that is open on it.
func TestA12_ALostDeviceIsSignedOut(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		hash := func(name string) [32]byte { return sha256.Sum256([]byte(name)) }
		open := func(name string, want error) {
			t.Helper()
			_, err := db.Session(ctx, hash(name), testkit.Noon)
			wantError(t, name, err, want)
		}
		for name, person := range map[string]portal.PersonID{"phone": anna, "desktop": anna, "of another": "ben"} {
			if err := db.SaveSession(ctx, hash(name), string(person), []byte("sealed"), idle, testkit.Noon.Add(absolute), testkit.Noon); err != nil {
				t.Fatal(err)
			}
		}
		retired, lost := fixture.NewEnrolment(t, anna, "Tablet").Issue(t, db), fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		block(t, db, retired, portal.Retired, testkit.Noon)
		open("phone", nil)
		_, err := db.Revoke(ctx, enroll.Revocation{
			Cause: portal.Lost, At: testkit.Noon, BlockDevice: lost.Device(), KeepSession: hash("desktop"), Entry: fixture.NewEntry(testkit.Noon, "", anna),
		})
		if err != nil {
			t.Fatal(err)
		}
		open("phone", portal.ErrNotFound)
		open("desktop", nil)
		open("of another", nil)
	})
}
