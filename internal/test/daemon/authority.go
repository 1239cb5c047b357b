package daemon

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority is a CA for the certificates of one test server.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Files are the paths of a server certificate, its key and its CA, in PEM.
type Files struct{ CA, Certificate, Key string }

// NewAuthority makes a CA that is valid for 90 days, long enough that no check warns about
// its expiry.
func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making CA key: %w", err)
	}
	template := certificate("Test directory CA")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing CA: %w", err)
	}
	made, err := x509.ParseCertificate(der)
	return &Authority{certificate: made, key: key}, err
}

// Roots returns a pool with only this CA.
func (a *Authority) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// Server issues a server certificate for DNS names and IP addresses, with the first one in
// the subject, and writes it with its key and the CA into a folder.
func (a *Authority) Server(folder string, names ...string) (Files, error) {
	template := &x509.Certificate{Subject: pkix.Name{CommonName: names[0]}}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, name)
	}
	return a.Issue(folder, template)
}

// Issue issues a certificate for a server, to which it adds serial number and validity, and
// writes it with its key and the CA into a folder.
func (a *Authority) Issue(folder string, template *x509.Certificate) (Files, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Files{}, fmt.Errorf("making server key: %w", err)
	}
	return a.IssueFor(folder, template, key)
}

// IssueFor is like [Authority.Issue], for a key of the caller's.
func (a *Authority) IssueFor(folder string, template *x509.Certificate, key crypto.Signer) (Files, error) {
	files := Files{filepath.Join(folder, "ca.pem"), filepath.Join(folder, "server.pem"), filepath.Join(folder, "server.key")}
	frame := certificate("")
	template.SerialNumber, template.NotBefore, template.NotAfter = frame.SerialNumber, frame.NotBefore, frame.NotAfter
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return files, fmt.Errorf("signing server certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return files, fmt.Errorf("encoding server key: %w", err)
	}
	for _, f := range []struct {
		path, kind string
		der        []byte
	}{
		{files.CA, "CERTIFICATE", a.certificate.Raw},
		{files.Certificate, "CERTIFICATE", der},
		{files.Key, "PRIVATE KEY", keyDER},
	} {
		// Samba refuses a key that others may read.
		if err := os.WriteFile(f.path, pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), 0o600); err != nil {
			return files, fmt.Errorf("writing %s: %w", filepath.Base(f.path), err)
		}
	}
	return files, nil
}

func certificate(name string) *x509.Certificate {
	serial, now := make([]byte, 16), time.Now()
	rand.Read(serial)
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(90 * 24 * time.Hour),
	}
}
