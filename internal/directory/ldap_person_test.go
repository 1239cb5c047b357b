package directory_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/ldapserver"
)

// directoryName is the name of an entry in the order of X.509, the root of the tree first.
func directoryName(parts ...string) pkix.RDNSequence {
	types := map[string]asn1.ObjectIdentifier{
		"CN": {2, 5, 4, 3}, "OU": {2, 5, 4, 11},
		"DC": {0, 9, 2342, 19200300, 100, 1, 25}, "UID": {0, 9, 2342, 19200300, 100, 1, 1},
	}
	var name pkix.RDNSequence
	for _, part := range parts {
		kind, value, _ := strings.Cut(part, "=")
		name = append(name, pkix.RelativeDistinguishedNameSET{{Type: types[kind], Value: value}})
	}
	return name
}

func TestPersonIsReadWhole(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	s.Change(annaDN, func(a map[string][]string) {
		a["employeeID"], a["department"] = []string{"4711"}, []string{"Sales"}
		a["msDS-User-Account-Control-Computed"] = []string{"16"}
	})
	got, err := client(t, nil, s).Person(t.Context(), annaID())
	if err != nil {
		t.Fatal(err)
	}
	want := portal.Person{
		ID: annaID(), Login: "anna", UPN: "anna@corp.example.test", SID: ldapserver.SID(annaNumber),
		Mail: "anna@mail.example.test", Name: "anna Example", GivenName: "anna",
		EmployeeNumber: "4711", Department: "Sales", MayEnroll: true, Locked: true,
		DirectoryName: directoryName("DC=test", "DC=example", "DC=corp", "CN=Users", "CN=anna"),
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestMissingNames(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	s.Change(annaDN, func(a map[string][]string) {
		delete(a, "objectSid")
		delete(a, "userPrincipalName")
		delete(a, "mail")
		delete(a, "displayName")
	})
	l := client(t, nil, s)
	got, err := l.Person(t.Context(), annaID())
	if err != nil || got.SID != "" || got.UPN != "" || got.Mail != "" || got.Name != "anna" || got.Conflict != "" {
		t.Errorf("Person = %+v, %v, want it without SID, UPN and mail", got, err)
	}
	if !l.RequiresSID() {
		t.Error("Active Directory does not require SIDs")
	}
	if client(t, asPlain, s).RequiresSID() {
		t.Error("plain LDAP without an attribute for SIDs requires them")
	}
}

func TestTwoValuesForOneName(t *testing.T) {
	for _, attribute := range []string{"objectGUID", "objectSid", "userPrincipalName", "sAMAccountName", "userAccountControl"} {
		s := corp(t, ldapserver.Config{})
		s.Change(annaDN, func(a map[string][]string) { a[attribute] = append(a[attribute], a[attribute][0]) })
		if _, err := client(t, nil, s).Person(t.Context(), annaID()); err == nil || errors.Is(err, portal.ErrNotFound) {
			t.Errorf("two values of %s: %v, want an error", attribute, err)
		}
	}
	s := corp(t, ldapserver.Config{})
	s.Change(annaDN, func(a map[string][]string) { a["mail"] = []string{"a@mail.test", "b@mail.test"} })
	p, err := client(t, nil, s).Person(t.Context(), annaID())
	if err != nil || p.Mail != "" || p.MailLeftOut() != "unusable" {
		t.Errorf("two values of mail: %+v, %v, want a person without address", p, err)
	}
}

// TestA5_TooManyNamesakes: too many entries with the UPN or login are a conflict, too many
// with the mail address mean that it is shared.
func TestA5_TooManyNamesakes(t *testing.T) {
	for name, tt := range map[string]struct {
		truncated string // in the filters of searches that have too many entries
		conflict  portal.Conflict
		shared    bool
	}{
		"none": {"nothing", "", false}, "mail": {"proxyAddresses", "", true}, "names": {"sAMAccountName=anna", portal.UPNTaken, false},
	} {
		s := corp(t, ldapserver.Config{})
		l := client(t, nil, s)
		s.Obey(func(c *ldapserver.Conn, r ldapserver.Request) bool {
			if r.Op != ldapserver.Search || strings.HasPrefix(r.Name, "<GUID=") || !strings.Contains(r.Filter, tt.truncated) {
				return false
			}
			c.Result(r, ldap.LDAPResultSizeLimitExceeded, "")
			return true
		})
		p, err := l.Person(t.Context(), annaID())
		if err != nil || p.Conflict != tt.conflict || p.MailShared != tt.shared {
			t.Errorf("too many for %s: conflict %q, mail shared %t, %v, want %q, %t", name, p.Conflict, p.MailShared, err, tt.conflict, tt.shared)
		}
	}
}

func TestRolesAndGroups(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	phones, desk := s.Group("Phones", 2001), s.Group("Desk", 2002)
	s.Person("helga", "Helga's password", 1102, 2001, 2002)
	l := client(t, func(c *directory.LDAPConfig) {
		c.Enroll = []string{phones}
		c.Roles = map[portal.Role][]string{
			portal.Helpdesk: {strings.ToUpper(desk), "CN=gone," + ldapserver.Base},
			portal.Admin:    {ldapserver.SID(2002)},
			portal.Auditor:  {ldapserver.SID(2003)},
		}
	}, s)
	helga, err := l.Person(t.Context(), portal.PersonID(ldapserver.GUID(1102)))
	if err != nil || !slices.Equal(helga.Roles, []portal.Role{portal.Helpdesk, portal.Admin}) || !helga.MayEnroll {
		t.Errorf("Helga = %+v, %v", helga, err)
	}
	anna, err := l.Person(t.Context(), annaID())
	if err != nil || len(anna.Roles) != 0 || anna.MayEnroll {
		t.Errorf("Anna = %+v, %v, want no roles and no enrolment", anna, err)
	}
}

// A missing group must not mean that all people may enrol, or that no person is protected.
func TestA3_GroupsInDoubtAreAnError(t *testing.T) {
	const gone = "CN=gone," + ldapserver.Base
	tests := []struct {
		name   string
		change func(*directory.LDAPConfig)
		wrong  bool
	}{
		{"enroll", func(c *directory.LDAPConfig) { c.Enroll = []string{gone} }, true},
		{"protected", func(c *directory.LDAPConfig) { c.Protected = []string{gone} }, true},
		{"no group but a person", func(c *directory.LDAPConfig) { c.Protected = []string{annaDN} }, true},
		{"role", func(c *directory.LDAPConfig) { c.Roles = map[portal.Role][]string{portal.Admin: {gone}} }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, later := corp(t, ldapserver.Config{}), &clock{}
			l := client(t, func(c *directory.LDAPConfig) { tt.change(c); c.Now = later.now }, s)
			_, err := l.Person(t.Context(), annaID())
			if (err != nil) != tt.wrong || errors.Is(err, portal.ErrNotFound) {
				t.Fatalf("Person: %v, want an error %v", err, tt.wrong)
			}
			s.Group("gone", 2001)
			s.Add(ldapserver.Entry{DN: gone, Attributes: map[string][]string{
				"objectClass": {"group"}, "objectSid": {ldapserver.SIDBytes(2002)},
			}})
			later.forward(2 * time.Minute)
			if _, err := l.Person(t.Context(), annaID()); err != nil && tt.name != "no group but a person" {
				t.Errorf("with the group there: %v", err)
			}
		})
	}
}

func TestA3_ProtectedByNature(t *testing.T) {
	for _, group := range []uint32{498, 512, 516, 518, 519, 520, 521, 525, 526, 527} {
		s := corp(t, ldapserver.Config{})
		s.Person("root", "password", 1102, group)
		p, err := client(t, nil, s).Person(t.Context(), portal.PersonID(ldapserver.GUID(1102)))
		if err != nil || !p.Protected {
			t.Errorf("group %d: %+v, %v, want protected", group, p, err)
		}
	}
	marks := map[string]func(map[string][]string){
		"adminCount":            func(a map[string][]string) { a["adminCount"] = []string{"1"} },
		"primary group":         func(a map[string][]string) { a["primaryGroupID"] = []string{"512"} },
		"Administrator":         func(a map[string][]string) { a["objectSid"] = []string{ldapserver.SIDBytes(500)} },
		"krbtgt":                func(a map[string][]string) { a["objectSid"] = []string{ldapserver.SIDBytes(502)} },
		"Account Operators":     func(a map[string][]string) { a["tokenGroups"] = []string{builtinSID(548)} },
		"admin of the forest":   func(a map[string][]string) { a["tokenGroups"] = []string{otherDomain(519)} },
		"unreadable adminCount": nil,
	}
	for name, mark := range marks {
		s := corp(t, ldapserver.Config{})
		if mark != nil {
			s.Change(annaDN, mark)
		}
		p, err := client(t, nil, s).Person(t.Context(), annaID())
		if err != nil || p.Protected != (mark != nil) {
			t.Errorf("%s: %+v, %v, want protected %v", name, p, err, mark != nil)
		}
	}
}

func builtinSID(number uint32) string {
	return string(binary.LittleEndian.AppendUint32([]byte("\x01\x02\x00\x00\x00\x00\x00\x05\x20\x00\x00\x00"), number))
}

func otherDomain(number uint32) string {
	sid := []byte(ldapserver.SIDBytes(number))
	sid[12]++
	return string(sid)
}

func TestPeople(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	var ids []portal.PersonID
	for i := range uint32(250) {
		s.Person(fmt.Sprintf("p%d", i), "password", 3000+i)
		ids = append(ids, portal.PersonID(ldapserver.GUID(3000+i)))
	}
	s.Change("CN=p7,CN=Users,"+ldapserver.Base, func(a map[string][]string) { a["userAccountControl"] = []string{"514"} })
	ids = append(ids, portal.PersonID(ldapserver.GUID(9)), "not a guid", ids[0])
	l := client(t, nil, s)
	got, err := l.People(t.Context(), ids)
	if err != nil || len(got) != 250 {
		t.Fatalf("%d people, %v, want 250", len(got), err)
	}
	if got[7].Login != "p7" || !got[7].Disabled || got[7].SID != ldapserver.SID(3007) || got[8].Disabled {
		t.Errorf("person 7 = %+v", got[7])
	}
	searches := 0
	for _, r := range s.Requests(ldapserver.Search) {
		if strings.Contains(r.Filter, "objectGUID") {
			searches++
		}
	}
	if searches != 3 {
		t.Errorf("%d searches for 250 people, want 3", searches)
	}
}

// Callers treat a person missing from the result of People as deleted, so an incomplete
// result must be an error.
func TestA11_PeopleInDoubtAreAnError(t *testing.T) {
	lies := map[string]func(*ldapserver.Conn, ldapserver.Request, ldapserver.Entry, ldapserver.Entry){
		"size limit": func(c *ldapserver.Conn, r ldapserver.Request, anna, _ ldapserver.Entry) {
			c.Entry(r, anna)
			c.Result(r, ldap.LDAPResultSizeLimitExceeded, "")
		},
		"time limit":   func(c *ldapserver.Conn, r ldapserver.Request, _, _ ldapserver.Entry) { c.Result(r, 3, "") },
		"no rights":    func(c *ldapserver.Conn, r ldapserver.Request, _, _ ldapserver.Entry) { c.Result(r, 50, "") },
		"no such base": func(c *ldapserver.Conn, r ldapserver.Request, _, _ ldapserver.Entry) { c.Result(r, 32, "") },
		"referral":     func(c *ldapserver.Conn, r ldapserver.Request, _, _ ldapserver.Entry) { c.Result(r, 10, "") },
		"closed":       func(c *ldapserver.Conn, _ ldapserver.Request, _, _ ldapserver.Entry) { c.Close() },
		"somebody else": func(c *ldapserver.Conn, r ldapserver.Request, _, bob ldapserver.Entry) {
			c.Entry(r, bob)
			c.Result(r, 0, "")
		},
		"one twice": func(c *ldapserver.Conn, r ldapserver.Request, a, _ ldapserver.Entry) {
			c.Entry(r, a)
			c.Entry(r, a)
			c.Result(r, 0, "")
		},
		"an empty entry": func(c *ldapserver.Conn, r ldapserver.Request, _, _ ldapserver.Entry) {
			c.Entry(r, ldapserver.Entry{})
			c.Result(r, 0, "")
		},
		"without account": func(c *ldapserver.Conn, r ldapserver.Request, a, _ ldapserver.Entry) {
			delete(a.Attributes, "userAccountControl")
			c.Entry(r, a)
			c.Result(r, 0, "")
		},
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			s := corp(t, ldapserver.Config{})
			anna, bob := ldapserver.Entry{DN: annaDN}, ldapserver.Entry{DN: s.Person("bob", "password", 1102)}
			s.Change(anna.DN, func(a map[string][]string) { anna.Attributes = a })
			s.Change(bob.DN, func(a map[string][]string) { bob.Attributes = a })
			s.Obey(func(c *ldapserver.Conn, r ldapserver.Request) bool {
				if !strings.Contains(r.Filter, "objectGUID") {
					return false
				}
				lie(c, r, anna, bob)
				return true
			})
			l := client(t, func(c *directory.LDAPConfig) { c.Timeout = time.Second }, s)
			if got, err := l.People(t.Context(), []portal.PersonID{annaID()}); err == nil {
				t.Errorf("People = %+v, want an error", got)
			}
		})
	}
}

