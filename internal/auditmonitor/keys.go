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
	// keyProfile is the profile and the name of the certificate.
	keyProfile = "Audit log"

	// keyLife is how long a key signs. A third before its end it is replaced.
	keyLife = 365 * 24 * time.Hour
)

// KeyConfig configures [Keys]. All fields but Issuer and Now are required.
type KeyConfig struct {
	Store  Store
	Issuer *enroll.OwnIssuer // nil while the CA is sealed: existing keys work, new ones cannot be made

	// Encrypt and Decrypt convert a key for the store.
	Encrypt func(crypto.Signer) ([]byte, error)
	Decrypt func([]byte) (crypto.Signer, error)

	Now func() time.Time // default time.Now
}

// Keys provides the key that signs checkpoints.
type Keys struct {
	c KeyConfig

	mu     sync.Mutex
	key    crypto.Signer
	serial string
	until  time.Time // when to replace the key
}

// NewKeys checks the configuration. Keys are made and decrypted only on demand, because
// the key derivation takes time and memory.
func NewKeys(c KeyConfig) (*Keys, error) {
	if c.Store == nil || c.Encrypt == nil || c.Decrypt == nil {
		return nil, errors.New("audit keys: a required part is missing")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Keys{c: c}, nil
}

// Key returns the current key and the serial of its certificate. It makes a new key
// when there is none, or a third of its life is left.
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
			return nil, "", errors.New("finding audit key: there is none, and the CA is sealed")
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
	der, encrypted, err := k.c.Store.AuditKey(ctx, now)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("parsing audit certificate: %w", err)
	}
	key, err := k.c.Decrypt(encrypted)
	if err != nil {
		return nil, nil, fmt.Errorf("decrypting audit key: %w", err)
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(cert.PublicKey) {
		return nil, nil, errors.New("audit key does not match its certificate")
	}
	return key, cert, nil
}

// make stores the key last: a crash before that leaves a certificate whose key is lost.
func (k *Keys) make(ctx context.Context) (crypto.Signer, *x509.Certificate, error) {
	key, err := ca.ECP256.Generate()
	if err != nil {
		return nil, nil, fmt.Errorf("generating audit key: %w", err)
	}
	encrypted, err := k.c.Encrypt(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encrypting audit key: %w", err)
	}
	cert, err := k.c.Issuer.IssueOwn(ctx, enroll.OwnRequest{
		Profile: keyProfile, Certificate: ca.AuditSignerConfig{Name: keyProfile, Validity: keyLife}, Key: key.Public(),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("issuing audit certificate: %w", err)
	}
	serial, err := ca.SerialOf(cert.SerialNumber)
	if err != nil {
		return nil, nil, err
	}
	return key, cert, k.c.Store.AddAuditKey(ctx, serial, encrypted, cert.NotAfter)
}

// CertifiedBy returns a check for the key of a checkpoint: its certificate must be an
// audit signer's, issued by a CA of this portal, and valid when the checkpoint was made.
func CertifiedBy(issued func(*x509.Certificate) bool, store Store) Certified {
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
		if err != nil || !ca.IsAuditSigner(cert) || !issued(cert) {
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
