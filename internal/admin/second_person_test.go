package admin_test

import (
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/admin"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
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
