package directory_test

import (
	"errors"
	"strings"
	"testing"

	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/samba"
)

// annaSpellings returns all spellings of the login name of one account, whose UPN has
// another name and another suffix than the account.
func annaSpellings() []string {
	return []string{
		"anna.schmidt@example.test", "ANNA.SCHMIDT@EXAMPLE.TEST", "Anna.Schmidt@Example.Test", "  anna.schmidt@example.test ",
		"anna@corp.example.test", "ANNA@CORP.EXAMPLE.TEST", "anna@CORP", "anna@corp", " Anna@Corp ",
		`CORP\anna`, `corp\ANNA`, `corp.example.test\anna`, `CORP.EXAMPLE.TEST\Anna`, ` CORP\anna `,
		"anna", "ANNA", " Anna ",
	}
}

func addAnna(t testing.TB, dc *samba.DC) samba.Entry {
	t.Helper()
	return dc.AddUser(t, samba.User{Login: "anna", UPN: "anna.schmidt@example.test", Mail: "a.schmidt@mail.test",
		Name: "Anna Schmidt", GivenName: "Anna", Surname: "Schmidt", Number: "004711", Unit: "Staff"})
}

// suffixes allows a second UPN suffix.
func suffixes(c *directory.LDAPConfig) { c.UPNSuffixes = []string{samba.Domain, "example.test"} }

func TestSambaOneAccountUnderAllSpellings(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, suffixes)
	anna := addAnna(t, fx.dc)
	canonical, err := fx.people.Canonical(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	for _, login := range annaSpellings() {
		p, err := fx.people.Authenticate(t.Context(), login, samba.Password)
		if err != nil || p.ID != idOf(anna) {
			t.Errorf("%q: signed in as %q, %v, want %q", login, p.ID, err, anna.GUID)
		}
		if got, err := fx.people.Canonical(t.Context(), login); got != canonical || err != nil {
			t.Errorf("%q: counted as %q, %v, want %q", login, got, err, canonical)
		}
		if _, err := fx.people.Authenticate(t.Context(), login, "wrong-one"); !errors.Is(err, portal.ErrCredentials) {
			t.Errorf("%q with a wrong password: %v, want ErrCredentials", login, err)
		}
		// Few enough wrong ones in a row: the right password forgets them.
	}
}

