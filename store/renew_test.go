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
	"certportal/internal/signin"
)

const (
	window = 60 * 24 * time.Hour
	week   = 7 * 24 * time.Hour
)

// late is a moment at which what was issued at noon may be renewed.
func late(e enrolment) time.Time { return e.reservation.NotAfter.Add(-window) }

// fetched says that the device has the file.
func fetched(t testing.TB, db *fixture, e enrolment) enrolment {
	t.Helper()
	if err := db.ConfirmRead(t.Context(), e.token, 5, e.completion.At); err != nil {
		t.Fatal(err)
	}
	return e
}

// renewal makes what the registrar would make for the next certificate of a device.
func (e enrolment) renewal(t testing.TB, at time.Time) enrolment {
	t.Helper()
	next := e.again(t)
	next.reservation.Requested, next.reservation.RenewFrom = at, window
	next.reservation.NotBefore, next.reservation.NotAfter = at, at.Add(365*24*time.Hour)
	next.completion.At, next.completion.Overlap = at, week
	return next
}

func certificate(t testing.TB, db *fixture, e enrolment) portal.Certificate {
	t.Helper()
	return must[portal.Certificate](t)(db.Certificate(t.Context(), e.serial()))
}

func endSuperseded(t testing.TB, db enroll.Store, e enroll.Ending) []ca.Serial {
	t.Helper()
	e.Entry = entry(audit.CertificateRevoked, "")
	return must[[]ca.Serial](t)(db.EndSuperseded(t.Context(), e))
}

func TestRenewalOverlaps(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		old := fetched(t, db, issue(t, db, request(t, anna, "iPhone")))
		at := late(old)
		next := issue(t, db, old.renewal(t, at))
		// Until somebody has the new one, no time ends the old one.
		equal(t, "overdue unseen", len(must[[]ca.Serial](t)(db.Overdue(ctx, at.Add(2*week), 10))), 0)
		equal(t, "ended unseen", len(endSuperseded(t, db, enroll.Ending{Serials: []ca.Serial{old.serial()}, At: at.Add(2 * week)})), 0)
		fetched(t, db, next)

		equal(t, "old", certificate(t, db, old).Status, portal.Superseded)
		equal(t, "its end", certificate(t, db, old).Ends, at.Add(week))
		equal(t, "its successor", certificate(t, db, old).Next, next.serial())
		d := must[portal.Device](t)(db.Device(ctx, anna, old.device()))
		equal(t, "newest", d.Certificate.Serial, next.serial())
		equal(t, "former ends", d.FormerEnds, at.Add(week))
		last := entries(t, db)
		told := last[len(last)-1]
		equal(t, "action", told.Action, audit.CertificateSuperseded)
		equal(t, "object", told.Object, old.serial().String())
		equal(t, "by", told.Detail["by"], next.serial().String())
		equal(t, "until", told.Detail["until"], at.Add(week).Format(time.RFC3339))
		equal(t, "device", told.Detail["device"], string(old.device()))

		before := must[[]ca.Serial](t)(db.Overdue(ctx, at.Add(week-time.Second), 10))
		equal(t, "overdue before", len(before), 0)
		equal(t, "ended before its time", len(endSuperseded(t, db, enroll.Ending{Serials: []ca.Serial{old.serial()}, At: at})), 0)
		due := must[[]ca.Serial](t)(db.Overdue(ctx, at.Add(week), 10))
		equal(t, "overdue", fmt.Sprint(due), fmt.Sprint([]ca.Serial{old.serial()}))
		equal(t, "ended", len(endSuperseded(t, db, enroll.Ending{Serials: due, At: at.Add(week)})), 1)
		equal(t, "old", certificate(t, db, old).Cause, portal.Replaced)
		equal(t, "new", certificate(t, db, next).Status, portal.Issued)
		equal(t, "overdue after", len(must[[]ca.Serial](t)(db.Overdue(ctx, at.Add(2*week), 10))), 0)
	})
}

