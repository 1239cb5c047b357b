package directory_test

import (
	"strings"
	"testing"

	"certportal/internal/portal"
	"certportal/internal/test/samba"
)

// borrowed is a UPN that could be mistaken for another person's name.
type borrowed struct {
	name, upn string
	want      portal.Conflict
	refused   bool // by Samba itself
}

func namesOfOthers() []borrowed {
	return []borrowed{
		{"administrator", "administrator@corp.example.test", portal.UPNIsLogin, true},
		{"no suffix", "Administrator", portal.UPNIsLogin, true},
		{"another's", "alice@corp.example.test", portal.UPNTaken, true},
		{"another's in other case", "ALICE@Corp.example.test", portal.UPNTaken, true},
		{"blank before", " alice@corp.example.test", portal.UPNTaken, true},
		{"another's login", "carol@corp.example.test", portal.UPNIsLogin, true},
		{"accent", "alicé@corp.example.test", portal.UPNTaken, false},
		{"combining mark", "alice\u0301@corp.example.test", portal.UPNTaken, false},
		{"full width", "ａｌｉｃｅ@corp.example.test", portal.UPNTaken, false},
		{"ligature", "oﬃce@corp.example.test", portal.UPNTaken, false},
		{"zero width", "al\u200bice@corp.example.test", portal.UPNTaken, false},
		{"accent on a login", "caról@corp.example.test", portal.UPNIsLogin, false},
		{"NetBIOS suffix", "alice@CORP", portal.UPNIsLogin, false},
		{"own login with NetBIOS suffix", "bob@CORP", portal.UPNSuffix, false},
		{"no suffix and nobody's", "bobby", portal.UPNForm, false},
		{"foreign suffix", "bob@evil.test", portal.UPNSuffix, false},
		{"machine", "pc1@corp.example.test", portal.UPNIsLogin, false},
		{"domain controller", "dc1@corp.example.test", portal.UPNIsLogin, false},
		{"two at", "alice@corp.example.test@example.test", portal.UPNForm, false},
		{"nothing before the at", "@corp.example.test", portal.UPNForm, false},
		{"nothing after the at", "bob@", portal.UPNForm, false},
	}
}

// TestA5_NamesOfOthers gives bob a UPN that a domain controller or an Exchange server could
// mistake for another person's. Values that the controller refuses are forced into the
// database, because real domains contain such values.
func TestA5_NamesOfOthers(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, suffixes)
	dc := fx.dc
	dc.AddUser(t, samba.User{Login: "alice"})
	dc.AddUser(t, samba.User{Login: "carol", UPN: "carol.jones@example.test"})
	dc.AddUser(t, samba.User{Login: "office"})
	dc.AddUser(t, samba.User{Login: "PC1$", Computer: true, UPN: "-"})
	bob := dc.AddUser(t, samba.User{Login: "bob"})
	for _, c := range namesOfOthers() {
		t.Run(c.name, func(t *testing.T) {
			err := dc.TryModify(t, bob.DN, map[string][]string{"userPrincipalName": {c.upn}})
			if (err != nil) != c.refused {
				t.Errorf("storing the UPN: %v, want it refused: %t", err, c.refused)
			}
			if err != nil {
				dc.Force(t, bob.DN, "userPrincipalName", c.upn)
			}
			if got := fx.person(bob).Conflict; got != c.want {
				t.Errorf("conflict %q, want %q", got, c.want)
			}
			reason, value := portal.Conflicting, string(c.want)
			if c.want == portal.UPNSuffix {
				_, suffix, _ := strings.Cut(c.upn, "@")
				reason, value = portal.SuffixForeign, suffix
			}
			if got := fx.wantRefused(t, idOf(bob), reason).Value; got != value {
				t.Errorf("refused for %q, want %q", got, value)
			}
		})
	}
	dc.Force(t, bob.DN, "userPrincipalName", "bob@corp.example.test")
	if _, err := fx.enrol(idOf(bob), "mended"); err != nil {
		t.Errorf("under a name of his own: %v", err)
	}
}

// TestA5_BothSidesOfAConflict gives bob a login name that equals alice's UPN. A controller
// could map a certificate to either, so neither gets one.
func TestA5_BothSidesOfAConflict(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, suffixes)
	alice := fx.dc.AddUser(t, samba.User{Login: "al", UPN: "alice@corp.example.test"})
	bob := fx.dc.AddUser(t, samba.User{Login: "bob"})
	if err := fx.dc.TryModify(t, bob.DN, map[string][]string{"sAMAccountName": {"alice"}}); err == nil {
		t.Error("Samba stored a login name that another's UPN reads as")
	}
	fx.dc.Force(t, bob.DN, "sAMAccountName", "alice")
	if got := fx.wantRefused(t, idOf(alice), portal.Conflicting).Value; got != string(portal.UPNIsLogin) {
		t.Errorf("alice is refused for %q, want %q", got, portal.UPNIsLogin)
	}
	t.Run("bob", func(t *testing.T) { fx.wantRefused(t, idOf(bob), portal.Conflicting) })
}

// TestA5_AVictimOfADuplicateIsToldToo refuses both when two entries have one UPN.
func TestA5_AVictimOfADuplicateIsToldToo(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	alice, bob := fx.dc.AddUser(t, samba.User{Login: "alice"}), fx.dc.AddUser(t, samba.User{Login: "bob"})
	fx.dc.Force(t, bob.DN, "userPrincipalName", "Alice@corp.example.test")
	t.Run("alice", func(t *testing.T) { fx.wantRefused(t, idOf(alice), portal.Conflicting) })
	t.Run("bob", func(t *testing.T) { fx.wantRefused(t, idOf(bob), portal.Conflicting) })
	t.Run("sign-in", func(t *testing.T) {
		// The name belongs to two accounts, so it signs in neither.
		_, err := fx.people.Authenticate(t.Context(), "alice@corp.example.test", samba.Password)
		if reasonOf(err) != credentials {
			t.Errorf("got %v, want ErrCredentials", err)
		}
	})
}

// TestA5_SharedMailStaysOutOfTheCertificate covers people who write another person's
// address into their own mail attribute.
func TestA5_SharedMailStaysOutOfTheCertificate(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	cases := []struct {
		name  string
		other map[string][]string
		want  []string
	}{
		{"own", nil, []string{"own@mail.test"}},
		{"shared", map[string][]string{"mail": {"Shared@mail.test"}}, nil},
		{"alias", map[string][]string{"proxyAddresses": {"SMTP:main@mail.test", "smtp:alias@mail.test"}}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := fx.dc.AddUser(t, samba.User{Login: c.name, Mail: c.name + "@mail.test"})
			fx.dc.AddUser(t, samba.User{Login: "not-" + c.name, More: c.other})
			done, err := fx.enrol(idOf(e), c.name)
			if err != nil {
				t.Fatal(err)
			}
			file, err := fx.OpenFile(t.Context(), pickupKey.Token(done.Serial))
			if err != nil {
				t.Fatal(err)
			}
			if got := file.Leaf.EmailAddresses; len(got) != len(c.want) || (len(got) > 0 && got[0] != c.want[0]) {
				t.Errorf("certificate has addresses %q, want %q", got, c.want)
			}
		})
	}
}

func TestSambaPersonWithoutUPN(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	e := fx.dc.AddUser(t, samba.User{Login: "anna", UPN: "-"})
	if p, err := fx.people.Authenticate(t.Context(), "anna", samba.Password); err != nil || p.UPN != "" {
		t.Errorf("signed in with UPN %q, %v, want none", p.UPN, err)
	}
	fx.wantRefused(t, idOf(e), portal.NoUPN)
}
