package ca

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// ReadForeignCRL parses a CRL in DER that another CA made, such as the company's root,
// and verifies that the CA signed it. It knows what such lists have and the portal's own do not: other
// signature algorithms, no number (OpenSSL's version 1), a scope. Times, scope and base
// are the caller's to judge.
//
// The error says in a sentence why the list is not that CA's.
func ReadForeignCRL(raw []byte, issuer *x509.Certificate) (*PublishedCRL, error) {
	list, err := splitCRL(raw)
	if err != nil {
		return nil, err
	}
	crl := new(PublishedCRL)
	if err := crl.readTBS(list); err != nil {
		return nil, err
	}
	if !bytes.Equal(crl.issuer, issuer.RawSubject) {
		return nil, fmt.Errorf("it is the list of another authority than %s", printed(issuer.Subject.String()))
	}
	if len(crl.keyID) > 0 && len(issuer.SubjectKeyId) > 0 && !bytes.Equal(crl.keyID, issuer.SubjectKeyId) {
		return nil, fmt.Errorf("another key of %s signed it than the one in its certificate (key identifier %s, not %s)",
			printed(issuer.Subject.String()), octets(crl.keyID), octets(issuer.SubjectKeyId))
	}
	if issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return nil, errors.New("the key usage of the authority's certificate lacks cRLSign: no client accepts its lists")
	}
	crl.Algorithm = algorithmOf(list.algorithm)
	err = issuer.CheckSignature(crl.Algorithm, list.tbs, list.signature)
	var insecure x509.InsecureAlgorithmError
	switch {
	case errors.As(err, &insecure):
		return nil, fmt.Errorf("it is signed with %s, which no client accepts: the authority must sign with SHA-256", crl.Algorithm)
	case errors.Is(err, x509.ErrUnsupportedAlgorithm):
		return nil, errors.New("it is signed with an algorithm that this portal does not know")
	case err != nil:
		return nil, fmt.Errorf("its signature is not that of %s", printed(issuer.Subject.String()))
	}
	return crl, nil
}

// algorithmOf reads an AlgorithmIdentifier. crypto/x509 has the table, parameters of
// RSASSA-PSS included, and applies it to the lists that it parses: an empty one here.
func algorithmOf(identifier []byte) x509.SignatureAlgorithm {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1)
			b.AddBytes(identifier)
			b.AddASN1(der.SEQUENCE, func(*cryptobyte.Builder) {})
			addTime(b, time.Unix(0, 0))
			addTime(b, time.Unix(1, 0))
		})
		b.AddBytes(identifier)
		b.AddASN1BitString(nil)
	})
	raw, err := b.Bytes()
	if err != nil {
		return x509.UnknownSignatureAlgorithm
	}
	list, err := x509.ParseRevocationList(raw)
	if err != nil {
		return x509.UnknownSignatureAlgorithm
	}
	return list.SignatureAlgorithm
}

// HasNumber reports whether the list has a number: lists of version 1 have none, and the
// first one of some CAs has zero.
func (c *PublishedCRL) HasNumber() bool { return slices.Contains(c.seen, oidCRLNumber().String()) }
