package store_test

import (
	"testing"

	"certportal/internal/admin"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// TestDeviceProfile reads the name of a profile wherever a device is read, and none for a
// device that an older binary recorded.
func TestDeviceProfile(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		e := fixture.NewEnrolment(t, anna, "iPhone")
		e.Reservation.Device.Profile = "0123456789abcdef0123-1"
		e = e.Issue(t, db)
		check := func(want string) {
			t.Helper()
			testkit.Equal(t, "device", testkit.Must(db.Device(ctx, anna, e.Device()))(t).Profile, want)
			testkit.Equal(t, "list", testkit.Must(db.Devices(ctx, anna))(t)[0].Profile, want)
			testkit.Equal(t, "pickup", testkit.Must(db.Pickup(ctx, e.TokenHash))(t).Device.Profile, want)
			found := testkit.Must(db.SearchDevices(ctx, admin.Filter{Device: "iPhone"}, admin.Cursor{}, 5, testkit.Noon))(t)
			testkit.Equal(t, "search", found.Rows[0].Profile, want)
		}
		check("0123456789abcdef0123-1")
		if _, err := db.plain.Exec("UPDATE devices SET profile = NULL"); err != nil {
			t.Fatal(err)
		}
		check("")
		if _, err := db.plain.Exec("UPDATE devices SET profile = ''"); err == nil {
			t.Error("the database takes an empty name")
		}
	})
}