func TestSearch(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	for i := range uint32(30) {
		s.Person(fmt.Sprintf("berta%02d", 29-i), "password", 3000+i)
	}
	s.Change(annaDN, func(a map[string][]string) { a["employeeNumber"] = []string{"4711"} })
	l := client(t, nil, s)
	tests := []struct {
		query string
		found int
		more  bool
	}{
		{"anna", 1, false}, {"ANN", 1, false}, {"anna exa", 1, false}, {"exa anna", 1, false}, {"4711", 1, false}, {"47", 1, false},
		{"anna@corp", 1, false}, {"anna@mail", 1, false}, {"berta", 10, true}, {"berta1", 10, false}, {"anna berta", 0, false},
		{"zoe", 0, false}, {"", 0, false}, {"  ", 0, false}, {"*", 0, false}, {"a*", 0, false}, {"*)(cn=*", 0, false},
		{"an\x00na", 0, false}, {"\xff", 0, false}, {strings.Repeat("a ", 200), 0, false}, {"a b c d e f g", 0, false},
	}
	for _, tt := range tests {
		got, more, err := l.Search(t.Context(), tt.query, 10)
		if err != nil || len(got) != tt.found || more != tt.more {
			t.Errorf("Search(%q) = %d people, more %v, %v, want %d, %v", tt.query, len(got), more, err, tt.found, tt.more)
		}
		if !slices.IsSortedFunc(got, func(a, b portal.Person) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("Search(%q) is not sorted", tt.query)
		}
	}
}

