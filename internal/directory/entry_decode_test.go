package directory

import (
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

func adDecoder() decoder {
	return decoder{kind: ActiveDirectory, a: adAttributes(), now: func() time.Time { return time.Unix(1795000000, 0) }}
}

// FuzzEntry gives the decoder entries with hostile values: it must not invent an
// identity, and nothing that is no text may become a name.
func FuzzEntry(f *testing.F) {
	f.Add("objectSid", []byte("\x01\x01\x00\x00\x00\x00\x00\x05\x12\x00\x00\x00"), "userAccountControl", []byte("514"))
	f.Add("userPrincipalName", []byte("anna@corp.example"), "accountExpires", []byte("131000000000000000"))
	f.Add("objectGUID", []byte("0123456789abcdef"), "OBJECTGUID", []byte("0123456789abcdef"))
	f.Fuzz(func(t *testing.T, one string, first []byte, two string, second []byte) {
		guid := []byte("0123456789abcdef")
		e := entry{&ldap.Entry{DN: "CN=x", Attributes: []*ldap.EntryAttribute{
			attribute("objectGUID", guid), attribute("userAccountControl", []byte("512")), attribute("sAMAccountName", []byte("x")),
			attribute(one, first), attribute(two, second),
		}}}
		p, err := adDecoder().person(e)
		if err != nil {
			return
		}
		if p.ID != "33323130-3534-3736-3839-616263646566" {
			t.Errorf("ID %q is not that of the entry", p.ID)
		}
		for _, text := range []string{p.Login, p.UPN, p.Mail, p.Name, p.GivenName, p.Department, p.EmployeeNumber} {
			if strings.ToValidUTF8(text, "") != text {
				t.Errorf("%q is not UTF-8", text)
			}
		}
		if _, err := parseSID(p.SID); p.SID != "" && err != nil {
			t.Errorf("SID %q: %v", p.SID, err)
		}
	})
}

func attribute(name string, value []byte) *ldap.EntryAttribute {
	return &ldap.EntryAttribute{Name: name, Values: []string{string(value)}, ByteValues: [][]byte{value}}
}

func namedEntry(dn, login, upn, mail string) entry {
	return entry{&ldap.Entry{DN: dn, Attributes: []*ldap.EntryAttribute{
		attribute("sAMAccountName", []byte(login)), attribute("userPrincipalName", []byte(upn)), attribute("mail", []byte(mail)),
		attribute("proxyAddresses", []byte("SMTP:"+mail)),
	}}}
}

// FuzzLoginFilter parses login names: for any input, the filter requires equality of
// the typed value and of nothing else.
func FuzzLoginFilter(f *testing.F) {
	for _, typed := range []string{"anna", `CORP\anna`, "anna@corp.example", "*)(objectClass=*", `\2a`, "a\x00b", "änna", "ｱnna@CORP"} {
		f.Add(typed)
	}
	s := loginParser{a: adAttributes(), domain: "corp.example", netbios: "CORP", byMail: true}
	f.Fuzz(func(t *testing.T, typed string) {
		sp := s.parse(typed)
		matches := append(sp.names, sp.mails...)
		if again := s.parse(fold(typed)); len(sp.names) > 0 && len(again.names) > 0 && again.key != sp.key {
			t.Errorf("%q has the key %q, folded %q", typed, sp.key, again.key)
		}
		if len(matches) == 0 {
			return
		}
		node, err := ldap.CompileFilter(anyFilter(matches))
		if err != nil {
			t.Fatalf("%q: %v", typed, err)
		}
		if node.Tag != ldap.FilterOr || len(node.Children) != len(matches) {
			t.Fatalf("%q: %d nodes for %d names", typed, len(node.Children), len(matches))
		}
		for i, child := range node.Children {
			if child.Tag != ldap.FilterEqualityMatch || child.Children[0].Data.String() != matches[i].attribute ||
				child.Children[1].Data.String() != matches[i].value {
				t.Errorf("%q: node %d asks for something else than %+v", typed, i, matches[i])
			}
		}
	})
}

func TestFold(t *testing.T) {
	for _, pair := range [][2]string{
		{"Anna", "anna"}, {"STRASSE", "straße"}, {"e\u0301", "É"}, {"Σίσυφος", "ΣΊΣΥΦΟΣ"},
	} {
		if fold(pair[0]) != fold(pair[1]) {
			t.Errorf("fold(%q) = %q, fold(%q) = %q", pair[0], fold(pair[0]), pair[1], fold(pair[1]))
		}
	}
	for _, name := range []string{"Alice", "ａｌｉｃｅ", "álïcê", "a\u0301lice", "al\u200bice", " alice ", "ⒶLICE", "alıce"[:2] + "ice"} {
		if skeleton(name) != "alice" {
			t.Errorf("skeleton(%q) = %q, want alice", name, skeleton(name))
		}
	}
}

// TestA5_OthersWithOnesNames classifies entries that share names with a person.
func TestA5_OthersWithOnesNames(t *testing.T) {
	bob := portal.Person{Login: "bob", UPN: "bob@corp.example", Mail: "bob@mail.example"}
	with := func(upn string) portal.Person { p := bob; p.UPN = upn; return p }
	other := func(login, upn, mail string) entry { return namedEntry("CN=other", login, upn, mail) }
	tests := []struct {
		name     string
		person   portal.Person
		other    entry
		foreign  bool // the other is of another domain of the forest
		want     portal.Conflict
		wantMail bool
	}{
		{"same UPN", bob, other("x", "BOB@CORP.example", ""), false, portal.UPNTaken, false},
		{"accent", with("bób@corp.example"), other("x", "bob@corp.example", ""), false, portal.UPNTaken, false},
		{"width", bob, other("x", "ｂｏｂ@corp.example", ""), false, portal.UPNTaken, false},
		{"invisible", bob, other("x", "b\u200bob@corp.example", ""), true, portal.UPNTaken, false},
		{"implicit UPN of the other", with("anna@corp.example"), other("anna", "a.nna@corp.example", ""), false, portal.UPNIsLogin, false},
		{"NetBIOS suffix", with("anna@CORP"), other("anna", "", ""), false, portal.UPNIsLogin, false},
		{"computer", with("dc1@corp.example"), other("DC1$", "", ""), false, portal.UPNIsLogin, false},
		{"bare name", with("Administrator"), other("administrator", "", ""), false, portal.UPNIsLogin, false},
		{"UPN as a login", bob, other("bob@corp.example", "", ""), true, portal.UPNIsLogin, false},
		{"own implicit UPN", bob, other("x", "BOB@corp", ""), false, portal.UPNTaken, false},
		{"namesake of another domain", bob, other("bob", "bob@sub.corp.example", ""), true, "", false},
		{"mail", bob, other("x", "x@corp.example", "Bob@Mail.example"), false, "", true},
		{"a likeness only the server sees", bob, other("x", "x@corp.example", ""), false, portal.UPNTaken, false},
	}
	l := &LDAP{c: LDAPConfig{Kind: ActiveDirectory, Domain: "corp.example", UPNSuffixes: []string{"corp.example", "corp"}}, d: adDecoder()}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.person
			l.namesOf(p, entry{&ldap.Entry{}}, rootDSE{netbios: "CORP"}).classify(tt.other, !tt.foreign, &p)
			if p.Conflict != tt.want || p.MailShared != tt.wantMail {
				t.Errorf("conflict %q, mail shared %v, want %q, %v", p.Conflict, p.MailShared, tt.want, tt.wantMail)
			}
		})
	}
}

