package directory_test

import (
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/slapd"
)

// plain is the configuration for an OpenLDAP server.
func plain(s *slapd.Server) directory.LDAPConfig {
	return directory.LDAPConfig{
		Kind: directory.PlainLDAP, Servers: []string{s.URL()}, Roots: s.Roots,
		User: slapd.Reader, Password: func() (string, error) { return slapd.ReaderPassword, nil },
		Base: slapd.People, GroupBase: slapd.Groups, UPNSuffixes: []string{"example.test"},
		Attributes: directory.Attributes{UPN: "mail"}, Log: slog.New(slog.DiscardHandler),
	}
}

func openPlain(t *testing.T, s *slapd.Server, change func(*directory.LDAPConfig)) *directory.LDAP {
	t.Helper()
	c := plain(s)
	change(&c)
	return openLDAP(t, c)
}

func unchanged(*directory.LDAPConfig) {}

func TestSlapdSignIn(t *testing.T) {
	s := slapd.Start(t)
	anna := s.AddPerson(t, slapd.Person{Login: "anna", Name: "Anna Schmidt", Mail: "anna@example.test", Number: "4711",
		More: map[string][]string{"givenName": {"Anna"}, "departmentNumber": {"Sales"}}})
	ways := []struct {
		name   string
		change func(*directory.LDAPConfig)
	}{
		{"LDAPS", unchanged},
		{"StartTLS", func(c *directory.LDAPConfig) { c.Servers = []string{s.StartTLSURL()} }},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			people := openPlain(t, s, way.change)
			want := portal.Person{
				ID: portal.PersonID(s.Value(t, anna, "entryUUID")), Login: "anna", UPN: "anna@example.test", Mail: "anna@example.test",
				Name: "Anna Schmidt", GivenName: "Anna", EmployeeNumber: "4711", Department: "Sales", MayEnroll: true,
				DirectoryName: directoryName("DC=test", "DC=example", "OU=People", "UID=anna"),
			}
			for _, login := range []string{"anna", " ANNA ", "anna@example.test", "Anna@Example.test"} {
				got, err := people.Authenticate(t.Context(), login, slapd.Password)
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%q: %+v, %v, want %+v", login, got, err, want)
				}
				if key, err := people.Canonical(t.Context(), login); err != nil || key != string(want.ID) {
					t.Errorf("%q: counted as %q, %v, want %q", login, key, err, want.ID)
				}
			}
			if people.RequiresSID() {
				t.Error("a SID is required where there is none")
			}
		})
	}
}

func TestSlapdRefuses(t *testing.T) {
	s := slapd.Start(t)
	people := openPlain(t, s, unchanged)
	anna := s.AddPerson(t, slapd.Person{Login: "anna", Mail: "anna@example.test"})
	s.AddPerson(t, slapd.Person{Login: "twin1", Mail: "twins@example.test"})
	s.AddPerson(t, slapd.Person{Login: "twin2", Mail: "twins@example.test"})
	cases := []struct{ name, login, password string }{
		{"wrong password", "anna", "wrong"},
		{"unknown", "nobody", slapd.Password},
		{"empty password", "anna", ""},
		{"blank password", "anna", "  "},
		{"password with NUL", "anna", slapd.Password + "\x00"},
		{"DN", anna, slapd.Password},
		{"name of two people", "twins@example.test", slapd.Password},
		{"reader", "reader", slapd.ReaderPassword},
		{"reader's DN", slapd.Reader, slapd.ReaderPassword},
		{"star", "*", slapd.Password},
		{"prefix", "ann*", slapd.Password},
		{"filter closed", "anna)(objectClass=*", slapd.Password},
		{"filter joined", "*)(|(cn=*", slapd.Password},
		{"filter escaped", `\2a`, slapd.Password},
		{"NUL", "anna\x00", slapd.Password},
		{"NUL escaped", `anna\00`, slapd.Password},
		{"overlong UTF-8", "\xc0\xaa", slapd.Password},
		{"domain before it", `EXAMPLE\anna`, slapd.Password},
		{"long", strings.Repeat("a", 5000), slapd.Password},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if p, err := people.Authenticate(t.Context(), c.login, c.password); !errors.Is(err, portal.ErrCredentials) {
				t.Errorf("got %q, %v, want ErrCredentials", p.ID, err)
			}
		})
	}
}

// TestSlapdOfAnotherCAIsAnOutage checks that no password is sent to a server with an
// untrusted certificate.
func TestSlapdOfAnotherCAIsAnOutage(t *testing.T) {
	s, other := slapd.Start(t), slapd.Start(t)
	s.AddPerson(t, slapd.Person{Login: "anna", Mail: "anna@example.test"})
	for _, address := range []string{s.URL(), s.StartTLSURL()} {
		people := openPlain(t, s, func(c *directory.LDAPConfig) { c.Servers, c.Roots = []string{address}, other.Roots })
		_, err := people.Authenticate(t.Context(), "anna", slapd.Password)
		if reasonOf(err) != "fault" || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v, want a fault that names the certificate", address, err)
		}
	}
}

