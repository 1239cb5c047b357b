package directory_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/samba"
)

func (fx *fixture) wantRoles(t *testing.T, e samba.Entry, want []portal.Role, enrol bool) {
	t.Helper()
	p := fx.person(e)
	slices.Sort(p.Roles)
	if !slices.Equal(p.Roles, want) || p.MayEnroll != enrol {
		t.Errorf("roles %v, may enrol %t, want %v, %t", p.Roles, p.MayEnroll, want, enrol)
	}
}

// TestSambaRolesAndGroups configures groups by DN and by SID, and adds people to them
// directly, three levels deep and as their primary group.
func TestSambaRolesAndGroups(t *testing.T) {
	t.Parallel()
	dc := samba.Lease(t)
	admins, helpdesk, phones := dc.AddGroup(t, "Portal Admins"), dc.AddGroup(t, "Helpdesk"), dc.AddGroup(t, "Phones")
	helpdesk.DN = dc.Rename(t, helpdesk.DN, "Helpdesk, Süd")
	inner, innermost := dc.AddGroup(t, "inner"), dc.AddGroup(t, "innermost")
	dc.AddMember(t, helpdesk.DN, inner.DN)
	dc.AddMember(t, inner.DN, innermost.DN)
	fx := newFixtureOver(t, dc, func(c *directory.LDAPConfig) {
		c.Roles = map[portal.Role][]string{
			portal.Admin:    {admins.SID},
			portal.Helpdesk: {"CN=Nobody Here,CN=Users," + samba.Base, helpdesk.DN},
			portal.Auditor:  {admins.DN, innermost.SID},
		}
		c.Enroll = []string{phones.DN, admins.SID}
	})
	cases := []struct {
		name   string
		groups []string
		prime  string
		want   []portal.Role
		enrol  bool
	}{
		{"nowhere", nil, "", nil, false},
		{"direct", []string{helpdesk.DN, phones.DN}, "", []portal.Role{portal.Helpdesk}, true},
		{"three-deep", []string{innermost.DN}, "", []portal.Role{portal.Auditor, portal.Helpdesk}, false},
		{"several", []string{admins.DN, inner.DN}, "", []portal.Role{portal.Admin, portal.Auditor, portal.Helpdesk}, true},
		{"primary", nil, admins.SID, []portal.Role{portal.Admin, portal.Auditor}, true},
	}
	people := map[string]samba.Entry{}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			people[c.name] = dc.AddUser(t, samba.User{Login: c.name})
			for _, group := range c.groups {
				dc.AddMember(t, group, people[c.name].DN)
			}
			if c.prime != "" {
				dc.SetPrimaryGroup(t, people[c.name].DN, dc.RID(t, c.prime))
			}
			fx.wantRoles(t, people[c.name], c.want, c.enrol)
			if !c.enrol {
				fx.wantRefused(t, idOf(people[c.name]), portal.NotAllowed)
			}
		})
	}
	// A group configured by SID is the same after a rename.
	dc.Rename(t, admins.DN, "Somebody Else's Admins")
	t.Run("renamed group", func(t *testing.T) {
		fx.wantRoles(t, people["primary"], []portal.Role{portal.Admin, portal.Auditor}, true)
	})
}

func allFindings(t *testing.T, c directory.LDAPConfig) string {
	t.Helper()
	var all strings.Builder
	for _, f := range openLDAP(t, c).Check(t.Context()) {
		fmt.Fprintln(&all, f.State, f.What, f.Text)
	}
	return all.String()
}

