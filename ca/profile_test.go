package ca_test

import (
	"strings"
	"testing"
	"time"

	"certportal/ca"
)

func TestNewProfile(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*ca.ProfileConfig)
		reason string // in the error, empty for none
	}{
		{"defaults", func(*ca.ProfileConfig) {}, ""},
		{"no name", func(c *ca.ProfileConfig) { c.Name = "" }, "name is missing"},
		{"long template", func(c *ca.ProfileConfig) { c.Template = strings.Repeat("x", 61) }, "at most 60"},
		{"template with umlaut", func(c *ca.ProfileConfig) { c.Template = "Prüfer" }, "printable ASCII"},
		{"ten years", func(c *ca.ProfileConfig) { c.Validity = 3650 * 24 * time.Hour }, "validity"},
		{"negative validity", func(c *ca.ProfileConfig) { c.Validity = -time.Hour }, "validity"},
		{"half a second", func(c *ca.ProfileConfig) { c.Validity = time.Hour + time.Second/2 }, "validity"},
		{"backdated a day", func(c *ca.ProfileConfig) { c.Backdate = 24 * time.Hour }, "backdate"},
		{"dated ahead", func(c *ca.ProfileConfig) { c.Backdate = -time.Minute }, "backdate"},
		{"one usage", func(c *ca.ProfileConfig) { c.ExtKeyUsages = []string{"clientAuth"} }, ""},
		{"server usage", func(c *ca.ProfileConfig) { c.ExtKeyUsages = []string{"clientAuth", "serverAuth"} }, "serverAuth"},
		{"any usage", func(c *ca.ProfileConfig) { c.ExtKeyUsages = []string{"any"} }, `"any"`},
		{"agent usage by number", func(c *ca.ProfileConfig) { c.ExtKeyUsages = []string{"1.3.6.1.4.1.311.20.2.1"} }, "311.20.2.1"},
		{"usage twice", func(c *ca.ProfileConfig) { c.ExtKeyUsages = []string{"efs", "efs"} }, "twice"},
		{"no CRL", func(c *ca.ProfileConfig) { c.CRLURLs = nil }, "at least one"},
		{"CRL over https", func(c *ca.ProfileConfig) { c.CRLURLs = []string{"https://pki.example.com/a.crl"} }, "http://"},
		{"CRL over ldap alone", func(c *ca.ProfileConfig) { c.CRLURLs = []string{"ldap:///CN=a"} }, "http://"},
		{"CRL second over file", func(c *ca.ProfileConfig) { c.CRLURLs = append(c.CRLURLs, "file:///a.crl") }, "http://"},
		{"CRL without host", func(c *ca.ProfileConfig) { c.CRLURLs = []string{"http:///a.crl"} }, "http://"},
		{"CRL with password", func(c *ca.ProfileConfig) { c.CRLURLs = []string{"http://u:p@pki.example.com/"} }, "http://"},
		{"CRL with space", func(c *ca.ProfileConfig) { c.CRLURLs = []string{"http://pki.example.com/a b"} }, "spaces"},
		{"CRL with broken escape", func(c *ca.ProfileConfig) { c.CRLURLs = []string{"http://pki.example.com/%zz"} }, "parsing"},
		{"CRL on loopback with port", func(c *ca.ProfileConfig) { c.CRLURLs = []string{"http://127.0.0.1:8080/crl"} }, ""},
		{"issuer over ldap", func(c *ca.ProfileConfig) { c.IssuerURLs = []string{"ldap:///CN=a"} }, "http://"},
		{"OCSP over https", func(c *ca.ProfileConfig) { c.OCSPURLs = []string{"https://pki.example.com"} }, "http://"},
		{"neither issuer nor OCSP", func(c *ca.ProfileConfig) { c.IssuerURLs, c.OCSPURLs = nil, nil }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := ca.FixtureProfileConfig()
			test.change(&cfg)
			p, err := ca.NewProfile(cfg)
			if test.reason != "" {
				if err == nil || !strings.Contains(err.Error(), test.reason) {
					t.Errorf("got %v, want it to hold %q", err, test.reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			// The lints must accept every valid profile.
			issuer, pub := ca.FixtureIssuer(t, "ec"), ca.FixtureKey(t, "user-rsa").Public()
			if _, err := issuer.Prepare(p, ca.FixtureSubject(), pub, ca.FixtureNow()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestProfileIsFrozen(t *testing.T) {
	cfg := ca.FixtureProfileConfig()
	p, err := ca.NewProfile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.CRLURLs[0] = "http://evil.example/"
	issuer := ca.FixtureIssuer(t, "ec")
	prepared, err := issuer.Prepare(p, ca.FixtureSubject(), ca.FixtureKey(t, "user-ec").Public(), ca.FixtureNow())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(prepared.TBS()), "evil.example") {
		t.Error("a change of the configuration reached the profile")
	}
	if got := p.Name(); got != "User" {
		t.Errorf("name: got %q", got)
	}
	if got := p.Validity(); got != 365*24*time.Hour {
		t.Errorf("validity: got %s", got)
	}
}
