package ca

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/crypto/argon2"
)

// ErrPassphrase is returned when a key file cannot be decrypted: the passphrase is
// wrong, or the file was changed. The cipher cannot distinguish these.
var ErrPassphrase = errors.New("wrong passphrase, or the key file was changed")

const (
	encryptedKeyType = "CERTPORTAL SEALED KEY"
	encryptedKeyKDF  = "argon2id"
	// maxKeyFile is several times the size of the file of an RSA 4096 key.
	maxKeyFile = 16 << 10

	saltSize  = 16
	nonceSize = 12
)

// Opener opens the key that a key file of a CA folder holds, or refers to: [Passphrase], or
// one that knows tokens too. The error wraps [ErrPassphrase] when the passphrase is wrong.
type Opener interface {
	OpenKey(file []byte) (crypto.Signer, error)
}

// Passphrase opens encrypted key files.
type Passphrase []byte

// OpenKey decrypts a key file.
func (p Passphrase) OpenKey(file []byte) (crypto.Signer, error) { return DecryptKey(file, p) }

// Referred is a key that is not in its key file, as in an HSM.
type Referred interface {
	crypto.Signer

	// Reference gives the content of the key file, with which an [Opener] finds the key.
	Reference() []byte
}

// keyFile gives the content of a key file: the encrypted key, or the reference to it.
func keyFile(key crypto.Signer, passphrase []byte) ([]byte, error) {
	if elsewhere, ok := key.(Referred); ok {
		return elsewhere.Reference(), nil
	}
	return EncryptKey(key, passphrase)
}

// kdf holds the costs of Argon2id (RFC 9106 section 3.1).
type kdf struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
}

// newKDF gives the costs for new files: the second recommended option of RFC 9106
// section 4, which takes about a tenth of a second.
func newKDF() kdf { return kdf{memory: 64 << 10, passes: 3, threads: 4} }

// check bounds the costs read from a file before they are used: a hostile file
// must not exhaust the memory or delay the start.
func (k kdf) check() error {
	if k.memory < 64<<10 || k.memory > 256<<10 || k.passes < 1 || k.passes > 8 || k.threads < 1 || k.threads > 8 {
		return fmt.Errorf("costs of %d KiB, %d passes and %d threads are out of bounds", k.memory, k.passes, k.threads)
	}
	return nil
}

// encryptedKey is a parsed key file.
type encryptedKey struct {
	costs       kdf
	salt, nonce []byte
	ciphertext  []byte
}

// EncryptKey encrypts a private key with a passphrase and gives the PEM file: PKCS#8
// under AES-256-GCM, with a key that Argon2id derives from the passphrase with 64
// MiB. The headers hold costs, salt and nonce, and are authenticated. An empty
// passphrase and a key that cannot be exported, as in an HSM, are refused.
func EncryptKey(key crypto.Signer, passphrase []byte) ([]byte, error) {
	if len(passphrase) == 0 {
		return nil, errors.New("sealing key: passphrase is empty")
	}
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	defer clear(plain)
	random := make([]byte, saltSize+nonceSize)
	if _, err := rand.Read(random); err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	s := encryptedKey{costs: newKDF(), salt: random[:saltSize], nonce: random[saltSize:]}
	aead, err := s.cipher(passphrase)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	s.ciphertext = aead.Seal(nil, s.nonce, plain, s.header())
	return pem.EncodeToMemory(s.block()), nil
}

// DecryptKey decrypts a file that [EncryptKey] wrote. It returns [ErrPassphrase] when
// the passphrase is wrong, and another error, before any key derivation, when the
// file has another format or costs out of bounds.
func DecryptKey(file, passphrase []byte) (crypto.Signer, error) {
	s, err := parseEncryptedKey(file)
	if err != nil {
		return nil, fmt.Errorf("reading sealed key: %w", err)
	}
	aead, err := s.cipher(passphrase)
	if err != nil {
		return nil, fmt.Errorf("opening key: %w", err)
	}
	plain, err := aead.Open(nil, s.nonce, s.ciphertext, s.header())
	if err != nil {
		return nil, ErrPassphrase
	}
	defer clear(plain)
	key, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, fmt.Errorf("parsing opened key: %w", err)
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	}
	return nil, fmt.Errorf("parsing opened key: %T is not RSA or ECDSA", key)
}

// cipher derives the key with Argon2id and gives the AES-256-GCM cipher.
func (s *encryptedKey) cipher(passphrase []byte) (cipher.AEAD, error) {
	key := argon2.IDKey(passphrase, s.salt, s.costs.passes, s.costs.memory, s.costs.threads, 32)
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// block makes the PEM block. encoding/pem sorts the headers, so equal values give
// equal octets.
func (s *encryptedKey) block() *pem.Block {
	return &pem.Block{Type: encryptedKeyType, Bytes: s.ciphertext, Headers: map[string]string{
		"Kdf":     encryptedKeyKDF,
		"Memory":  strconv.FormatUint(uint64(s.costs.memory), 10),
		"Passes":  strconv.FormatUint(uint64(s.costs.passes), 10),
		"Threads": strconv.FormatUint(uint64(s.costs.threads), 10),
		"Salt":    base64.StdEncoding.EncodeToString(s.salt),
		"Nonce":   base64.StdEncoding.EncodeToString(s.nonce),
	}}
}

// header gives the additional authenticated data: the file without the ciphertext,
// so that no header can be changed unnoticed.
func (s *encryptedKey) header() []byte {
	b := s.block()
	b.Bytes = nil
	return pem.EncodeToMemory(b)
}

func parseEncryptedKey(file []byte) (*encryptedKey, error) {
	if len(file) > maxKeyFile {
		return nil, fmt.Errorf("file has %d octets, more than %d", len(file), maxKeyFile)
	}
	block, _ := pem.Decode(file)
	if block == nil || block.Type != encryptedKeyType {
		return nil, fmt.Errorf("file holds no PEM block %q", encryptedKeyType)
	}
	if block.Headers["Kdf"] != encryptedKeyKDF {
		return nil, fmt.Errorf("key derivation %q is not %s", block.Headers["Kdf"], encryptedKeyKDF)
	}
	costs, err := parseCosts(block.Headers)
	if err != nil {
		return nil, err
	}
	salt, err := parseOctets(block.Headers, "Salt", saltSize)
	if err != nil {
		return nil, err
	}
	nonce, err := parseOctets(block.Headers, "Nonce", nonceSize)
	if err != nil {
		return nil, err
	}
	return &encryptedKey{costs: costs, salt: salt, nonce: nonce, ciphertext: block.Bytes}, nil
}

func parseCosts(headers map[string]string) (kdf, error) {
	var values [3]uint64
	for i, name := range []string{"Memory", "Passes", "Threads"} {
		bits := 32
		if name == "Threads" {
			bits = 8
		}
		n, err := strconv.ParseUint(headers[name], 10, bits)
		if err != nil {
			return kdf{}, fmt.Errorf("parsing header %s: %w", name, err)
		}
		values[i] = n
	}
	costs := kdf{memory: uint32(values[0]), passes: uint32(values[1]), threads: uint8(values[2])}
	return costs, costs.check()
}

func parseOctets(headers map[string]string, name string, size int) ([]byte, error) {
	octets, err := base64.StdEncoding.DecodeString(headers[name])
	if err != nil {
		return nil, fmt.Errorf("parsing header %s: %w", name, err)
	}
	if len(octets) != size {
		return nil, fmt.Errorf("header %s has %d octets, not %d", name, len(octets), size)
	}
	return octets, nil
}
