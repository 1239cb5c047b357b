package ca

import (
	"crypto"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
)

// DeriveSecret derives 32 bytes from a private key (RFC 5869), the same from each copy
// of it. Who does not have the key cannot compute them, and they reveal nothing of it.
// A key that cannot be exported, as in an HSM, is refused.
func DeriveSecret(key crypto.Signer, label string) ([32]byte, error) {
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return [32]byte{}, fmt.Errorf("deriving secret from key: %w", err)
	}
	defer clear(plain)
	secret, err := hkdf.Key(sha256.New, plain, nil, label, sha256.Size)
	if err != nil {
		return [32]byte{}, fmt.Errorf("deriving secret from key: %w", err)
	}
	return [32]byte(secret), nil
}