// TestSambaGroupsByName configures groups by their login name. An account that may create
// groups cannot take the name of another group: the domain refuses it. It can take a free
// name, which the findings say.
func TestSambaGroupsByName(t *testing.T) {
	t.Parallel()
	dc := samba.Lease(t)
	admins, phones := dc.AddGroup(t, "Portal Admins"), dc.AddGroup(t, "Phones Süd")
	dc.Rename(t, phones.DN, "Shown otherwise")
	anna, bob := dc.AddUser(t, samba.User{Login: "anna"}), dc.AddUser(t, samba.User{Login: "bob"})
	dc.AddMember(t, admins.DN, anna.DN)
	dc.AddMember(t, "CN=Shown otherwise,CN=Users,"+samba.Base, bob.DN)
	change := func(c *directory.LDAPConfig) {
		c.Roles = map[portal.Role][]string{portal.Admin: {"portal admins"}, portal.Auditor: {"Not There"}}
		c.Enroll = []string{"Phones Süd"}
	}
	fx := newFixtureOver(t, dc, change)
	fx.wantRoles(t, anna, []portal.Role{portal.Admin}, false)
	fx.wantRoles(t, bob, nil, true)

	config := domain(dc)
	config.Base = "CN=Users," + samba.Base
	change(&config)
	config.Roles[portal.Helpdesk], config.Protected = []string{"Shown otherwise", "Phones Sud"}, []string{"portal admins"}
	all := allFindings(t, config)
	for _, want := range []string{
		"warning directory.groups.admin The group \"portal admins\" is " + admins.DN + ", " + admins.SID + ". Write the SID in place of the name: " +
			"the name of a group that is deleted or renamed can be taken by another account.",
		"warning directory.groups.protected The group \"portal admins\" is " + admins.DN + ", " + admins.SID + ". Write the SID",
		"ok directory.groups.enroll The group \"Phones Süd\" is CN=Shown otherwise,CN=Users," + samba.Base,
		"failed directory.groups.auditor There is no group \"Not There\"",
		"failed directory.groups.helpdesk There is no group \"Shown otherwise\" by login name. Is CN=Shown otherwise,CN=Users," + samba.Base + " meant? Then write " + phones.SID,
		"failed directory.groups.helpdesk There is no group \"Phones Sud\"",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("findings do not say %q:\n%s", want, all)
		}
	}
	for _, enroll := range []string{"Not There", "Phones Sud"} {
		gone := newFixtureOver(t, dc, func(c *directory.LDAPConfig) { c.Enroll = []string{enroll} })
		if p, err := gone.people.Person(t.Context(), idOf(bob)); err == nil {
			t.Errorf("with the group %q bob may enrol: %+v", enroll, p)
		}
	}
}

// TestA3_SambaTakenGroupName: the group of a role is renamed, and another account makes one
// of the old name. Its members get no role, all people can still sign in, and the log has an error.
func TestA3_SambaTakenGroupName(t *testing.T) {
	t.Parallel()
	dc := samba.Lease(t)
	admins := dc.AddGroup(t, "Portal Admins")
	anna, mallory := dc.AddUser(t, samba.User{Login: "anna"}), dc.AddUser(t, samba.User{Login: "mallory"})
	dc.AddMember(t, admins.DN, anna.DN)
	var log bytes.Buffer
	fx := newFixtureOver(t, dc, func(c *directory.LDAPConfig) {
		c.Roles = map[portal.Role][]string{portal.Admin: {"Portal Admins"}}
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	fx.wantRoles(t, anna, []portal.Role{portal.Admin}, true)

	dc.Modify(t, admins.DN, map[string][]string{"sAMAccountName": {"Old Admins"}})
	old := dc.Rename(t, admins.DN, "Old Admins")
	fx.ahead.Add(int64(11 * time.Minute)) // what is known of a group is used for 10
	fx.wantRoles(t, anna, nil, true)
	taker := dc.AddGroup(t, "Portal Admins")
	dc.AddMember(t, taker.DN, mallory.DN)
	fx.ahead.Add(int64(2 * time.Minute)) // and its absence for one
	fx.wantRoles(t, mallory, nil, true)
	fx.wantRoles(t, anna, nil, true)
	if want := "its SID was " + admins.SID + ", and now " + taker.DN + " has its name"; !strings.Contains(log.String(), want) {
		t.Errorf("the log does not say %q:\n%s", want, log.String())
	}
	if got := worst(fx.people.Check(t.Context())); !strings.Contains(got, "failed directory.groups.admin: The group \"Portal Admins\" was "+admins.SID) {
		t.Errorf("findings do not name the taken name:\n%s", got)
	}

	dc.Delete(t, taker.DN)
	dc.Modify(t, old, map[string][]string{"sAMAccountName": {"Portal Admins"}})
	fx.ahead.Add(int64(2 * time.Minute))
	fx.wantRoles(t, mallory, nil, true)
	fx.wantRoles(t, anna, []portal.Role{portal.Admin}, true)
}
