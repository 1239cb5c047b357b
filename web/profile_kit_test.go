package web_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/micromdm/plist"
	"github.com/smallstep/pkcs7"

	"certportal/internal/test/testkit"
	"certportal/web"
)

// publicSigner is a TLS certificate of some public CA.
type publicSigner struct {
	root  *x509.Certificate
	chain []*x509.Certificate
	key   crypto.Signer
}

// newSigner makes a signer with an RSA or EC key under a root of its own.
func newSigner(t *testing.T, kind string) *publicSigner {
	t.Helper()
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &publicSigner{key: rootKey}
	if kind == "rsa" {
		if s.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			t.Fatal(err)
		}
	}
	template := func(name string, isCA bool) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(int64(len(name))), Subject: pkix.Name{CommonName: name},
			NotBefore: testkit.Noon.Add(-time.Hour), NotAfter: testkit.Noon.Add(90 * 24 * time.Hour), IsCA: isCA, BasicConstraintsValid: true}
	}
	made := func(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
		raw, err := x509.CreateCertificate(rand.Reader, template, parent, public, rootKey)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(raw)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	s.root = made(t, template("Public Root", true), template("Public Root", true), rootKey.Public())
	s.chain = []*x509.Certificate{made(t, template("certs.example.com", false), s.root, s.key.Public())}
	return s
}

// sign makes a portal hand out profiles.
func (s *publicSigner) sign(c *web.Config) {
	c.ProfileSigner = func() ([]*x509.Certificate, crypto.Signer) { return s.chain, s.key }
}

// withExchange makes a portal know mailboxes.
func withExchange(c *web.Config) {
	c.Exchange = &web.Exchange{Host: "mail.example.com", SyncDays: 31, SMIMESign: true}
}

// opened is a profile as a phone reads it.
type opened struct {
	PayloadIdentifier, PayloadUUID, PayloadDisplayName, PayloadOrganization, PayloadScope string

	TargetDeviceType      int
	PayloadExpirationDate time.Time
	ConsentText           map[string]string
	PayloadContent        []struct {
		PayloadType, PayloadIdentifier, PayloadUUID, PayloadCertificateUUID, Host, UserName, EmailAddress string

		PayloadContent             []byte
		SSL, SMIMESigningEnabled   bool
		MailNumberOfPastDaysToSync int
	}
}

// open verifies the signature of a profile and reads it.
func (s *publicSigner) open(t *testing.T, data []byte) opened {
	t.Helper()
	p7, err := pkcs7.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.root)
	if err := p7.VerifyWithChainAtTime(roots, testkit.Noon); err != nil {
		t.Fatal(err)
	}
	var p opened
	if err := plist.Unmarshal(p7.Content, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// payload is the number of the one payload of a type, or -1.
func (p opened) payload(t *testing.T, kind string) int {
	t.Helper()
	found := -1
	for i, payload := range p.PayloadContent {
		if payload.PayloadType != "com.apple."+kind {
			continue
		}
		if found >= 0 {
			t.Fatalf("two payloads of type %s", kind)
		}
		found = i
	}
	return found
}