func TestMatch(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	s.Person("bob", "password", 1102)
	l := client(t, func(c *directory.LDAPConfig) { c.LoginByMail = true }, s)
	anna, bob := ldapserver.SID(annaNumber), ldapserver.SID(1102)
	tests := []struct {
		name  string
		claim portal.Claim
		found bool
	}{
		{"SID", portal.Claim{SID: anna}, true},
		{"UPN", portal.Claim{UPN: "Anna@corp.example.test"}, true},
		{"both", portal.Claim{SID: anna, UPN: "anna@CORP.example.test"}, true},
		{"SID of one, UPN of another", portal.Claim{SID: bob, UPN: "anna@corp.example.test"}, false},
		{"SID and a UPN nobody has", portal.Claim{SID: anna, UPN: "zoe@corp.example.test"}, false},
		{"SID and no UPN at all", portal.Claim{SID: anna, UPN: "anna"}, false},
		{"neither", portal.Claim{}, false},
		{"unknown SID", portal.Claim{SID: ldapserver.SID(9)}, false},
		{"half a SID", portal.Claim{SID: "S-1-5-21"}, false},
		{"mail", portal.Claim{UPN: "anna@mail.example.test"}, false},
		{"login name", portal.Claim{UPN: "anna"}, false},
		{"DOMAIN and login name", portal.Claim{UPN: `CORP\anna`}, false},
		{"wildcard", portal.Claim{UPN: "*@corp.example.test"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := l.Match(t.Context(), tt.claim)
			if tt.found && (err != nil || p.ID != annaID()) {
				t.Errorf("Match = %+v, %v, want Anna", p, err)
			}
			if !tt.found && !errors.Is(err, portal.ErrNotFound) {
				t.Errorf("Match: %v, want ErrNotFound", err)
			}
		})
	}
}

func TestLockoutPolicy(t *testing.T) {
	s := corp(t, ldapserver.Config{})
	l := client(t, nil, s)
	want := directory.Lockout{Threshold: 5, Window: 30 * time.Minute}
	if got, err := l.Lockout(t.Context()); err != nil || got != want {
		t.Errorf("Lockout = %+v, %v, want %+v", got, err, want)
	}
	for threshold, ok := range map[string]bool{"0": true, "": true, "-1": false, "x": false, "99999999999": false} {
		s.Change(ldapserver.Base, func(a map[string][]string) { a["lockoutThreshold"] = []string{threshold} })
		if got, err := l.Lockout(t.Context()); (err == nil) != ok || got != (directory.Lockout{}) {
			t.Errorf("threshold %q: %+v, %v", threshold, got, err)
		}
	}
	if got, err := client(t, asPlain, s).Lockout(t.Context()); err != nil || got != (directory.Lockout{}) {
		t.Errorf("plain LDAP: %+v, %v, want nothing", got, err)
	}
}
