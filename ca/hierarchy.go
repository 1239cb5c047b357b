package ca

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"time"

	zlint "github.com/zmap/zlint/v3/lint"
)

// HierarchyConfig describes a new root and issuing CA.
type HierarchyConfig struct {
	Organization string // in both names; required, at most 64 characters
	RootName     string // Optional: common name; default "<Organization> Root CA"
	IssuingName  string // Optional: common name; default "<Organization> Issuing CA"

	RootKind    KeyKind // Optional: default RSA3072
	IssuingKind KeyKind // Optional: default RSA3072

	// RootKey and IssuingKey are existing keys, as in an HSM. Optional: new keys
	// of the kinds above, which are then ignored.
	RootKey, IssuingKey crypto.Signer

	RootValidity time.Duration // Optional: default 20 years of 365 days
	// IssuingValidity is at most the root's. Optional: default 5 years of 365
	// days: certificates of one year over four years of use, then a new one.
	IssuingValidity time.Duration

	CRLURL    string // Optional: http address of the root's CRL, for the issuing CA's certificate
	IssuerURL string // Optional: http address of the root's certificate in DER

	Rand io.Reader // Optional: source of serials for repeatable tests; default crypto/rand
}

// Hierarchy is a root and an issuing CA under it, with both keys in memory.
type Hierarchy struct {
	Root, Issuing       *x509.Certificate
	RootKey, IssuingKey crypto.Signer
}

const (
	year = 365 * 24 * time.Hour
	// backdateCA is more than the backdating of any profile, so that the first
	// certificate of a new CA is within its validity.
	backdateCA = 2 * maxBackdate
)

// CreateHierarchy makes keys and certificates for a root and an issuing CA.
// The root is limited by its key usage only. The issuing CA cannot have
// subordinate CAs (pathLen 0), and its extended key usages limit its certificates
// to clients, mail, EFS, the portal's own TLS and OCSP: a thief of its key can
// issue no certificates for code signing or domain controllers. Both certificates
// pass the lints.
//
// The error names the invalid setting. Making two RSA 3072 keys takes about a
// second.
func CreateHierarchy(cfg HierarchyConfig, now time.Time) (*Hierarchy, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("creating CA: %w", err)
	}
	lints, err := newLintSet()
	if err != nil {
		return nil, fmt.Errorf("creating CA: %w", err)
	}
	h := &Hierarchy{RootKey: cfg.RootKey, IssuingKey: cfg.IssuingKey}
	root, err := cfg.template(cfg.RootName, h.RootKey.Public(), newValidity(now, backdateCA, cfg.RootValidity))
	if err != nil {
		return nil, fmt.Errorf("creating root CA: %w", err)
	}
	// Optional in a root (RFC 5280 section 4.2.1.1); set so that all certificates
	// of the portal have the same extensions.
	root.AuthorityKeyId = root.SubjectKeyId
	if h.Root, err = signCA(root, root, h.RootKey.Public(), h.RootKey, lints); err != nil {
		return nil, fmt.Errorf("creating root CA: %w", err)
	}
	issuing, err := cfg.template(cfg.IssuingName, h.IssuingKey.Public(), newValidity(now, backdateCA, cfg.IssuingValidity))
	if err != nil {
		return nil, fmt.Errorf("creating issuing CA: %w", err)
	}
	if err := cfg.limit(issuing); err != nil {
		return nil, fmt.Errorf("creating issuing CA: %w", err)
	}
	if h.Issuing, err = signCA(issuing, h.Root, h.IssuingKey.Public(), h.RootKey, lints); err != nil {
		return nil, fmt.Errorf("creating issuing CA: %w", err)
	}
	return h, nil
}

