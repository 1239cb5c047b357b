package directory_test

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"certportal/ca"
	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/samba"
)

// world returns a person of samba.World.
func world(fx *fixture, login string) samba.Entry {
	return fx.dc.Entry(fx.t, "CN=world-"+login+","+samba.World)
}

// TestF_SambaSharedMail has an address that more people share than a search for other
// people with it may return. They sign in and get certificates without the address, and
// the address hides no account whose UPN it is.
func TestF_SambaSharedMail(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, suffixes, func(c *directory.LDAPConfig) { c.LoginByMail = true })
	one := world(fx, "shared01")
	p := fx.person(one)
	if !p.MailShared || p.Conflict != "" || p.MailLeftOut() != "shared" || p.Subject().Mail != "" {
		t.Errorf("person %+v, want a shared address and no conflict", p)
	}
	if _, err := fx.people.Authenticate(t.Context(), "world-shared02", samba.Password); err != nil {
		t.Errorf("signing in: %v", err)
	}
	if _, err := fx.enrol(idOf(one), "shared"); err != nil {
		t.Errorf("enrolling: %v", err)
	}
	if _, err := fx.people.Authenticate(t.Context(), samba.SharedMail, samba.Password); reasonOf(err) != credentials {
		t.Errorf("signing in with the address: %v, want ErrCredentials", err)
	}
	owner := fx.dc.AddUser(t, samba.User{Login: "owner", UPN: samba.SharedMail})
	if got, err := fx.people.Authenticate(t.Context(), samba.SharedMail, samba.Password); err != nil || got.ID != idOf(owner) {
		t.Errorf("signing in with the UPN that is the address: %q, %v, want its owner", got.Login, err)
	}
}

// TestF_SambaOddMail issues certificates to people with odd values as mail address.
func TestF_SambaOddMail(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	for login, want := range map[string]string{
		"idn": "world-idn@xn--bcher-kva.example", "blank": "world-blank@mail.test", "none": "", "dots": "",
		"smtp": "world-smtp@mail.test", "named": "world-named@mail.test",
	} {
		e := world(fx, login)
		done, err := fx.enrol(idOf(e), login)
		if err != nil {
			t.Errorf("%s: %v", login, err)
			continue
		}
		file, err := fx.OpenFile(t.Context(), pickupKey.Token(done.Serial))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(file.Leaf.EmailAddresses, " "); got != want {
			t.Errorf("%s: certificate has address %q, want %q", login, got, want)
		}
		if left := fx.person(e).MailLeftOut(); (left != "") != (want == "") {
			t.Errorf("%s: left out %q", login, left)
		}
	}
}

// TestF_SambaOtherSuffix refuses a person with another UPN suffix in words of its own, and
// config check counts them.
func TestF_SambaOtherSuffix(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	if got := fx.wantRefused(t, idOf(world(fx, "suffix")), portal.SuffixForeign).Value; got != samba.OtherSuffix {
		t.Errorf("refused for %q, want %q", got, samba.OtherSuffix)
	}
	find := func(change func(*directory.LDAPConfig)) string {
		c := domain(fx.dc)
		change(&c)
		var all []string
		for _, f := range openLDAP(t, c).Check(t.Context()) {
			all = append(all, string(f.State)+" "+f.What+": "+f.Text)
		}
		return strings.Join(all, "\n")
	}
	for name, tt := range map[string]struct {
		change func(*directory.LDAPConfig)
		want   []string
	}{
		"a few": {unchanged, []string{"ok directory.upn_suffixes", "1 people get none", "mail.example.test (1)", "uPNSuffixes",
			"warning directory.base: 1 of the people", samba.Unread}},
		"most": {func(c *directory.LDAPConfig) { c.UPNSuffixes = []string{samba.OtherSuffix} },
			[]string{"failed directory.upn_suffixes", "corp.example.test ("}},
	} {
		got := find(tt.change)
		for _, part := range tt.want {
			if !strings.Contains(got, part) {
				t.Errorf("%s: findings\n%s\nwant %q", name, got, part)
			}
		}
	}
}

// TestA5_SambaPersonBesideComputer: a computer account with the login of a person and a $
// is no conflict, because a domain controller finds the person first.
func TestA5_SambaPersonBesideComputer(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	if _, err := fx.enrol(idOf(world(fx, "laptop")), "laptop"); err != nil {
		t.Errorf("enrolling: %v", err)
	}
}

// TestF_SambaLongUPN has a UPN over the 64 characters of a common name.
func TestF_SambaLongUPN(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	done, err := fx.enrol(idOf(world(fx, "long")), "long")
	if err != nil {
		t.Fatal(err)
	}
	file, err := fx.OpenFile(t.Context(), pickupKey.Token(done.Serial))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := file.Leaf.Subject.CommonName, "Maximiliane von und zu Hohenfels-Wartenberg"; got != want {
		t.Errorf("common name %q, want %q", got, want)
	}
}

// TestF_SambaSubjectIsTheDirectoryName issues with the subject directory_name and compares
// it with the DN that the domain controller gives. A person whose DN could be read as
// another's UPN keeps their own UPN as the subject.
func TestF_SambaSubjectIsTheDirectoryName(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	fx.form = ca.SubjectDirectoryName
	fx.Registrar = fx.over(fx.people)
	plain := fx.dc.AddUser(t, samba.User{Login: "subject", Unit: "Büro, Köln & Bonn"})
	trick := fx.dc.AddUser(t, samba.User{Login: "trick", Unit: "boss@" + samba.Domain})
	for want, e := range map[string]samba.Entry{plain.DN: plain, "CN=trick@" + samba.Domain: trick} {
		done, err := fx.enrol(idOf(e), e.DN)
		if err != nil {
			t.Fatalf("%s: %v", e.DN, err)
		}
		file, err := fx.OpenFile(t.Context(), pickupKey.Token(done.Serial))
		if err != nil {
			t.Fatal(err)
		}
		var subject pkix.RDNSequence
		if _, err := asn1.Unmarshal(file.Leaf.RawSubject, &subject); err != nil {
			t.Fatal(err)
		}
		got := strings.NewReplacer("0.9.2342.19200300.100.1.25=#1304636f7270", "DC=corp",
			"0.9.2342.19200300.100.1.25=#13076578616d706c65", "DC=example", "0.9.2342.19200300.100.1.25=#130474657374", "DC=test").Replace(subject.String())
		same, err := ldap.ParseDN(got)
		if err != nil {
			t.Fatal(err)
		}
		if wanted, err := ldap.ParseDN(want); err != nil || !same.EqualFold(wanted) {
			t.Errorf("subject %s, want %s", got, want)
		}
	}
}
