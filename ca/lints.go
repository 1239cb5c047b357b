package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// commonRules gives the lints of every end-entity certificate of the portal.
func commonRules() []rule {
	return []rule{
		{"serial-number", "RFC 5280 section 4.1.2.2", lintSerial},
		{"issuer-name", "RFC 5280 section 4.1.2.4", lintIssuerName},
		{"signature-algorithm", "RFC 5280 section 4.1.2.3", lintAlgorithm},
		{"validity-as-ordered", "RFC 5280 section 4.1.2.5", lintValidity},
		{"validity-in-issuer", "RFC 5280 section 6.1.3 (a)(2)", lintValidityInIssuer},
		{"public-key", "RFC 5280 section 4.1.2.7", lintPublicKey},
		{"extensions-unique", "RFC 5280 section 4.2", lintUnique},
		{"authority-key-identifier", "RFC 5280 section 4.2.1.1", lintAuthorityKey},
		{"subject-key-identifier", "RFC 7093 section 2", lintSubjectKey},
		{"basic-constraints-absent", "User template of AD CS", lintNoBasicConstraints},
	}
}

// publicationRules gives the lints of every certificate that is checked for
// revocation.
func publicationRules() []rule {
	return []rule{
		{"crl-distribution-points", "RFC 5280 section 4.2.1.13", lintDistributionPoints},
		{"authority-information-access", "RFC 5280 section 4.2.2.1", lintInformationAccess},
	}
}

// extensionOf finds an extension by its identifier.
func extensionOf(cert *x509.Certificate, id asn1.ObjectIdentifier) (pkix.Extension, bool) {
	for _, e := range cert.Extensions {
		if e.Id.Equal(id) {
			return e, true
		}
	}
	return pkix.Extension{}, false
}

func lintSerial(cert *x509.Certificate, want *spec) error {
	if cert.SerialNumber.Cmp(want.serial.Big()) != 0 {
		return errors.New("serial differs from the one reserved")
	}
	// Unpredictable (at least 64 random bits), positive, at most 20 octets.
	if bits := cert.SerialNumber.BitLen(); cert.SerialNumber.Sign() <= 0 || bits <= 64 || bits > 159 {
		return fmt.Errorf("serial has %d bits", bits)
	}
	return nil
}

func lintIssuerName(cert *x509.Certificate, want *spec) error {
	// Some relying parties compare octets: for them the same name in another string
	// type breaks the chain.
	if !bytes.Equal(cert.RawIssuer, want.issuer.RawSubject) {
		return errors.New("issuer differs from the CA's subject")
	}
	return nil
}

func lintAlgorithm(cert *x509.Certificate, want *spec) error {
	if cert.SignatureAlgorithm != want.issuerKind.signing().algorithm {
		return fmt.Errorf("algorithm %s does not fit the CA's key", cert.SignatureAlgorithm)
	}
	return nil
}

func lintValidity(cert *x509.Certificate, want *spec) error {
	if !cert.NotBefore.Equal(want.validity.notBefore) || !cert.NotAfter.Equal(want.validity.notAfter) {
		return fmt.Errorf("validity %s to %s differs from the profile's",
			cert.NotBefore.Format(time.RFC3339), cert.NotAfter.Format(time.RFC3339))
	}
	return nil
}

func lintValidityInIssuer(cert *x509.Certificate, want *spec) error {
	if cert.NotBefore.Before(want.issuer.NotBefore) || cert.NotAfter.After(want.issuer.NotAfter) {
		return errors.New("validity reaches beyond the CA's")
	}
	return nil
}

func lintPublicKey(cert *x509.Certificate, want *spec) error {
	key, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !key.Equal(want.pub) {
		return errors.New("public key differs from the one handed in")
	}
	return nil
}

func lintUnique(cert *x509.Certificate, _ *spec) error {
	for i, e := range cert.Extensions {
		for _, other := range cert.Extensions[:i] {
			if e.Id.Equal(other.Id) {
				return fmt.Errorf("extension %s stands twice", e.Id)
			}
		}
	}
	return nil
}

// allowedOnly refuses all other extensions: an injected one could carry identity or
// rights.
func allowedOnly(cert *x509.Certificate, allowed ...asn1.ObjectIdentifier) error {
	allowed = append(allowed, oidKeyUsage(), oidExtKeyUsage(), oidSKI(), oidAKI(), oidAIA(), oidSAN(), oidCDP())
	for _, e := range cert.Extensions {
		if !slices.ContainsFunc(allowed, e.Id.Equal) {
			return fmt.Errorf("extension %s is none of the profile's", e.Id)
		}
		if e.Critical != e.Id.Equal(oidKeyUsage()) {
			return fmt.Errorf("extension %s has the wrong criticality", e.Id)
		}
	}
	return nil
}

func lintAuthorityKey(cert *x509.Certificate, want *spec) error {
	e, _ := extensionOf(cert, oidAKI())
	if err := equalDER(e.Value, struct {
		KeyID []byte `asn1:"tag:0"`
	}{want.issuer.SubjectKeyId}); err != nil {
		return fmt.Errorf("authority key identifier is not the CA's key identifier alone: %w", err)
	}
	return nil
}

func lintSubjectKey(cert *x509.Certificate, _ *spec) error {
	id, err := keyIdentifier(cert.RawSubjectPublicKeyInfo)
	if err != nil {
		return err
	}
	e, _ := extensionOf(cert, oidSKI())
	return equalDER(e.Value, id)
}

func lintNoBasicConstraints(cert *x509.Certificate, _ *spec) error {
	if _, found := extensionOf(cert, oidBasicConstraints()); found || cert.IsCA {
		return errors.New("basic constraints are present")
	}
	return nil
}

func lintDistributionPoints(cert *x509.Certificate, want *spec) error {
	if !slices.Equal(cert.CRLDistributionPoints, want.publication.CRLURLs) {
		return errors.New("CRL addresses differ from the issuer's")
	}
	// Exchange and IIS fetch the first one without credentials.
	if len(cert.CRLDistributionPoints) == 0 || !strings.HasPrefix(cert.CRLDistributionPoints[0], "http://") {
		return errors.New("first CRL address is not http")
	}
	return nil
}

func lintInformationAccess(cert *x509.Certificate, want *spec) error {
	if !slices.Equal(cert.IssuingCertificateURL, want.publication.IssuerURLs) ||
		!slices.Equal(cert.OCSPServer, want.publication.OCSPURLs) {
		return errors.New("issuer or OCSP addresses differ from the issuer's")
	}
	for _, address := range slices.Concat(cert.IssuingCertificateURL, cert.OCSPServer) {
		if !strings.HasPrefix(address, "http://") {
			return errors.New("address is not http")
		}
	}
	return nil
}

// equalDER compares octets with the DER encoding of a value.
func equalDER(got []byte, value any) error {
	want, err := asn1.Marshal(value)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("octets are %x, want %x", got, want)
	}
	return nil
}