func TestSlapdLeavers(t *testing.T) {
	s := slapd.Start(t)
	people := openPlain(t, s, func(c *directory.LDAPConfig) {
		c.Attributes.PersonFilter = "(&(objectClass=inetOrgPerson)(!(employeeType=former)))"
	})
	anna := s.AddPerson(t, slapd.Person{Login: "anna", Mail: "anna@example.test"})
	p, err := people.Authenticate(t.Context(), "anna", slapd.Password)
	if err != nil {
		t.Fatal(err)
	}
	renamed := s.Rename(t, anna, "meyer")
	if got, err := people.Person(t.Context(), p.ID); err != nil || got.Login != "meyer" || got.ID != p.ID {
		t.Errorf("renamed: %+v, %v, want the same id and the new name", got, err)
	}
	s.Modify(t, renamed, map[string][]string{"employeeType": {"former"}})
	if _, err := people.Person(t.Context(), p.ID); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("former: %v, want ErrNotFound", err)
	}
	if _, err := people.Authenticate(t.Context(), "meyer", slapd.Password); !errors.Is(err, portal.ErrCredentials) {
		t.Errorf("former, signing in: %v, want ErrCredentials", err)
	}
	s.Modify(t, renamed, map[string][]string{"employeeType": nil})
	if _, err := people.Person(t.Context(), p.ID); err != nil {
		t.Errorf("back: %v", err)
	}
	s.Delete(t, renamed)
	if _, err := people.Person(t.Context(), p.ID); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("deleted: %v, want ErrNotFound", err)
	}
	s.Stop()
	if _, err := people.Person(t.Context(), p.ID); err == nil || errors.Is(err, portal.ErrNotFound) {
		t.Errorf("stopped: %v, want a fault", err)
	}
}

// TestA5_SlapdSeveralUPNs refuses a person with two values in the attribute of the UPN,
// which have no order, and reads the others.
func TestA5_SlapdSeveralUPNs(t *testing.T) {
	s := slapd.Start(t)
	people := openPlain(t, s, unchanged)
	two := s.AddPerson(t, slapd.Person{Login: "two", More: map[string][]string{"mail": {"a@example.test", "b@example.test"}}})
	one := s.AddPerson(t, slapd.Person{Login: "one", Mail: "one@example.test"})
	ids := []portal.PersonID{portal.PersonID(s.Value(t, two, "entryUUID")), portal.PersonID(s.Value(t, one, "entryUUID"))}
	_, err := people.Person(t.Context(), ids[0])
	if reasonOf(err) != portal.EntryUnread || !strings.Contains(err.Error(), "mail has 2 values") {
		t.Errorf("Person: %v, want %q with the attribute", err, portal.EntryUnread)
	}
	found, err := people.People(t.Context(), ids)
	var unread *portal.UnreadableError
	if !errors.As(err, &unread) || len(found) != 1 || found[0].ID != ids[1] {
		t.Errorf("People = %+v, %v, want the other person", found, err)
	}
}

// TestSlapdOtherAttributes reads UPN and SID from attributes copied from Active Directory.
func TestSlapdOtherAttributes(t *testing.T) {
	s := slapd.Start(t)
	people := openPlain(t, s, func(c *directory.LDAPConfig) {
		c.Attributes.UPN, c.Attributes.SID = "userPrincipalName", "sambaSID"
		c.UPNSuffixes = []string{"corp.test"}
	})
	const sid = "S-1-5-21-1004336348-1177238915-682003330-1101"
	s.AddPerson(t, slapd.Person{Login: "anna", Mail: "anna@example.test", UPN: "anna@corp.test", SID: sid})
	s.AddPerson(t, slapd.Person{Login: "bad", UPN: "bad@corp.test", SID: "1101"})
	s.AddPerson(t, slapd.Person{Login: "foreign", UPN: "foreign@evil.test", SID: sid[:len(sid)-1] + "2"})
	p, err := people.Authenticate(t.Context(), "anna@corp.test", slapd.Password)
	if err != nil || p.UPN != "anna@corp.test" || p.SID != sid || p.Conflict != "" {
		t.Errorf("got %+v, %v", p, err)
	}
	if !people.RequiresSID() {
		t.Error("no SID is required where there is an attribute for it")
	}
	if p, err := people.Authenticate(t.Context(), "foreign", slapd.Password); err != nil || p.Conflict != portal.UPNSuffix {
		t.Errorf("foreign suffix: %q, %v, want %q", p.Conflict, err, portal.UPNSuffix)
	}
	if p, err := people.Authenticate(t.Context(), "bad", slapd.Password); err == nil && p.SID != "" && p.SID != "1101" {
		t.Errorf("SID of another form: %q", p.SID)
	}
}

// TestA5_NamesOfOthersAtSlapd gives two people one name, which OpenLDAP allows.
func TestA5_NamesOfOthersAtSlapd(t *testing.T) {
	s := slapd.Start(t)
	people := openPlain(t, s, func(c *directory.LDAPConfig) { c.Attributes.UPN = "userPrincipalName" })
	s.AddPerson(t, slapd.Person{Login: "alice", UPN: "alice@example.test", Mail: "alice@mail.test"})
	bob := s.AddPerson(t, slapd.Person{Login: "bob", UPN: "bob@example.test", Mail: "bob@mail.test"})
	cases := []struct {
		name, upn string
		want      portal.Conflict
	}{
		{"own", "bob@example.test", ""},
		{"same", "alice@example.test", portal.UPNTaken},
		{"other case", "ALICE@Example.test", portal.UPNTaken},
		{"accent", "alicé@example.test", portal.UPNTaken},
		{"full width", "ａｌｉｃｅ@example.test", portal.UPNTaken},
		{"foreign suffix", "alice@evil.test", portal.UPNSuffix},
		{"no suffix", "bobby", portal.UPNForm},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s.Modify(t, bob, map[string][]string{"userPrincipalName": {c.upn}})
			p, err := people.Authenticate(t.Context(), "bob", slapd.Password)
			if err != nil || p.Conflict != c.want {
				t.Errorf("conflict %q, %v, want %q", p.Conflict, err, c.want)
			}
		})
	}
	s.Modify(t, bob, map[string][]string{"mail": {"bob@mail.test", "alice@mail.test"}})
	alice, err := people.Authenticate(t.Context(), "alice", slapd.Password)
	if err != nil || !alice.MailShared {
		t.Errorf("shared address: %t, %v, want it seen", alice.MailShared, err)
	}
}
