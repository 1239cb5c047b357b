package directory_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/samba"
	"certportal/internal/test/slapd"
	"certportal/internal/test/testkit"
)

// worst returns the findings that are not OK, as "state what: text".
func worst(findings []portal.Finding) string {
	var lines []string
	for _, f := range findings {
		if f.State != portal.FindingOK {
			lines = append(lines, fmt.Sprintf("%s %s: %s", f.State, f.What, f.Text))
		}
	}
	return strings.Join(lines, "\n")
}

// TestSambaOwnCertificate reads the CA that Samba made, whose serial number is negative or
// positive by chance, and says what is wrong with its server certificate.
func TestSambaOwnCertificate(t *testing.T) {
	t.Parallel()
	dc := samba.StartWithOwnCertificate(t)
	config := domain(dc)
	config.Roots = x509.NewCertPool()
	for _, c := range testkit.Must(ca.ParseAnchors(testkit.Must(os.ReadFile(dc.CAFile))(t)))(t) {
		t.Logf("serial number %d", c.SerialNumber)
		config.Roots.AddCert(c)
	}
	got := worst(openLDAP(t, config).Check(t.Context()))
	for _, part := range []string{"failed ldaps://", "no subject alternative name, only the common name \"DC1.corp.example.test\"", dc.Address} {
		if !strings.Contains(got, part) {
			t.Errorf("findings:\n%s\nwant %q in them", got, part)
		}
	}
	if strings.Contains(got, "ca_file") {
		t.Errorf("findings advise to trust the CA, which is trusted:\n%s", got)
	}
}

// TestSambaCheck breaks one thing at a time. The finding names the setting and the next
// step.
func TestSambaCheck(t *testing.T) {
	t.Parallel()
	dc, other := samba.Lease(t), slapd.Start(t)
	admins := dc.AddGroup(t, "Portal Admins")
	missing := "CN=Not There,CN=Users," + samba.Base
	cases := []struct {
		name   string
		change func(*directory.LDAPConfig)
		want   []string // in the findings; empty for none
	}{
		{"in order", unchanged, nil},
		{"StartTLS", func(c *directory.LDAPConfig) { c.Servers = []string{dc.StartTLSURL()} }, nil},
		{"global catalog", func(c *directory.LDAPConfig) { c.GlobalCatalog = []string{dc.GlobalCatalogURL()} }, nil},
		{"wrong password", func(c *directory.LDAPConfig) { c.Password = func() (string, error) { return "wrong-one", nil } },
			[]string{"failed ldaps://", "directory.password_file", "wrong password"}},
		{"no password", func(c *directory.LDAPConfig) {
			c.Password = func() (string, error) { return "", errors.New("no such file") }
		},
			[]string{"failed directory.password_file", "no such file"}},
		{"unknown account", func(c *directory.LDAPConfig) { c.User = "nobody@corp.example.test" }, []string{"failed ldaps://", "directory.user"}},
		{"unknown CA", func(c *directory.LDAPConfig) { c.Roots = other.Roots }, []string{"failed ldaps://", "directory.ca_file"}},
		{"another port", func(c *directory.LDAPConfig) { c.Servers[0] += ":1" }, []string{"failed ldaps://", "Nothing listens"}},
		{"no such base", func(c *directory.LDAPConfig) { c.Base = "OU=Nowhere," + samba.Base }, []string{"failed directory.base", "OU=Nowhere"}},
		{"enrol group", func(c *directory.LDAPConfig) { c.Enroll = []string{missing} }, []string{"failed directory.groups.enroll", missing}},
		{"protected group", func(c *directory.LDAPConfig) { c.Protected = []string{missing} }, []string{"failed directory.groups.protected", missing}},
		{"role group", func(c *directory.LDAPConfig) { c.Roles[portal.Helpdesk] = []string{missing} },
			[]string{"warning directory.groups.helpdesk", missing}},
		{"SID of no group", func(c *directory.LDAPConfig) { c.Roles[portal.Auditor] = []string{dc.SID + "-99999"} },
			[]string{"warning directory.groups.auditor", dc.SID}},
		{"nobody administers", func(c *directory.LDAPConfig) { c.Roles = nil }, []string{"warning directory.groups.admin"}},
		{"clock a little off", func(c *directory.LDAPConfig) { c.Now = func() time.Time { return time.Now().Add(2 * time.Minute) } },
			[]string{"warning clock", "2m"}},
		{"clock off", func(c *directory.LDAPConfig) { c.Now = func() time.Time { return time.Now().Add(-time.Hour) } },
			[]string{"failed clock", "1h0m"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			config := domain(dc)
			config.Base = "CN=Users," + samba.Base
			config.Roles = map[portal.Role][]string{portal.Admin: {admins.DN}}
			c.change(&config)
			got := worst(openLDAP(t, config).Check(t.Context()))
			if len(c.want) == 0 && got != "" {
				t.Errorf("findings of a working directory:\n%s", got)
			}
			for _, part := range c.want {
				if !strings.Contains(got, part) {
					t.Errorf("findings:\n%s\nwant %q in them", got, part)
				}
			}
		})
	}
}

