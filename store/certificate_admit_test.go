package store_test

import (
	"testing"
	"time"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// Admit says what Reserve would, and changes nothing.
func TestAdmitSaysWhatReserveWould(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		old := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		before := len(fixture.Entries(t, db))
		for _, tt := range []struct {
			name   string
			change func(*enroll.Reservation)
			want   portal.Reason // empty: it may
		}{
			{"new device", func(*enroll.Reservation) {}, ""},
			{"name taken", func(r *enroll.Reservation) { r.Device.Name = "IPHONE" }, portal.NameTaken},
			{"quota", func(r *enroll.Reservation) { r.Quota = 1 }, portal.QuotaReached},
			{"the same device", func(r *enroll.Reservation) { r.Device, r.Quota = old.Reservation.Device, 1 }, ""},
			{"after its end", func(r *enroll.Reservation) { r.Quota, r.Requested = 1, old.Reservation.NotAfter.Add(time.Second) }, ""},
			{"code that never was", func(r *enroll.Reservation) { r.Invitation = signin.InvitationID("none") }, portal.CodeOver},
		} {
			r := fixture.NewEnrolment(t, anna, "iPad").Reservation
			tt.change(&r)
			err := db.Admit(ctx, r)
			if tt.want == "" {
				testkit.NoError(t, err)
			} else {
				t.Log(tt.name)
				wantRefusal(t, err, tt.want)
			}
		}
		halt := admin.Halt{Reason: "audit", Actor: "ada", Since: testkit.Noon}
		testkit.Must(db.SetHalt(ctx, halt, fixture.NewEntry(testkit.Noon, audit.IssuingHalted, "ada")))(t)
		wantRefusal(t, db.Admit(ctx, fixture.NewEnrolment(t, anna, "iPad").Reservation), portal.Halted)
		testkit.Equal(t, "entries", len(fixture.Entries(t, db))-before, 1)
	})
}
