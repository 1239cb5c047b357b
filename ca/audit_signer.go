package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"
)

// oidDocumentSigning is id-kp-documentSigning of RFC 9336. A certificate with this
// usage alone authenticates neither a person nor a server.
func oidDocumentSigning() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 36}
}

// AuditSignerConfig describes the certificate of the key that signs checkpoints of the
// portal's audit log. The key must be EC. The fields are those of [RAConfig].
type AuditSignerConfig RAConfig

// prepare allows the key to sign documents only. The certificate names no person and no
// server.
func (cfg AuditSignerConfig) prepare(i *Issuer, pub crypto.PublicKey, now time.Time) (*Prepared, error) {
	want, err := i.newNamedSpec(RAConfig(cfg), pub, now)
	if err != nil {
		return nil, fmt.Errorf("preparing sealing certificate: %w", err)
	}
	if want.kind.isRSA() {
		return nil, &KeyError{Reason: "seals are made with EC keys"}
	}
	want.auditSigner = cfg.Name
	return i.prepareFor(want, cfg.Name, x509.KeyUsageDigitalSignature, oidDocumentSigning())
}

// IsAuditSigner reports whether a certificate is for signing checkpoints of the audit
// log. It does not check who issued it.
func IsAuditSigner(cert *x509.Certificate) bool { return lintAuditSignerUsage(cert, nil) == nil }

// auditSignerRules gives the lints of an audit signer's certificate.
func auditSignerRules() []rule {
	return []rule{
		{"sealer-name", "RFC 5280 section 4.1.2.6", lintAuditSignerName},
		{"sealer-usage", "RFC 9336 section 3", lintAuditSignerUsage},
		{"extensions-known", "golden list of the sealer profile", lintKnownServer},
	}
}

func lintAuditSignerName(cert *x509.Certificate, want *spec) error {
	return onlyName(cert, want.auditSigner)
}

func lintAuditSignerUsage(cert *x509.Certificate, _ *spec) error {
	e, _ := extensionOf(cert, oidExtKeyUsage())
	if err := equalDER(e.Value, []asn1.ObjectIdentifier{oidDocumentSigning()}); err != nil {
		return fmt.Errorf("extended key usage is not that of a document signer alone: %w", err)
	}
	if e, _ := extensionOf(cert, oidKeyUsage()); !bytes.Equal(e.Value, []byte{0x03, 0x02, 0x07, 0x80}) || !e.Critical {
		return errors.New("key usage is not a critical digitalSignature alone")
	}
	return nil
}
