package store_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/succession"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// twoAuthorities records issuing CAs, of which the second issues after change.
func twoAuthorities(t *testing.T, db *database) (change func()) {
	t.Helper()
	ctx := t.Context()
	testkit.NoError(t, db.AddAuthority(ctx, authorityRecord("issuing", succession.Active), fixture.NewEntry(testkit.Noon, audit.CAAdded, "")))
	testkit.NoError(t, db.AddAuthority(ctx, authorityRecord("issuing-2", succession.Pending), fixture.NewEntry(testkit.Noon, audit.CAAdded, "")))
	return func() {
		t.Helper()
		testkit.NoError(t, db.ActivateAuthority(ctx, "issuing-2", testkit.Noon, fixture.NewEntry(testkit.Noon, audit.CAActivated, "")))
	}
}

// enrolled issues a certificate under an issuing CA.
func enrolled(t *testing.T, db *database, issuer string, person portal.PersonID, device string) fixture.Enrolment {
	t.Helper()
	e := fixture.NewEnrolment(t, person, device)
	e.Reservation.Issuer = issuer
	return e.Issue(t, db)
}

// Holders are counted and listed for each issuing CA: valid certificates that are the
// newest of their device.
func TestHoldersOfAuthorities(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		change := twoAuthorities(t, db)
		kept := []fixture.Enrolment{enrolled(t, db, "issuing", anna, "iPhone"), enrolled(t, db, "issuing", anna, "iPad")}
		renewed := enrolled(t, db, "issuing", "bob", "Pixel")
		blocked := enrolled(t, db, "issuing", "carl", "Laptop")
		revoke(t, db, portal.Lost, testkit.Noon.Add(time.Minute), blocked.Serial())
		own := fixture.NewEnrolment(t, anna, "OCSP")
		own.Reservation.Kind, own.Reservation.Person, own.Reservation.Device, own.Reservation.NewDevice = portal.KindServer, "", portal.Device{}, false
		own = own.Issue(t, db)
		change()
		next := renewed.Renewal(t)
		next.Reservation.Issuer = "issuing-2"
		next.Issue(t, db)

		want := map[string]admin.Holders{"issuing": {People: 1, Devices: 2}, "issuing-2": {People: 1, Devices: 1}}
		if got := testkit.Must(db.AuthorityHolders(ctx, testkit.Noon))(t); !maps.Equal(got, want) {
			t.Errorf("holders: got %v, want %v", got, want)
		}
		if got := testkit.Must(db.AuthorityHolders(ctx, testkit.Noon.AddDate(9, 0, 0)))(t); len(got) != 0 {
			t.Errorf("holders after all have ended: got %v", got)
		}
		var serials []string
		for _, e := range append(kept, own) { // the list has the portal's own too
			serials = append(serials, e.Serial().String())
		}
		slices.Sort(serials)
		f := admin.Filter{Issuer: "issuing", State: admin.Working}
		for _, sort := range append(f.CertificateSorts(), "") {
			f.Sort = sort
			got, _ := paged(t, db, f, 1)
			slices.Sort(got)
			if !slices.Equal(got, serials) {
				t.Errorf("order %q: got %v, want %v", sort, got, serials)
			}
		}
		f.Sort = ""
		testkit.Equal(t, "counted", testkit.Must(db.CountCertificates(ctx, f, testkit.Noon))(t), admin.Hits{Number: 3})
		found := testkit.Must(db.Certificates(ctx, admin.Filter{Issuer: "issuing-2"}, admin.Cursor{}, 50, testkit.Noon))(t)
		testkit.Equal(t, "of the second", fmt.Sprint(len(found.Rows), " ", found.Rows[0].Person, " ", found.Rows[0].Issuer), "1 bob issuing-2")
		testkit.Equal(t, "and a name", testkit.Must(db.CountCertificates(ctx, admin.Filter{Issuer: "issuing-2", PersonID: anna}, testkit.Noon))(t), admin.Hits{})
		devices := testkit.Must(db.SearchDevices(ctx, admin.Filter{Issuer: "issuing-2"}, admin.Cursor{}, 50, testkit.Noon))(t)
		testkit.Equal(t, "devices of the second", fmt.Sprint(len(devices.Rows), " ", devices.Rows[0].Person), "1 bob")
		testkit.Equal(t, "devices counted", testkit.Must(db.CountDevices(ctx, f, testkit.Noon))(t).Number, 2)
	})
}

// Certificates of an authority are found along an index, in each state and order.
func TestAuthoritySearchFindsTheSameAsLoops(t *testing.T) {
	seeded(t, 1500, func(t *testing.T, db *database) {
		for _, f := range []admin.Filter{
			{}, {State: admin.Working}, {State: admin.Expiring, Days: 40}, {State: admin.Expired}, {State: admin.Superseded}, {State: admin.Revoked},
			{State: admin.Working, Sort: admin.SortEndLast}, {Sort: admin.SortEnd}, {Since: testkit.Noon.AddDate(0, -2, 0)}, {Person: "anna"}, {Device: "anna"},
		} {
			var want []string
			for _, c := range everything(t, db) {
				if meant(f, c) {
					want = append(want, c.Serial.String())
				}
			}
			f.Issuer = "issuing"
			got, _ := paged(t, db, f, 50)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%+v: got %d rows, want %d", f, len(got), len(want))
			}
			f.Issuer = "issuing-2"
			if got, _ := paged(t, db, f, 50); len(got) != 0 {
				t.Errorf("%+v: got %s", f, strings.Join(got, ", "))
			}
		}
	})
}
