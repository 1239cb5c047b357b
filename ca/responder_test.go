package ca_test

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"
	"time"

	"certportal/ca"
)

func responderConfig() ca.ResponderConfig { return ca.ResponderConfig{Name: "Certificate status"} }

// responder issues the certificate of an OCSP signer with a fixed key.
func responder(t testing.TB, issuing string) *x509.Certificate {
	t.Helper()
	issuer := ca.FixtureIssuer(t, issuing)
	p, err := issuer.PrepareOwn(responderConfig(), ca.FixtureKey(t, "server-ec").Public(), ca.FixtureNow())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := issuer.Sign(p)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// The certificate of an OCSP signer is for signing answers only and names no person or
// server.
func TestResponderCertificate(t *testing.T) {
	for _, algorithm := range []string{"rsa", "ec"} {
		h, cert := ca.FixtureHierarchy(t, algorithm), responder(t, algorithm)
		if got, want := cert.KeyUsage, x509.KeyUsageDigitalSignature; got != want {
			t.Errorf("key usage %b, want %b", got, want)
		}
		if len(cert.SubjectKeyId) == 0 || len(cert.CRLDistributionPoints)+len(cert.OCSPServer)+len(cert.IssuingCertificateURL) != 0 {
			t.Errorf("key identifier %x, addresses %v %v", cert.SubjectKeyId, cert.CRLDistributionPoints, cert.OCSPServer)
		}
		if life := cert.NotAfter.Add(time.Second).Sub(cert.NotBefore); life != 30*24*time.Hour {
			t.Errorf("life %s", life)
		}
		roots, between := x509.NewCertPool(), x509.NewCertPool()
		roots.AddCert(h.Root)
		between.AddCert(h.Issuing)
		for usage, want := range map[x509.ExtKeyUsage]bool{
			x509.ExtKeyUsageOCSPSigning: true, x509.ExtKeyUsageClientAuth: false, x509.ExtKeyUsageServerAuth: false,
		} {
			_, err := cert.Verify(x509.VerifyOptions{
				Roots: roots, Intermediates: between, CurrentTime: ca.FixtureNow(), KeyUsages: []x509.ExtKeyUsage{usage},
			})
			if (err == nil) != want {
				t.Errorf("usage %d: got %v", usage, err)
			}
		}
	}
}

func TestResponderNeedNotBeChecked(t *testing.T) {
	nocheck := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
	for _, e := range responder(t, "ec").Extensions {
		if e.Id.Equal(nocheck) {
			if string(e.Value) != "\x05\x00" || e.Critical {
				t.Errorf("got %x, critical %v", e.Value, e.Critical)
			}
			return
		}
	}
	t.Error("id-pkix-ocsp-nocheck is missing")
}

func TestPrepareResponderRefuses(t *testing.T) {
	issuer := ca.FixtureIssuer(t, "ec")
	for _, test := range []struct {
		name   string
		change func(*ca.ResponderConfig)
		field  bool
	}{
		{"no name", func(c *ca.ResponderConfig) { c.Name = "" }, true},
		{"UPN for a name", func(c *ca.ResponderConfig) { c.Name = "administrator@example.com" }, true},
		{"65 characters", func(c *ca.ResponderConfig) { c.Name = strings.Repeat("a", 65) }, true},
		{"31 days", func(c *ca.ResponderConfig) { c.Validity = 31 * 24 * time.Hour }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := responderConfig()
			test.change(&cfg)
			_, err := issuer.PrepareOwn(cfg, ca.FixtureKey(t, "server-ec").Public(), ca.FixtureNow())
			var refused *ca.SubjectError
			if err == nil || errors.As(err, &refused) != test.field {
				t.Errorf("got %v", err)
			}
		})
	}
}

// In the last month of a CA its signer ends with it, and after its end there is none.
func TestResponderEndsWithItsCA(t *testing.T) {
	issuer, pub := ca.FixtureIssuer(t, "ec"), ca.FixtureKey(t, "server-ec").Public()
	end := issuer.Certificate().NotAfter
	for _, left := range []time.Duration{29 * 24 * time.Hour, time.Hour, time.Minute} {
		p, err := issuer.PrepareOwn(responderConfig(), pub, end.Add(-left))
		if err != nil {
			t.Errorf("%s before the end: %v", left, err)
			continue
		}
		if p.NotAfter().After(end) {
			t.Errorf("%s before the end: the signer ends on %s, after its CA", left, p.NotAfter())
		}
	}
	var late *ca.ValidityError
	if _, err := issuer.PrepareOwn(responderConfig(), pub, end.Add(time.Hour)); !errors.As(err, &late) {
		t.Errorf("after the end: got %v, want a ValidityError", err)
	}
}
