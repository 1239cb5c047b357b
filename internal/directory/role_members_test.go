package directory_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/samba"
	"certportal/internal/test/slapd"
	"certportal/internal/test/testkit"
	"certportal/internal/test/toxiproxy"
)

// members is what a directory answers about the groups of roles, one line each.
func members(t *testing.T, groups []portal.RoleGroup, err error) string {
	t.Helper()
	testkit.NoError(t, err)
	var lines []string
	for _, g := range groups {
		var logins []string
		for _, p := range g.People {
			if p.ID == "" || p.Name == "" {
				t.Errorf("a member without ID or name: %+v", p)
			}
			logins = append(logins, p.Login)
		}
		line := fmt.Sprintf("%s %s %v", g.Role, g.Name, logins)
		if g.More {
			line += " and more"
		}
		if g.Err != nil && !errors.Is(g.Err, portal.ErrNotFound) {
			t.Errorf("group %s: %v", g.Name, g.Err)
		}
		if g.Err != nil {
			line += " missing"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// TestSambaRoleMembers lists people who have a role directly, through groups in groups, and
// by their primary group, and compares with what a sign-in of each of them finds.
func TestSambaRoleMembers(t *testing.T) {
	t.Parallel()
	dc := samba.Lease(t)
	admins, helpdesk := dc.AddGroup(t, "Portal Admins"), dc.AddGroup(t, "Helpdesk")
	helpdesk.DN = dc.Rename(t, helpdesk.DN, "Help (desk)*, Süd")
	inner, innermost := dc.AddGroup(t, "inner"), dc.AddGroup(t, "innermost")
	dc.AddMember(t, helpdesk.DN, inner.DN)
	dc.AddMember(t, inner.DN, innermost.DN)
	dc.AddMember(t, innermost.DN, inner.DN) // a circle
	users := map[string]samba.Entry{}
	for _, login := range []string{"anna", "ben", "carla", "dora", "emil", "frida"} {
		users[login] = dc.AddUser(t, samba.User{Login: login, Name: "Person " + login, Disabled: login == "dora"})
	}
	dc.AddMember(t, helpdesk.DN, users["anna"].DN)
	dc.AddMember(t, innermost.DN, users["ben"].DN)
	dc.AddMember(t, innermost.DN, users["dora"].DN)
	dc.AddMember(t, helpdesk.DN, dc.AddUser(t, samba.User{Login: "pc$", Computer: true}).DN)
	dc.SetPrimaryGroup(t, users["carla"].DN, dc.RID(t, innermost.SID))
	dc.AddMember(t, admins.DN, users["emil"].DN)
	dc.AddMember(t, admins.DN, users["anna"].DN)
	fx := newFixtureOver(t, dc, func(c *directory.LDAPConfig) {
		c.Roles = map[portal.Role][]string{
			portal.Helpdesk: {helpdesk.DN, "Not There"},
			portal.Auditor:  {innermost.SID, "S-1-5-21-1-2-3-4711"},
			portal.Admin:    {"portal admins"},
		}
	})
	got, err := fx.people.RoleGroups(t.Context(), 50)
	want := strings.Join([]string{
		"helpdesk " + helpdesk.DN + " [anna ben carla dora]", "helpdesk Not There [] missing",
		"auditor " + innermost.SID + " [ben carla dora]", "auditor S-1-5-21-1-2-3-4711 [] missing",
		"admin portal admins [anna emil]",
	}, "\n")
	testkit.Equal(t, "members", members(t, got, err), want)
	for login, entry := range users {
		p := fx.person(entry)
		for _, role := range []portal.Role{portal.Helpdesk, portal.Auditor, portal.Admin} {
			listed := slices.ContainsFunc(got, func(g portal.RoleGroup) bool {
				return g.Role == role && slices.ContainsFunc(g.People, func(m portal.Person) bool { return m.ID == p.ID })
			})
			if listed != slices.Contains(p.Roles, role) {
				t.Errorf("%s: listed as %s %t, roles of the person %v", login, role, listed, p.Roles)
			}
		}
	}
	if i := slices.IndexFunc(got[0].People, func(p portal.Person) bool { return p.Login == "dora" }); i < 0 || !got[0].People[i].Disabled {
		t.Error("dora is not shown as disabled")
	}
	few, err := fx.people.RoleGroups(t.Context(), 2)
	testkit.NoError(t, err)
	if g := few[0]; len(g.People) != 2 || !g.More {
		t.Errorf("with a limit of 2: %d people, more %t", len(g.People), g.More)
	}
}

// TestF7_RoleMembersOfASilentDirectory: the listing ends in time, and says of each group
// that it is not known, not that it is empty.
func TestF7_RoleMembersOfASilentDirectory(t *testing.T) {
	t.Parallel()
	dc := samba.Lease(t)
	proxies, through := behind(t, dc, 1)
	admins, helpdesk := dc.AddGroup(t, "Portal Admins"), dc.AddGroup(t, "Helpdesk")
	fx := newFixtureOver(t, dc, through, func(c *directory.LDAPConfig) {
		c.Roles = map[portal.Role][]string{portal.Helpdesk: {helpdesk.DN}, portal.Admin: {admins.SID}}
	})
	got, err := fx.people.RoleGroups(t.Context(), 50)
	members(t, got, err)
	for _, b := range []func(testing.TB, *toxiproxy.Proxy){
		func(t testing.TB, p *toxiproxy.Proxy) { p.Deaf(t) }, func(t testing.TB, p *toxiproxy.Proxy) { p.Down(t) },
	} {
		b(t, proxies[0])
		got, err := fx.people.RoleGroups(t.Context(), 50)
		if err != nil || len(got) != 2 {
			t.Fatalf("%d groups, %v", len(got), err)
		}
		for _, g := range got {
			if g.Err == nil || errors.Is(g.Err, portal.ErrNotFound) {
				t.Errorf("group %s: %v, want an outage", g.Name, g.Err)
			}
		}
		proxies[0].Mend(t)
	}
}

// TestSlapdRoleMembers does the same with groupOfNames.
func TestSlapdRoleMembers(t *testing.T) {
	s := slapd.Start(t)
	dns := map[string]string{}
	for _, login := range []string{"anna", "ben", "carla", "odd, (one)*"} {
		dns[login] = s.AddPerson(t, slapd.Person{Login: login, Name: "Person " + login, Mail: strings.Fields(login)[0][:3] + "@example.test"})
	}
	inner := s.AddGroup(t, "inner", dns["ben"], dns["odd, (one)*"], "uid=gone,"+slapd.People)
	outer := s.AddGroup(t, "outer", inner, dns["anna"])
	s.AddMember(t, inner, outer) // a circle
	people := openPlain(t, s, func(c *directory.LDAPConfig) {
		c.Roles = map[portal.Role][]string{portal.Helpdesk: {strings.ToUpper(outer)}, portal.Admin: {inner, "cn=nobody,ou=Groups,dc=example,dc=test"}}
	})
	got, err := people.RoleGroups(t.Context(), 50)
	testkit.Equal(t, "members", members(t, got, err), strings.Join([]string{
		"helpdesk " + strings.ToUpper(outer) + " [anna ben odd, (one)*]",
		"admin " + inner + " [anna ben odd, (one)*]", "admin cn=nobody,ou=Groups,dc=example,dc=test [] missing",
	}, "\n"))
	few, err := people.RoleGroups(t.Context(), 2)
	testkit.NoError(t, err)
	if g := few[0]; len(g.People) != 2 || !g.More {
		t.Errorf("with a limit of 2: %d people, more %t", len(g.People), g.More)
	}
}

// TestBuiltinRoleMembers lists accounts, which hold their roles themselves.
func TestBuiltinRoleMembers(t *testing.T) {
	people := newBuiltin(t)
	for login, roles := range map[string][]portal.Role{"anna": {portal.Admin, portal.Helpdesk}, "ben": {portal.Admin}, "carla": nil} {
		_, err := people.Add(t.Context(), directory.NewAccount{
			Login: login, UPN: login + "@example.test", Roles: roles, Password: password,
		}, audit.Entry{At: testkit.Noon, Actor: "system", Role: "system"})
		testkit.NoError(t, err)
	}
	got, err := people.RoleGroups(t.Context(), 50)
	testkit.Equal(t, "members", members(t, got, err), "helpdesk  [anna]\nauditor  []\nadmin  [anna ben]")
	few, err := people.RoleGroups(t.Context(), 1)
	testkit.Equal(t, "one each", members(t, few, err), "helpdesk  [anna]\nauditor  []\nadmin  [anna] and more")
}
