package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func TestReserveDecidesQuota(t *testing.T) {
	const quota = 2
	cases := []struct {
		name   string
		before func(t *testing.T, db *database) // beside one issued device
		want   portal.Reason                    // empty: there is a place
	}{
		{"one issued", func(*testing.T, *database) {}, ""},
		{"one pending", func(t *testing.T, db *database) { fixture.NewEnrolment(t, anna, "pending").Reserve(t, db) }, portal.QuotaReached},
		{"two issued", func(t *testing.T, db *database) { fixture.NewEnrolment(t, anna, "second").Issue(t, db) }, portal.QuotaReached},
		{"second revoked", func(t *testing.T, db *database) {
			e := fixture.NewEnrolment(t, anna, "second").Issue(t, db)
			revoke(t, db, portal.Undelivered, testkit.Noon, e.Serial())
		}, ""},
		{"second expired", func(t *testing.T, db *database) {
			e := fixture.NewEnrolment(t, anna, "second")
			e.Reservation.NotBefore, e.Reservation.NotAfter = testkit.Noon.Add(-2*time.Hour), testkit.Noon
			e.Issue(t, db)
		}, ""},
		{"somebody else's", func(t *testing.T, db *database) { fixture.NewEnrolment(t, "bob", "second").Issue(t, db) }, ""},
	}
	onBoth(t, func(t *testing.T, db *database) {
		for i, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				fixture.NewEnrolment(t, anna, "first").Issue(t, db)
				c.before(t, db)
				e := fixture.NewEnrolment(t, anna, fmt.Sprintf("last %d", i))
				e.Reservation.Quota = quota
				err := db.Reserve(t.Context(), e.Reservation)
				if c.want != "" {
					wantRefusal(t, err, c.want)
				}
				if c.want == "" && err != nil {
					t.Error(err)
				}
				removeAll(t, db)
			})
		}
		fixture.Entries(t, db)
	})
}

// removeAll removes all devices of anna.
func removeAll(t *testing.T, db *database) {
	t.Helper()
	for _, list := range []func(context.Context, time.Time, int) ([]ca.Serial, error){db.Unfinished, db.Undelivered} {
		revoke(t, db, portal.Removed, testkit.Noon, testkit.Must(list(t.Context(), testkit.Noon.Add(time.Hour), 1000))(t)...)
	}
}

func TestReserveForKnownDevice(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		first := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		next := first.Renewal(t)
		next.Reservation.Quota = 1
		next.Reserve(t, db)

		stolen := first.Renewal(t)
		stolen.Reservation.Person = "bob"
		wantError(t, "somebody else's device", db.Reserve(t.Context(), stolen.Reservation), portal.ErrNotFound)

		_, err := db.Revoke(t.Context(), enroll.Revocation{
			Serials: []ca.Serial{first.Serial()}, Cause: portal.Removed, At: testkit.Noon, RemoveDevice: first.Device(),
		})
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, "removed device", db.Reserve(t.Context(), first.Renewal(t).Reservation), portal.ErrConflict)
		wantError(t, "completing for a removed device", db.Complete(t.Context(), next.Completion), portal.ErrConflict)
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
	onBoth(t, func(t *testing.T, db *database) {
		for i, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				person := portal.PersonID(fmt.Sprint("person", i))
				fixture.NewEnrolment(t, person, c.taken).Issue(t, db)
				fixture.NewEnrolment(t, portal.PersonID(fmt.Sprint("other", i)), c.asked).Issue(t, db)
				err := db.Reserve(t.Context(), fixture.NewEnrolment(t, person, c.asked).Reservation)
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
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		revoke(t, db, portal.Removed, testkit.Noon, e.Serial())
		fixture.NewEnrolment(t, anna, "iphone").Reserve(t, db)
	})
}

func TestSameFormTwice(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		first := fixture.NewEnrolment(t, anna, "iPhone")
		first.Reservation.Quota = 1
		_, err := db.Attempted(ctx, anna, first.Reservation.Idempotent)
		wantError(t, "new token", err, portal.ErrNotFound)
		first.Reserve(t, db)

		second := fixture.NewEnrolment(t, anna, "iPhone")
		second.Reservation.Quota = 1
		second.Reservation.Idempotent = first.Reservation.Idempotent
		// The first request uses up the quota: the answer is still about the form.
		wantError(t, "same form", db.Reserve(ctx, second.Reservation), portal.ErrConflict)
		want := enroll.Enrolment{Device: first.Device(), Serial: first.Serial(), Again: true}
		testkit.Equal(t, "attempt", testkit.Must(db.Attempted(ctx, anna, first.Reservation.Idempotent))(t), want)
		_, err = db.Attempted(ctx, "bob", first.Reservation.Idempotent)
		wantError(t, "somebody else's token", err, portal.ErrNotFound)

		revoke(t, db, portal.Abandoned, testkit.Noon, first.Serial())
		_, err = db.Attempted(ctx, anna, first.Reservation.Idempotent)
		wantError(t, "token of an abandoned attempt", err, portal.ErrNotFound)
		second.Reserve(t, db)
	})
}

func TestF2_SerialAndKeyAreUsedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		first := fixture.NewEnrolment(t, anna, "first").Issue(t, db)
		sameSerial := fixture.NewEnrolment(t, "bob", "second")
		sameSerial.Reservation.Serial = first.Serial()
		wantError(t, "same serial", db.Reserve(t.Context(), sameSerial.Reservation), portal.ErrConflict)
		sameKey := fixture.NewEnrolment(t, "bob", "second")
		sameKey.Reservation.PublicKey = first.Reservation.PublicKey
		wantError(t, "same key", db.Reserve(t.Context(), sameKey.Reservation), portal.ErrConflict)
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 2)
		testkit.Equal(t, "devices of bob", len(testkit.Must(db.Devices(t.Context(), "bob"))(t)), 0)
	})
}

func TestServerCertificate(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		for range 2 {
			e := fixture.NewEnrolment(t, "", "")
			e.Reservation.Kind, e.Reservation.Device = portal.KindServer, portal.Device{}
			e.Reservation.NewDevice, e.Reservation.Idempotent, e.Reservation.Quota = false, "", 0
			e.Completion.Pickup = nil
			e.Issue(t, db)
		}
		serials := testkit.Must(db.Undelivered(t.Context(), testkit.Noon.Add(time.Hour), 10))(t)
		testkit.Equal(t, "undelivered", len(serials), 0)
	})
}

// A test certificate has the names of a person, but belongs to no device and no
// person: it cannot be renewed. It is refused while others hold the UPN or issuing is halted.
func TestReserveTestCertificate(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		test := func() fixture.Enrolment {
			e := fixture.NewEnrolment(t, anna, "")
			e.Reservation.Kind, e.Reservation.Device = portal.KindServer, portal.Device{}
			e.Reservation.NewDevice, e.Reservation.Idempotent, e.Reservation.Quota = false, "", 0
			e.Completion.Pickup = nil
			return e
		}
		first := test().Issue(t, db)
		if _, err := db.Held(t.Context(), first.Serial()); !errors.Is(err, portal.ErrNotFound) {
			t.Errorf("holder of a test certificate: %v, want none", err)
		}
		other := fixture.NewEnrolment(t, "bob", "phone")
		other.Reservation.Subject = first.Reservation.Subject
		other.Reservation.Subject.SID += "9"
		other.Issue(t, db)
		var held *enroll.UPNHeld
		if err := db.Reserve(t.Context(), test().Reservation); !errors.As(err, &held) {
			t.Errorf("while bob holds the UPN: %v", err)
		}
		halt := admin.Halt{Reason: "maintenance", Actor: "ada", Since: testkit.Noon}
		testkit.Must(db.SetHalt(t.Context(), halt, fixture.NewEntry(testkit.Noon, audit.IssuingHalted, "ada")))(t)
		_, err := db.Revoke(t.Context(), enroll.Revocation{Serials: []ca.Serial{other.Serial()}, Cause: portal.Withdrawn, At: testkit.Noon,
			Entry: fixture.NewEntry(testkit.Noon, audit.CertificateRevoked, "ada")})
		testkit.NoError(t, err)
		var refusal *portal.Refusal
		if err := db.Reserve(t.Context(), test().Reservation); !errors.As(err, &refusal) || refusal.Reason != portal.Halted {
			t.Errorf("while issuing is halted: %v", err)
		}
	})
}

func TestF22_ParallelRequestsStayWithinQuota(t *testing.T) {
	const people, requests, quota = 4, 25, 3
	onBoth(t, func(t *testing.T, db *database) {
		replica := opened(t, db.address)
		var waiting sync.WaitGroup
		for p := range people {
			person := portal.PersonID(fmt.Sprint("person", p))
			for i := range requests {
				e := fixture.NewEnrolment(t, person, fmt.Sprint("device", i))
				e.Reservation.Quota = quota
				via := enroll.Store(db)
				if i%2 == 1 {
					via = replica
				}
				waiting.Go(func() {
					if via.Reserve(t.Context(), e.Reservation) != nil {
						return
					}
					if err := via.Complete(t.Context(), e.Completion); err != nil {
						t.Error(err)
					}
				})
			}
		}
		waiting.Wait()
		for p := range people {
			devices := testkit.Must(db.Devices(t.Context(), portal.PersonID(fmt.Sprint("person", p))))(t)
			testkit.Equal(t, "devices", len(devices), quota)
		}
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 2*people*quota)
	})
}

func TestF22_DoubleSubmitOfOneForm(t *testing.T) {
	const rounds, taps = 10, 6
	onBoth(t, func(t *testing.T, db *database) {
		for round := range rounds {
			person := portal.PersonID(fmt.Sprint("person", round))
			var waiting sync.WaitGroup
			for range taps {
				e := fixture.NewEnrolment(t, person, "iPhone")
				e.Reservation.Idempotent = "one form"
				waiting.Go(func() {
					if db.Reserve(t.Context(), e.Reservation) == nil {
						db.Complete(t.Context(), e.Completion)
					}
				})
			}
			waiting.Wait()
			testkit.Equal(t, "devices", len(testkit.Must(db.Devices(t.Context(), person))(t)), 1)
		}
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 2*rounds)
	})
}
