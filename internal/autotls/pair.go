package autotls

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"certportal/internal/durable"
	"certportal/internal/portal"
)

// Due reports whether a certificate must be renewed: when a third of its life is left.
func Due(leaf *x509.Certificate, now time.Time) bool { return !now.Before(RenewFrom(leaf)) }

// RenewFrom is when a certificate is renewed.
func RenewFrom(leaf *x509.Certificate) time.Time {
	return leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 3)
}

func validAt(leaf *x509.Certificate, now time.Time) bool {
	return !now.Before(leaf.NotBefore) && now.Before(leaf.NotAfter)
}

var errOlder = errors.New("it ends before the one in use")

// prefer returns why the stored certificate must not replace the current one, which is nil for
// none. The database may have been restored from before a renewal, so its certificate counts
// only if it is valid, and ends later than a valid one in use or is the one not yet due.
func prefer(stored, current *tls.Certificate, now time.Time) error {
	s := stored.Leaf
	if !validAt(s, now) {
		return fmt.Errorf("it is valid from %s to %s", s.NotBefore.UTC().Format(time.RFC3339), s.NotAfter.UTC().Format(time.RFC3339))
	}
	if current == nil || !validAt(current.Leaf, now) {
		return nil
	}
	c := current.Leaf
	if s.NotAfter.Before(c.NotAfter) && (Due(s, now) || !Due(c, now)) {
		return errOlder
	}
	return nil
}

func covers(leaf *x509.Certificate, names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return leaf.VerifyHostname(name) != nil })
}

// Served reads the copy in a folder, for a command beside the portal; nil when there is none
// that is valid now for the names.
func Served(folder string, names []string, now time.Time) *x509.Certificate {
	pair, err := readPair(File(folder))
	if err != nil || !covers(pair.Leaf, names) || !validAt(pair.Leaf, now) {
		return nil
	}
	return pair.Leaf
}

// readPair reads key and chain from one file. The error wraps fs.ErrNotExist when there is none.
func readPair(file string) (*tls.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &pair, nil
}

// writePair writes key and chain into one file, so that they always belong together.
func writePair(file string, pair *tls.Certificate) error {
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return fmt.Errorf("encoding TLS key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("writing TLS certificate: %w", err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), chainPEM(pair)...)
	return durable.Replace(file, text, 0o600)
}

func chainPEM(pair *tls.Certificate) []byte {
	var b bytes.Buffer
	for _, der := range pair.Certificate {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}) // memory
	}
	return b.Bytes()
}

func samePEM(chain []byte, pair *tls.Certificate) bool { return bytes.Equal(chain, chainPEM(pair)) }

// keyLabel separates the key that encrypts from others of the installation.
const keyLabel = "certportal ACME certificate key"

func sealer(s portal.Secret) (cipher.AEAD, error) {
	key := s.Key(keyLabel)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("keying the encryption of the TLS key: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal encrypts the key for the store. The chain is authenticated with it.
func (m *Manager) seal(pair *tls.Certificate) (Sealed, error) {
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return Sealed{}, fmt.Errorf("encoding TLS key: %w", err)
	}
	aead, err := sealer(m.c.Secret)
	if err != nil {
		return Sealed{}, err
	}
	chain := chainPEM(pair)
	return Sealed{Chain: chain, Key: aead.Seal(nil, nil, der, chain)}, nil
}

// open decrypts a certificate of the store.
func (m *Manager) open(s Sealed) (*tls.Certificate, error) {
	aead, err := sealer(m.c.Secret)
	if err != nil {
		return nil, err
	}
	der, err := aead.Open(nil, nil, s.Key, s.Chain)
	if err != nil {
		return nil, errors.New("its key was encrypted by another installation")
	}
	pair, err := tls.X509KeyPair(s.Chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		return nil, err
	}
	if !covers(pair.Leaf, m.c.Names) {
		return nil, errors.New("it is for other names")
	}
	return &pair, nil
}
