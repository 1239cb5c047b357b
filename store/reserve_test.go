package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

func TestReserveDecidesQuota(t *testing.T) {
	const quota = 2
	cases := []struct {
		name   string
		before func(t *testing.T, db *fixture) // beside one issued device
		want   portal.Reason                   // empty: there is a place
	}{
		{"one issued", func(*testing.T, *fixture) {}, ""},
		{"one pending", func(t *testing.T, db *fixture) { reserve(t, db, request(t, anna, "pending")) }, portal.QuotaReached},
		{"two issued", func(t *testing.T, db *fixture) { issue(t, db, request(t, anna, "second")) }, portal.QuotaReached},
		{"second revoked", func(t *testing.T, db *fixture) {
			e := issue(t, db, request(t, anna, "second"))
			revoke(t, db, portal.Undelivered, noon, e.serial())
		}, ""},
		{"second expired", func(t *testing.T, db *fixture) {
			e := request(t, anna, "second")
			e.reservation.NotBefore, e.reservation.NotAfter = noon.Add(-2*time.Hour), noon
			issue(t, db, e)
		}, ""},
		{"somebody else's", func(t *testing.T, db *fixture) { issue(t, db, request(t, "bob", "second")) }, ""},
	}
	onBoth(t, func(t *testing.T, db *fixture) {
		for i, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				issue(t, db, request(t, anna, "first"))
				c.before(t, db)
				e := request(t, anna, fmt.Sprintf("last %d", i))
				e.reservation.Quota = quota
				err := db.Reserve(t.Context(), e.reservation)
				if c.want != "" {
					wantRefusal(t, err, c.want)
				}
				if c.want == "" && err != nil {
					t.Error(err)
				}
				removeAll(t, db)
			})
		}
		entries(t, db)
	})
}

// removeAll takes all devices from anna.
func removeAll(t *testing.T, db *fixture) {
	t.Helper()
	for _, list := range []func(context.Context, time.Time, int) ([]ca.Serial, error){db.Unfinished, db.Undelivered} {
		revoke(t, db, portal.Removed, noon, must[[]ca.Serial](t)(list(t.Context(), noon.Add(time.Hour), 1000))...)
	}
}

func TestReserveForKnownDevice(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		first := issue(t, db, request(t, anna, "iPhone"))
		next := first.again(t)
		next.reservation.Quota = 1
		reserve(t, db, next)

		stolen := first.again(t)
		stolen.reservation.Person = "bob"
		wantError(t, "somebody else's device", db.Reserve(t.Context(), stolen.reservation), portal.ErrNotFound)

		_, err := db.Revoke(t.Context(), enroll.Revocation{
			Serials: []ca.Serial{first.serial()}, Cause: portal.Removed, At: noon, RemoveDevice: first.device(),
		})
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, "removed device", db.Reserve(t.Context(), first.again(t).reservation), portal.ErrConflict)
		wantError(t, "completing for a removed device", db.Complete(t.Context(), next.completion), portal.ErrConflict)
	})
}

func TestReserveRefusesTakenName(t *testing.T) {
	cases := []struct {
		name  string
		taken string
		asked string
		free  bool
	}{
		{"same", "iPhone", "iPhone", false},
		{"other case", "Straße", "STRASSE", false},
		{"decomposed", "Ren\u00e9", "Rene\u0301", false},
		{"other", "iPhone", "iPhone 2", true},
	}
	onBoth(t, func(t *testing.T, db *fixture) {
		for i, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				person := portal.PersonID(fmt.Sprint("person", i))
				issue(t, db, request(t, person, c.taken))
				issue(t, db, request(t, portal.PersonID(fmt.Sprint("other", i)), c.asked))
				err := db.Reserve(t.Context(), request(t, person, c.asked).reservation)
				if c.free && err != nil {
					t.Error(err)
				}
				if !c.free {
					wantRefusal(t, err, portal.NameTaken)
				}
			})
		}
	})
}

func TestReserveFreesNameOfRevoked(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		e := issue(t, db, request(t, anna, "iPhone"))
		revoke(t, db, portal.Removed, noon, e.serial())
		reserve(t, db, request(t, anna, "iphone"))
	})
}

