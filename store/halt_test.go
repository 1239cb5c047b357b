package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

func TestHaltStopsEveryReplica(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		replica := &fixture{DB: opened(t, db.address)}
		first := issue(t, db, request(t, anna, "iPhone"))
		halt := admin.Halt{Reason: "The key is being looked at.", Actor: "ada", Since: noon}
		equal(t, "changed", must[bool](t)(db.SetHalt(ctx, halt, entry(audit.IssuingHalted, "ada"))), true)
		equal(t, "changed again", must[bool](t)(db.SetHalt(ctx, halt, entry(audit.IssuingHalted, "ada"))), false)
		equal(t, "state", must[admin.Halt](t)(replica.Halted(ctx)), halt)
		before := len(entries(t, db))
		for _, each := range []*fixture{db, replica} {
			next := request(t, "ben", "iPhone")
			wantRefusal(t, each.Reserve(ctx, next.reservation), portal.Halted)
			_, err := each.CertificateDetail(ctx, next.serial(), noon)
			wantError(t, "what was refused", err, portal.ErrNotFound)
		}
		equal(t, "entries of what was refused", len(entries(t, db))-before, 0)

		// Revoking goes on, and so do the portal's own certificates.
		equal(t, "revoked meanwhile", len(revoke(t, replica, portal.Lost, noon, first.serial())), 1)
		own := request(t, "", "")
		own.reservation.Kind, own.reservation.Device, own.reservation.Idempotent = portal.KindServer, portal.Device{}, ""
		if err := db.Reserve(ctx, own.reservation); err != nil {
			t.Errorf("the portal's own certificate: %v", err)
		}

		equal(t, "resumed", must[bool](t)(replica.SetHalt(ctx, admin.Halt{Actor: "ada"}, entry(audit.IssuingResumed, "ada"))), true)
		issue(t, db, request(t, "ben", "iPhone"))
	})
}

// Once turning the switch has returned, nothing is reserved, however many replicas
// are at it.
func TestHaltLeavesNoneBehind(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		replica := &fixture{DB: opened(t, db.address)}
		var reservations []enrolment
		for i := range 40 {
			reservations = append(reservations, request(t, portal.PersonID(fmt.Sprint("p", i)), "iPhone"))
		}
		var all sync.WaitGroup
		for i, e := range reservations {
			at := []*fixture{db, replica}[i%2]
			all.Go(func() { _ = at.Reserve(context.Background(), e.reservation) })
		}
		must[bool](t)(db.SetHalt(t.Context(), admin.Halt{Reason: "now", Actor: "ada", Since: noon}, entry(audit.IssuingHalted, "ada")))
		all.Wait()
		halted := false
		for _, e := range entries(t, db) {
			if halted && e.Action == audit.CertificateReserved {
				t.Errorf("entry %d: reserved after the switch was turned", e.Seq)
			}
			halted = halted || e.Action == audit.IssuingHalted
		}
		equal(t, "halted", halted, true)
	})
}
