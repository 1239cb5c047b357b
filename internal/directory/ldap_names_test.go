package directory_test

import (
	"errors"
	"strings"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/ldapserver"
)

// payloads are login names that attempt injection.
func payloads() []string {
	return []string{
		"*", "anna*", "*)(objectClass=*", "a)(|(cn=*", "anna)(userAccountControl=*", "anna)(|(a=b", "(&)", "|", "!",
		`\2a`, `anna\2a`, `\00`, `\`, `\\`, "anna\\", "+ADw-", "+ACo-", "&#42;", "%2a", "%00",
		"anna,CN=Users", annaDN, "<GUID=" + ldapserver.GUID(annaNumber) + ">", ldapserver.SID(annaNumber), "#04", `"anna"`,
		"*@" + ldapserver.Name, "anna@*", "*)(mail=*@x", "a@b@c", `CORP\*`, `CORP\anna)(cn=*`, `*\anna`, `OTHER\anna`,
		"anna@", "@" + ldapserver.Name, "@", `CORP\`, `\anna`, `CORP\CORP\anna`, `CORP\anna@` + ldapserver.Name,
		"ａnna", "änna", "anna\u0301", "аnna", // full width, accents, a Cyrillic letter
	}
}

// unaskable returns strings that cannot be login names.
func unaskable() []string {
	return []string{
		"", " ", "\x00", "anna\x00", "an\nna", "anna\x7f", "\xc0\xaa", "anna\xff", "\xe2\x80", "an\u200bna", "\ufeffanna",
		strings.Repeat("a", 257), strings.Repeat("é", 129) + "@" + ldapserver.Name,
	}
}

func TestA7_LoginNamesStayValues(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	l := client(t, func(c *directory.LDAPConfig) { c.LoginByMail = true }, s)
	if _, err := l.Canonical(t.Context(), "anna"); err != nil {
		t.Fatal(err)
	}
	for _, payload := range payloads() {
		s.Forget()
		_, err := l.Authenticate(t.Context(), payload, annaPassword)
		wantOutcome(t, err, "credentials")
		for _, r := range s.Requests(ldapserver.Search) {
			wantNameFilter(t, r.Node)
		}
		for _, r := range s.Requests(ldapserver.Bind) {
			if !strings.HasPrefix(r.Name, "CN=nobody-") {
				t.Errorf("%q binds as %q", payload, r.Name)
			}
		}
	}
}

// wantNameFilter requires (&(objectCategory=person)(objectClass=user)(|…)) with at most one
// equality match per attribute.
func wantNameFilter(t *testing.T, node *ber.Packet) {
	t.Helper()
	filter, err := ldap.DecompileFilter(node)
	if err != nil {
		t.Fatal(err)
	}
	if node.Tag != ldap.FilterAnd || len(node.Children) != 2 {
		t.Fatalf("filter %s, want two parts", filter)
	}
	seen := map[string]bool{}
	for _, clause := range node.Children[1].Children {
		if node.Children[1].Tag != ldap.FilterOr || clause.Tag != ldap.FilterEqualityMatch || len(clause.Children) != 2 {
			t.Errorf("filter %s has something but equalities in it", filter)
			continue
		}
		attribute := clause.Children[0].Data.String()
		if seen[attribute] {
			t.Errorf("filter %s asks for %s twice", filter, attribute)
		}
		seen[attribute] = true
	}
}

func TestA7_WhatIsNoNameIsNotAsked(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	l := client(t, nil, s)
	if _, err := l.Canonical(t.Context(), "anna"); err != nil {
		t.Fatal(err)
	}
	s.Forget()
	keys := map[string]string{}
	for _, name := range unaskable() {
		_, err := l.Authenticate(t.Context(), name, annaPassword)
		wantOutcome(t, err, "credentials")
		key, err := l.Canonical(t.Context(), name)
		if err != nil || !strings.HasPrefix(key, "name ") {
			t.Errorf("Canonical(%q) = %q, %v, want a name", name, key, err)
		}
		keys[key] = name
	}
	if got := s.Requests(); len(got) != 0 {
		t.Errorf("%d requests, want 0", len(got))
	}
	if strings.Contains(strings.Join(values(keys), ""), "anna") {
		t.Error("keys hold what was typed")
	}
}

func values(m map[string]string) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}

func TestOnePersonUnderAllSpellings(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	s.Change(annaDN, func(a map[string][]string) { a["userPrincipalName"] = []string{"Anna.Example@other.test"} })
	l := client(t, func(c *directory.LDAPConfig) { c.LoginByMail = true }, s)
	for _, login := range []string{
		"anna", "ANNA", " anna ", `CORP\anna`, `corp\Anna`, `corp.example.test\anna`, `CORP\ anna`,
		"anna@corp.example.test", "Anna@CORP.example.test", "anna@corp", "anna.example@OTHER.test", "anna@mail.example.test",
	} {
		got, err := l.Canonical(t.Context(), login)
		if err != nil || got != string(annaID()) {
			t.Errorf("Canonical(%q) = %q, %v, want %q", login, got, err, annaID())
		}
		p, err := l.Authenticate(t.Context(), login, annaPassword)
		if err != nil || p.ID != annaID() || p.Login != "anna" || p.UPN != "Anna.Example@other.test" || p.SID != ldapserver.SID(annaNumber) {
			t.Errorf("Authenticate(%q) = %+v, %v", login, p, err)
		}
	}
}

func TestOneKeyForAllSpellingsOfAnUnknownName(t *testing.T) {
	l := client(t, nil, corp(t, ldapserver.Config{}))
	const want = "name zoe@corp.example.test"
	for _, login := range []string{"zoe", " ZOE", `CORP\zoe`, `corp.example.test\Zoe`, "zoe@corp", "Zoe@Corp.Example.Test", "zoe@CORP.EXAMPLE.TEST "} {
		got, err := l.Canonical(t.Context(), login)
		if err != nil || got != want {
			t.Errorf("Canonical(%q) = %q, %v, want %q", login, got, err, want)
		}
	}
}

func TestLoginByMailOnlyWhereAllowed(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	_, err := client(t, nil, s).Authenticate(t.Context(), "anna@mail.example.test", annaPassword)
	wantOutcome(t, err, "credentials")
}

// A person who may edit a mail address must not be able to keep the owner of a login name
// from signing in.
func TestAddressesDoNotHideNames(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	bob := s.Person("bob", "Bob's own password", 1102)
	s.Change(bob, func(a map[string][]string) { a["mail"] = []string{"anna@corp.example.test"} })
	l := client(t, func(c *directory.LDAPConfig) { c.LoginByMail = true }, s)
	_, err := l.Authenticate(t.Context(), "anna@corp.example.test", annaPassword)
	wantOutcome(t, err, "in")
	_, err = l.Authenticate(t.Context(), "anna@corp.example.test", "Bob's own password")
	wantOutcome(t, err, "credentials")
}

func TestANameOfTwoPeopleIsNobodys(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	bob := s.Person("bob", annaPassword, 1102)
	s.Change(bob, func(a map[string][]string) { a["userPrincipalName"] = []string{"ANNA@corp.example.test"} })
	l := client(t, nil, s)
	_, err := l.Authenticate(t.Context(), "anna@corp.example.test", annaPassword)
	wantOutcome(t, err, "credentials")
	if got, err := l.Canonical(t.Context(), "anna@corp.example.test"); err != nil || got != "name anna@corp.example.test" {
		t.Errorf("Canonical = %q, %v, want a name", got, err)
	}
	_, err = l.Authenticate(t.Context(), "anna", annaPassword)
	wantOutcome(t, err, "in")
}

func TestA8_WrongAndUnknownAskTheSame(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	l := client(t, nil, s)
	ask := func(login string) []ldapserver.Request {
		s.Forget()
		if _, err := l.Canonical(t.Context(), login); err != nil {
			t.Fatal(err)
		}
		_, err := l.Authenticate(t.Context(), login, "wrong")
		wantOutcome(t, err, "credentials")
		return s.Requests()
	}
	for _, pair := range [][2]string{
		{"anna", "anne"}, {`CORP\anna`, `CORP\anne`}, {"anna@corp.example.test", "anne@corp.example.test"},
	} {
		ask(pair[0]) // opens the connections
		known, unknown := ask(pair[0]), ask(pair[1])
		if len(known) != len(unknown) {
			t.Fatalf("%d requests for a wrong password, %d for an unknown name", len(known), len(unknown))
		}
		for i := range known {
			k, u := known[i], unknown[i]
			if k.Op != u.Op || k.Connection != u.Connection || k.Scope != u.Scope || strings.ReplaceAll(k.Filter, "anna", "anne") != u.Filter {
				t.Errorf("request %d: %s %s, but %s %s for an unknown name", i, k.Op, k.Filter, u.Op, u.Filter)
			}
		}
	}
}

// A server that returns entries which do not match the search must not sign a person in
// as another.
func TestLyingAnswers(t *testing.T) {
	bob := ldapserver.Entry{DN: "CN=bob,CN=Users," + ldapserver.Base}
	answer := func(entries ...ldapserver.Entry) func(*ldapserver.Conn, ldapserver.Request) {
		return func(c *ldapserver.Conn, r ldapserver.Request) {
			for _, e := range entries {
				c.Entry(r, e)
			}
			c.Result(r, 0, "")
		}
	}
	is := func(r ldapserver.Request, what string) bool {
		byGUID := strings.HasPrefix(r.Name, "<GUID=")
		byName := strings.Contains(r.Filter, "objectCategory")
		return r.Op == ldapserver.Search && ((what == "name" && byName) || (what == "id" && byGUID) ||
			(what == "others" && !byName && !byGUID && strings.Contains(r.Filter, "proxyAddresses")))
	}
	tests := []struct {
		name, lie string
		answer    func(*ldapserver.Conn, ldapserver.Request)
		want      portal.Reason
	}{
		{"another login", "name", answer(bob), "credentials"},
		{"many entries", "name", answer(make([]ldapserver.Entry, 50)...), "credentials"},
		{"another GUID", "id", answer(bob), portal.EntryUnread},
		{"no GUID", "id", answer(ldapserver.Entry{DN: annaDN}), portal.EntryUnread},
		{"two people for one GUID", "id", answer(ldapserver.Entry{DN: annaDN}, bob), "outage"},
		{"nobody for a GUID", "id", answer(), "outage"},
		{"no answer about others", "others", func(c *ldapserver.Conn, r ldapserver.Request) { c.Result(r, 50, "") }, "outage"},
		{"an answer about others in time limits", "others", func(c *ldapserver.Conn, r ldapserver.Request) { c.Result(r, 3, "") }, "outage"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := corp(t, ldapserver.Config{})
			bobDN := s.Person("bob", "Bob's own password", 1102)
			s.Change(bobDN, func(a map[string][]string) { bob.Attributes = a })
			l := client(t, nil, s)
			s.Obey(func(c *ldapserver.Conn, r ldapserver.Request) bool {
				if !is(r, tt.lie) {
					return false
				}
				tt.answer(c, r)
				return true
			})
			_, err := l.Authenticate(t.Context(), "anna", annaPassword)
			wantOutcome(t, err, tt.want)
			_, err = l.Person(t.Context(), annaID())
			if tt.lie != "name" && err == nil {
				t.Error("Person believes it")
			}
		})
	}
}

func TestPersonOfNobody(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	s.Person("pc1$", "machine", 1103)
	pc2 := s.Person("pc2", "machine", 1104)
	s.Change(pc2, func(a map[string][]string) { a["objectClass"] = append(a["objectClass"], "computer") })
	gmsa := s.Person("gmsa", "machine", 1105)
	s.Change(gmsa, func(a map[string][]string) {
		a["objectClass"] = append(a["objectClass"], "msDS-GroupManagedServiceAccount")
	})
	s.Group("Phones", 1106)
	l := client(t, nil, s)
	for _, id := range []string{
		ldapserver.GUID(1103), ldapserver.GUID(1104), ldapserver.GUID(1105), ldapserver.GUID(1106), ldapserver.GUID(9),
		"", "anna", annaDN, strings.ToUpper(ldapserver.GUID(annaNumber)), ldapserver.GUID(annaNumber) + ">", "*",
	} {
		if _, err := l.Person(t.Context(), portal.PersonID(id)); !errors.Is(err, portal.ErrNotFound) {
			t.Errorf("Person(%q): %v, want ErrNotFound", id, err)
		}
	}
	for _, login := range []string{"pc1$", "pc2", "gmsa"} {
		_, err := l.Authenticate(t.Context(), login, "machine")
		wantOutcome(t, err, "credentials")
	}
	outside := client(t, func(c *directory.LDAPConfig) { c.Base = "OU=Elsewhere," + ldapserver.Base }, s)
	if _, err := outside.Person(t.Context(), annaID()); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("Person outside the base: %v, want ErrNotFound", err)
	}
}
