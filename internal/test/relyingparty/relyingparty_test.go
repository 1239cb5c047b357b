package relyingparty_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"certportal/internal/test/daemon"
	"certportal/internal/test/relyingparty"
	"certportal/internal/test/testkit"
)

// authority is a CA with nothing between it and its clients.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.key = testkit.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Phones"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	der := testkit.Must(x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key))(t)
	a.cert = testkit.Must(x509.ParseCertificate(der))(t)
	return a
}

const anna = "anna@corp.example"

// principal is the alternative name in which Apache looks for a UPN.
func principal(t *testing.T) pkix.Extension {
	t.Helper()
	type otherName struct {
		ID    asn1.ObjectIdentifier
		Value string `asn1:"utf8,explicit,tag:0"`
	}
	names := struct {
		UPN otherName `asn1:"tag:0"`
	}{otherName{asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}, anna}}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: testkit.Must(asn1.Marshal(names))(t)}
}

func (a *authority) phone(serial int64) *tls.Certificate {
	a.t.Helper()
	key := testkit.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: anna},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		ExtraExtensions: []pkix.Extension{principal(a.t)},
	}
	der := testkit.Must(x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key))(a.t)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) list(number int64, serials ...int64) string {
	a.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, serial := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: big.NewInt(serial), RevocationTime: time.Now().Add(-time.Minute), ReasonCode: 1,
		})
	}
	der := testkit.Must(x509.CreateRevocationList(rand.Reader, list, a.cert, a.key))(a.t)
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

func (a *authority) config() relyingparty.Config {
	a.t.Helper()
	own := testkit.Must(daemon.NewAuthority())(a.t)
	files := testkit.Must(own.Server(a.t.TempDir(), "localhost", "127.0.0.1"))(a.t)
	return relyingparty.Config{
		Certificate: files.Certificate, Key: files.Key, Roots: own.Roots(),
		Authorities: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})),
	}
}

func kinds() map[string]func(testing.TB, relyingparty.Config) *relyingparty.Server {
	return map[string]func(testing.TB, relyingparty.Config) *relyingparty.Server{"Apache": relyingparty.Apache, "nginx": relyingparty.Nginx}
}

func versions() map[string]uint16 {
	return map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}
}

// wantRefused requires a refusal for a reason, so that a server which refuses all clients
// does not pass.
func wantRefused(t *testing.T, what string, got relyingparty.Answer, why string) {
	t.Helper()
	if got.Admitted || !strings.Contains(got.Why, why) {
		t.Errorf("%s: %s, want refused: %s", what, got, why)
	}
}

func wantAdmitted(t *testing.T, what string, got relyingparty.Answer) {
	t.Helper()
	if !got.Admitted || !strings.Contains(got.Person, anna) {
		t.Errorf("%s: %s, want let in as %s", what, got, anna)
	}
}

func TestServersGoByLists(t *testing.T) {
	for name, start := range kinds() {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			c := a.config()
			c.Lists = a.list(1, 7)
			s := start(t, c)
			good, bad, stranger := a.phone(5), a.phone(7), newAuthority(t).phone(5)
			for in, version := range versions() {
				wantAdmitted(t, in, s.Ask(good, version))
				wantRefused(t, in+", on the list", s.Ask(bad, version), "revoked")
				wantRefused(t, in+", of another CA", s.Ask(stranger, version), "")
				wantRefused(t, in+", without a certificate", s.Ask(nil, version), "")
			}
			s.Replace(a.list(2, 5, 7))
			wantAdmitted(t, "before the server reads the new list", s.Ask(good, tls.VersionTLS13))
			s.Reload()
			awaitRefused(t, s, good)
		})
	}
}

// awaitRefused asks until the server has read its files again.
func awaitRefused(t *testing.T, s *relyingparty.Server, phone *tls.Certificate) {
	t.Helper()
	deadline, again := time.Now().Add(20*time.Second), time.NewTicker(50*time.Millisecond)
	defer again.Stop()
	for s.Ask(phone, tls.VersionTLS13).Admitted {
		if time.Now().After(deadline) {
			t.Fatalf("%s goes on letting in:\n%s", s.Name, s.Log())
		}
		<-again.C
	}
}
