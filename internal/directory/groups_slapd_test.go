package directory_test

import (
	"slices"
	"strings"
	"testing"

	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/slapd"
)

func TestSlapdGroups(t *testing.T) {
	s := slapd.Start(t)
	anna := s.AddPerson(t, slapd.Person{Login: "anna", Mail: "anna@example.test"})
	s.AddPerson(t, slapd.Person{Login: "bob", Mail: "bob@example.test"})
	odd := s.AddPerson(t, slapd.Person{Login: "odd, (one)*", Mail: "odd@example.test"})
	inner := s.AddGroup(t, "inner", anna, odd)
	middle := s.AddGroup(t, "middle", inner)
	outer := s.AddGroup(t, "outer", middle)
	s.AddMember(t, inner, outer) // a circle
	phones, watched := s.AddGroup(t, "phones", anna), s.AddGroup(t, "watched", inner)
	people := openPlain(t, s, func(c *directory.LDAPConfig) {
		c.Roles = map[portal.Role][]string{portal.Helpdesk: {strings.ToUpper(outer)}, portal.Admin: {"cn=nobody,ou=Groups,dc=example,dc=test"}}
		c.Enroll, c.Protected = []string{phones}, []string{watched}
	})
	cases := []struct {
		login            string
		roles            []portal.Role
		enrol, protected bool
	}{
		{"anna", []portal.Role{portal.Helpdesk}, true, true},
		{"odd, (one)*", []portal.Role{portal.Helpdesk}, false, true},
		{"bob", nil, false, false},
	}
	for _, c := range cases {
		t.Run(c.login, func(t *testing.T) {
			p, err := people.Authenticate(t.Context(), c.login, slapd.Password)
			if err != nil || !slices.Equal(p.Roles, c.roles) || p.MayEnroll != c.enrol || p.Protected != c.protected {
				t.Errorf("got %+v, %v, want %+v", p, err, c)
			}
		})
	}
}

// TestSlapdGroupsByName configures the groups that may enrol by cn. A name that two entries
// have means neither.
func TestSlapdGroupsByName(t *testing.T) {
	s := slapd.Start(t)
	anna := s.AddPerson(t, slapd.Person{Login: "anna", Mail: "anna@example.test"})
	phones, watched := s.AddGroup(t, "phones", anna), s.AddGroup(t, "watched", anna)
	people := openPlain(t, s, func(c *directory.LDAPConfig) {
		c.Roles = map[portal.Role][]string{portal.Helpdesk: {phones}}
		c.Enroll, c.Protected = []string{"Phones"}, []string{watched}
	})
	p, err := people.Authenticate(t.Context(), "anna", slapd.Password)
	if err != nil || !slices.Equal(p.Roles, []portal.Role{portal.Helpdesk}) || !p.MayEnroll || !p.Protected {
		t.Errorf("got %+v, %v", p, err)
	}
	protected, err := people.Protected(t.Context())
	if err != nil || !protected[p.ID] {
		t.Errorf("protected people %v, %v, want anna", protected, err)
	}

	second := s.AddGroup(t, "second", anna)
	s.Modify(t, second, map[string][]string{"cn": {"second", "phones"}})
	again := openPlain(t, s, func(c *directory.LDAPConfig) { c.Enroll = []string{"phones"} })
	if p, err := again.Person(t.Context(), p.ID); err == nil {
		t.Errorf("with two groups of the name anna may enrol: %+v", p)
	}
}

// TestA3_SlapdRoleByName: a delegated administrator of one unit can add a second group of
// any cn there, so no role and no protection is given by name.
func TestA3_SlapdRoleByName(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*directory.LDAPConfig){
		"admin":    func(c *directory.LDAPConfig) { c.Roles = map[portal.Role][]string{portal.Admin: {"PortalAdmins"}} },
		"helpdesk": func(c *directory.LDAPConfig) { c.Roles = map[portal.Role][]string{portal.Helpdesk: {"PortalAdmins"}} },
		"auditor":  func(c *directory.LDAPConfig) { c.Roles = map[portal.Role][]string{portal.Auditor: {"PortalAdmins"}} },
		"protected": func(c *directory.LDAPConfig) {
			c.Enroll, c.Protected = []string{"PortalAdmins"}, []string{"PortalAdmins"}
		},
	} {
		c := directory.LDAPConfig{
			Kind: directory.PlainLDAP, Servers: []string{"ldaps://ldap.example.test"}, User: "cn=reader",
			Password: func() (string, error) { return "", nil }, Base: slapd.People, Attributes: directory.Attributes{UPN: "mail"},
		}
		change(&c)
		_, err := directory.NewLDAP(c)
		if err == nil || !strings.Contains(err.Error(), `group "PortalAdmins": write its distinguished name, in quotes: 'cn=`) {
			t.Errorf("%s by name: %v, want a refusal", name, err)
		}
	}
}

func TestSlapdSearchAndPeople(t *testing.T) {
	s := slapd.Start(t)
	people := openPlain(t, s, unchanged)
	var ids []portal.PersonID
	for _, p := range []slapd.Person{
		{Login: "anna", Name: "Anna Schmidt", Mail: "anna@example.test", Number: "4711"},
		{Login: "annabel", Name: "Annabel Smith", Mail: "annabel@example.test"},
		{Login: "bob", Name: "Bob (Robert) *", Mail: "bob@example.test"},
	} {
		ids = append(ids, portal.PersonID(s.Value(t, s.AddPerson(t, p), "entryUUID")))
	}
	cases := []struct {
		query string
		want  []string
	}{
		{"anna", []string{"anna", "annabel"}}, {"anna sch", []string{"anna"}}, {"4711", []string{"anna"}},
		{"bob@example", []string{"bob"}}, {"*", []string{"bob"}}, {"a*", nil}, {"anna)(uid=*", nil}, {"bob (robert) *", nil}, {"bob \\28", nil}, {"", nil},
	}
	for _, c := range cases {
		t.Run(c.query, func(t *testing.T) {
			found, more, err := people.Search(t.Context(), c.query, 10)
			var got []string
			for _, p := range found {
				got = append(got, p.Login)
			}
			slices.Sort(got)
			if err != nil || more || !slices.Equal(got, c.want) {
				t.Errorf("got %v, %t, %v, want %v", got, more, err, c.want)
			}
		})
	}
	if _, more, err := people.Search(t.Context(), "anna", 1); err != nil || !more {
		t.Errorf("limit: more %t, %v, want more", more, err)
	}
	found, err := people.People(t.Context(), append(ids, "unknown", "00000000-0000-0000-0000-000000000001", "*"))
	if err != nil || len(found) != len(ids) {
		t.Errorf("%d people, %v, want %d", len(found), err, len(ids))
	}
}
