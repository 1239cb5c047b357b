package auditmonitor

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

const (
	// keyProfile is the profile of the certificate in the records, and its name.
	keyProfile = "Audit log"

	// keyLife is how long a key seals. A third before its end a new one is made.
	keyLife = 365 * 24 * time.Hour
)

// KeyConfig is what keys are made with. All fields but Now are required.
type KeyConfig struct {
	Store  Store
	Issuer *enroll.OwnIssuer // nil while the CA is sealed: keys are opened, none is made

	// Certificate holds the addresses of the issuer's list; name and validity are
	// set here.
	Certificate ca.AuditSignerConfig

	// Guard seals a key for the store, and Open gives it back.
	Encrypt func(crypto.Signer) ([]byte, error)
	Decrypt func([]byte) (crypto.Signer, error)

	Now func() time.Time // default time.Now
}

// Keys gives the key that seals.
type Keys struct {
	c KeyConfig

	mu     sync.Mutex
	key    crypto.Signer
	serial string
	until  time.Time // when to look for another
}

// NewKeys checks the configuration. No key is made or opened before Key: both
// cost a moment and much memory, on purpose.
func NewKeys(c KeyConfig) (*Keys, error) {
	if c.Store == nil || c.Encrypt == nil || c.Decrypt == nil {
		return nil, errors.New("ledger keys: a required part is missing")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Certificate.Name, c.Certificate.Validity = keyProfile, keyLife
	return &Keys{c: c}, nil
}

// Key gives the key in force and the serial of its certificate. It makes one when
// there is none, or a third of its life is left.
func (k *Keys) Key(ctx context.Context) (crypto.Signer, string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.c.Now()
	if k.key != nil && now.Before(k.until) {
		return k.key, k.serial, nil
	}
	key, cert, err := k.stored(ctx, now)
	if errors.Is(err, portal.ErrNotFound) || err == nil && now.After(cert.NotAfter.Add(-keyLife/3)) {
		if k.c.Issuer == nil {
			return nil, "", errors.New("finding the key that seals: there is none, and the CA is sealed")
		}
		key, cert, err = k.make(ctx)
	}
	if err != nil {
		return nil, "", err
	}
	serial, err := ca.SerialOf(cert.SerialNumber)
	if err != nil {
		return nil, "", err
	}
	k.key, k.serial, k.until = key, serial.String(), cert.NotAfter.Add(-keyLife/3)
	return k.key, k.serial, nil
}

func (k *Keys) stored(ctx context.Context, now time.Time) (crypto.Signer, *x509.Certificate, error) {
	der, guarded, err := k.c.Store.AuditKey(ctx, now)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("parsing ledger certificate: %w", err)
	}
	key, err := k.c.Decrypt(guarded)
	if err != nil {
		return nil, nil, fmt.Errorf("opening ledger key: %w", err)
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(cert.PublicKey) {
		return nil, nil, errors.New("ledger key is not that of its certificate")
	}
	return key, cert, nil
}

// make stores the key last: a crash before that leaves a certificate whose key is lost.
func (k *Keys) make(ctx context.Context) (crypto.Signer, *x509.Certificate, error) {
	key, err := ca.ECP256.Generate()
	if err != nil {
		return nil, nil, fmt.Errorf("making ledger key: %w", err)
	}
	guarded, err := k.c.Encrypt(key)
	if err != nil {
		return nil, nil, fmt.Errorf("guarding ledger key: %w", err)
	}
	cert, err := k.c.Issuer.IssueOwn(ctx, enroll.OwnRequest{
		Profile: keyProfile, Certificate: k.c.Certificate, Key: key.Public(),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("issuing ledger certificate: %w", err)
	}
	serial, err := ca.SerialOf(cert.SerialNumber)
	if err != nil {
		return nil, nil, err
	}
	return key, cert, k.c.Store.AddAuditKey(ctx, serial, guarded, cert.NotAfter)
}

// CertifiedBy judges seals by the certificate of their key: it must be one for
// sealing, by this issuing CA, and in force when the seal was made.
func CertifiedBy(issuing *x509.Certificate, store Store) Certified {
	var mu sync.Mutex
	known := make(map[string]*x509.Certificate)
	find := func(ctx context.Context, serial string) (*x509.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		if cert := known[serial]; cert != nil {
			return cert, nil
		}
		der, err := store.AuditCertificate(ctx, serial)
		if err != nil {
			return nil, err
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil || !ca.IsAuditSigner(cert) || cert.CheckSignatureFrom(issuing) != nil {
			return nil, portal.ErrNotFound
		}
		known[serial] = cert
		return cert, nil
	}
	return func(ctx context.Context, s audit.Checkpoint) error {
		cert, err := find(ctx, s.Key)
		if err != nil && !errors.Is(err, portal.ErrNotFound) {
			return err
		}
		if err != nil || s.At.Before(cert.NotBefore) || s.At.After(cert.NotAfter) || s.Verify(cert.PublicKey) != nil {
			return &audit.Break{Seq: s.Seq, Fault: audit.CheckpointForged}
		}
		return nil
	}
}
