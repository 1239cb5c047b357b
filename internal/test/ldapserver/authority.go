package ldapserver

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"testing"
	"time"
)

// Authority is a CA for servers.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	notAfter    time.Time // of what it issues; zero: a year from now
	odd         Oddity
}

// Oddity is something unusual about the certificates of a CA.
type Oddity string

// The oddities of real servers' certificates.
const (
	NegativeSerial Oddity = "negative serial number"
	SHA1           Oddity = "SHA-1 signature"
	NoNames        Oddity = "no subject alternative name"
)

// Odd sets the oddity of certificates issued from now on.
func (a *Authority) Odd(o Oddity) *Authority {
	return &Authority{certificate: a.certificate, key: a.key, odd: o}
}

// NewAuthority makes a CA.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Directory CA"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().AddDate(2, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Authority{certificate: certificate, key: key}
}

// Until sets the expiry of certificates issued from now on.
func (a *Authority) Until(end time.Time) *Authority {
	return &Authority{certificate: a.certificate, key: a.key, notAfter: end}
}

// Roots returns the CA.
func (a *Authority) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// issue makes a certificate for names, addresses among them.
func (a *Authority) issue(t testing.TB, names []string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: a.notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if a.notAfter.IsZero() {
		template.NotAfter = time.Now().AddDate(1, 0, 0)
	}
	switch a.odd {
	case SHA1:
		template.SignatureAlgorithm = x509.ECDSAWithSHA1
	case NoNames:
		names = nil
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, name)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.odd == NegativeSerial {
		der = a.negate(t, der, template.SerialNumber)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// negate makes the serial number of a certificate negative and signs it again: the
// standard library makes no such certificate.
func (a *Authority) negate(t testing.TB, der []byte, serial *big.Int) []byte {
	t.Helper()
	var outer struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(outer.TBS.FullBytes, serial.Bytes())
	outer.TBS.FullBytes[at] |= 0x80
	sum := sha256.Sum256(outer.TBS.FullBytes)
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	outer.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	der, err = asn1.Marshal(outer)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