func TestRenewalNearTheEndDoesNotLengthenIt(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		old := fetched(t, db, issue(t, db, request(t, anna, "iPhone")))
		at := old.reservation.NotAfter.Add(-time.Hour)
		issue(t, db, old.renewal(t, at))
		equal(t, "its end", certificate(t, db, old).Ends, old.reservation.NotAfter)
		// What ran out by itself needs no place in the list.
		equal(t, "overdue", len(must[[]ca.Serial](t)(db.Overdue(t.Context(), at.Add(2*week), 10))), 0)
	})
}

// TestA12_NothingRevokedComesBack takes a renewal through every end there is.
func TestA12_NothingRevokedComesBack(t *testing.T) {
	tests := []struct {
		name     string
		end      func(t *testing.T, db *fixture, old, next enrolment)
		old, new portal.Status
	}{
		{"nobody fetches the new one", func(t *testing.T, db *fixture, _, next enrolment) {
			revoke(t, db, portal.Undelivered, late(next), next.serial())
		}, portal.Issued, portal.Revoked},
		{"the portal stops", func(t *testing.T, db *fixture, _, next enrolment) {
			revoke(t, db, portal.Abandoned, late(next), next.serial())
		}, portal.Issued, portal.Revoked},
		{"the new one is revoked", func(t *testing.T, db *fixture, _, next enrolment) {
			revoke(t, db, portal.Left, late(next), next.serial())
		}, portal.Revoked, portal.Revoked},
		{"the old one is revoked first", func(t *testing.T, db *fixture, old, next enrolment) {
			revoke(t, db, portal.Removed, late(next), old.serial())
			revoke(t, db, portal.Undelivered, late(next), next.serial())
		}, portal.Revoked, portal.Revoked},
		{"fetched after it was listed", func(t *testing.T, db *fixture, _, next enrolment) {
			fetched(t, db, next)
			revoke(t, db, portal.Undelivered, late(next), next.serial())
		}, portal.Superseded, portal.Issued},
		{"the device is removed", func(t *testing.T, db *fixture, old, _ enrolment) {
			_, err := db.Revoke(t.Context(), enroll.Revocation{Cause: portal.Removed, At: noon, RemoveDevice: old.device()})
			if err != nil {
				t.Fatal(err)
			}
		}, portal.Revoked, portal.Revoked},
		{"the device is blocked", func(t *testing.T, db *fixture, old, _ enrolment) {
			_, err := db.Revoke(t.Context(), enroll.Revocation{Cause: portal.Lost, At: noon, BlockDevice: old.device()})
			if err != nil {
				t.Fatal(err)
			}
		}, portal.Revoked, portal.Revoked},
		{"an ordinary new file", func(t *testing.T, db *fixture, old, _ enrolment) {
			issue(t, db, old.again(t))
		}, portal.Revoked, portal.Revoked},
	}
	onBoth(t, func(t *testing.T, db *fixture) {
		for i, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				person := portal.PersonID(fmt.Sprint("person", i))
				old := fetched(t, db, issue(t, db, request(t, person, "iPhone")))
				next := issue(t, db, old.renewal(t, late(old)))
				tt.end(t, db, old, next)
				equal(t, "old", certificate(t, db, old).Status, tt.old)
				equal(t, "new", certificate(t, db, next).Status, tt.new)
				// Whatever comes later: the sweep, a restart, another try.
				far := old.reservation.NotAfter
				again := opened(t, db.address)
				for range 2 {
					endSuperseded(t, again, enroll.Ending{Serials: must[[]ca.Serial](t)(again.Overdue(t.Context(), far, 100)), At: far})
					revoke(t, again, portal.Undelivered, far, old.serial(), next.serial())
				}
				for _, e := range []struct {
					enrolment
					was portal.Status
				}{{old, tt.old}, {next, tt.new}} {
					if c := certificate(t, db, e.enrolment); e.was == portal.Revoked && c.Status != portal.Revoked {
						t.Errorf("%s came back as %s", c.Serial, c.Status)
					}
				}
			})
		}
		entries(t, db)
	})
}

func TestRestoredDeviceMayBeRenewedAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		old := fetched(t, db, issue(t, db, request(t, anna, "iPhone")))
		next := issue(t, db, old.renewal(t, late(old)))
		revoke(t, db, portal.Undelivered, late(old), next.serial())
		equal(t, "newest", newest(t, db, old).Serial, old.serial())
		equal(t, "its end", newest(t, db, old).Ends.IsZero(), true)
		last := entries(t, db)
		equal(t, "last", last[len(last)-1].Action, audit.CertificateRestored)
		equal(t, "object", last[len(last)-1].Object, old.serial().String())
		issue(t, db, old.renewal(t, late(old)))
	})
}

// Another try while the first may not have arrived: two work at most, and the one
// that surely arrived is among them, with the end it had.
func TestRenewalIsTriedAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		old := fetched(t, db, issue(t, db, request(t, anna, "iPhone")))
		at := late(old)
		first := issue(t, db, old.renewal(t, at))
		second := issue(t, db, old.renewal(t, at.Add(time.Hour)))
		equal(t, "old", certificate(t, db, old).Status, portal.Superseded)
		equal(t, "its end", certificate(t, db, old).Ends, at.Add(week))
		equal(t, "its successor", certificate(t, db, old).Next, second.serial())
		equal(t, "first", certificate(t, db, first).Cause, portal.Replaced)
		wantError(t, "finishing unseen", ending(t, db, old, at.Add(2*time.Hour)), portal.ErrConflict)
		fetched(t, db, second)
		if err := ending(t, db, old, at.Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		equal(t, "old", certificate(t, db, old).Status, portal.Revoked)
		equal(t, "second", certificate(t, db, second).Status, portal.Issued)
		if err := ending(t, db, old, at.Add(2*time.Hour)); err != nil {
			t.Errorf("a second tap: %v", err)
		}
		early := old.renewal(t, at.Add(3*time.Hour))
		wantRefusal(t, db.Reserve(t.Context(), early.reservation), portal.RenewEarly)
	})
}

func ending(t testing.TB, db *fixture, e enrolment, at time.Time) error {
	t.Helper()
	_, err := db.EndSuperseded(t.Context(), enroll.Ending{Device: e.device(), At: at, Entry: entry(audit.CertificateRevoked, anna)})
	return err
}

