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
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

const (
	window = 60 * 24 * time.Hour
	week   = 7 * 24 * time.Hour
)

// late is a time at which a certificate issued at testkit.Noon may be renewed.
func late(e fixture.Enrolment) time.Time { return e.Reservation.NotAfter.Add(-window) }

// fetched records that the device has the file.
func fetched(t testing.TB, db *database, e fixture.Enrolment) fixture.Enrolment {
	t.Helper()
	if err := db.ConfirmRead(t.Context(), e.TokenHash, 5, e.Completion.At); err != nil {
		t.Fatal(err)
	}
	return e
}

// renewal makes what the registrar would make for the next certificate of a device.
func renewal(t testing.TB, e fixture.Enrolment, at time.Time) fixture.Enrolment {
	t.Helper()
	next := e.Renewal(t)
	next.Reservation.Requested, next.Reservation.RenewFrom = at, window
	next.Reservation.NotBefore, next.Reservation.NotAfter = at, at.Add(365*24*time.Hour)
	next.Completion.At, next.Completion.Overlap = at, week
	return next
}

func certificate(t testing.TB, db *database, e fixture.Enrolment) portal.Certificate {
	t.Helper()
	return testkit.Must(db.Certificate(t.Context(), e.Serial()))(t)
}

func endSuperseded(t testing.TB, db enroll.Store, e enroll.Ending) []ca.Serial {
	t.Helper()
	e.Entry = fixture.NewEntry(testkit.Noon, audit.CertificateRevoked, "")
	return testkit.Must(db.EndSuperseded(t.Context(), e))(t)
}

func TestRenewalOverlaps(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		old := fetched(t, db, fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db))
		at := late(old)
		next := renewal(t, old, at).Issue(t, db)
		// Until the new one is delivered, no time ends the old one.
		testkit.Equal(t, "overdue unseen", len(testkit.Must(db.Overdue(ctx, at.Add(2*week), 10))(t)), 0)
		testkit.Equal(t, "ended unseen", len(endSuperseded(t, db, enroll.Ending{Serials: []ca.Serial{old.Serial()}, At: at.Add(2 * week)})), 0)
		fetched(t, db, next)

		testkit.Equal(t, "old", certificate(t, db, old).Status, portal.Superseded)
		testkit.Equal(t, "its end", certificate(t, db, old).Ends, at.Add(week))
		testkit.Equal(t, "its successor", certificate(t, db, old).Next, next.Serial())
		d := testkit.Must(db.Device(ctx, anna, old.Device()))(t)
		testkit.Equal(t, "newest", d.Certificate.Serial, next.Serial())
		testkit.Equal(t, "former ends", d.FormerEnds, at.Add(week))
		last := fixture.Entries(t, db)
		told := last[len(last)-1]
		testkit.Equal(t, "action", told.Action, audit.CertificateSuperseded)
		testkit.Equal(t, "object", told.Object, old.Serial().String())
		testkit.Equal(t, "by", told.Detail["by"], next.Serial().String())
		testkit.Equal(t, "until", told.Detail["until"], at.Add(week).Format(time.RFC3339))
		testkit.Equal(t, "device", told.Detail["device"], string(old.Device()))

		before := testkit.Must(db.Overdue(ctx, at.Add(week-time.Second), 10))(t)
		testkit.Equal(t, "overdue before", len(before), 0)
		testkit.Equal(t, "ended before its time", len(endSuperseded(t, db, enroll.Ending{Serials: []ca.Serial{old.Serial()}, At: at})), 0)
		due := testkit.Must(db.Overdue(ctx, at.Add(week), 10))(t)
		testkit.Equal(t, "overdue", fmt.Sprint(due), fmt.Sprint([]ca.Serial{old.Serial()}))
		testkit.Equal(t, "ended", len(endSuperseded(t, db, enroll.Ending{Serials: due, At: at.Add(week)})), 1)
		testkit.Equal(t, "old", certificate(t, db, old).Cause, portal.Replaced)
		testkit.Equal(t, "new", certificate(t, db, next).Status, portal.Issued)
		testkit.Equal(t, "overdue after", len(testkit.Must(db.Overdue(ctx, at.Add(2*week), 10))(t)), 0)
	})
}

