package ca_test

import (
	"crypto/x509"
	"errors"
	"testing"

	"certportal/ca"
)

// The certificate of the audit signer is for signing only and names no person or server.
func TestAuditSignerCertificate(t *testing.T) {
	h := ca.FixtureHierarchy(t, "ec")
	p, err := ca.FixtureIssuer(t, "ec").PrepareOwn(ca.AuditSignerConfig(raConfig()), ca.FixtureKey(t, "user-ec").Public(), ca.FixtureNow())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.FixtureIssuer(t, "ec").Sign(p)
	if !errors.Is(err, ca.ErrOtherIssuer) {
		t.Errorf("another issuer signs: %v, %v", cert, err)
	}
	issuer := ca.FixtureIssuer(t, "ec")
	if p, err = issuer.PrepareOwn(ca.AuditSignerConfig(raConfig()), ca.FixtureKey(t, "user-ec").Public(), ca.FixtureNow()); err != nil {
		t.Fatal(err)
	}
	if cert, err = issuer.Sign(p); err != nil {
		t.Fatal(err)
	}
	if !ca.IsAuditSigner(cert) || ca.IsAuditSigner(h.Issuing) {
		t.Errorf("audit signer: got %v, issuing CA %v", ca.IsAuditSigner(cert), ca.IsAuditSigner(h.Issuing))
	}
	if got, want := cert.KeyUsage, x509.KeyUsageDigitalSignature; got != want {
		t.Errorf("key usage %b, want %b", got, want)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(h.Root)
	between.AddCert(h.Issuing)
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageEmailProtection} {
		_, err := cert.Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: between, CurrentTime: ca.FixtureNow(), KeyUsages: []x509.ExtKeyUsage{usage},
		})
		if err == nil {
			t.Errorf("the audit signer verifies for usage %d", usage)
		}
	}
}

func TestPrepareAuditSignerRefuses(t *testing.T) {
	issuer := ca.FixtureIssuer(t, "ec")
	_, err := issuer.PrepareOwn(ca.AuditSignerConfig(raConfig()), ca.FixtureKey(t, "user-rsa").Public(), ca.FixtureNow())
	var weak *ca.KeyError
	if !errors.As(err, &weak) {
		t.Errorf("RSA: got %v", err)
	}
	cfg := ca.AuditSignerConfig(raConfig())
	cfg.Name = "administrator@example.com"
	_, err = issuer.PrepareOwn(cfg, ca.FixtureKey(t, "user-ec").Public(), ca.FixtureNow())
	var refused *ca.SubjectError
	if !errors.As(err, &refused) {
		t.Errorf("UPN for a name: got %v", err)
	}
}