func TestSameFormTwice(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		first := request(t, anna, "iPhone")
		first.reservation.Quota = 1
		_, err := db.Attempted(ctx, anna, first.reservation.Idempotent)
		wantError(t, "new token", err, portal.ErrNotFound)
		reserve(t, db, first)

		second := request(t, anna, "iPhone")
		second.reservation.Quota = 1
		second.reservation.Idempotent = first.reservation.Idempotent
		// The quota is used up by the first: the answer is still about the form.
		wantError(t, "same form", db.Reserve(ctx, second.reservation), portal.ErrConflict)
		want := enroll.Enrolment{Device: first.device(), Serial: first.serial(), Again: true}
		equal(t, "attempt", must[enroll.Enrolment](t)(db.Attempted(ctx, anna, first.reservation.Idempotent)), want)
		_, err = db.Attempted(ctx, "bob", first.reservation.Idempotent)
		wantError(t, "somebody else's token", err, portal.ErrNotFound)

		revoke(t, db, portal.Abandoned, noon, first.serial())
		_, err = db.Attempted(ctx, anna, first.reservation.Idempotent)
		wantError(t, "token of an abandoned attempt", err, portal.ErrNotFound)
		reserve(t, db, second)
	})
}

func TestF2_SerialAndKeyAreUsedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		first := issue(t, db, request(t, anna, "first"))
		sameSerial := request(t, "bob", "second")
		sameSerial.reservation.Serial = first.serial()
		wantError(t, "same serial", db.Reserve(t.Context(), sameSerial.reservation), portal.ErrConflict)
		sameKey := request(t, "bob", "second")
		sameKey.reservation.PublicKey = first.reservation.PublicKey
		wantError(t, "same key", db.Reserve(t.Context(), sameKey.reservation), portal.ErrConflict)
		equal(t, "entries", len(entries(t, db)), 2)
		equal(t, "devices of bob", len(must[[]portal.Device](t)(db.Devices(t.Context(), "bob"))), 0)
	})
}

func TestServerCertificate(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		for range 2 {
			e := request(t, "", "")
			e.reservation.Kind, e.reservation.Device = portal.KindServer, portal.Device{}
			e.reservation.NewDevice, e.reservation.Idempotent, e.reservation.Quota = false, "", 0
			e.completion.Pickup = nil
			issue(t, db, e)
		}
		serials := must[[]ca.Serial](t)(db.Undelivered(t.Context(), noon.Add(time.Hour), 10))
		equal(t, "undelivered", len(serials), 0)
	})
}

func TestF22_ParallelRequestsStayWithinQuota(t *testing.T) {
	const people, requests, quota = 4, 25, 3
	onBoth(t, func(t *testing.T, db *fixture) {
		replica := opened(t, db.address)
		var waiting sync.WaitGroup
		for p := range people {
			person := portal.PersonID(fmt.Sprint("person", p))
			for i := range requests {
				e := request(t, person, fmt.Sprint("device", i))
				e.reservation.Quota = quota
				via := enroll.Store(db)
				if i%2 == 1 {
					via = replica
				}
				waiting.Go(func() {
					if via.Reserve(t.Context(), e.reservation) != nil {
						return
					}
					if err := via.Complete(t.Context(), e.completion); err != nil {
						t.Error(err)
					}
				})
			}
		}
		waiting.Wait()
		for p := range people {
			devices := must[[]portal.Device](t)(db.Devices(t.Context(), portal.PersonID(fmt.Sprint("person", p))))
			equal(t, "devices", len(devices), quota)
		}
		equal(t, "entries", len(entries(t, db)), 2*people*quota)
	})
}

func TestF22_DoubleSubmitOfOneForm(t *testing.T) {
	const rounds, taps = 10, 6
	onBoth(t, func(t *testing.T, db *fixture) {
		for round := range rounds {
			person := portal.PersonID(fmt.Sprint("person", round))
			var waiting sync.WaitGroup
			for range taps {
				e := request(t, person, "iPhone")
				e.reservation.Idempotent = "one form"
				waiting.Go(func() {
					if db.Reserve(t.Context(), e.reservation) == nil {
						db.Complete(t.Context(), e.completion)
					}
				})
			}
			waiting.Wait()
			equal(t, "devices", len(must[[]portal.Device](t)(db.Devices(t.Context(), person))), 1)
		}
		equal(t, "entries", len(entries(t, db)), 2*rounds)
	})
}
