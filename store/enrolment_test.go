package store_test

import (
	"testing"

	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func TestEnrolment(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		e := fixture.NewEnrolment(t, anna, "Anna's iPhone").Issue(t, db)
		devices := testkit.Must(db.Devices(ctx, anna))(t)
		if len(devices) != 1 {
			t.Fatalf("got %d devices, want 1", len(devices))
		}
		got := devices[0]
		testkit.Equal(t, "device", got.ID, e.Device())
		testkit.Equal(t, "name", got.Name, "Anna's iPhone")
		testkit.Equal(t, "platform", got.Platform, portal.IOS)
		testkit.Equal(t, "created", got.Created, testkit.Noon)
		testkit.Equal(t, "removed", got.Removed.IsZero(), true)
		testkit.Equal(t, "serial", got.Certificate.Serial, e.Serial())
		testkit.Equal(t, "status", got.Certificate.Status, portal.Issued)
		testkit.Equal(t, "kind", got.Certificate.Kind, portal.KindUser)
		testkit.Equal(t, "UPN", got.Certificate.UPN, "anna@corp.example")
		testkit.Equal(t, "SID", got.Certificate.SID, "S-1-5-21-1-2-3-1001")
		testkit.Equal(t, "end", got.Certificate.NotAfter, e.Reservation.NotAfter)
		testkit.Equal(t, "requested", got.Certificate.Requested, testkit.Noon)
		testkit.Equal(t, "delivered", got.Certificate.Delivered.IsZero(), true)
		sameBytes(t, "DER", got.Certificate.DER, e.Completion.Certificate.Raw)
		alone := testkit.Must(db.Certificate(ctx, e.Serial()))(t)
		testkit.Equal(t, "certificate by serial", alone.Serial, e.Serial())
		_, err := db.Certificate(ctx, fixture.NewEnrolment(t, anna, "x").Serial())
		wantError(t, "unknown serial", err, portal.ErrNotFound)
		log := fixture.Entries(t, db)
		testkit.Equal(t, "audit log", actions(log), "[certificate.reserved certificate.issued]")
		testkit.Equal(t, "object", log[0].Object, e.Serial().String())
		testkit.Equal(t, "detail", log[1].Detail["profile"], "User")
	})
}
