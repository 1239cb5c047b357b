package standin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"log"
	"math/big"
	"slices"
	"strings"
	"time"
)

// Wrong is in what a certificate differs from its request.
type Wrong string

// What a certificate of a stand-in can have wrong.
const (
	Right       Wrong = ""
	AnotherKey  Wrong = "key"
	AnotherUPN  Wrong = "upn"
	NoUPN       Wrong = "no-upn"
	AnotherSID  Wrong = "sid"
	NoSID       Wrong = "no-sid"
	OtherIssuer Wrong = "issuer" // a CA of the same name with another key
	TooLong     Wrong = "longer"
	TooShort    Wrong = "shorter"
	IsCA        Wrong = "ca"
	NoUsage     Wrong = "no-eku"
	ServerUsage Wrong = "server-eku"
)

// Wrongs lists all of them but Right.
func Wrongs() []Wrong {
	return []Wrong{AnotherKey, AnotherUPN, NoUPN, AnotherSID, NoSID, OtherIssuer, TooLong, TooShort, IsCA, NoUsage, ServerUsage}
}

// Validity is that of the certificates of a stand-in.
const Validity = 365 * 24 * time.Hour

type authority struct {
	root, issuer *x509.Certificate
	key, other   *ecdsa.PrivateKey
}

func newAuthority() (*authority, error) {
	var keys [3]*ecdsa.PrivateKey
	for i := range keys {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("making key: %w", err)
		}
		keys[i] = key
	}
	frame := func(name string, length int) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: number(), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10 * Validity),
			IsCA: true, BasicConstraintsValid: true, MaxPathLen: length, MaxPathLenZero: length == 0,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
	}
	rootFrame := frame("Stand-in Root CA", 1)
	root, err := sign(rootFrame, rootFrame, keys[0].Public(), keys[0])
	if err != nil {
		return nil, err
	}
	issuer, err := sign(frame("Stand-in Issuing CA", 0), root, keys[1].Public(), keys[0])
	return &authority{root: root, issuer: issuer, key: keys[1], other: keys[2]}, err
}

func sign(template, parent *x509.Certificate, public any, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("signing %s: %w", template.Subject, err)
	}
	return x509.ParseCertificate(der)
}

func number() *big.Int {
	serial := make([]byte, 16)
	rand.Read(serial)
	serial[0] |= 0x40
	serial[0] &= 0x7f
	return new(big.Int).SetBytes(serial)
}

// issue copies names and extensions of the request.
func (a *authority) issue(der []byte, wrong Wrong) (*x509.Certificate, error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("reading request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("checking request: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: number(), Subject: csr.Subject, RawSubject: csr.RawSubject,
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(Validity),
		ExtraExtensions: change(csr.Extensions, wrong),
	}
	public, key := csr.PublicKey, a.key
	switch wrong {
	case AnotherKey:
		public = a.other.Public()
	case OtherIssuer:
		key = a.other
	case TooLong:
		template.NotAfter = now.Add(10 * Validity)
	case TooShort:
		template.NotAfter = now.Add(Validity / 12)
	case IsCA:
		template.IsCA, template.BasicConstraintsValid = true, true
	}
	parent := *a.issuer
	if wrong == OtherIssuer {
		parent.PublicKey = a.other.Public()
	}
	return sign(template, &parent, public, key)
}

// change replaces or removes extensions.
func change(extensions []pkix.Extension, wrong Wrong) []pkix.Extension {
	san, sid, usage := asn1.ObjectIdentifier{2, 5, 29, 17}, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 25, 2}, asn1.ObjectIdentifier{2, 5, 29, 37}
	gone := map[Wrong]asn1.ObjectIdentifier{NoUPN: san, NoSID: sid, NoUsage: usage, ServerUsage: usage}[wrong]
	var kept []pkix.Extension
	for _, e := range extensions {
		if e.Id.Equal(gone) {
			continue
		}
		// The value keeps its length: the last digit of a SID, the first letter of a UPN.
		switch e.Value = slices.Clone(e.Value); {
		case wrong == AnotherSID && e.Id.Equal(sid):
			e.Value[len(e.Value)-1] ^= 1
		case wrong == AnotherUPN && e.Id.Equal(san):
			at := strings.IndexByte(string(e.Value), '@')
			e.Value[at-1] ^= 1
		}
		kept = append(kept, e)
	}
	if wrong == ServerUsage {
		value, _ := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 1}})
		kept = append(kept, pkix.Extension{Id: usage, Value: value})
	}
	return kept
}

func clientAuth(roots *x509.CertPool) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if roots != nil {
		config.ClientCAs, config.ClientAuth = roots, tls.VerifyClientCertIfGiven
	}
	return config
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// SignCRL makes a CRL of the issuing CA, of serial numbers in decimal.
func (s *Server) SignCRL(revoked map[string]time.Time) ([]byte, error) {
	var entries []x509.RevocationListEntry
	for serial, at := range revoked {
		n, ok := new(big.Int).SetString(serial, 10)
		if !ok {
			return nil, fmt.Errorf("serial number %q is not decimal", serial)
		}
		entries = append(entries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: at})
	}
	return x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(time.Now().UnixMilli()), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: entries,
	}, s.authority.issuer, s.authority.key)
}
