package slapd

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

// Password is the default password of people.
const Password = "Passw0rd-1"

// Person describes a person to add. Only Login is required.
type Person struct {
	Login    string // uid
	Name     string // cn, default Login; its last word becomes sn
	Mail     string
	UPN      string // userPrincipalName
	SID      string // sambaSID
	Number   string // employeeNumber
	Password string // default Password

	// More attributes by name.
	More map[string][]string
}

// AddPerson adds a person and returns the DN.
func (s *Server) AddPerson(t testing.TB, p Person) string {
	t.Helper()
	if p.Name == "" {
		p.Name = p.Login
	}
	if p.Password == "" {
		p.Password = Password
	}
	words := strings.Fields(p.Name)
	add := ldap.NewAddRequest("uid="+ldap.EscapeDN(p.Login)+","+People, nil)
	add.Attribute("objectClass", []string{"inetOrgPerson", "portalPerson"})
	for name, value := range map[string]string{
		"uid": p.Login, "cn": p.Name, "sn": words[len(words)-1], "mail": p.Mail, "userPrincipalName": p.UPN, "sambaSID": p.SID,
		"employeeNumber": p.Number, "userPassword": p.Password,
	} {
		if value != "" {
			add.Attribute(name, []string{value})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.More)) {
		add.Attribute(name, p.More[name])
	}
	if err := s.admin(t).Add(add); err != nil {
		t.Fatalf("adding %s: %v", add.DN, err)
	}
	return add.DN
}

// AddGroup adds a group (groupOfNames) with its members, by DN, and returns its
// own DN.
func (s *Server) AddGroup(t testing.TB, name string, members ...string) string {
	t.Helper()
	add := ldap.NewAddRequest("cn="+ldap.EscapeDN(name)+","+Groups, nil)
	add.Attribute("objectClass", []string{"groupOfNames"})
	// groupOfNames requires a member (RFC 4519 section 3.5).
	add.Attribute("member", append([]string{Admin}, members...))
	if err := s.admin(t).Add(add); err != nil {
		t.Fatalf("adding %s: %v", add.DN, err)
	}
	return add.DN
}

// Modify replaces attributes; one without values is removed.
func (s *Server) Modify(t testing.TB, dn string, attributes map[string][]string) {
	t.Helper()
	m := ldap.NewModifyRequest(dn, nil)
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		m.Replace(name, attributes[name])
	}
	if err := s.admin(t).Modify(m); err != nil {
		t.Fatalf("modifying %s: %v", dn, err)
	}
}

// AddMember adds a person or a group to a group, by DN.
func (s *Server) AddMember(t testing.TB, group, member string) {
	t.Helper()
	m := ldap.NewModifyRequest(group, nil)
	m.Add("member", []string{member})
	if err := s.admin(t).Modify(m); err != nil {
		t.Fatalf("modifying %s: %v", group, err)
	}
}

// Rename changes the uid of a person and returns the new DN.
func (s *Server) Rename(t testing.TB, dn, login string) string {
	t.Helper()
	name := "uid=" + ldap.EscapeDN(login)
	if err := s.admin(t).ModifyDN(ldap.NewModifyDNRequest(dn, name, true, "")); err != nil {
		t.Fatalf("renaming %s: %v", dn, err)
	}
	return name + "," + People
}

// Delete removes an entry.
func (s *Server) Delete(t testing.TB, dn string) {
	t.Helper()
	if err := s.admin(t).Del(ldap.NewDelRequest(dn, nil)); err != nil {
		t.Fatalf("deleting %s: %v", dn, err)
	}
}

// Value reads an attribute over LDAP, "" when it is absent.
func (s *Server) Value(t testing.TB, dn, attribute string) string {
	t.Helper()
	found, err := s.admin(t).Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases,
		0, 0, false, "(objectClass=*)", []string{attribute}, nil))
	if err != nil || len(found.Entries) != 1 {
		t.Fatalf("reading %s: %v", dn, err)
	}
	return found.Entries[0].GetAttributeValue(attribute)
}
