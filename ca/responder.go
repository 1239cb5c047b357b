package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"
)

// ResponderConfig describes the certificate of a key that answers OCSP requests
// for the CA, so that the key of the CA does not.
type ResponderConfig struct {
	// Name becomes the common name, 1 to 64 printable ASCII characters.
	Name     string
	Validity time.Duration // Optional: default and at most 30 days, because clients do not check whether it is revoked
	Backdate time.Duration // Optional: default 5 minutes, at most 1 hour
}

// maxResponderValidity bounds the time for which a stolen key of a responder is useful.
// RFC 6960 section 4.2.2.2.1 demands a short life with id-pkix-ocsp-nocheck.
const maxResponderValidity = 30 * 24 * time.Hour

// oidNoCheck is id-pkix-ocsp-nocheck of RFC 6960 section 4.2.2.2.1. Without it a client
// checks the revocation of the signer, and so on for the signer of that answer.
func oidNoCheck() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
}

// prepare builds the certificate of a delegated OCSP signer (RFC 6960 section
// 4.2.2.2). Every response contains it, so it is kept small: it has no CRL, OCSP or
// issuer addresses, which no client would use.
func (cfg ResponderConfig) prepare(i *Issuer, pub crypto.PublicKey, now time.Time) (*Prepared, error) {
	want, err := i.newResponderSpec(cfg, pub, now)
	if err != nil {
		return nil, fmt.Errorf("preparing responder certificate: %w", err)
	}
	template, err := responderTemplate(cfg.Name)
	if err != nil {
		return nil, err
	}
	return i.prepare(template, want)
}

func responderTemplate(name string) (*x509.Certificate, error) {
	usages, err := usageExtension([]asn1.ObjectIdentifier{oidOCSPSigning()})
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{usages, {Id: oidNoCheck(), Value: asn1.NullBytes}},
	}, nil
}

func (i *Issuer) newResponderSpec(cfg ResponderConfig, pub crypto.PublicKey, now time.Time) (*spec, error) {
	if !validOwnName(cfg.Name) {
		return nil, &SubjectError{Field: "name", Reason: "is not 1 to 64 printable ASCII characters"}
	}
	kind, err := KindOf(pub)
	if err != nil {
		return nil, err
	}
	if cfg.Validity == 0 {
		cfg.Validity = maxResponderValidity
	}
	length, backdate, err := checkTimes(cfg.Validity, cfg.Backdate, maxResponderValidity)
	if err != nil {
		return nil, err
	}
	// In the last month of a CA its signer ends with it: until then its certificates are
	// asked about.
	if left := i.validity.notAfter.Sub(now.Add(-backdate)).Truncate(time.Second); left < length && left > 0 {
		length = left
	}
	valid, err := i.period(now, backdate, length)
	if err != nil {
		return nil, err
	}
	return &spec{validity: valid, pub: pub, kind: kind, responder: cfg.Name}, nil
}

// responderRules gives the lints of the certificate of a delegated OCSP signer.
func responderRules() []rule {
	return []rule{
		{"responder-name", "RFC 5280 section 4.1.2.6", lintResponderName},
		{"responder-usage", "RFC 6960 section 4.2.2.2", lintResponderUsage},
		{"responder-nocheck", "RFC 6960 section 4.2.2.2.1", lintNoCheck},
		{"responder-life", "RFC 6960 section 4.2.2.2.1", lintResponderLife},
		{"extensions-known", "golden list of the responder profile", lintKnownResponder},
	}
}

func lintResponderName(cert *x509.Certificate, want *spec) error {
	return onlyName(cert, want.responder)
}

func lintResponderUsage(cert *x509.Certificate, _ *spec) error {
	e, _ := extensionOf(cert, oidExtKeyUsage())
	if err := equalDER(e.Value, []asn1.ObjectIdentifier{oidOCSPSigning()}); err != nil {
		return fmt.Errorf("extended key usage is not OCSPSigning alone: %w", err)
	}
	if e, _ := extensionOf(cert, oidKeyUsage()); !bytes.Equal(e.Value, []byte{0x03, 0x02, 0x07, 0x80}) || !e.Critical {
		return errors.New("key usage is not a critical digitalSignature alone")
	}
	return nil
}

func lintNoCheck(cert *x509.Certificate, _ *spec) error {
	if e, _ := extensionOf(cert, oidNoCheck()); !bytes.Equal(e.Value, asn1.NullBytes) {
		return errors.New("id-pkix-ocsp-nocheck is not there with a NULL")
	}
	return nil
}

func lintResponderLife(cert *x509.Certificate, _ *spec) error {
	if life := cert.NotAfter.Sub(cert.NotBefore); life >= maxResponderValidity {
		return fmt.Errorf("life of %s is over %s", life, maxResponderValidity)
	}
	return nil
}

// lintKnownResponder also refuses addresses of CRLs and responders: a client that
// checked the signer's revocation would loop.
func lintKnownResponder(cert *x509.Certificate, _ *spec) error {
	for _, id := range []asn1.ObjectIdentifier{oidCDP(), oidAIA()} {
		if _, found := extensionOf(cert, id); found {
			return fmt.Errorf("extension %s is present", id)
		}
	}
	return allowedOnly(cert, oidNoCheck())
}