// TestSambaPortalAccountInTrouble checks that a refused service account is not reported as
// a wrong password of the person who signs in.
func TestSambaPortalAccountInTrouble(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	dc := fx.dc
	anna := dc.AddUser(t, samba.User{Login: "anna"})
	cases := []struct {
		name    string
		prepare func(testing.TB, string)
		want    string // in the findings of Check
	}{
		{"disabled", dc.Disable, "disabled"},
		{"expired", dc.Expire, "has expired"},
		{"must-change", dc.MustChange, "run out"},
		{"run-out", dc.RunOut, "run out"},
		{"locked", dc.Lock, "locked"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			account := dc.AddUser(t, samba.User{Login: "portal-" + c.name})
			c.prepare(t, account.DN)
			config := domain(dc)
			config.User, config.Password = `CORP\portal-`+c.name, func() (string, error) { return samba.Password, nil }
			people := openLDAP(t, config)
			_, err := people.Authenticate(t.Context(), "anna", samba.Password)
			if reasonOf(err) != "fault" || !strings.Contains(err.Error(), "portal-"+c.name) {
				t.Errorf("signing in: %v, want a fault that names the account", err)
			}
			if got := worst(openLDAP(t, config).Check(t.Context())); !strings.Contains(got, c.want) {
				t.Errorf("findings:\n%s\nwant %q in them", got, c.want)
			}
		})
	}
	if got := dc.BadPasswords(t, anna.DN); got != 0 {
		t.Errorf("%d wrong passwords counted against anna, want 0", got)
	}
}

// TestSambaNewPasswordOfThePortalAccount changes the password in the directory and then in
// the file. No restart is needed, and requests in between do not lock the account.
func TestSambaNewPasswordOfThePortalAccount(t *testing.T) {
	t.Parallel()
	dc := samba.Lease(t)
	account := dc.AddUser(t, samba.User{Login: "portal"})
	dc.AddUser(t, samba.User{Login: "anna"})
	var file atomic.Value
	file.Store(samba.Password)
	config := domain(dc)
	config.User, config.Password = "portal@corp.example.test", func() (string, error) { return file.Load().(string), nil }
	dc.SetPassword(t, account.DN, "Another-1")
	people := openLDAP(t, config)
	for range 20 {
		if _, err := people.Authenticate(t.Context(), "anna", samba.Password); reasonOf(err) != "fault" {
			t.Fatalf("with the old password: %v, want a fault", err)
		}
	}
	if got := dc.BadPasswords(t, account.DN); got >= samba.LockAfter {
		t.Errorf("%d wrong passwords: the portal locks its own account", got)
	}
	file.Store("Another-1")
	if _, err := people.Authenticate(t.Context(), "anna", samba.Password); err != nil {
		t.Errorf("with the new password: %v", err)
	}
}

func TestSambaGlobalCatalog(t *testing.T) {
	t.Parallel()
	dc := samba.Lease(t)
	fx := newFixtureOver(t, dc, func(c *directory.LDAPConfig) { c.GlobalCatalog = []string{dc.GlobalCatalogURL()} })
	alice, bob := dc.AddUser(t, samba.User{Login: "alice"}), dc.AddUser(t, samba.User{Login: "bob"})
	dc.Force(t, bob.DN, "userPrincipalName", "Alice@corp.example.test")
	if got := fx.person(alice).Conflict; got != portal.UPNTaken {
		t.Errorf("conflict %q, want %q", got, portal.UPNTaken)
	}
	c := domain(dc)
	c.GlobalCatalog = []string{dc.URL() + ":1"}
	if p, err := openLDAP(t, c).Person(t.Context(), idOf(alice)); err == nil {
		t.Errorf("catalog away: conflict %q and no error", p.Conflict)
	}
}

// TestF7_AControllerThatHangs freezes the process: the system accepts connections that get
// no response.
func TestF7_AControllerThatHangs(t *testing.T) {
	t.Parallel()
	fx := newFixture(t, func(c *directory.LDAPConfig) { c.Timeout = time.Second })
	anna := fx.dc.AddUser(t, samba.User{Login: "anna"})
	fx.person(anna)
	fx.dc.Freeze()
	wantOutage(t, map[string]func() error{
		"signing in": func() error {
			_, err := fx.signIn.Authenticate(t.Context(), "anna", samba.Password, portal.Actor{Address: "192.0.2.1"})
			return err
		},
		"enrolling": func() error { _, err := fx.enrol(idOf(anna), "phone"); return err },
	})
	fx.dc.Thaw()
	if _, err := fx.signIn.Authenticate(t.Context(), "anna", samba.Password, portal.Actor{Address: "192.0.2.1"}); err != nil {
		t.Errorf("going on: %v", err)
	}
}
