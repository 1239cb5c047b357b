package scep_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/url"
	"slices"
	"testing"

	wire "github.com/smallstep/scep"

	"certportal/internal/test/testkit"
)

// hostileRequests ask for names, usages and extensions that the portal must not grant.
func hostileRequests() map[string]x509.CertificateRequest {
	tag, _ := url.Parse("tag:microsoft.com,2022-09-14:sid:S-1-5-21-1-2-3-500")
	extension := func(value []byte, id ...int) x509.CertificateRequest {
		return x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: id, Value: value}}}
	}
	upn, _ := asn1.Marshal([]asn1.RawValue{{Class: 2, Tag: 0, IsCompound: true, Bytes: append(
		[]byte{0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x14, 0x02, 0x03, 0xa0, 0x14, 0x0c, 0x12},
		[]byte("admin@corp.example")...)}})
	any, _ := asn1.Marshal([]asn1.ObjectIdentifier{{2, 5, 29, 37, 0}})
	agent, _ := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 311, 20, 2, 1}})
	return map[string]x509.CertificateRequest{
		"common name":            {Subject: pkix.Name{CommonName: "administrator@corp.example"}},
		"UPN":                    extension(upn, 2, 5, 29, 17),
		"mail":                   {EmailAddresses: []string{"ceo@corp.example"}},
		"host name":              {DNSNames: []string{"dc.corp.example"}},
		"SID as address":         {URIs: []*url.URL{tag}},
		"SID extension":          extension([]byte{0x30, 0}, 1, 3, 6, 1, 4, 1, 311, 25, 2),
		"any usage":              extension(any, 2, 5, 29, 37),
		"enrolment agent":        extension(agent, 2, 5, 29, 37),
		"key usage":              extension([]byte{0x03, 0x02, 0x01, 0x06}, 2, 5, 29, 15),
		"CA":                     extension([]byte{0x30, 0x03, 0x01, 0x01, 0xff}, 2, 5, 29, 19),
		"policies":               extension([]byte{0x30, 0}, 2, 5, 29, 32),
		"application policies":   extension([]byte{0x30, 0}, 1, 3, 6, 1, 4, 1, 311, 21, 10),
		"template":               extension([]byte{0x1e, 0}, 1, 3, 6, 1, 4, 1, 311, 20, 2),
		"template of version 2":  extension([]byte{0x30, 0}, 1, 3, 6, 1, 4, 1, 311, 21, 7),
		"organization and title": {Subject: pkix.Name{Organization: []string{"Domain Admins"}, SerialNumber: "500"}},
	}
}

// Subject and extensions come from the directory and the profile: a hostile request gets
// the same ones as a plain request.
func TestA1_NothingOfARequestButItsKey(t *testing.T) {
	h := newFixture(t)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	want := h.issue(p, h.first(p, c.Secret))
	for name, template := range hostileRequests() {
		t.Run(name, func(t *testing.T) {
			key := testkit.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
			c := h.challenge(h.anna)
			got := h.issue(p, h.message(p, wire.PKCSReq, csr(t, key, c.Secret, template)))
			if !bytes.Equal(got.RawSubject, want.RawSubject) {
				t.Errorf("subject %s, want %s", got.Subject, want.Subject)
			}
			sameExtensions(t, got, want)
		})
	}
}

// sameExtensions compares all extensions except those derived from the key.
func sameExtensions(t *testing.T, got, want *x509.Certificate) {
	t.Helper()
	if len(got.Extensions) != len(want.Extensions) {
		t.Errorf("%d extensions, want %d", len(got.Extensions), len(want.Extensions))
	}
	for i, e := range got.Extensions {
		w := want.Extensions[i]
		key := e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 14}) || e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 15})
		if !e.Id.Equal(w.Id) || e.Critical != w.Critical || !key && !bytes.Equal(e.Value, w.Value) {
			t.Errorf("extension %s %x, want %s %x", e.Id, e.Value, w.Id, w.Value)
		}
	}
}

// A request with a bad key or without proof of possession records no certificate (A1).
func TestA1_KeysThatAreNotCertified(t *testing.T) {
	h := newFixture(t)
	p, c := newPhone(t, 0), h.challenge(h.anna)
	broken := csr(t, testkit.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t), c.Secret, x509.CertificateRequest{})
	broken.Raw = slices.Clone(broken.Raw)
	broken.Raw[len(broken.Raw)-1] ^= 1
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		csr  *x509.CertificateRequest
	}{
		{"signature broken", broken},
		{"Ed25519", plainCSR(t, edwards)},
		{"P-224", plainCSR(t, testkit.Must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))(t))},
		{"P-521", plainCSR(t, testkit.Must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))(t))},
		{"RSA 1024", plainCSR(t, testkit.Must(rsa.GenerateKey(rand.Reader, 1024))(t))},
		{"SHA-1", withSHA1(t, p.key, csr(t, p.key, c.Secret, x509.CertificateRequest{}))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// The client's library names the message after the key, and cannot name all.
			tt.csr.PublicKey = p.key.Public()
			h.denied(p, h.message(p, wire.PKCSReq, tt.csr), wire.BadRequest, "message-envelope")
		})
	}
	t.Run("another RSA key than the signer's", func(t *testing.T) {
		m := h.message(p, wire.PKCSReq, csr(t, rsaKey(t, 1), c.Secret, x509.CertificateRequest{}))
		h.denied(p, m, wire.BadRequest, "message-signer")
	})
	t.Run("signer with RSA 1024", func(t *testing.T) {
		weak := testkit.Must(rsa.GenerateKey(rand.Reader, 1024))(t)
		small := phone{key: weak, signer: selfSigned(t, weak, big.NewInt(9))}
		h.denied(small, h.message(small, wire.PKCSReq, csr(t, p.key, c.Secret, x509.CertificateRequest{})), wire.BadAlg, "message-algorithm")
	})
	h.issue(p, h.first(p, c.Secret))
}

// plainCSR is a request without a challenge, for keys the library cannot add one
// with.
func plainCSR(t *testing.T, key crypto.Signer) *x509.CertificateRequest {
	t.Helper()
	der := testkit.Must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key))(t)
	return testkit.Must(x509.ParseCertificateRequest(der))(t)
}
