package ca_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/url"
	"testing"
	"time"

	"certportal/ca"
)

// Requests may contain anything. Only the public key of a request can be passed to
// Prepare, so the certificate is the same for all of them.
func TestA1_NothingOfARequestButItsKey(t *testing.T) {
	key := ca.FixtureKey(t, "user-ec")
	want := user(t, "ec", "user-ec", ca.FixtureProfileConfig(), ca.FixtureSubject()).RawTBSCertificate
	tag, err := url.Parse("tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-500")
	if err != nil {
		t.Fatal(err)
	}
	hostile := func(last ...int) []pkix.Extension {
		id := append(asn1.ObjectIdentifier{}, last...)
		return []pkix.Extension{{Id: id, Value: []byte{0x30, 0x00}}}
	}
	for _, test := range []struct {
		name    string
		request x509.CertificateRequest
	}{
		{"subject", x509.CertificateRequest{Subject: pkix.Name{CommonName: "administrator@example.com"}}},
		{"mail", x509.CertificateRequest{EmailAddresses: []string{"ceo@example.com"}}},
		{"host name", x509.CertificateRequest{DNSNames: []string{"dc.example.com"}}},
		{"SID as address", x509.CertificateRequest{URIs: []*url.URL{tag}}},
		{"SID extension", x509.CertificateRequest{ExtraExtensions: hostile(1, 3, 6, 1, 4, 1, 311, 25, 2)}},
		{"application policies", x509.CertificateRequest{ExtraExtensions: hostile(1, 3, 6, 1, 4, 1, 311, 21, 10)}},
		{"template", x509.CertificateRequest{ExtraExtensions: hostile(1, 3, 6, 1, 4, 1, 311, 20, 2)}},
		{"version 2 template", x509.CertificateRequest{ExtraExtensions: hostile(1, 3, 6, 1, 4, 1, 311, 21, 7)}},
		{"extended key usage", x509.CertificateRequest{ExtraExtensions: hostile(2, 5, 29, 37)}},
		{"key usage", x509.CertificateRequest{ExtraExtensions: hostile(2, 5, 29, 15)}},
		{"CA", x509.CertificateRequest{ExtraExtensions: hostile(2, 5, 29, 19)}},
		{"policies", x509.CertificateRequest{ExtraExtensions: hostile(2, 5, 29, 32)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			raw, err := x509.CreateCertificateRequest(rand.Reader, &test.request, key)
			if err != nil {
				t.Fatal(err)
			}
			request, err := x509.ParseCertificateRequest(raw)
			if err != nil {
				t.Fatal(err)
			}
			p, err := ca.FixtureIssuer(t, "ec").Prepare(ca.FixtureProfile(t), ca.FixtureSubject(), request.PublicKey, ca.FixtureNow())
			if err != nil {
				t.Fatal(err)
			}
			if got := p.TBS(); !bytes.Equal(got, want) {
				t.Errorf("got %x, want %x", got, want)
			}
		})
	}
}

// The time from a clock has fractions of seconds and a zone; certificates have neither.
func TestPrepareCountsInWholeSecondsUTC(t *testing.T) {
	want := user(t, "ec", "user-ec", ca.FixtureProfileConfig(), ca.FixtureSubject()).RawTBSCertificate
	now := ca.FixtureNow().Add(999 * time.Millisecond).In(time.FixedZone("east", 8*3600))
	p, err := ca.FixtureIssuer(t, "ec").Prepare(ca.FixtureProfile(t), ca.FixtureSubject(), ca.FixtureKey(t, "user-ec").Public(), now)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(p.TBS(), want) {
		t.Error("the certificate depends on fractions or zone")
	}
}

// Errors shown to people and in logs must contain the reason and nothing more.
func TestErrorsTellWhatIsWrong(t *testing.T) {
	issuer, profile := ca.FixtureIssuer(t, "ec"), ca.FixtureProfile(t)
	pub := ca.FixtureKey(t, "user-ec").Public()
	for _, test := range []struct {
		name string
		make func() error
		want string
	}{
		{"subject", func() error {
			_, err := issuer.Prepare(profile, ca.Subject{}, pub, ca.FixtureNow())
			return err
		}, "refusing subject: upn is missing"},
		{"key", func() error {
			_, err := issuer.Prepare(profile, ca.FixtureSubject(), "key", ca.FixtureNow())
			return err
		}, "refusing public key: algorithm of string is not RSA or ECDSA"},
		{"validity", func() error {
			_, err := issuer.Prepare(profile, ca.FixtureSubject(), pub, ca.FixtureNow().AddDate(10, 0, 0))
			return err
		}, "refusing validity 2036-11-22T08:55:00Z to 2037-11-22T08:54:59Z: the issuer's is 2026-11-22T07:00:00Z to 2031-11-21T06:59:59Z"},
		{"lints", func() error { return &ca.LintError{Findings: []string{"a: b (c)", "d: e (f)"}} }, "refused by lints: a: b (c); d: e (f)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.make().Error(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