func TestRenewalNearTheEndDoesNotLengthenIt(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		old := fetched(t, db, fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db))
		at := old.Reservation.NotAfter.Add(-time.Hour)
		renewal(t, old, at).Issue(t, db)
		testkit.Equal(t, "its end", certificate(t, db, old).Ends, old.Reservation.NotAfter)
		// An expired certificate is not listed.
		testkit.Equal(t, "overdue", len(testkit.Must(db.Overdue(t.Context(), at.Add(2*week), 10))(t)), 0)
	})
}

// TestA12_NothingRevokedComesBack takes a renewal through every end there is.
func TestA12_NothingRevokedComesBack(t *testing.T) {
	tests := []struct {
		name     string
		end      func(t *testing.T, db *database, old, next fixture.Enrolment)
		old, new portal.Status
	}{
		{"nobody fetches the new one", func(t *testing.T, db *database, _, next fixture.Enrolment) {
			revoke(t, db, portal.Undelivered, late(next), next.Serial())
		}, portal.Issued, portal.Revoked},
		{"the portal stops", func(t *testing.T, db *database, _, next fixture.Enrolment) {
			revoke(t, db, portal.Abandoned, late(next), next.Serial())
		}, portal.Issued, portal.Revoked},
		{"the new one is revoked", func(t *testing.T, db *database, _, next fixture.Enrolment) {
			revoke(t, db, portal.Left, late(next), next.Serial())
		}, portal.Revoked, portal.Revoked},
		{"the old one is revoked first", func(t *testing.T, db *database, old, next fixture.Enrolment) {
			revoke(t, db, portal.Removed, late(next), old.Serial())
			revoke(t, db, portal.Undelivered, late(next), next.Serial())
		}, portal.Revoked, portal.Revoked},
		{"fetched after it was listed", func(t *testing.T, db *database, _, next fixture.Enrolment) {
			fetched(t, db, next)
			revoke(t, db, portal.Undelivered, late(next), next.Serial())
		}, portal.Superseded, portal.Issued},
		{"the device is removed", func(t *testing.T, db *database, old, _ fixture.Enrolment) {
			_, err := db.Revoke(t.Context(), enroll.Revocation{Cause: portal.Removed, At: testkit.Noon, RemoveDevice: old.Device()})
			if err != nil {
				t.Fatal(err)
			}
		}, portal.Revoked, portal.Revoked},
		{"the device is blocked", func(t *testing.T, db *database, old, _ fixture.Enrolment) {
			_, err := db.Revoke(t.Context(), enroll.Revocation{Cause: portal.Lost, At: testkit.Noon, BlockDevice: old.Device()})
			if err != nil {
				t.Fatal(err)
			}
		}, portal.Revoked, portal.Revoked},
		{"an ordinary new file", func(t *testing.T, db *database, old, _ fixture.Enrolment) {
			old.Renewal(t).Issue(t, db)
		}, portal.Revoked, portal.Revoked},
	}
	onBoth(t, func(t *testing.T, db *database) {
		for i, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				person := portal.PersonID(fmt.Sprint("person", i))
				old := fetched(t, db, fixture.NewEnrolment(t, person, "iPhone").Issue(t, db))
				next := renewal(t, old, late(old)).Issue(t, db)
				tt.end(t, db, old, next)
				testkit.Equal(t, "old", certificate(t, db, old).Status, tt.old)
				testkit.Equal(t, "new", certificate(t, db, next).Status, tt.new)
				// None of what may follow restores it: the sweep, a restart, another
				// try.
				far := old.Reservation.NotAfter
				again := opened(t, db.address)
				for range 2 {
					endSuperseded(t, again, enroll.Ending{Serials: testkit.Must(again.Overdue(t.Context(), far, 100))(t), At: far})
					revoke(t, again, portal.Undelivered, far, old.Serial(), next.Serial())
				}
				for _, e := range []struct {
					fixture.Enrolment
					was portal.Status
				}{{old, tt.old}, {next, tt.new}} {
					if c := certificate(t, db, e.Enrolment); e.was == portal.Revoked && c.Status != portal.Revoked {
						t.Errorf("%s came back as %s", c.Serial, c.Status)
					}
				}
			})
		}
		fixture.Entries(t, db)
	})
}

func TestRestoredDeviceMayBeRenewedAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		old := fetched(t, db, fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db))
		next := renewal(t, old, late(old)).Issue(t, db)
		revoke(t, db, portal.Undelivered, late(old), next.Serial())
		testkit.Equal(t, "newest", newest(t, db, old).Serial, old.Serial())
		testkit.Equal(t, "its end", newest(t, db, old).Ends.IsZero(), true)
		last := fixture.Entries(t, db)
		testkit.Equal(t, "last", last[len(last)-1].Action, audit.CertificateRestored)
		testkit.Equal(t, "object", last[len(last)-1].Object, old.Serial().String())
		renewal(t, old, late(old)).Issue(t, db)
	})
}

// A repeated renewal while the first may not have been delivered: at most two
// certificates are valid, and the one that was delivered for certain is among them,
// with the end it had.
func TestRenewalIsTriedAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		old := fetched(t, db, fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db))
		at := late(old)
		first := renewal(t, old, at).Issue(t, db)
		second := renewal(t, old, at.Add(time.Hour)).Issue(t, db)
		testkit.Equal(t, "old", certificate(t, db, old).Status, portal.Superseded)
		testkit.Equal(t, "its end", certificate(t, db, old).Ends, at.Add(week))
		testkit.Equal(t, "its successor", certificate(t, db, old).Next, second.Serial())
		testkit.Equal(t, "first", certificate(t, db, first).Cause, portal.Replaced)
		wantError(t, "finishing unseen", ending(t, db, old, at.Add(2*time.Hour)), portal.ErrConflict)
		fetched(t, db, second)
		if err := ending(t, db, old, at.Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		testkit.Equal(t, "old", certificate(t, db, old).Status, portal.Revoked)
		testkit.Equal(t, "second", certificate(t, db, second).Status, portal.Issued)
		if err := ending(t, db, old, at.Add(2*time.Hour)); err != nil {
			t.Errorf("a second tap: %v", err)
		}
		early := renewal(t, old, at.Add(3*time.Hour))
		wantRefusal(t, db.Reserve(t.Context(), early.Reservation), portal.RenewEarly)
	})
}

func ending(t testing.TB, db *database, e fixture.Enrolment, at time.Time) error {
	t.Helper()
	_, err := db.EndSuperseded(t.Context(), enroll.Ending{Device: e.Device(), At: at, Entry: fixture.NewEntry(testkit.Noon, audit.CertificateRevoked, anna)})
	return err
}

