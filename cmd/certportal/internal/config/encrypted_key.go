package config

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"

	"certportal/ca"
)

// convertKey is how a key is encrypted so that it can be read here.
const convertKey = "openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -in OLD -out NEW"

// maxRounds bounds PBKDF2: a hostile file must not hold up the portal. OpenSSL takes 2048.
const maxRounds = 1_000_000

// encryptedKey is EncryptedPrivateKeyInfo (RFC 5958 section 3).
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// pbes2 are the parameters of PBES2, and pbkdf2Parameters those of PBKDF2 (RFC 8018 appendix A).
type pbes2 struct{ KDF, Cipher pkix.AlgorithmIdentifier }

type pbkdf2Parameters struct {
	Salt      []byte
	Rounds    int
	KeyLength int                      `asn1:"optional"`
	PRF       pkix.AlgorithmIdentifier `asn1:"optional"` // default hmacWithSHA1
}

// decryptKey opens a key in the form of RFC 5958, encrypted by PBES2 with PBKDF2 and AES in
// CBC mode, and gives it in PKCS#8. The error wraps [ca.ErrPassphrase] when the passphrase is
// wrong.
func decryptKey(der, passphrase []byte) ([]byte, error) {
	var e encryptedKey
	var scheme pbes2
	var kdf pbkdf2Parameters
	if err := exactly(der, &e); err != nil {
		return nil, err
	}
	if !e.Algorithm.Algorithm.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}) {
		return nil, fmt.Errorf("it is encrypted by %s and not by PBES2: %s", e.Algorithm.Algorithm, convertKey)
	}
	if err := exactly(e.Algorithm.Parameters.FullBytes, &scheme); err != nil {
		return nil, err
	}
	if !scheme.KDF.Algorithm.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}) {
		return nil, fmt.Errorf("its key derivation is %s and not PBKDF2: %s", scheme.KDF.Algorithm, convertKey)
	}
	if err := exactly(scheme.KDF.Parameters.FullBytes, &kdf); err != nil {
		return nil, err
	}
	return kdf.open(scheme.Cipher, e.Data, passphrase)
}

// open derives the key and decrypts data.
func (k pbkdf2Parameters) open(c pkix.AlgorithmIdentifier, data, passphrase []byte) ([]byte, error) {
	prf, err := prfOf(k.PRF.Algorithm)
	if err != nil {
		return nil, err
	}
	size := keySize(c.Algorithm)
	var iv []byte
	switch err := exactly(c.Parameters.FullBytes, &iv); {
	case size == 0:
		return nil, fmt.Errorf("its cipher is %s and not AES-CBC: %s", c.Algorithm, convertKey)
	case err != nil:
		return nil, err
	case len(iv) != aes.BlockSize || len(data) == 0 || len(data)%aes.BlockSize != 0 || k.KeyLength != 0 && k.KeyLength != size:
		return nil, errors.New("its parameters do not fit its cipher")
	case k.Rounds < 1 || k.Rounds > maxRounds:
		return nil, fmt.Errorf("it takes %d rounds of PBKDF2, and 1 to %d can be used", k.Rounds, maxRounds)
	}
	key, err := pbkdf2.Key(prf, string(passphrase), k.Salt, k.Rounds, size)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize || !bytes.HasSuffix(plain, bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, ca.ErrPassphrase
	}
	plain = plain[:len(plain)-pad]
	if _, err := x509.ParsePKCS8PrivateKey(plain); err != nil {
		return nil, fmt.Errorf("%w (%w)", ca.ErrPassphrase, err)
	}
	return plain, nil
}

// prfOf gives the hash of a pseudo-random function (RFC 8018 appendix B.1).
func prfOf(id asn1.ObjectIdentifier) (func() hash.Hash, error) {
	switch id.String() {
	case "", "1.2.840.113549.2.7":
		return sha1.New, nil
	case "1.2.840.113549.2.9":
		return sha256.New, nil
	case "1.2.840.113549.2.10":
		return sha512.New384, nil
	case "1.2.840.113549.2.11":
		return sha512.New, nil
	}
	return nil, fmt.Errorf("its pseudo-random function is %s: %s", id, convertKey)
}

// keySize gives the octets of the key of an AES cipher in CBC mode; 0 for another cipher.
func keySize(id asn1.ObjectIdentifier) int {
	switch id.String() {
	case "2.16.840.1.101.3.4.1.2":
		return 16
	case "2.16.840.1.101.3.4.1.22":
		return 24
	case "2.16.840.1.101.3.4.1.42":
		return 32
	}
	return 0
}

// exactly reads DER that holds one value.
func exactly(der []byte, value any) error {
	rest, err := asn1.Unmarshal(der, value)
	if err != nil {
		return fmt.Errorf("reading encrypted key: %w", err)
	}
	if len(rest) > 0 {
		return fmt.Errorf("reading encrypted key: %d octets follow it", len(rest))
	}
	return nil
}