// TestSambaNobody tries names that the controller itself would accept, or that resemble a
// person. None is a login name.
func TestSambaNobody(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, suffixes)
	anna := addAnna(t, fx.dc)
	fx.dc.AddUser(t, samba.User{Login: "PC1$", Computer: true, UPN: "-"})
	for _, login := range []string{
		anna.SID, anna.DN, anna.GUID, "{" + anna.GUID + "}", "<GUID=" + anna.GUID + ">", "<SID=" + anna.SID + ">",
		"corp.example.test/Staff/anna", "a.schmidt@mail.test", `OTHER\anna`, "anna@other.test", `CORP\anna.schmidt`,
		"PC1$", `CORP\PC1$`, "PC1$@corp.example.test", "PC1", "*", "ann*", "anna)(objectClass=*", `CORP\CORP\anna`, "anna@@corp", "@", `\`, "",
		strings.Repeat("a", 2000), "anna\x00", "anna\nx", "ａｎｎａ", "änna", "a\u0301nna",
	} {
		p, err := fx.people.Authenticate(t.Context(), login, samba.Password)
		if !errors.Is(err, portal.ErrCredentials) || p.ID != "" {
			t.Errorf("%.80q: signed in as %q, %v, want ErrCredentials and nobody", login, p.ID, err)
		}
	}
	if got := fx.dc.BadPasswords(t, anna.DN); got != 0 {
		t.Errorf("%d wrong passwords counted against anna, want 0", got)
	}
}

func TestSambaMailIsALoginNameWhereAllowed(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, suffixes, func(c *directory.LDAPConfig) { c.LoginByMail = true })
	anna := addAnna(t, fx.dc)
	for _, login := range []string{"a.schmidt@mail.test", "A.Schmidt@Mail.test", "anna.schmidt@example.test", "anna"} {
		p, err := fx.people.Authenticate(t.Context(), login, samba.Password)
		if err != nil || p.ID != idOf(anna) {
			t.Errorf("%q: signed in as %q, %v, want %q", login, p.ID, err, anna.GUID)
		}
	}
	// People may edit their own mail address: with two owners it is no login name.
	fx.dc.AddUser(t, samba.User{Login: "eve", Mail: "a.schmidt@mail.test"})
	if _, err := fx.people.Authenticate(t.Context(), "a.schmidt@mail.test", samba.Password); !errors.Is(err, portal.ErrCredentials) {
		t.Errorf("shared address: %v, want ErrCredentials", err)
	}
}

// TestSambaOutcomes covers the results of a sign-in. Only the right password reveals the
// state of the account.
func TestSambaOutcomes(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	dc := fx.dc
	never := map[string][]string{"logonHours": {strings.Repeat("\x00", 21)}}
	cases := []struct {
		name    string
		more    map[string][]string
		prepare func(testing.TB, string)
		right   portal.Reason // sign-in with the right password
		enrol   portal.Reason // enrolment of a person who signed in before
	}{
		{"in-order", nil, func(testing.TB, string) {}, "", ""},
		{"disabled", nil, dc.Disable, portal.Disabled, portal.Disabled},
		{"expired", nil, dc.Expire, portal.Expired, portal.Expired},
		{"must-change", nil, dc.MustChange, portal.PasswordOld, ""},
		{"run-out", nil, dc.RunOut, portal.PasswordOld, ""},
		{"hours", never, func(testing.TB, string) {}, portal.Restricted, ""},
		{"workstations", map[string][]string{"userWorkstations": {"ELSEWHERE"}}, func(testing.TB, string) {}, portal.Restricted, ""},
		// The controller reports a lock for any password, so it does not prove the
		// password.
		{"locked", nil, dc.Lock, credentials, portal.Locked},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			who := dc.AddUser(t, samba.User{Login: c.name, More: c.more})
			c.prepare(t, who.DN)
			p, err := fx.people.Authenticate(t.Context(), c.name, "wrong-one")
			if got := reasonOf(err); got != credentials || p.ID != idOf(who) {
				t.Errorf("wrong password: %v about %q, want ErrCredentials about %q", err, p.ID, who.GUID)
			}
			p, err = fx.people.Authenticate(t.Context(), c.name, samba.Password)
			if got := reasonOf(err); got != c.right || p.ID != idOf(who) {
				t.Errorf("right password: %v about %q, want %q about %q", err, p.ID, c.right, who.GUID)
			}
			if c.enrol != "" {
				fx.wantRefused(t, idOf(who), c.enrol)
				return
			}
			if _, err := fx.enrol(idOf(who), c.name); err != nil {
				t.Errorf("enrolling: %v", err)
			}
		})
	}
}

// credentials represents ErrCredentials as a reason.
const credentials portal.Reason = "credentials"

func reasonOf(err error) portal.Reason {
	switch refusal := refusalOf(err); {
	case err == nil:
		return ""
	case errors.Is(err, portal.ErrCredentials):
		return credentials
	case refusal.Reason != "":
		return refusal.Reason
	}
	return "fault"
}

func TestA6_EmptyAndBlankPasswordsAtSamba(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, suffixes)
	anna := addAnna(t, fx.dc)
	for _, password := range []string{"", " ", "\t", "  \u00a0 "} {
		for _, login := range []string{"anna", "nobody"} {
			if _, err := fx.people.Authenticate(t.Context(), login, password); !errors.Is(err, portal.ErrCredentials) {
				t.Errorf("%q with password %q: %v, want ErrCredentials", login, password, err)
			}
		}
	}
	if got := fx.dc.BadPasswords(t, anna.DN); got != 0 {
		t.Errorf("%d wrong passwords counted against anna: an empty one reached the controller", got)
	}
}

func TestSambaOverStartTLS(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, suffixes, func(c *directory.LDAPConfig) {
		c.Servers = []string{strings.Replace(c.Servers[0], "ldaps://", "ldap://", 1)}
	})
	anna := addAnna(t, fx.dc)
	if p, err := fx.people.Authenticate(t.Context(), "anna", samba.Password); err != nil || p.ID != idOf(anna) {
		t.Errorf("signed in as %q, %v, want %q", p.ID, err, anna.GUID)
	}
}