func TestReserveDecidesRenewal(t *testing.T) {
	tests := []struct {
		name   string
		before func(t *testing.T, db *fixture, old enrolment)
		at     func(old enrolment) time.Time
		want   portal.Reason // empty: it may
	}{
		{"in time", nil, late, ""},
		{"too early", nil, func(e enrolment) time.Time { return late(e).Add(-time.Second) }, portal.RenewEarly},
		{"run out", nil, func(e enrolment) time.Time { return e.reservation.NotAfter.Add(week) }, ""},
		{"another under way", func(t *testing.T, db *fixture, old enrolment) {
			reserve(t, db, old.renewal(t, late(old)))
		}, late, portal.RenewEarly},
		{"another left by a crash", func(t *testing.T, db *fixture, old enrolment) {
			reserve(t, db, old.renewal(t, late(old)))
		}, func(e enrolment) time.Time { return late(e).Add(enroll.ReservationLife) }, ""},
		{"revoked", func(t *testing.T, db *fixture, old enrolment) {
			revoke(t, db, portal.Left, noon, old.serial())
		}, late, portal.DeviceBlocked},
		{"blocked", func(t *testing.T, db *fixture, old enrolment) {
			_, err := db.Revoke(t.Context(), enroll.Revocation{Cause: portal.Lost, At: noon, BlockDevice: old.device()})
			if err != nil {
				t.Fatal(err)
			}
		}, late, portal.DeviceBlocked},
	}
	onBoth(t, func(t *testing.T, db *fixture) {
		for i, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				old := fetched(t, db, issue(t, db, request(t, portal.PersonID(fmt.Sprint("person", i)), "iPhone")))
				if tt.before != nil {
					tt.before(t, db, old)
				}
				err := db.Reserve(t.Context(), old.renewal(t, tt.at(old)).reservation)
				if tt.want != "" {
					wantRefusal(t, err, tt.want)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// Two replicas renew one device at the same moment, from two windows.
func TestF22_TwoReplicasRenewAtOnce(t *testing.T) {
	const rounds, taps = 8, 6
	onBoth(t, func(t *testing.T, db *fixture) {
		replica := opened(t, db.address)
		for round := range rounds {
			old := fetched(t, db, issue(t, db, request(t, portal.PersonID(fmt.Sprint("person", round)), "iPhone")))
			var waiting sync.WaitGroup
			var renewed atomic.Int32
			for i := range taps {
				next := old.renewal(t, late(old))
				via := enroll.Store(db)
				if i%2 == 1 {
					via = replica
				}
				waiting.Go(func() {
					err := via.Reserve(t.Context(), next.reservation)
					var refusal *portal.Refusal
					if err != nil && !errors.As(err, &refusal) {
						t.Error(err)
					}
					if err == nil && via.Complete(t.Context(), next.completion) == nil {
						renewed.Add(1)
					}
				})
			}
			waiting.Wait()
			if renewed.Load() == 0 {
				t.Error("nobody renewed")
			}
			checkHeld(t, db, old.device())
		}
		entries(t, db)
	})
}

// checkHeld holds that a device has one certificate issued and one before it at the
// most.
func checkHeld(t testing.TB, db *fixture, device portal.DeviceID) {
	t.Helper()
	for _, status := range []portal.Status{portal.Issued, portal.Superseded} {
		var n int
		err := db.plain.QueryRow("SELECT count(*) FROM certificates WHERE device_id = $1 AND status = $2",
			string(device), string(status)).Scan(&n)
		if err != nil || n > 1 {
			t.Errorf("device %s holds %d %s, want 1 at most: %v", device, n, status, err)
		}
	}
}

// The sweep ends what nobody fetched while its person says that it works: whoever is
// first, something works afterwards.
func TestSweepAgainstFinish(t *testing.T) {
	const rounds = 12
	onBoth(t, func(t *testing.T, db *fixture) {
		replica := opened(t, db.address)
		for round := range rounds {
			old := fetched(t, db, issue(t, db, request(t, portal.PersonID(fmt.Sprint("person", round)), "iPhone")))
			next := issue(t, db, old.renewal(t, late(old)))
			var waiting sync.WaitGroup
			waiting.Go(func() { revoke(t, replica, portal.Undelivered, late(old), next.serial()) })
			waiting.Go(func() {
				// A phone that fetches it at the last moment, and its owner.
				if db.ConfirmRead(t.Context(), next.token, 5, late(old)) == nil {
					_ = ending(t, db, old, late(old))
				}
			})
			waiting.Go(func() {
				endSuperseded(t, replica, enroll.Ending{Serials: []ca.Serial{old.serial()}, At: late(old).Add(week)})
			})
			waiting.Wait()
			checkHeld(t, db, old.device())
			d := must[portal.Device](t)(db.Device(t.Context(), old.reservation.Person, old.device()))
			equal(t, "a certificate is left that works", d.Working(late(old)), true)
		}
		entries(t, db)
	})
}

// TestA15_TheNewOneEndsTheOldOne: a renewal signed with the new certificate shows
// that it arrived, and one signed with the old one is none any more.
func TestA15_TheNewOneEndsTheOldOne(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		signedBy := func(holder, device enrolment) enrolment {
			e := device.again(t)
			e.reservation.Renews, e.reservation.Requested = holder.serial(), noon
			e.completion.Pickup, e.completion.Delivered, e.completion.Overlap = nil, true, week
			return e
		}
		denied := func(e enrolment, why string) {
			t.Helper()
			var denial *portal.Denial
			if err := db.Reserve(t.Context(), e.reservation); !errors.As(err, &denial) || denial.Why != why {
				t.Errorf("got %v, want %s", err, why)
			}
		}
		old := request(t, anna, "iPhone")
		old.completion.Pickup, old.completion.Delivered = nil, true
		issue(t, db, old)
		next := issue(t, db, signedBy(old, old))
		denied(signedBy(old, old), portal.HolderEnded)
		equal(t, "old", certificate(t, db, old).Status, portal.Superseded)

		third := reserve(t, db, signedBy(next, old))
		equal(t, "old", certificate(t, db, old).Cause, portal.Replaced)
		equal(t, "next", certificate(t, db, next).Status, portal.Issued)
		denied(signedBy(next, old), portal.HolderEarly)
		if err := db.Complete(t.Context(), third.completion); err != nil {
			t.Fatal(err)
		}
		checkHeld(t, db, old.device())
		entries(t, db)
	})
}

// TestA12_TheFormerEndsToo: who revokes the newer of two certificates of a device
// means the device, not its way back to the older one.
func TestA12_TheFormerEndsToo(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		for n, tt := range []struct {
			cause portal.Cause
			want  portal.Status
		}{
			{portal.Lost, portal.Revoked}, {portal.Withdrawn, portal.Revoked}, {portal.Left, portal.Revoked},
			{portal.Replaced, portal.Superseded}, {portal.Abandoned, portal.Issued},
		} {
			person := portal.PersonID(fmt.Sprint("p", n))
			old := fetched(t, db, issue(t, db, request(t, person, "iPhone")))
			next := fetched(t, db, issue(t, db, old.renewal(t, late(old))))
			ended := must[[]ca.Serial](t)(db.Revoke(t.Context(), enroll.Revocation{
				Serials: []ca.Serial{next.serial()}, Cause: tt.cause, At: late(old), Entry: entry("", person),
			}))
			if got := certificate(t, db, old).Status; got != tt.want {
				t.Errorf("%s: the former is %s, want %s (ended %v)", tt.cause, got, tt.want, ended)
			}
		}
	})
}

