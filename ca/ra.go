package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// RAConfig describes the certificate of a registration authority (RFC 8894). Devices
// encrypt their requests to its key, and it signs the answers, so that the key of the
// CA does neither.
type RAConfig struct {
	// Name becomes the common name, 1 to 64 printable ASCII characters.
	Name     string
	Validity time.Duration // Optional: default 365 days, at most 825 days
	Backdate time.Duration // Optional: default 5 minutes, at most 1 hour
}

// oidRegistrationAuthority is id-kp-cmcRA of RFC 6402 section 2.10. Microsoft's usage
// Certificate Request Agent must not be used: a domain that trusts this CA would let
// the RA enrol on behalf of any user (ESC3).
func oidRegistrationAuthority() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 28}
}

// prepare requires an RSA key, because devices encrypt to no other kind.
func (cfg RAConfig) prepare(i *Issuer, pub crypto.PublicKey, now time.Time) (*Prepared, error) {
	want, err := i.newNamedSpec(cfg, pub, now)
	if err != nil {
		return nil, fmt.Errorf("preparing agent certificate: %w", err)
	}
	if !want.kind.isRSA() {
		return nil, &KeyError{Reason: "a registration authority needs RSA to be encrypted to"}
	}
	want.ra = cfg.Name
	return i.prepareFor(want, cfg.Name, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment, oidRegistrationAuthority())
}

// newNamedSpec checks the settings that RA and audit signer share.
func (i *Issuer) newNamedSpec(cfg RAConfig, pub crypto.PublicKey, now time.Time) (*spec, error) {
	if !validOwnName(cfg.Name) {
		return nil, &SubjectError{Field: "name", Reason: "is not 1 to 64 printable ASCII characters"}
	}
	return i.newOwnSpec(cfg.Validity, cfg.Backdate, pub, now)
}

// prepareFor prepares a certificate with a common name and one extended key usage.
func (i *Issuer) prepareFor(want *spec, name string, use x509.KeyUsage, purpose asn1.ObjectIdentifier) (*Prepared, error) {
	usages, err := usageExtension([]asn1.ObjectIdentifier{purpose})
	if err != nil {
		return nil, err
	}
	return i.prepare(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: use, ExtraExtensions: []pkix.Extension{usages},
	}, want)
}

// validOwnName refuses @, so that the name cannot look like a UPN.
func validOwnName(name string) bool {
	foreign := func(r rune) bool { return r < ' ' || r > '~' || r == '@' }
	return name != "" && utf8.RuneCountInString(name) <= maxCommonName && !strings.ContainsFunc(name, foreign)
}

// raRules gives the lints of an RA certificate.
func raRules() []rule {
	return []rule{
		{"agent-name", "RFC 5280 section 4.1.2.6", lintRAName},
		{"agent-usage", "RFC 6402 section 2.10", lintRAUsage},
		{"extensions-known", "golden list of the agent profile", lintKnownServer},
	}
}

// lintRAName checks the subject and refuses every alternative name: an RA must not be
// able to sign in as a person.
func lintRAName(cert *x509.Certificate, want *spec) error { return onlyName(cert, want.ra) }

func onlyName(cert *x509.Certificate, name string) error {
	names := cert.Subject.Names
	if len(names) != 1 || !names[0].Type.Equal(oidCommonName()) || names[0].Value != any(name) {
		return errors.New("subject is not the ordered name alone")
	}
	if _, found := extensionOf(cert, oidSAN()); found {
		return errors.New("subject alternative name is present")
	}
	return nil
}

func lintRAUsage(cert *x509.Certificate, _ *spec) error {
	e, _ := extensionOf(cert, oidExtKeyUsage())
	if err := equalDER(e.Value, []asn1.ObjectIdentifier{oidRegistrationAuthority()}); err != nil {
		return fmt.Errorf("extended key usage is not that of a registration authority alone: %w", err)
	}
	if e, _ := extensionOf(cert, oidKeyUsage()); !bytes.Equal(e.Value, []byte{0x03, 0x02, 0x05, 0xa0}) || !e.Critical {
		return errors.New("key usage is not a critical digitalSignature and keyEncipherment")
	}
	return nil
}
