package enroll

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"certportal/ca"
	"certportal/internal/deliver"
)

// Labels keep apart what is derived from one token.
const (
	sealKeyLabel      = "certportal pickup key"
	sealPasswordLabel = "certportal pickup password"
	fileSeedLabel     = "certportal pickup file"
)

// encryptPickup makes an install password and seals it and the key under the token.
func encryptPickup(t Token, serial ca.Serial, key crypto.Signer, now time.Time) (EncryptedPickup, error) {
	token, ok := t.bytes()
	if !ok {
		return EncryptedPickup{}, errors.New("sealing pickup: token has the wrong form")
	}
	password, err := deliver.NewPassword(rand.Reader)
	if err != nil {
		return EncryptedPickup{}, fmt.Errorf("making install password: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return EncryptedPickup{}, fmt.Errorf("encoding key of %s: %w", serial, err)
	}
	defer clear(der)
	p := EncryptedPickup{
		TokenHash: sha256.Sum256(token), Serial: serial,
		Expires: now.Add(PickupLife), PasswordUntil: now.Add(PasswordLife),
	}
	if p.Key, err = encrypt(token, sealKeyLabel, serial, der); err != nil {
		return EncryptedPickup{}, err
	}
	p.Password, err = encrypt(token, sealPasswordLabel, serial, []byte(password))
	return p, err
}

func decryptKey(token []byte, serial ca.Serial, sealed []byte) (crypto.Signer, error) {
	return decryptPrivateKey(token, sealKeyLabel, serial, sealed)
}

func decryptPrivateKey(token []byte, label string, serial ca.Serial, sealed []byte) (crypto.Signer, error) {
	der, err := decrypt(token, label, serial, sealed)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("parsing sealed key of %s: %w", serial, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("sealed key of %s is a %T", serial, key)
	}
	return signer, nil
}

func decryptPassword(token []byte, serial ca.Serial, sealed []byte) (string, error) {
	password, err := decrypt(token, sealPasswordLabel, serial, sealed)
	return string(password), err
}

func fileSeed(token []byte, serial ca.Serial) ([32]byte, error) {
	seed, err := hkdf.Key(sha256.New, token, []byte(serial.String()), fileSeedLabel, 32)
	if err != nil {
		return [32]byte{}, fmt.Errorf("deriving file seed: %w", err)
	}
	return [32]byte(seed), nil
}

// pickupCipher derives the AES-256-GCM key of one label. Every key seals one message,
// so a random nonce cannot repeat.
func pickupCipher(token []byte, label string, serial ca.Serial) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, token, []byte(serial.String()), label, 32)
	if err != nil {
		return nil, fmt.Errorf("deriving %s: %w", label, err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("setting up %s: %w", label, err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func encrypt(token []byte, label string, serial ca.Serial, plain []byte) ([]byte, error) {
	aead, err := pickupCipher(token, label, serial)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plain, []byte(label)), nil
}

func decrypt(token []byte, label string, serial ca.Serial, sealed []byte) ([]byte, error) {
	aead, err := pickupCipher(token, label, serial)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed, []byte(label))
	if err != nil {
		return nil, fmt.Errorf("opening %s of %s: %w", label, serial, err)
	}
	return plain, nil
}
