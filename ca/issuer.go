package ca

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"certportal/ca/witness"
)

// IssuerConfig configures an Issuer.
type IssuerConfig struct {
	Name        string            // Optional: of the authority, in records; default [FirstAuthority]
	Certificate *x509.Certificate // the CA certificate
	Signer      crypto.Signer     // its key, in memory or in an HSM; used concurrently
	Rand        io.Reader         // Optional: source of serials for repeatable tests; default crypto/rand

	// Publication goes into the certificates. Optional for a CA that signs CRLs only.
	Publication Publication
}

// Issuer signs certificates and CRLs with one CA key. It is safe for concurrent
// use as far as its Signer is.
type Issuer struct {
	cert     *x509.Certificate
	signer   crypto.Signer
	kind     KeyKind
	rand     io.Reader
	lintCert *x509.Certificate // cert with the throwaway key in place of its own
	lintKey  crypto.Signer     // throwaway key
	lints    *lintSet
	validity validity

	name        string
	publication Publication
}

// NewIssuer checks that certificate and key belong together and may sign
// certificates and CRLs. It makes a throwaway key, which takes tens of
// milliseconds for an RSA issuer.
func NewIssuer(cfg IssuerConfig) (*Issuer, error) {
	if cfg.Certificate == nil || cfg.Signer == nil {
		return nil, errors.New("checking issuer: certificate or key is missing")
	}
	name := cfg.Certificate.Subject.String()
	kind, err := checkIssuer(cfg.Certificate, cfg.Signer.Public())
	if err != nil {
		return nil, fmt.Errorf("checking issuer %s: %w", name, err)
	}
	if !cfg.Publication.empty() {
		if err := cfg.Publication.check(); err != nil {
			return nil, fmt.Errorf("checking issuer %s: %w", name, err)
		}
	}
	lintKey, err := newLintKey(kind)
	if err != nil {
		return nil, fmt.Errorf("checking issuer %s: %w", name, err)
	}
	lints, err := newLintSet()
	if err != nil {
		return nil, fmt.Errorf("checking issuer %s: %w", name, err)
	}
	return &Issuer{
		cert:     cfg.Certificate,
		signer:   cfg.Signer,
		kind:     kind,
		rand:     cfg.Rand,
		lintCert: withLintKey(cfg.Certificate, lintKey),
		lintKey:  lintKey,
		lints:    lints,
		validity: validity{cfg.Certificate.NotBefore, cfg.Certificate.NotAfter},

		name:        cmp.Or(cfg.Name, FirstAuthority),
		publication: cfg.Publication.clone(),
	}, nil
}

// Name gives the name of the authority in records.
func (i *Issuer) Name() string { return i.name }

// Certificate gives the CA certificate. It is shared: do not change it.
func (i *Issuer) Certificate() *x509.Certificate { return i.cert }

// checkIssuer checks what RFC 5280 sections 4.2.1.2, 4.2.1.3 and 4.2.1.9 demand
// of a CA, so that a wrong file is an error at start, not at the first signature.
func checkIssuer(cert *x509.Certificate, pub crypto.PublicKey) (KeyKind, error) {
	kind, err := KindOf(cert.PublicKey)
	if err != nil {
		return "", err
	}
	if !sameKey(cert.PublicKey, pub) {
		return "", errors.New("key does not belong to the certificate")
	}
	if !cert.BasicConstraintsValid || !cert.IsCA {
		return "", errors.New("certificate is not that of a CA (RFC 5280 section 4.2.1.9)")
	}
	if cert.KeyUsage&x509.KeyUsageCertSign == 0 || cert.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return "", errors.New("certificate lacks keyCertSign or cRLSign (RFC 5280 section 4.2.1.3)")
	}
	if len(cert.SubjectKeyId) == 0 {
		return "", errors.New("certificate lacks a subject key identifier (RFC 5280 section 4.2.1.2)")
	}
	return kind, nil
}

// newLintKey makes the throwaway key, which signs certificates for the lints. It has
// the issuer's algorithm, so that the AlgorithmIdentifier in the certificate is the
// same. No one trusts the key, so the smallest RSA size that Go signs with is
// enough, at a third of the cost for every certificate.
func newLintKey(kind KeyKind) (crypto.Signer, error) {
	if kind.isRSA() {
		return rsa.GenerateKey(rand.Reader, 1024)
	}
	return kind.Generate()
}

// withLintKey gives a CA certificate with the throwaway key in place of the real
// one. Name and key identifier are the same, hence the TBSCertificates that it
// issues too.
func withLintKey(cert *x509.Certificate, key crypto.Signer) *x509.Certificate {
	stand := *cert
	stand.PublicKey = key.Public()
	return &stand
}

// sign signs tbs with the key and the hash of its kind.
func sign(key crypto.Signer, kind KeyKind, tbs []byte) ([]byte, error) {
	hash := kind.signing().hash
	h := hash.New()
	h.Write(tbs)
	witness.Signing(tbs)
	return key.Sign(rand.Reader, h.Sum(nil), hash)
}

// verify checks a signature over tbs against the CA's public key. An HSM or a
// faulty CPU can return a wrong one, which for RSA can reveal the key.
func verify(cert *x509.Certificate, kind KeyKind, tbs, signature []byte) error {
	hash := kind.signing().hash
	h := hash.New()
	h.Write(tbs)
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, hash, h.Sum(nil), signature)
	case *ecdsa.PublicKey:
		if ecdsa.VerifyASN1(key, h.Sum(nil), signature) {
			return nil
		}
	}
	return errors.New("signature does not verify")
}

// validity is a period, both ends included.
type validity struct {
	notBefore, notAfter time.Time
}

// ValidityError means that the validity of a certificate would exceed that of its
// issuer. It is not shortened silently: the issuer must be renewed.
type ValidityError struct {
	NotBefore, NotAfter             time.Time // of the requested certificate
	IssuerNotBefore, IssuerNotAfter time.Time
}

// Error names both periods.
func (e *ValidityError) Error() string {
	return fmt.Sprintf("refusing validity %s to %s: the issuer's is %s to %s",
		e.NotBefore.Format(time.RFC3339), e.NotAfter.Format(time.RFC3339),
		e.IssuerNotBefore.Format(time.RFC3339), e.IssuerNotAfter.Format(time.RFC3339))
}

// newValidity makes the period from now, in whole seconds. notAfter is inclusive
// (RFC 5280 section 4.1.2.5), hence one second less.
func newValidity(now time.Time, backdate, length time.Duration) validity {
	start := now.UTC().Truncate(time.Second).Add(-backdate)
	return validity{start, start.Add(length - time.Second)}
}

// period makes the validity of a certificate. It begins no earlier than the issuer's: some
// CAs do not backdate, and the first certificates below a new one are issued at once.
func (i *Issuer) period(now time.Time, backdate, length time.Duration) (validity, error) {
	v := newValidity(now, backdate, length)
	if start := i.validity.notBefore; v.notBefore.Before(start) && !now.Before(start) {
		v.notBefore = start
	}
	return v, v.within(i.validity)
}

// within returns a ValidityError for a period that is not within the issuer's.
func (v validity) within(issuer validity) error {
	if !v.notBefore.Before(issuer.notBefore) && !v.notAfter.After(issuer.notAfter) {
		return nil
	}
	return &ValidityError{v.notBefore, v.notAfter, issuer.notBefore, issuer.notAfter}
}
