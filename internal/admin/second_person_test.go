package admin_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// TestA11_OneByOneNeedsSecondAdministrator has one administrator end certificates in
// every way, until what they may end alone within an hour is used up.
func TestA11_OneByOneNeedsSecondAdministrator(t *testing.T) {
	const most = 6
	d := newHarness(t, 400, most)
	ctx := t.Context()
	rows := d.find(t, admin.Filter{State: admin.Working})
	next := func() admin.Certificate { // the only one in force of a person, not used yet
		for i, c := range rows {
			live := 0
			for _, held := range d.find(t, admin.Filter{PersonID: c.Person}) {
				if held.State != admin.Expired && held.State != admin.Revoked {
					live++
				}
			}
			if live == 1 {
				rows = rows[i+1:]
				return c
			}
		}
		t.Fatal("no certificate left")
		return admin.Certificate{}
	}
	ways := []struct {
		name   string
		revoke func(portal.Actor, admin.Certificate) ([]ca.Serial, *admin.BulkRevocation, error)
	}{
		{"certificate", func(by portal.Actor, c admin.Certificate) ([]ca.Serial, *admin.BulkRevocation, error) {
			return d.RevokeCertificate(ctx, by, c.Serial, lost())
		}},
		{"device", func(by portal.Actor, c admin.Certificate) ([]ca.Serial, *admin.BulkRevocation, error) {
			return d.RevokeDevice(ctx, by, c.Device, lost())
		}},
		{"person", func(by portal.Actor, c admin.Certificate) ([]ca.Serial, *admin.BulkRevocation, error) {
			return d.RevokePerson(ctx, by, c.Person, lost())
		}},
		{"order", func(by portal.Actor, c admin.Certificate) ([]ca.Serial, *admin.BulkRevocation, error) {
			o := testkit.Must(d.CreateBulk(ctx, by, admin.Filter{Serial: c.Serial.String()}))(t)
			testkit.NoError(t, d.RunBulks(ctx))
			o, err := d.ConfirmBulk(ctx, by, o.ID, 1, lost())
			if o.State == admin.Running {
				testkit.NoError(t, d.RunBulks(ctx))
				return []ca.Serial{c.Serial}, nil, err
			}
			return nil, &o, err
		}},
	}
	for n := range most {
		if ended, o, err := ways[n%len(ways)].revoke(ada(), next()); err != nil || len(ended) != 1 || o != nil {
			t.Fatalf("by %s, number %d: ended %v, order %+v, error %v", ways[n%len(ways)].name, n+1, ended, o, err)
		}
		d.now = d.now.Add(time.Minute)
	}
	testkit.Equal(t, "counted", testkit.Must(d.EndedAlone(ctx, ada()))(t), most)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			c := next()
			ended, o, err := way.revoke(ada(), c)
			if err != nil || len(ended) != 0 || o == nil || o.State != admin.Waiting || o.Items != 1 {
				t.Fatalf("one more: ended %v, order %+v, error %v", ended, o, err)
			}
			testkit.NoError(t, d.RunBulks(ctx))
			if left := d.find(t, admin.Filter{Serial: c.Serial.String(), State: admin.Working}); len(left) != 1 {
				t.Error("it ended without a second administrator")
			}
			testkit.Must(d.ApproveBulk(ctx, eve(), o.ID))(t)
			testkit.NoError(t, d.RunBulks(ctx))
			if left := d.find(t, admin.Filter{Serial: c.Serial.String(), State: admin.Working}); len(left) != 0 {
				t.Error("it did not end with a second administrator")
			}
		})
	}
	testkit.Equal(t, "counted with those that were approved", testkit.Must(d.EndedAlone(ctx, ada()))(t), most)
	if ended, o, err := ways[0].revoke(eve(), next()); err != nil || len(ended) != 1 || o != nil {
		t.Errorf("another administrator: ended %v, order %+v, error %v", ended, o, err)
	}
	if ended, o, err := ways[0].revoke(portal.Operator(), next()); err != nil || len(ended) != 1 || o != nil {
		t.Errorf("the operator: ended %v, order %+v, error %v", ended, o, err)
	}
	d.now = d.now.Add(admin.AloneWindow)
	if ended, o, err := ways[1].revoke(ada(), next()); err != nil || len(ended) != 1 || o != nil {
		t.Errorf("an hour later: ended %v, order %+v, error %v", ended, o, err)
	}
}

// TestA11_DeviceIsBlockedWhileItsCertificatesWait: above the number, the device is blocked
// and the person closed at the request, whether a second administrator agrees or not.
func TestA11_DeviceIsBlockedWhileItsCertificatesWait(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		db, ctx := fixture.Open(t, address), t.Context()
		var all []fixture.Enrolment
		for _, person := range []portal.PersonID{"anna", "ben", "cleo"} {
			all = append(all, fixture.NewEnrolment(t, person, "Phone").Issue(t, db))
			testkit.NoError(t, db.SaveSession(ctx, [32]byte([]byte(string(person)+strings.Repeat(" ", 32))), string(person), []byte("x"),
				time.Hour, testkit.Noon.Add(time.Hour), testkit.Noon))
		}
		s := testkit.Must(admin.New(admin.Config{
			Store: db, SecondPerson: 1, Now: func() time.Time { return testkit.Noon }, Revoked: func() {},
		}))(t)
		if _, o, err := s.RevokeCertificate(ctx, ada(), all[0].Serial(), lost()); err != nil || o != nil {
			t.Fatalf("within the number: order %+v, error %v", o, err)
		}
		_, byDevice, err := s.RevokeDevice(ctx, ada(), all[1].Device(), lost())
		if err != nil || byDevice == nil || byDevice.State != admin.Waiting {
			t.Fatalf("device: order %+v, error %v, want one that waits", byDevice, err)
		}
		_, byPerson, err := s.RevokePerson(ctx, ada(), "cleo", lost())
		if err != nil || byPerson == nil || byPerson.State != admin.Waiting {
			t.Fatalf("person: order %+v, error %v, want one that waits", byPerson, err)
		}
		for _, e := range all[1:] {
			person := e.Reservation.Person
			_, err := db.Session(ctx, [32]byte([]byte(string(person)+strings.Repeat(" ", 32))), testkit.Noon)
			if !errors.Is(err, portal.ErrNotFound) {
				t.Errorf("session of %s: %v, want none", person, err)
			}
			testkit.Equal(t, "status", testkit.Must(db.Device(ctx, person, e.Device()))(t).Certificate.Status, portal.Issued)
		}
		testkit.Equal(t, "blocked", testkit.Must(db.Device(ctx, "ben", all[1].Device()))(t).Blocked, testkit.Noon)
		testkit.Equal(t, "recorded", fixture.Count(fixture.Entries(t, db), audit.DeviceBlocked), 1)
		testkit.Equal(t, "counted", testkit.Must(s.EndedAlone(ctx, ada()))(t), 1)
		for _, o := range []*admin.BulkRevocation{byDevice, byPerson} {
			testkit.Must(s.ApproveBulk(ctx, eve(), o.ID))(t)
		}
		testkit.NoError(t, s.RunBulks(ctx))
		for _, e := range all[1:] {
			d := testkit.Must(db.Device(ctx, e.Reservation.Person, e.Device()))(t)
			testkit.Equal(t, "status once agreed", d.Certificate.Status, portal.Revoked)
		}
	})
}
