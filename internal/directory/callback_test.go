package directory_test

import (
	"testing"

	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/samba"
	"certportal/internal/test/slapd"
)

// wantCallback compares what the helpdesk sees of a person for calling them back.
func wantCallback(t *testing.T, people *directory.LDAP, id portal.PersonID, phone, mail, manager string) {
	t.Helper()
	p, err := people.Person(t.Context(), id)
	if err != nil || p.Phone != phone || p.Mail != mail || p.Manager != manager {
		t.Errorf("got %q, %q and %q, %v, want %q, %q and %q", p.Phone, p.Mail, p.Manager, err, phone, mail, manager)
	}
}

// TestSambaNumberToCallBack: telephone, mail and manager of a person are those of the
// domain, under the names of the settings; without a value there is none.
func TestSambaNumberToCallBack(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	boss := fx.dc.AddUser(t, samba.User{Login: "boss", Name: "Ada Boss"})
	anna := fx.dc.AddUser(t, samba.User{Login: "anna", Name: "Anna Muster"})
	ben := fx.dc.AddUser(t, samba.User{Login: "ben", Name: "Ben"})
	fx.dc.Modify(t, anna.DN, map[string][]string{
		"telephoneNumber": {"+49 89 4711"}, "mobile": {"+49 170 4712"}, "mail": {"anna@corp.example"}, "manager": {boss.DN}, "secretary": {ben.DN},
	})
	id := portal.PersonID(anna.GUID)
	wantCallback(t, fx.people, id, "+49 89 4711", "anna@corp.example", "boss")
	wantCallback(t, fx.people, portal.PersonID(ben.GUID), "", "", "")

	c := domain(fx.dc)
	c.Attributes = directory.Attributes{Phone: "mobile", Manager: "secretary"}
	other := openLDAP(t, c)
	wantCallback(t, other, id, "+49 170 4712", "anna@corp.example", "ben")
	wantCallback(t, other, portal.PersonID(ben.GUID), "", "", "")
}

// TestSlapdNumberToCallBack is the same with OpenLDAP. Of several numbers one is shown.
func TestSlapdNumberToCallBack(t *testing.T) {
	t.Parallel()
	s := slapd.Start(t)
	boss := s.AddPerson(t, slapd.Person{Login: "boss", Name: "Ada Boss", Mail: "boss@example.test"})
	anna := s.AddPerson(t, slapd.Person{Login: "anna", Name: "Anna Schmidt", Mail: "anna@example.test", More: map[string][]string{
		"telephoneNumber": {"+49 89 4711"}, "mobile": {"+49 170 4712"}, "manager": {boss}, "secretary": {"cn=Reception,ou=People,dc=example,dc=test"},
	}})
	id := portal.PersonID(s.Value(t, anna, "entryUUID"))
	wantCallback(t, openPlain(t, s, unchanged), id, "+49 89 4711", "anna@example.test", "boss")
	wantCallback(t, openPlain(t, s, unchanged), portal.PersonID(s.Value(t, boss, "entryUUID")), "", "boss@example.test", "")
	wantCallback(t, openPlain(t, s, func(c *directory.LDAPConfig) {
		c.Attributes.Phone, c.Attributes.Manager = "mobile", "secretary"
	}), id, "+49 170 4712", "anna@example.test", "Reception")
}