// TestA12_APersonEndsWhole: with everything of a person end the ways to more of it.
func TestA12_APersonEndsWhole(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		issue(t, db, request(t, anna, "iPhone"))
		open, others := invited(t, db, anna, 1, noon), invited(t, db, "ben", 2, noon)
		ids := [][32]byte{{1}, {2}}
		for i, person := range []string{string(anna), "ben"} {
			if err := db.SaveSession(ctx, ids[i], person, []byte("x"), time.Hour, noon.Add(time.Hour), noon); err != nil {
				t.Fatal(err)
			}
		}
		must[[]ca.Serial](t)(db.Revoke(ctx, enroll.Revocation{
			Cause: portal.Lost, At: noon, Entry: entry("", anna), EndPerson: anna,
		}))
		equal(t, "anna's code", must[signin.Invitation](t)(db.Invitation(ctx, open.ID)).State, signin.InvitationEnded)
		equal(t, "ben's code", must[signin.Invitation](t)(db.Invitation(ctx, others.ID)).State, signin.InvitationOpen)
		_, err := db.Session(ctx, ids[0], noon)
		wantError(t, "anna's session", err, portal.ErrNotFound)
		if _, err := db.Session(ctx, ids[1], noon); err != nil {
			t.Errorf("ben's session: %v", err)
		}
		all := entries(t, db)
		if last := all[len(all)-1]; last.Action != audit.InvitationEnded || last.Object != string(open.ID) {
			t.Errorf("ledger ends with %+v", last)
		}
	})
}
