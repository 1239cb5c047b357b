package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// FixtureCA is a CA of a company, for the tests of authorities below one.
type FixtureCA struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// FixtureRoot makes the root of a company; change may alter its certificate.
func FixtureRoot(t testing.TB, change ...func(*x509.Certificate)) *FixtureCA {
	t.Helper()
	c := &FixtureCA{Key: fixtureECKey(t)}
	template := fixtureCATemplate("Company Root CA", 20*year)
	for _, f := range change {
		f(template)
	}
	c.Certificate = fixtureSign(t, template, template, c.Key.Public(), c.Key)
	return c
}

// Below makes a CA below this one; change may alter its certificate.
func (c *FixtureCA) Below(t testing.TB, name string, change ...func(*x509.Certificate)) *FixtureCA {
	t.Helper()
	key := fixtureECKey(t)
	return &FixtureCA{Certificate: c.Certify(t, name, key.Public(), change...), Key: key}
}

// Certify makes the certificate of a CA below this one; change may alter it.
func (c *FixtureCA) Certify(t testing.TB, name string, pub crypto.PublicKey, change ...func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := fixtureCATemplate(name, 10*year)
	template.CRLDistributionPoints = []string{"http://pki.company.example/root.crl"}
	template.IssuingCertificateURL = []string{"http://pki.company.example/root.crt"}
	for _, f := range change {
		f(template)
	}
	return fixtureSign(t, template, c.Certificate, pub, c.Key)
}

func fixtureECKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ECP256.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func fixtureCATemplate(name string, life time.Duration) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"Company"}, CommonName: name},
		NotBefore: FixtureNow().Add(-24 * time.Hour), NotAfter: FixtureNow().Add(life),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true, IsCA: true, MaxPathLen: -1,
	}
}

func fixtureSign(t testing.TB, template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