func TestA5_FormOfTheUPN(t *testing.T) {
	tests := []struct {
		upn  string
		want portal.Conflict
	}{
		{"bob@corp.example", ""}, {"Bob@CORP.Example", ""}, {"bób@corp.example", ""}, {"", ""},
		{"bob", portal.UPNForm}, {"@corp.example", portal.UPNForm}, {"bob@", portal.UPNForm}, {"bob@x@corp.example", portal.UPNForm},
		{"bob @corp.example", portal.UPNForm}, {"b\u200bob@corp.example", portal.UPNForm}, {"bob@corp.example\n", portal.UPNForm},
		{"bob@other.example", portal.UPNSuffix}, {"bob@corp.example.other", portal.UPNSuffix}, {"bob@corp", portal.UPNSuffix},
	}
	for _, tt := range tests {
		n := names{upn: tt.upn, suffixes: []string{"corp.example"}}
		if got := n.checkForm(); got != tt.want {
			t.Errorf("form(%q) = %q, want %q", tt.upn, got, tt.want)
		}
	}
}

func TestContains(t *testing.T) {
	base, err := ldap.ParseDN("OU=People,DC=corp,DC=example")
	if err != nil {
		t.Fatal(err)
	}
	for dn, want := range map[string]bool{
		"CN=a,ou=people,dc=CORP,dc=example": true, "CN=a, OU=x, OU=People, DC=corp, DC=example": true, "OU=People,DC=corp,DC=example": true,
		"CN=a,OU=Other,DC=corp,DC=example": false, "CN=a,DC=corp,DC=example": false, "": false, "broken": false,
		`CN=a\,OU=People,DC=corp,DC=example`: false,
	} {
		if got := contains(base, dn); got != want {
			t.Errorf("contains(%q) = %v, want %v", dn, got, want)
		}
	}
}