func TestReserveDecidesRenewal(t *testing.T) {
	tests := []struct {
		name   string
		before func(t *testing.T, db *database, old fixture.Enrolment)
		at     func(old fixture.Enrolment) time.Time
		want   portal.Reason // empty: it may
	}{
		{"in time", nil, late, ""},
		{"too early", nil, func(e fixture.Enrolment) time.Time { return late(e).Add(-time.Second) }, portal.RenewEarly},
		{"run out", nil, func(e fixture.Enrolment) time.Time { return e.Reservation.NotAfter.Add(week) }, ""},
		{"another under way", func(t *testing.T, db *database, old fixture.Enrolment) {
			renewal(t, old, late(old)).Reserve(t, db)
		}, late, portal.RenewEarly},
		{"another left by a crash", func(t *testing.T, db *database, old fixture.Enrolment) {
			renewal(t, old, late(old)).Reserve(t, db)
		}, func(e fixture.Enrolment) time.Time { return late(e).Add(enroll.ReservationLife) }, ""},
		{"revoked", func(t *testing.T, db *database, old fixture.Enrolment) {
			revoke(t, db, portal.Left, testkit.Noon, old.Serial())
		}, late, portal.DeviceBlocked},
		{"blocked", func(t *testing.T, db *database, old fixture.Enrolment) {
			_, err := db.Revoke(t.Context(), enroll.Revocation{Cause: portal.Lost, At: testkit.Noon, BlockDevice: old.Device()})
			if err != nil {
				t.Fatal(err)
			}
		}, late, portal.DeviceBlocked},
	}
	onBoth(t, func(t *testing.T, db *database) {
		for i, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				old := fetched(t, db, fixture.NewEnrolment(t, portal.PersonID(fmt.Sprint("person", i)), "iPhone").Issue(t, db))
				if tt.before != nil {
					tt.before(t, db, old)
				}
				err := db.Reserve(t.Context(), renewal(t, old, tt.at(old)).Reservation)
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
	onBoth(t, func(t *testing.T, db *database) {
		replica := opened(t, db.address)
		for round := range rounds {
			old := fetched(t, db, fixture.NewEnrolment(t, portal.PersonID(fmt.Sprint("person", round)), "iPhone").Issue(t, db))
			var waiting sync.WaitGroup
			var renewed atomic.Int32
			for i := range taps {
				next := renewal(t, old, late(old))
				via := enroll.Store(db)
				if i%2 == 1 {
					via = replica
				}
				waiting.Go(func() {
					err := via.Reserve(t.Context(), next.Reservation)
					var refusal *portal.Refusal
					if err != nil && !errors.As(err, &refusal) {
						t.Error(err)
					}
					if err == nil && via.Complete(t.Context(), next.Completion) == nil {
						renewed.Add(1)
					}
				})
			}
			waiting.Wait()
			if renewed.Load() == 0 {
				t.Error("nobody renewed")
			}
			checkHeld(t, db, old.Device())
		}
		fixture.Entries(t, db)
	})
}

// checkHeld checks that a device has at most one issued certificate and one before
// it.
func checkHeld(t testing.TB, db *database, device portal.DeviceID) {
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

// The sweep revokes a certificate that was never fetched while its person confirms
// that it works: in either order, one certificate is valid afterwards.
func TestSweepAgainstFinish(t *testing.T) {
	const rounds = 12
	onBoth(t, func(t *testing.T, db *database) {
		replica := opened(t, db.address)
		for round := range rounds {
			old := fetched(t, db, fixture.NewEnrolment(t, portal.PersonID(fmt.Sprint("person", round)), "iPhone").Issue(t, db))
			next := renewal(t, old, late(old)).Issue(t, db)
			var waiting sync.WaitGroup
			waiting.Go(func() { revoke(t, replica, portal.Undelivered, late(old), next.Serial()) })
			waiting.Go(func() {
				// A phone fetches it at the last moment, and its owner confirms.
				if db.ConfirmRead(t.Context(), next.TokenHash, 5, late(old)) == nil {
					_ = ending(t, db, old, late(old))
				}
			})
			waiting.Go(func() {
				endSuperseded(t, replica, enroll.Ending{Serials: []ca.Serial{old.Serial()}, At: late(old).Add(week)})
			})
			waiting.Wait()
			checkHeld(t, db, old.Device())
			d := testkit.Must(db.Device(t.Context(), old.Reservation.Person, old.Device()))(t)
			testkit.Equal(t, "a certificate is left that works", d.Working(late(old)), true)
		}
		fixture.Entries(t, db)
	})
}

// TestA15_TheNewOneEndsTheOldOne: a renewal signed with the new certificate shows
// that it was delivered, and one signed with the old certificate is refused from then
// on.
func TestA15_TheNewOneEndsTheOldOne(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		signedBy := func(holder, device fixture.Enrolment) fixture.Enrolment {
			e := device.Renewal(t)
			e.Reservation.Renews, e.Reservation.Requested = holder.Serial(), testkit.Noon
			e.Completion.Pickup, e.Completion.Delivered, e.Completion.Overlap = nil, true, week
			return e
		}
		denied := func(e fixture.Enrolment, why string) {
			t.Helper()
			var denial *portal.Denial
			if err := db.Reserve(t.Context(), e.Reservation); !errors.As(err, &denial) || denial.Why != why {
				t.Errorf("got %v, want %s", err, why)
			}
		}
		old := fixture.NewEnrolment(t, anna, "iPhone")
		old.Completion.Pickup, old.Completion.Delivered = nil, true
		old.Issue(t, db)
		next := signedBy(old, old).Issue(t, db)
		denied(signedBy(old, old), portal.HolderEnded)
		testkit.Equal(t, "old", certificate(t, db, old).Status, portal.Superseded)

		third := signedBy(next, old).Reserve(t, db)
		testkit.Equal(t, "old", certificate(t, db, old).Cause, portal.Replaced)
		testkit.Equal(t, "next", certificate(t, db, next).Status, portal.Issued)
		denied(signedBy(next, old), portal.HolderEarly)
		if err := db.Complete(t.Context(), third.Completion); err != nil {
			t.Fatal(err)
		}
		checkHeld(t, db, old.Device())
		fixture.Entries(t, db)
	})
}

// TestA17_ADeviceRenewsInTime: the window holds inside the transaction for a device that
// shows its certificate, and the one before, still valid, gives it no second try.
func TestA17_ADeviceRenewsInTime(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		signedBy := func(holder fixture.Enrolment, at time.Time) fixture.Enrolment {
			e := renewal(t, holder, at)
			e.Reservation.Renews = holder.Serial()
			e.Completion.Pickup, e.Completion.Delivered, e.Completion.Supersede = nil, true, false
			return e
		}
		old := fixture.NewEnrolment(t, anna, "iPhone")
		old.Completion.Pickup, old.Completion.Delivered = nil, true
		old.Issue(t, db)
		wantRefusal(t, db.Reserve(t.Context(), signedBy(old, late(old).Add(-time.Second)).Reservation), portal.RenewEarly)
		next := signedBy(old, late(old)).Issue(t, db)
		testkit.Equal(t, "old", certificate(t, db, old).Status, portal.Superseded)
		wantRefusal(t, db.Reserve(t.Context(), signedBy(next, late(old).Add(time.Hour)).Reservation), portal.RenewEarly)
		signedBy(next, late(next)).Issue(t, db)
	})
}

