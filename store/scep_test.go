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
	"certportal/store"
)

var (
	_ enroll.Store = (*store.DB)(nil)
	_ scep.Store   = (*store.DB)(nil)
)

// challenge makes what the registrar would make for a device of a request.
func challenge(e enrolment, id string) enroll.StoredChallenge {
	return enroll.StoredChallenge{
		ID: enroll.ChallengeID(id), SecretHash: sha256.Sum256([]byte("secret " + id)), TokenHash: sha256.Sum256([]byte("token " + id)),
		Device: e.reservation.Device, Names: sha256.Sum256([]byte("names")), Made: noon, Expires: noon.Add(10 * time.Minute),
	}
}

func addChallenge(t testing.TB, db *fixture, e enrolment, id string) enroll.StoredChallenge {
	t.Helper()
	c := challenge(e, id)
	if err := db.AddChallenge(t.Context(), c, 5, entry(audit.ChallengeMade, e.reservation.Person)); err != nil {
		t.Fatal(err)
	}
	return c
}

// with has a reservation use up a challenge, for the device that it made.
func (e enrolment) with(c enroll.StoredChallenge) enrolment {
	e.reservation.NewDevice, e.reservation.Challenge = false, c.SecretHash
	e.completion.Pickup, e.completion.Delivered = nil, true
	return e
}

func TestChallenge(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		e := request(t, anna, "Anna's iPhone")
		want := addChallenge(t, db, e, "one")
		for name, find := range map[string]func() (enroll.StoredChallenge, error){
			"secret": func() (enroll.StoredChallenge, error) { return db.ChallengeBySecret(ctx, want.SecretHash) },
			"token":  func() (enroll.StoredChallenge, error) { return db.ChallengeByToken(ctx, want.TokenHash) },
			"device": func() (enroll.StoredChallenge, error) { return db.OpenChallenge(ctx, anna, want.Device.ID, noon) },
		} {
			got := must[enroll.StoredChallenge](t)(find())
			equal(t, name+": id", got.ID, want.ID)
			equal(t, name+": secret", got.SecretHash, want.SecretHash)
			equal(t, name+": token", got.TokenHash, want.TokenHash)
			equal(t, name+": names", got.Names, want.Names)
			equal(t, name+": made", got.Made, noon)
			equal(t, name+": end", got.Expires, noon.Add(10*time.Minute))
			equal(t, name+": used", got.Used.IsZero(), true)
			equal(t, name+": device", got.Device.ID, want.Device.ID)
			equal(t, name+": person", got.Device.Person, anna)
			equal(t, name+": platform", got.Device.Platform, portal.IOS)
		}
		_, err := db.ChallengeBySecret(ctx, want.TokenHash)
		wantError(t, "token for a secret", err, portal.ErrNotFound)
		_, err = db.OpenChallenge(ctx, "bert", want.Device.ID, noon)
		wantError(t, "somebody else's", err, portal.ErrNotFound)
		_, err = db.OpenChallenge(ctx, anna, want.Device.ID, want.Expires)
		wantError(t, "run out", err, portal.ErrNotFound)
		// The device is there for its page, and in no list yet.
		equal(t, "device", must[portal.Device](t)(db.Device(ctx, anna, want.Device.ID)).Name, "Anna's iPhone")
		equal(t, "devices", len(must[[]portal.Device](t)(db.Devices(ctx, anna))), 0)
		equal(t, "ledger", actions(entries(t, db)), "[challenge.made]")

		issue(t, db, e.with(want))
		used := must[enroll.StoredChallenge](t)(db.ChallengeBySecret(ctx, want.SecretHash))
		equal(t, "used", used.Used, noon)
		_, err = db.OpenChallenge(ctx, anna, want.Device.ID, noon)
		wantError(t, "used", err, portal.ErrNotFound)
		got := must[[]portal.Device](t)(db.Devices(ctx, anna))
		equal(t, "devices", len(got), 1)
		equal(t, "delivered", got[0].Certificate.Delivered, noon)
		held := must[portal.Device](t)(db.Held(ctx, e.serial()))
		equal(t, "holder", held.Person, anna)
		sameBytes(t, "held certificate", held.Certificate.DER, e.completion.Certificate.Raw)
		_, err = db.Held(ctx, request(t, anna, "x").serial())
		wantError(t, "unknown serial", err, portal.ErrNotFound)
		// Whoever stole a file and its password renews nothing with it.
		file := request(t, anna, "Android")
		issue(t, db, file)
		_, err = db.Held(ctx, file.serial())
		wantError(t, "key made by the portal", err, portal.ErrNotFound)
	})
}

func TestA15_ChallengeIsUsedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		first := request(t, anna, "iPhone")
		c := addChallenge(t, db, first, "one")
		replica := opened(t, db.address)
		var waiting sync.WaitGroup
		var reserved atomic.Int32
		for i := range 16 {
			e := request(t, anna, "iPhone")
			e.reservation.Device = first.reservation.Device
			via := enroll.Store(db)
			if i%2 == 1 {
				via = replica
			}
			waiting.Go(func() {
				if via.Reserve(t.Context(), e.with(c).reservation) == nil {
					reserved.Add(1)
				}
			})
		}
		waiting.Wait()
		equal(t, "reservations", reserved.Load(), 1)
		equal(t, "ledger", actions(entries(t, db)), "[challenge.made certificate.reserved]")
	})
}

func TestChallengeIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		e := request(t, anna, "iPhone")
		c := addChallenge(t, db, e, "one")
		late := e.with(c)
		late.reservation.Requested = c.Expires
		wantError(t, "run out", db.Reserve(ctx, late.reservation), portal.ErrConflict)
		other := issue(t, db, request(t, anna, "iPad"))
		foreign := request(t, anna, "iPad").with(c)
		foreign.reservation.Device = other.reservation.Device
		wantError(t, "another device", db.Reserve(ctx, foreign.reservation), portal.ErrConflict)
		unknown := e.with(challenge(e, "never made"))
		wantError(t, "unknown", db.Reserve(ctx, unknown.reservation), portal.ErrConflict)
		// The next profile of the device puts an end to the one before.
		next := challenge(e, "two")
		if err := db.AddChallenge(ctx, next, 5, entry(audit.ChallengeMade, anna)); err != nil {
			t.Fatal(err)
		}
		wantError(t, "replaced", db.Reserve(ctx, e.with(c).reservation), portal.ErrConflict)
		reserve(t, db, e.with(next))
	})
}

// The registrar looked at the holder before; what happened since decides.
func TestA15_RenewalOfWhatEndedMeanwhile(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		first := issue(t, db, request(t, anna, "iPhone"))
		renewal := func(of enrolment) enrolment {
			e := of.again(t)
			e.reservation.Renews = of.serial()
			e.completion.Pickup, e.completion.Delivered, e.completion.Supersede = nil, true, false
			return e
		}
		denied := func(doing string, of enrolment, at time.Time, why string) {
			t.Helper()
			e := renewal(of)
			e.reservation.Requested = at
			var denial *portal.Denial
			if err := db.Reserve(ctx, e.reservation); !errors.As(err, &denial) || denial.Why != why {
				t.Errorf("%s: got %v, want %s", doing, err, why)
			}
		}
		soon, later := noon.Add(time.Hour), first.reservation.NotAfter.Add(-time.Hour)
		second := renewal(first)
		second.reservation.NotAfter = first.reservation.NotAfter.Add(24 * time.Hour)
		issue(t, db, second)
		denied("the one it renewed works", second, later, portal.HolderEarly)
		denied("renewed before, another form", first, later, portal.HolderEarly)
		third := renewal(second)
		third.reservation.Requested = first.reservation.NotAfter.Add(time.Hour)
		reserve(t, db, third)
		revoke(t, db, portal.Abandoned, soon, third.serial())
		// A new file of the person ends all that the device had.
		issue(t, db, second.again(t))
		denied("replaced", second, soon, portal.HolderEnded)
	})
}

func TestChallengeKeepsToQuotaAndNames(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx, made := t.Context(), entry(audit.ChallengeMade, anna)
		issue(t, db, request(t, anna, "iPhone"))
		wantRefusal(t, db.AddChallenge(ctx, challenge(request(t, anna, "IPHONE"), "name"), 5, made), portal.NameTaken)
		wantRefusal(t, db.AddChallenge(ctx, challenge(request(t, anna, "iPad"), "quota"), 1, made), portal.QuotaReached)
		theirs := issue(t, db, request(t, "bert", "iPhone"))
		stolen := challenge(theirs, "stolen")
		stolen.Device.Person, stolen.Device.Name = anna, "iPad"
		wantError(t, "device of another", db.AddChallenge(ctx, stolen, 5, made), portal.ErrConflict)
		gone := issue(t, db, request(t, anna, "gone"))
		_, err := db.Revoke(ctx, enroll.Revocation{RemoveDevice: gone.device(), Cause: portal.Removed, At: noon, Entry: made})
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, "removed device", db.AddChallenge(ctx, challenge(gone, "gone"), 5, made), portal.ErrConflict)
	})
}

func TestPruneChallenges(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		never, came := request(t, anna, "never came"), request(t, anna, "came")
		addChallenge(t, db, never, "never")
		issue(t, db, came.with(addChallenge(t, db, came, "came")))
		end := noon.Add(10*time.Minute + time.Hour)
		equal(t, "too early", must[int](t)(db.PruneChallenges(ctx, end.Add(-time.Millisecond))), 0)
		equal(t, "gone", must[int](t)(db.PruneChallenges(ctx, end)), 2)
		_, err := db.Device(ctx, anna, never.device())
		wantError(t, "device that never came", err, portal.ErrNotFound)
		equal(t, "device that came", must[portal.Device](t)(db.Device(ctx, anna, came.device())).Name, "came")
	})
}

func TestRAs(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		var serials []ca.Serial
		for i := range 3 {
			e := request(t, anna, "agent")
			e.reservation = enroll.Reservation{
				Serial: e.serial(), Kind: portal.KindServer, Profile: "SCEP", PublicKey: e.reservation.PublicKey,
				NotBefore: noon, NotAfter: noon.Add(time.Hour), Requested: noon, Entry: entry(audit.CertificateReserved, ""),
			}
			e.completion.Pickup = nil
			issue(t, db, e)
			err := db.AddRA(ctx, e.serial(), []byte("sealed "+strconv.Itoa(i)), noon.Add(time.Duration(i+1)*time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			serials = append(serials, e.serial())
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
		equal(t, "agents", list(noon), "sealed 2 sealed 1 sealed 0 ")
		equal(t, "later", list(noon.Add(time.Hour)), "sealed 2 sealed 1 ")
		revoke(t, db, portal.Removed, noon, serials[2])
		equal(t, "after revocation", list(noon), "sealed 1 sealed 0 ")
		if _, err := db.PruneChallenges(ctx, noon.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		equal(t, "after pruning", list(noon), "sealed 1 ")
	})
}
