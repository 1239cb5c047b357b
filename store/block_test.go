package store_test

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

func block(t testing.TB, db *fixture, e enrolment, cause portal.Cause, at time.Time) int {
	t.Helper()
	ended, err := db.Revoke(t.Context(), enroll.Revocation{
		Cause: cause, At: at, BlockDevice: e.device(), Entry: entry("", e.reservation.Person),
	})
	if err != nil {
		t.Fatal(err)
	}
	return len(ended)
}

// TestA12_ABlockedDeviceGetsNothing closes every way to more of it.
func TestA12_ABlockedDeviceGetsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		old := fetched(t, db, issue(t, db, request(t, anna, "iPhone")))
		at := late(old)
		next := issue(t, db, old.renewal(t, at))
		stuck := reserve(t, db, old.again(t))
		c := addChallenge(t, db, old, "one")
		code := offered(t, db, anna, 1, noon).CodeHash

		equal(t, "ended", block(t, db, old, portal.Lost, at.Add(time.Hour)), 3)
		for _, e := range []enrolment{old, next, stuck} {
			equal(t, "status", certificate(t, db, e).Status, portal.Revoked)
			equal(t, "cause", certificate(t, db, e).Cause, portal.Lost)
		}
		d := must[portal.Device](t)(db.Device(ctx, anna, old.device()))
		equal(t, "blocked", d.Blocked, at.Add(time.Hour))
		equal(t, "devices", len(must[[]portal.Device](t)(db.Devices(ctx, anna))), 1)
		_, err := db.ChallengeBySecret(ctx, c.SecretHash)
		wantError(t, "challenge", err, portal.ErrNotFound)
		_, err = db.OpenHandoff(ctx, code, noon)
		wantError(t, "hand-off", err, portal.ErrNotFound)
		wantError(t, "completing", db.Complete(ctx, stuck.completion), portal.ErrConflict)
		wantRefusal(t, db.Reserve(ctx, old.again(t).reservation), portal.DeviceBlocked)
		wantRefusal(t, db.Reserve(ctx, old.renewal(t, at).reservation), portal.DeviceBlocked)
		wantRefusal(t, db.AddChallenge(ctx, challenge(old, "two"), 5, entry(audit.ChallengeMade, anna)), portal.DeviceBlocked)

		// A second tap changes nothing; the name is free for the next phone.
		count := len(entries(t, db))
		equal(t, "ended again", block(t, db, old, portal.Returned, at.Add(2*time.Hour)), 0)
		equal(t, "blocked", must[portal.Device](t)(db.Device(ctx, anna, old.device())).Blocked, at.Add(time.Hour))
		equal(t, "entries", len(entries(t, db)), count)
		reserve(t, db, request(t, anna, "iPhone"))
	})
}

func TestBlockingWhatHoldsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		e := issue(t, db, request(t, anna, "iPhone"))
		revoke(t, db, portal.Undelivered, noon, e.serial())
		equal(t, "ended", block(t, db, e, portal.Retired, noon), 0)
		all := entries(t, db)
		last := all[len(all)-1]
		equal(t, "action", last.Action, audit.DeviceBlocked)
		equal(t, "object", last.Object, string(e.device()))
		equal(t, "cause", last.Detail["cause"], "retired")
	})
}

func TestRename(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		phone := issue(t, db, request(t, anna, "iPhone"))
		issue(t, db, request(t, anna, "Straße"))
		gone := issue(t, db, request(t, anna, "gone"))
		if _, err := db.Revoke(ctx, enroll.Revocation{Cause: portal.Removed, At: noon, RemoveDevice: gone.device()}); err != nil {
			t.Fatal(err)
		}
		rename := func(person portal.PersonID, e enrolment, name string) error {
			return db.Rename(ctx, enroll.Renaming{
				Person: person, Device: e.device(), Name: name, At: noon, Entry: entry(audit.DeviceRenamed, person),
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
		equal(t, "name", must[portal.Device](t)(db.Device(ctx, anna, phone.device())).Name, "gone")
		var told []string
		for _, e := range entries(t, db) {
			if e.Action == audit.DeviceRenamed {
				told = append(told, e.Detail["was"]+" to "+e.Detail["name"])
			}
		}
		equal(t, "ledger", fmt.Sprint(told), "[iPhone to IPHONE IPHONE to gone]")
		// The old name is free, the new one is not.
		wantRefusal(t, db.Reserve(ctx, request(t, anna, "Gone").reservation), portal.NameTaken)
		reserve(t, db, request(t, anna, "iPhone"))
	})
}

// A device that only the certificate before keeps alive fills its place.
func TestSupersededCountsWhileItWorks(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		old := fetched(t, db, issue(t, db, request(t, anna, "iPhone")))
		at := late(old)
		next := issue(t, db, old.renewal(t, at))
		revoke(t, db, portal.Replaced, at, next.serial())
		d := must[portal.Device](t)(db.Device(t.Context(), anna, old.device()))
		equal(t, "newest", d.Certificate.Serial, old.serial())
		equal(t, "works", d.Working(at.Add(week-time.Second)), true)
		equal(t, "works after", d.Working(at.Add(week)), false)
		other := request(t, anna, "iPad")
		other.reservation.Quota, other.reservation.Requested = 1, at.Add(time.Hour)
		wantRefusal(t, db.Reserve(t.Context(), other.reservation), portal.QuotaReached)
		other.reservation.Requested = at.Add(week)
		reserve(t, db, other)
	})
}

// TestA12_ALostDeviceIsSignedOut: who holds what was lost must not ask for another
// certificate in the session that is open on it.
func TestA12_ALostDeviceIsSignedOut(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		hash := func(name string) [32]byte { return sha256.Sum256([]byte(name)) }
		open := func(name string, want error) {
			t.Helper()
			_, err := db.Session(ctx, hash(name), noon)
			wantError(t, name, err, want)
		}
		for name, person := range map[string]portal.PersonID{"phone": anna, "desktop": anna, "of another": "ben"} {
			if err := db.SaveSession(ctx, hash(name), string(person), []byte("sealed"), idle, noon.Add(absolute), noon); err != nil {
				t.Fatal(err)
			}
		}
		retired, lost := issue(t, db, request(t, anna, "Tablet")), issue(t, db, request(t, anna, "iPhone"))
		block(t, db, retired, portal.Retired, noon)
		open("phone", nil)
		_, err := db.Revoke(ctx, enroll.Revocation{
			Cause: portal.Lost, At: noon, BlockDevice: lost.device(), KeepSession: hash("desktop"), Entry: entry("", anna),
		})
		if err != nil {
			t.Fatal(err)
		}
		open("phone", portal.ErrNotFound)
		open("desktop", nil)
		open("of another", nil)
	})
}