// complete sets defaults, checks the settings, and makes missing keys.
func (c *HierarchyConfig) complete() error {
	if c.Organization == "" || len(c.Organization) > maxCommonName {
		return errors.New("organization is missing or longer than 64 octets")
	}
	if c.RootName == "" {
		c.RootName = c.Organization + " Root CA"
	}
	if c.IssuingName == "" {
		c.IssuingName = c.Organization + " Issuing CA"
	}
	if c.RootName == c.IssuingName || len(c.RootName) > maxCommonName || len(c.IssuingName) > maxCommonName {
		return errors.New("names of root and issuing CA are equal, or longer than 64 octets")
	}
	if c.RootValidity == 0 {
		c.RootValidity = 20 * year
	}
	if c.IssuingValidity == 0 {
		c.IssuingValidity = min(5*year, c.RootValidity)
	}
	if c.IssuingValidity < minValidity || c.IssuingValidity > c.RootValidity {
		return fmt.Errorf("validity of the issuing CA is %s, that of the root %s", c.IssuingValidity, c.RootValidity)
	}
	for _, address := range []string{c.CRLURL, c.IssuerURL} {
		if address == "" {
			continue
		}
		if err := checkURL(address, false); err != nil {
			return err
		}
	}
	return c.makeKeys()
}

func (c *HierarchyConfig) makeKeys() error {
	for _, k := range []struct {
		key  *crypto.Signer
		kind KeyKind
	}{{&c.RootKey, c.RootKind}, {&c.IssuingKey, c.IssuingKind}} {
		if *k.key == nil {
			if k.kind == "" {
				k.kind = RSA3072
			}
			made, err := k.kind.Generate()
			if err != nil {
				return err
			}
			*k.key = made
		}
		if _, err := KindOf((*k.key).Public()); err != nil {
			return err
		}
	}
	return nil
}

// template makes the fields that root and issuing CA share (RFC 5280 sections
// 4.2.1.2, 4.2.1.3 and 4.2.1.9).
func (c *HierarchyConfig) template(name string, pub crypto.PublicKey, valid validity) (*x509.Certificate, error) {
	serial, err := NewSerial(c.Rand)
	if err != nil {
		return nil, err
	}
	id, err := keyIdentifierOf(pub)
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber:          serial.Big(),
		Subject:               pkix.Name{Organization: []string{c.Organization}, CommonName: name},
		NotBefore:             valid.notBefore,
		NotAfter:              valid.notAfter,
		SubjectKeyId:          id,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            -1,
	}, nil
}

// limit adds the constraints of the issuing CA. Its usages are those of everything that
// it signs, the portal's own certificates included: verifiers that look for a usage in
// the whole chain refuse one that is not among them.
func (c *HierarchyConfig) limit(template *x509.Certificate) error {
	template.MaxPathLen, template.MaxPathLenZero = 0, true
	usages, err := usageExtension([]asn1.ObjectIdentifier{
		oidEFS(), oidEmailProtection(), oidClientAuth(), oidServerAuth(), oidOCSPSigning(),
		oidRegistrationAuthority(), oidDocumentSigning(),
	})
	if err != nil {
		return err
	}
	template.ExtraExtensions = []pkix.Extension{usages}
	if c.CRLURL != "" {
		template.CRLDistributionPoints = []string{c.CRLURL}
	}
	if c.IssuerURL != "" {
		template.IssuingCertificateURL = []string{c.IssuerURL}
	}
	return nil
}

// signCA lints a CA certificate under a throwaway key, then signs it. For the
// root, parent is the template itself.
func signCA(template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer, lints *lintSet) (*x509.Certificate, error) {
	kind, err := KindOf(key.Public())
	if err != nil {
		return nil, err
	}
	lintKey, err := newLintKey(kind)
	if err != nil {
		return nil, err
	}
	template.SignatureAlgorithm = kind.signing().algorithm
	raw, err := x509.CreateCertificate(rand.Reader, template, withLintKey(parent, lintKey), pub, lintKey)
	if err != nil {
		return nil, fmt.Errorf("encoding certificate: %w", err)
	}
	linted, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("parsing certificate: %w", err)
	}
	findings, err := lints.standard(raw, zlint.Notice)
	if err != nil {
		return nil, err
	}
	if err := refusal(findings); err != nil {
		return nil, err
	}
	cert, err := signTBS(key, kind, linted.RawTBSCertificate)
	if err != nil {
		return nil, fmt.Errorf("signing certificate: %w", err)
	}
	if !bytes.Equal(cert.RawTBSCertificate, linted.RawTBSCertificate) {
		return nil, errors.New("signed bytes differ from linted bytes")
	}
	if parent == template {
		parent = cert
	}
	return cert, wrap("checking signature", cert.CheckSignatureFrom(parent))
}
