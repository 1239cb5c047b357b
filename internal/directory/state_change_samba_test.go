package directory_test

import (
	"errors"
	"testing"

	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/samba"
)

// TestA11_LeaversStopAtOnce changes a person between two requests. Each request reads the
// directory again.
func TestA11_LeaversStopAtOnce(t *testing.T) {
	t.Parallel()
	dc := samba.Lease(t)
	phones, admins := dc.AddGroup(t, "Phones"), dc.AddGroup(t, "Portal Admins")
	fx := newFixtureOver(t, dc, func(c *directory.LDAPConfig) {
		c.Enroll = []string{phones.DN}
		c.Roles = map[portal.Role][]string{portal.Admin: {admins.DN}}
	})
	cases := []struct {
		name        string
		leave, back func(testing.TB, string)
		want        portal.Reason
	}{
		{"disabled", dc.Disable, dc.Enable, portal.Disabled},
		{"expired", dc.Expire, func(t testing.TB, dn string) { dc.Modify(t, dn, map[string][]string{"accountExpires": {"0"}}) }, portal.Expired},
		{"locked", dc.Lock, dc.Unlock, portal.Locked},
		{"out-of-group", func(t testing.TB, dn string) { dc.RemoveMember(t, phones.DN, dn) },
			func(t testing.TB, dn string) { dc.AddMember(t, phones.DN, dn) }, portal.NotAllowed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := dc.AddUser(t, samba.User{Login: c.name})
			dc.AddMember(t, phones.DN, e.DN)
			if _, err := fx.people.Authenticate(t.Context(), c.name, samba.Password); err != nil {
				t.Fatal(err)
			}
			if _, err := fx.enrol(idOf(e), c.name+"1"); err != nil {
				t.Fatal(err)
			}
			c.leave(t, e.DN)
			fx.wantRefused(t, idOf(e), c.want)
			c.back(t, e.DN)
			if _, err := fx.enrol(idOf(e), c.name+"2"); err != nil {
				t.Errorf("back again: %v", err)
			}
		})
	}
	t.Run("role", func(t *testing.T) {
		e := dc.AddUser(t, samba.User{Login: "chief"})
		dc.AddMember(t, admins.DN, e.DN)
		if !fx.person(e).Has(portal.Admin) {
			t.Error("in the group: no role")
		}
		dc.RemoveMember(t, admins.DN, e.DN)
		if fx.person(e).Has(portal.Admin) {
			t.Error("out of the group: still the role")
		}
	})
}

// TestA11_NothingWhileTheDirectoryIsAway stops the controller. No sign-in and no enrolment
// succeeds until it is back.
func TestA11_NothingWhileTheDirectoryIsAway(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	e := fx.dc.AddUser(t, samba.User{Login: "anna"})
	fx.person(e)
	fx.dc.Stop()
	var outage *portal.Outage
	if _, err := fx.enrol(idOf(e), "phone"); !errors.As(err, &outage) || outage.Part != portal.PartDirectory {
		t.Errorf("enrolling: %v, want an outage of the directory", err)
	}
	if _, err := fx.signIn.Authenticate(t.Context(), "anna", samba.Password, portal.Actor{}); !errors.As(err, &outage) {
		t.Errorf("signing in: %v, want an outage", err)
	}
	if got := fx.serials(); got != 0 {
		t.Errorf("%d serials, want 0", got)
	}
	fx.dc.Restart()
	if _, err := fx.enrol(idOf(e), "phone"); err != nil {
		t.Errorf("with the controller back: %v", err)
	}
	if _, err := fx.signIn.Authenticate(t.Context(), "anna", samba.Password, portal.Actor{}); err != nil {
		t.Errorf("signing in with the controller back: %v", err)
	}
}
