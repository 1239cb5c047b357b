package store_test

import (
	"testing"

	"certportal/internal/portal"
)

func TestEnrolment(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		e := issue(t, db, request(t, anna, "Anna's iPhone"))
		devices := must[[]portal.Device](t)(db.Devices(ctx, anna))
		if len(devices) != 1 {
			t.Fatalf("got %d devices, want 1", len(devices))
		}
		got := devices[0]
		equal(t, "device", got.ID, e.device())
		equal(t, "name", got.Name, "Anna's iPhone")
		equal(t, "platform", got.Platform, portal.IOS)
		equal(t, "created", got.Created, noon)
		equal(t, "removed", got.Removed.IsZero(), true)
		equal(t, "serial", got.Certificate.Serial, e.serial())
		equal(t, "status", got.Certificate.Status, portal.Issued)
		equal(t, "kind", got.Certificate.Kind, portal.KindUser)
		equal(t, "UPN", got.Certificate.UPN, "anna@corp.example")
		equal(t, "SID", got.Certificate.SID, "S-1-5-21-1-2-3-1001")
		equal(t, "end", got.Certificate.NotAfter, e.reservation.NotAfter)
		equal(t, "requested", got.Certificate.Requested, noon)
		equal(t, "delivered", got.Certificate.Delivered.IsZero(), true)
		sameBytes(t, "DER", got.Certificate.DER, e.completion.Certificate.Raw)
		alone := must[portal.Certificate](t)(db.Certificate(ctx, e.serial()))
		equal(t, "certificate by serial", alone.Serial, e.serial())
		_, err := db.Certificate(ctx, request(t, anna, "x").serial())
		wantError(t, "unknown serial", err, portal.ErrNotFound)
		log := entries(t, db)
		equal(t, "ledger", actions(log), "[certificate.reserved certificate.issued]")
		equal(t, "object", log[0].Object, e.serial().String())
		equal(t, "detail", log[1].Detail["profile"], "User")
	})
}
