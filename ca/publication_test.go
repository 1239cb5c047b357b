package ca_test

import (
	"strings"
	"testing"

	"certportal/ca"
)

// An authority without a CRL address issues nothing, and no address is one that a server
// or a phone cannot use.
func TestPublicationIsChecked(t *testing.T) {
	h := ca.FixtureHierarchy(t, "ec")
	for _, test := range []struct {
		name   string
		change func(*ca.Publication)
		reason string
	}{
		{"no CRL", func(p *ca.Publication) { p.CRLURLs = nil }, "at least one"},
		{"CRL over https", func(p *ca.Publication) { p.CRLURLs = []string{"https://pki.example.com/a.crl"} }, "http://"},
		{"CRL over ldap alone", func(p *ca.Publication) { p.CRLURLs = []string{"ldap:///CN=a"} }, "http://"},
		{"CRL second over file", func(p *ca.Publication) { p.CRLURLs = append(p.CRLURLs, "file:///a.crl") }, "http://"},
		{"CRL without host", func(p *ca.Publication) { p.CRLURLs = []string{"http:///a.crl"} }, "http://"},
		{"CRL with password", func(p *ca.Publication) { p.CRLURLs = []string{"http://u:p@pki.example.com/"} }, "http://"},
		{"CRL with space", func(p *ca.Publication) { p.CRLURLs = []string{"http://pki.example.com/a b"} }, "spaces"},
		{"CRL with broken escape", func(p *ca.Publication) { p.CRLURLs = []string{"http://pki.example.com/%zz"} }, "parsing"},
		{"CRL on loopback with port", func(p *ca.Publication) { p.CRLURLs = []string{"http://127.0.0.1:8080/crl"} }, ""},
		{"issuer over ldap", func(p *ca.Publication) { p.IssuerURLs = []string{"ldap:///CN=a"} }, "http://"},
		{"OCSP over https", func(p *ca.Publication) { p.OCSPURLs = []string{"https://pki.example.com"} }, "http://"},
		{"neither issuer nor OCSP", func(p *ca.Publication) { p.IssuerURLs, p.OCSPURLs = nil, nil }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			published := ca.FixturePublication()
			test.change(&published)
			issuer, err := ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: h.IssuingKey, Publication: published})
			if test.reason != "" {
				if err == nil || !strings.Contains(err.Error(), test.reason) {
					t.Errorf("got %v, want it to hold %q", err, test.reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			// The lints must accept all valid addresses.
			pub := ca.FixtureKey(t, "user-rsa").Public()
			if _, err := issuer.Prepare(ca.FixtureProfile(t), ca.FixtureSubject(), pub, ca.FixtureNow()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A CA that signs CRLs only needs no addresses, and issues no certificate.
func TestIssuerWithoutAddresses(t *testing.T) {
	h := ca.FixtureHierarchy(t, "ec")
	issuer, err := ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: h.IssuingKey})
	if err != nil {
		t.Fatal(err)
	}
	pub := ca.FixtureKey(t, "user-ec").Public()
	if _, err := issuer.Prepare(ca.FixtureProfile(t), ca.FixtureSubject(), pub, ca.FixtureNow()); err == nil || !strings.Contains(err.Error(), "at least one") {
		t.Errorf("User: got %v", err)
	}
	if _, err := issuer.PrepareOwn(ca.FixtureServer(), pub, ca.FixtureNow()); err == nil || !strings.Contains(err.Error(), "at least one") {
		t.Errorf("server: got %v", err)
	}
}

// The addresses of an issuer are those at the time it was made.
func TestPublicationIsFrozen(t *testing.T) {
	h, published := ca.FixtureHierarchy(t, "ec"), ca.FixturePublication()
	issuer, err := ca.NewIssuer(ca.IssuerConfig{Name: "issuing-2", Certificate: h.Issuing, Signer: h.IssuingKey, Publication: published})
	if err != nil {
		t.Fatal(err)
	}
	published.CRLURLs[0] = "http://evil.example/"
	prepared, err := issuer.Prepare(ca.FixtureProfile(t), ca.FixtureSubject(), ca.FixtureKey(t, "user-ec").Public(), ca.FixtureNow())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(prepared.TBS()), "evil.example") {
		t.Error("a change of the configuration reached the issuer")
	}
	if got := prepared.Issuer(); got != "issuing-2" {
		t.Errorf("issuer: got %q", got)
	}
}
