package ca

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"
)

// Every lint of the responder refuses a certificate with its fault.
func TestResponderLints(t *testing.T) {
	for _, test := range []struct {
		name, lint string
		change     func(*x509.Certificate, *spec)
	}{
		{"another name", "responder-name", func(c *x509.Certificate, _ *spec) { c.Subject.CommonName = "x" }},
		{"a host", "responder-name", func(c *x509.Certificate, _ *spec) { c.DNSNames = []string{"portal.example.com"} }},
		{"client usage beside", "responder-usage", func(c *x509.Certificate, _ *spec) {
			usages, err := usageExtension([]asn1.ObjectIdentifier{oidOCSPSigning(), oidClientAuth()})
			if err != nil {
				t.Fatal(err)
			}
			c.ExtraExtensions[0] = usages
		}},
		{"encipherment", "responder-usage", func(c *x509.Certificate, _ *spec) { c.KeyUsage |= x509.KeyUsageKeyEncipherment }},
		{"to be checked", "responder-nocheck", func(c *x509.Certificate, _ *spec) { c.ExtraExtensions = c.ExtraExtensions[:1] }},
		{"nocheck without NULL", "responder-nocheck", func(c *x509.Certificate, _ *spec) {
			c.ExtraExtensions[1] = pkix.Extension{Id: oidNoCheck(), Value: []byte{0x04, 0x00}}
		}},
		{"31 days", "responder-life", func(c *x509.Certificate, w *spec) {
			w.validity.notAfter = w.validity.notAfter.Add(24 * time.Hour)
			c.NotAfter = w.validity.notAfter
		}},
		{"list address", "extensions-known", func(c *x509.Certificate, _ *spec) {
			c.CRLDistributionPoints = []string{"http://pki.example.com/crl/issuing.crl"}
		}},
		{"OCSP address", "extensions-known", func(c *x509.Certificate, _ *spec) { c.OCSPServer = []string{"http://pki.example.com/ocsp"} }},
		{"SID", "extensions-known", func(c *x509.Certificate, _ *spec) {
			sid, err := sidExtension(FixtureSubject().SID)
			if err != nil {
				t.Fatal(err)
			}
			c.ExtraExtensions = append(c.ExtraExtensions, sid)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newResponderBench(t)
			test.change(b.template, b.want)
			got := b.findings(t)
			if !strings.Contains(strings.Join(got, "\n"), test.lint+": ") {
				t.Errorf("got %q, want %s", got, test.lint)
			}
		})
	}
}

func newResponderBench(t *testing.T) *bench {
	t.Helper()
	issuer, pub := FixtureIssuer(t, "ec"), FixtureKey(t, "server-ec").Public()
	want, err := issuer.newResponderSpec(ResponderConfig{Name: "Certificate status"}, pub, FixtureNow())
	if err != nil {
		t.Fatal(err)
	}
	template, err := responderTemplate(want.responder)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := issuer.prepare(template, want); err != nil {
		t.Fatalf("the unchanged certificate: %v", err)
	}
	return &bench{issuer, template, want}
}
