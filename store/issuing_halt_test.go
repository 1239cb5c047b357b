package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func TestHaltStopsEveryReplica(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		replica := &database{DB: opened(t, db.address)}
		first := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		halt := admin.Halt{Reason: "The key is being looked at.", Actor: "ada", Since: testkit.Noon}
		testkit.Equal(t, "changed", testkit.Must(db.SetHalt(ctx, halt, fixture.NewEntry(testkit.Noon, audit.IssuingHalted, "ada")))(t), true)
		testkit.Equal(t, "changed again", testkit.Must(db.SetHalt(ctx, halt, fixture.NewEntry(testkit.Noon, audit.IssuingHalted, "ada")))(t), false)
		testkit.Equal(t, "state", testkit.Must(replica.Halted(ctx))(t), halt)
		before := len(fixture.Entries(t, db))
		for _, each := range []*database{db, replica} {
			next := fixture.NewEnrolment(t, "ben", "iPhone")
			wantRefusal(t, each.Reserve(ctx, next.Reservation), portal.Halted)
			_, err := each.CertificateDetail(ctx, next.Serial(), testkit.Noon)
			wantError(t, "what was refused", err, portal.ErrNotFound)
		}
		testkit.Equal(t, "entries of what was refused", len(fixture.Entries(t, db))-before, 0)

		// Revoking goes on, and so do the portal's own certificates.
		testkit.Equal(t, "revoked meanwhile", len(revoke(t, replica, portal.Lost, testkit.Noon, first.Serial())), 1)
		own := fixture.NewEnrolment(t, "", "")
		own.Reservation.Kind, own.Reservation.Device, own.Reservation.Idempotent = portal.KindServer, portal.Device{}, ""
		if err := db.Reserve(ctx, own.Reservation); err != nil {
			t.Errorf("the portal's own certificate: %v", err)
		}

		testkit.Equal(t, "resumed", testkit.Must(replica.SetHalt(ctx, admin.Halt{Actor: "ada"}, fixture.NewEntry(testkit.Noon, audit.IssuingResumed, "ada")))(t), true)
		fixture.NewEnrolment(t, "ben", "iPhone").Issue(t, db)
	})
}

// Once turning the switch has returned, nothing is reserved, on any number of
// replicas.
func TestHaltLeavesNoneBehind(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		replica := &database{DB: opened(t, db.address)}
		var reservations []fixture.Enrolment
		for i := range 40 {
			reservations = append(reservations, fixture.NewEnrolment(t, portal.PersonID(fmt.Sprint("p", i)), "iPhone"))
		}
		var all sync.WaitGroup
		for i, e := range reservations {
			at := []*database{db, replica}[i%2]
			all.Go(func() { _ = at.Reserve(context.Background(), e.Reservation) })
		}
		testkit.Must(db.SetHalt(t.Context(), admin.Halt{Reason: "now", Actor: "ada", Since: testkit.Noon}, fixture.NewEntry(testkit.Noon, audit.IssuingHalted, "ada")))(t)
		all.Wait()
		halted := false
		for _, e := range fixture.Entries(t, db) {
			if halted && e.Action == audit.CertificateReserved {
				t.Errorf("entry %d: reserved after the switch was turned", e.Seq)
			}
			halted = halted || e.Action == audit.IssuingHalted
		}
		testkit.Equal(t, "halted", halted, true)
	})
}
