package fetch_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"

	"certportal/ca"
	"certportal/ca/fetch"
	"certportal/internal/test/testkit"
)

func TestIssuers(t *testing.T) {
	stranger := newCompany(t)
	for _, test := range []struct {
		name  string
		file  func(c *company) []byte
		state fetch.State
		text  string
	}{
		{"DER", func(c *company) []byte { return c.root.Raw }, fetch.Good, "is there"},
		{"PEM", func(c *company) []byte { return ca.PEM(c.root) }, fetch.Warning, "not DER"},
		{"PKCS#7", func(c *company) []byte { return testkit.Must(ca.PKCS7(stranger.root, c.root))(c.t) }, fetch.Good, "is there"},
		{"another CA", func(*company) []byte { return stranger.root.Raw }, fetch.Failed, "none of the certificates there signed"},
		{"renewed", func(c *company) []byte {
			renewed := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Company Root"}, SubjectKeyId: []byte{1, 2, 3}}
			return c.certificate(renewed, nil, c.key.Public()).Raw
		}, fetch.Warning, "another certificate of the issuer's key"},
		{"private key", func(*company) []byte {
			return []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
		}, fetch.Failed, `type "PRIVATE KEY"`},
		{"junk", func(*company) []byte { return []byte("junk") }, fetch.Failed, "no certificate"},
		{"too large", func(*company) []byte { return make([]byte, fetch.MaxCertificate+1) }, fetch.Failed, "more than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCompany(t)
			c.files["/root.cer"] = test.file(c)
			got := new(fetch.Client).Issuers(t.Context(), c.issuing, c.root)
			if got.State != test.state || !strings.Contains(got.Text, test.text) {
				t.Errorf("got %v: %s; want %v, %q", got.State, got.Text, test.state, test.text)
			}
			if (len(got.Found) == 1) != (test.state != fetch.Failed) {
				t.Errorf("found %d certificates", len(got.Found))
			}
		})
	}
}

func TestIssuersWithoutAddress(t *testing.T) {
	c := newCompany(t)
	got := new(fetch.Client).Issuers(t.Context(), c.root, nil)
	testkit.Equal(t, "state", got.State, fetch.Warning)
	testkit.Contains(t, "sentence", got.Text, "names no address")
}
