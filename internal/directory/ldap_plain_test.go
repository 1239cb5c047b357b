package directory_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/ldapserver"
)

// nest adds a chain of nested groups with Anna in the innermost, and returns the DN of the
// outermost.
func nest(s *ldapserver.Server, groups int) string {
	member := annaDN
	for i := range groups {
		dn := fmt.Sprintf("cn=g%d,ou=Groups,%s", i, ldapserver.Base)
		s.Add(ldapserver.Entry{DN: dn, Attributes: map[string][]string{"objectClass": {"groupOfNames"}, "member": {member}}})
		member = dn
	}
	return member
}

func TestPlainNestedGroups(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	last := nest(s, 20)
	// A cycle of groups ends too.
	s.Change("cn=g0,ou=Groups,"+ldapserver.Base, func(a map[string][]string) { a["member"] = append(a["member"], last) })
	l := client(t, func(c *directory.LDAPConfig) {
		asPlain(c)
		c.Roles = map[portal.Role][]string{portal.Admin: {strings.ToUpper(last)}}
		c.Protected = []string{last}
	}, s)
	p, err := l.Person(t.Context(), "anna")
	if err != nil || !p.Has(portal.Admin) || !p.Protected {
		t.Errorf("Person = %+v, %v, want a protected admin", p, err)
	}
}

func TestPlainTooManyGroups(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	for i := range 501 {
		s.Add(ldapserver.Entry{DN: fmt.Sprintf("cn=g%d,ou=Groups,%s", i, ldapserver.Base), Attributes: map[string][]string{
			"objectClass": {"groupOfNames"}, "member": {annaDN},
		}})
	}
	if p, err := client(t, asPlain, s).Person(t.Context(), "anna"); err == nil {
		t.Errorf("Person = %+v, want an error", p)
	}
}

func TestPlainCheck(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	last := nest(s, 1)
	l := client(t, func(c *directory.LDAPConfig) {
		asPlain(c)
		c.Roles = map[portal.Role][]string{portal.Admin: {last}}
	}, s)
	for _, f := range l.Check(t.Context()) {
		if f.State != portal.FindingOK {
			t.Errorf("%s: %s: %s", f.What, f.State, f.Text)
		}
	}
}

// With a global catalog, entries with the same names are searched in the whole forest, and
// only there.
func TestA5_TheGlobalCatalogIsAsked(t *testing.T) {
	a := ldapserver.NewAuthority(t)
	s, catalog := corp(t, ldapserver.Config{Authority: a}), corp(t, ldapserver.Config{Authority: a})
	l := client(t, func(c *directory.LDAPConfig) { c.GlobalCatalog = []string{catalog.URL()} }, s)
	if p, err := l.Person(t.Context(), annaID()); err != nil || p.Conflict != "" {
		t.Fatalf("Person = %+v, %v", p, err)
	}
	catalog.Add(ldapserver.Entry{DN: "CN=x,DC=sub," + ldapserver.Base, Attributes: map[string][]string{
		"objectGUID": {"0123456789abcdef"}, "userPrincipalName": {"ANNA@corp.example.test"}, "sAMAccountName": {"x"},
	}})
	if p, err := l.Person(t.Context(), annaID()); err != nil || p.Conflict != portal.UPNTaken {
		t.Errorf("Person = %+v, %v, want a conflict", p, err)
	}
	for _, r := range catalog.Requests(ldapserver.Search) {
		if r.Name != "" || r.Scope != 2 {
			t.Errorf("the catalog was searched below %q", r.Name)
		}
	}
	catalog.Stop()
	if p, err := l.Person(t.Context(), annaID()); err == nil {
		t.Errorf("without the catalog: %+v, want an error", p)
	}
}

// Logs and errors must contain neither passwords nor login names.
func TestLogsAndErrorsKeepSecrets(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	bob := s.Person("bob", "password", 1102)
	s.Change(bob, func(a map[string][]string) { a["userPrincipalName"] = []string{"anna@corp.example.test"} })
	var log bytes.Buffer
	l := client(t, func(c *directory.LDAPConfig) {
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.Timeout = 100 * time.Millisecond
		c.Roles = map[portal.Role][]string{portal.Admin: {"CN=gone," + ldapserver.Base}}
	}, s)
	const typed, secret = "typed-name", "typed-secret"
	try := func(login string) {
		_, err := l.Authenticate(t.Context(), login, secret)
		fmt.Fprintln(&log, err)
		_, err = l.Canonical(t.Context(), login)
		fmt.Fprintln(&log, err)
	}
	trouble := []ldapserver.Script{nil}
	for _, m := range misbehaviours() {
		trouble = append(trouble, func(c *ldapserver.Conn, r ldapserver.Request) bool {
			m.answer(c, r)
			return true
		})
	}
	for _, script := range trouble {
		s.Obey(script)
		for _, login := range []string{typed, typed + "@corp.example.test", typed + "\x00", "anna@corp.example.test", "anna"} {
			try(login)
		}
		s.Drop()
	}
	for _, secret := range []string{typed, secret, ldapserver.ReaderPassword} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q is shown in\n%s", secret, log.String())
		}
	}
}
