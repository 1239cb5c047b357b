package ca

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	// ErrRedeemed is returned by a second [Issuer.Sign] of one Prepared, also
	// after an error of the first: its signature may have been made all the same.
	ErrRedeemed = errors.New("prepared certificate was signed before")
	// ErrOtherIssuer is returned by [Issuer.Sign] for a Prepared of another
	// Issuer.
	ErrOtherIssuer = errors.New("prepared certificate belongs to another issuer")
)

// Prepared is a certificate that is complete and linted, but not signed. It can be
// signed once, by the Issuer that prepared it.
type Prepared struct {
	issuer   *Issuer
	cert     *x509.Certificate // signed with the throwaway key: never to be handed out
	serial   Serial
	redeemed atomic.Bool
}

// Issuer gives the name of the authority that prepared the certificate.
func (p *Prepared) Issuer() string { return p.issuer.name }

// Serial gives the serial number of the certificate.
func (p *Prepared) Serial() Serial { return p.serial }

// NotBefore gives the first second of validity, in UTC.
func (p *Prepared) NotBefore() time.Time { return p.cert.NotBefore }

// NotAfter gives the last second of validity, in UTC.
func (p *Prepared) NotAfter() time.Time { return p.cert.NotAfter }

// PublicKeyHash gives the SHA-256 of the SubjectPublicKeyInfo in DER.
func (p *Prepared) PublicKeyHash() [sha256.Size]byte {
	return sha256.Sum256(p.cert.RawSubjectPublicKeyInfo)
}

// TBS gives the TBSCertificate in DER, so that callers can record it before it is
// signed.
func (p *Prepared) TBS() []byte { return slices.Clone(p.cert.RawTBSCertificate) }

// Prepare builds the User certificate of a subject for a public key and lints it.
// It takes about a millisecond.
//
// The error is a [*KeyError], a [*SubjectError], a [*ValidityError] or a
// [*LintError], or comes from the source of randomness.
func (i *Issuer) Prepare(p *Profile, s Subject, pub crypto.PublicKey, now time.Time) (*Prepared, error) {
	kind, err := KindOf(pub)
	if err != nil {
		return nil, err
	}
	if err := s.check(p.requireSID); err != nil {
		return nil, err
	}
	if err := i.publication.check(); err != nil {
		return nil, fmt.Errorf("preparing %s certificate: %w", p.name, err)
	}
	valid, err := i.period(now, p.backdate, p.validity)
	if err != nil {
		return nil, err
	}
	template, err := userTemplate(p, s, kind)
	if err != nil {
		return nil, err
	}
	want := &spec{publication: i.publication, validity: valid, pub: pub, kind: kind, profile: p, subject: s}
	return i.prepare(template, want)
}

// userTemplate makes the fields that are specific to a User certificate.
func userTemplate(p *Profile, s Subject, kind KeyKind) (*x509.Certificate, error) {
	usages, err := usageExtension(p.extKeyUsages)
	if err != nil {
		return nil, err
	}
	template, err := templateExtension(p.template)
	if err != nil {
		return nil, err
	}
	san, err := userSAN(s)
	if err != nil {
		return nil, err
	}
	extensions := []pkix.Extension{template, usages, san}
	if s.SID != "" {
		sid, err := sidExtension(s.SID)
		if err != nil {
			return nil, err
		}
		extensions = append(extensions, sid)
	}
	return &x509.Certificate{
		Subject:         s.field(p.subject),
		KeyUsage:        p.keyUsage(kind),
		ExtraExtensions: extensions,
	}, nil
}

// prepare fills in the fields that all end-entity certificates share, and lints.
func (i *Issuer) prepare(template *x509.Certificate, want *spec) (*Prepared, error) {
	serial, err := NewSerial(i.rand)
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial.Big()
	template.SignatureAlgorithm = i.kind.signing().algorithm
	template.NotBefore, template.NotAfter = want.validity.notBefore, want.validity.notAfter
	template.CRLDistributionPoints = want.publication.CRLURLs
	template.IssuingCertificateURL = want.publication.IssuerURLs
	template.OCSPServer = want.publication.OCSPURLs
	if template.SubjectKeyId, err = keyIdentifierOf(want.pub); err != nil {
		return nil, err
	}
	want.serial = serial
	return i.check(template, want)
}

// check signs the template with the throwaway key and lints the result, because a
// lint of the template would not see mistakes in the encoding.
func (i *Issuer) check(template *x509.Certificate, want *spec) (*Prepared, error) {
	raw, err := x509.CreateCertificate(rand.Reader, template, i.lintCert, want.pub, i.lintKey)
	if err != nil {
		return nil, fmt.Errorf("encoding certificate %s: %w", want.serial, err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("parsing certificate %s: %w", want.serial, err)
	}
	want.issuer, want.issuerKind = i.cert, i.kind
	if err := i.lints.certificate(cert, want); err != nil {
		return nil, err
	}
	return &Prepared{issuer: i, cert: cert, serial: want.serial}, nil
}

// Sign signs exactly the bytes that were linted, once, and verifies the signature.
// After [ErrOtherIssuer] the Prepared can still be signed by its own issuer, after
// any other error it cannot be signed any more.
func (i *Issuer) Sign(p *Prepared) (*x509.Certificate, error) {
	if p.issuer != i {
		return nil, fmt.Errorf("signing certificate %s: %w", p.serial, ErrOtherIssuer)
	}
	// Set before the signature, so that of two concurrent callers only one signs.
	if !p.redeemed.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("signing certificate %s: %w", p.serial, ErrRedeemed)
	}
	cert, err := signTBS(i.signer, i.kind, p.cert.RawTBSCertificate)
	if err != nil {
		return nil, fmt.Errorf("signing certificate %s: %w", p.serial, err)
	}
	if !bytes.Equal(cert.RawTBSCertificate, p.cert.RawTBSCertificate) {
		return nil, fmt.Errorf("signing certificate %s: signed bytes differ from linted bytes", p.serial)
	}
	if err := cert.CheckSignatureFrom(i.cert); err != nil {
		return nil, fmt.Errorf("signing certificate %s: %w", p.serial, err)
	}
	return cert, nil
}

// signTBS signs a TBSCertificate, encodes the Certificate (RFC 5280 section 4.1) and
// parses it.
func signTBS(key crypto.Signer, kind KeyKind, tbs []byte) (*x509.Certificate, error) {
	signature, err := sign(key, kind, tbs)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(kind.signing().der)
		b.AddASN1BitString(signature)
	})
	raw, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(raw)
}