// TestA12_TheFormerEndsToo: revoking the newer of two certificates of a device
// revokes the older one too.
func TestA12_TheFormerEndsToo(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		for n, tt := range []struct {
			cause portal.Cause
			want  portal.Status
		}{
			{portal.Lost, portal.Revoked}, {portal.Withdrawn, portal.Revoked}, {portal.Left, portal.Revoked},
			{portal.Replaced, portal.Superseded}, {portal.Abandoned, portal.Issued},
		} {
			person := portal.PersonID(fmt.Sprint("p", n))
			old := fetched(t, db, fixture.NewEnrolment(t, person, "iPhone").Issue(t, db))
			next := fetched(t, db, renewal(t, old, late(old)).Issue(t, db))
			ended := testkit.Must(db.Revoke(t.Context(), enroll.Revocation{
				Serials: []ca.Serial{next.Serial()}, Cause: tt.cause, At: late(old), Entry: fixture.NewEntry(testkit.Noon, "", person),
			}))(t)
			if got := certificate(t, db, old).Status; got != tt.want {
				t.Errorf("%s: the former is %s, want %s (ended %v)", tt.cause, got, tt.want, ended)
			}
		}
	})
}

// TestA12_APersonEndsWhole: revoking everything of a person also ends every way to
// more of it.
func TestA12_APersonEndsWhole(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		open, others := invited(t, db, anna, 1, testkit.Noon), invited(t, db, "ben", 2, testkit.Noon)
		ids := [][32]byte{{1}, {2}}
		for i, person := range []string{string(anna), "ben"} {
			if err := db.SaveSession(ctx, ids[i], person, []byte("x"), time.Hour, testkit.Noon.Add(time.Hour), testkit.Noon); err != nil {
				t.Fatal(err)
			}
		}
		testkit.Must(db.Revoke(ctx, enroll.Revocation{
			Cause: portal.Lost, At: testkit.Noon, Entry: fixture.NewEntry(testkit.Noon, "", anna), EndPerson: anna,
		}))(t)
		testkit.Equal(t, "anna's code", testkit.Must(db.Invitation(ctx, open.ID))(t).State, signin.InvitationEnded)
		testkit.Equal(t, "ben's code", testkit.Must(db.Invitation(ctx, others.ID))(t).State, signin.InvitationOpen)
		_, err := db.Session(ctx, ids[0], testkit.Noon)
		wantError(t, "anna's session", err, portal.ErrNotFound)
		if _, err := db.Session(ctx, ids[1], testkit.Noon); err != nil {
			t.Errorf("ben's session: %v", err)
		}
		all := fixture.Entries(t, db)
		if last := all[len(all)-1]; last.Action != audit.InvitationEnded || last.Object != string(open.ID) {
			t.Errorf("audit log ends with %+v", last)
		}
	})
}
