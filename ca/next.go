package ca

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"
)

// NextConfig describes the next issuing CA under the portal's own root.
type NextConfig struct {
	Root    *x509.Certificate
	RootKey crypto.Signer
	Request *x509.CertificateRequest // of the new CA; its name and key are taken, nothing else

	// Validity is at most what is left of the root's. Optional: default 5 years of 365
	// days, or what is left.
	Validity time.Duration

	CRLURL    string // Optional: http address of the root's CRL
	IssuerURL string // Optional: http address of the root's certificate in DER

	Rand io.Reader // Optional: source of serials for repeatable tests; default crypto/rand
}

// CertifyNext makes the certificate of the next issuing CA, with the constraints of the
// first (see [CreateHierarchy]). It passes the lints.
func CertifyNext(cfg NextConfig, now time.Time) (*x509.Certificate, error) {
	cert, err := certifyNext(cfg, now)
	return cert, wrap("certifying the next issuing CA", err)
}

func certifyNext(cfg NextConfig, now time.Time) (*x509.Certificate, error) {
	if cfg.Root == nil || cfg.RootKey == nil || cfg.Request == nil {
		return nil, errors.New("root, its key or the request is missing")
	}
	if _, err := checkIssuer(cfg.Root, cfg.RootKey.Public()); err != nil {
		return nil, err
	}
	if err := cfg.Request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the request is not signed with its key: %w", err)
	}
	left := cfg.Root.NotAfter.Sub(now)
	if cfg.Validity == 0 {
		cfg.Validity = min(5*year, left)
	}
	if cfg.Validity < minValidity || cfg.Validity > left {
		return nil, fmt.Errorf("validity of the issuing CA is %s, and %s of the root are left", cfg.Validity, left)
	}
	shape := HierarchyConfig{CRLURL: cfg.CRLURL, IssuerURL: cfg.IssuerURL, Rand: cfg.Rand}
	template, err := shape.template("", cfg.Request.PublicKey, newValidity(now, backdateCA, cfg.Validity))
	if err != nil {
		return nil, err
	}
	template.RawSubject = cfg.Request.RawSubject
	if err := shape.limit(template); err != nil {
		return nil, err
	}
	lints, err := newLintSet()
	if err != nil {
		return nil, err
	}
	return signCA(template, cfg.Root, cfg.Request.PublicKey, cfg.RootKey, lints)
}
