package ca_test

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"testing"

	"certportal/ca"
)

func raConfig() ca.RAConfig {
	return ca.RAConfig{Name: "Certificate enrolment"}
}

// An RA certificate is for encryption to the RA and for signing its answers only. It
// names no person or server, and is no enrolment agent of a domain (ESC3).
func TestAgentCertificate(t *testing.T) {
	h := ca.FixtureHierarchy(t, "rsa")
	issuer := ca.FixtureIssuer(t, "rsa")
	p, err := issuer.PrepareOwn(raConfig(), ca.FixtureKey(t, "user-rsa").Public(), ca.FixtureNow())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := issuer.Sign(p)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := cert.KeyUsage, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment; got != want {
		t.Errorf("key usage %b, want %b", got, want)
	}
	if got, want := cert.Subject.String(), "CN=Certificate enrolment"; got != want {
		t.Errorf("subject %q, want %q", got, want)
	}
	san := asn1.ObjectIdentifier{2, 5, 29, 17}
	for _, e := range cert.Extensions {
		if e.Id.Equal(san) {
			t.Errorf("subject alternative name %x", e.Value)
		}
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(h.Root)
	between.AddCert(h.Issuing)
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageEmailProtection} {
		_, err := cert.Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: between, CurrentTime: ca.FixtureNow(), KeyUsages: []x509.ExtKeyUsage{usage},
		})
		if err == nil {
			t.Errorf("the agent verifies for usage %d", usage)
		}
	}
}

// TestOwnUsagesAreThoseOfTheIssuingCA: a verifier that looks for a usage in the whole
// chain takes every certificate of the portal's own.
func TestOwnUsagesAreThoseOfTheIssuingCA(t *testing.T) {
	issuer, issuing := ca.FixtureIssuer(t, "rsa"), ca.FixtureHierarchy(t, "rsa").Issuing
	for name, config := range map[string]ca.OwnConfig{
		"RA": raConfig(), "audit signer": ca.AuditSignerConfig(raConfig()), "OCSP responder": responderConfig(),
		"server": ca.ServerConfig{Names: []string{"portal.example"}},
	} {
		key := ca.FixtureKey(t, "user-rsa")
		if name == "audit signer" {
			key = ca.FixtureKey(t, "user-ec")
		}
		p, err := issuer.PrepareOwn(config, key.Public(), ca.FixtureNow())
		if err != nil {
			t.Fatal(name, err)
		}
		cert, err := issuer.Sign(p)
		if err != nil {
			t.Fatal(name, err)
		}
		if len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) != 1 {
			t.Fatalf("%s has usages %v and %v", name, cert.ExtKeyUsage, cert.UnknownExtKeyUsage)
		}
		for _, usage := range cert.ExtKeyUsage {
			if !slices.Contains(issuing.ExtKeyUsage, usage) {
				t.Errorf("usage %v of the %s is not one of the issuing CA's", usage, name)
			}
		}
		for _, usage := range cert.UnknownExtKeyUsage {
			if !slices.ContainsFunc(issuing.UnknownExtKeyUsage, usage.Equal) {
				t.Errorf("usage %s of the %s is not one of the issuing CA's", usage, name)
			}
		}
	}
}

func TestPrepareAgentRefuses(t *testing.T) {
	issuer := ca.FixtureIssuer(t, "ec")
	for _, test := range []struct {
		name   string
		change func(*ca.RAConfig)
		field  bool
	}{
		{"no name", func(c *ca.RAConfig) { c.Name = "" }, true},
		{"UPN for a name", func(c *ca.RAConfig) { c.Name = "administrator@example.com" }, true},
		{"umlaut", func(c *ca.RAConfig) { c.Name = "Prüfer" }, true},
		{"65 characters", func(c *ca.RAConfig) { c.Name = strings.Repeat("a", 65) }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := raConfig()
			test.change(&cfg)
			_, err := issuer.PrepareOwn(cfg, ca.FixtureKey(t, "user-rsa").Public(), ca.FixtureNow())
			var refused *ca.SubjectError
			if err == nil || errors.As(err, &refused) != test.field {
				t.Errorf("got %v", err)
			}
		})
	}
	var weak *ca.KeyError
	_, err := issuer.PrepareOwn(raConfig(), ca.FixtureKey(t, "user-ec").Public(), ca.FixtureNow())
	if !errors.As(err, &weak) {
		t.Errorf("elliptic curve key: got %v", err)
	}
}
