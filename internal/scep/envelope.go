package scep

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/smallstep/pkcs7"
)

// This file implements EnvelopedData itself. The library's Encrypt takes its cipher from
// a package variable, with DES as default; its decryption accepts DES, and its errors
// distinguish bad padding.

var (
	// errAlgorithm reports that a message uses an algorithm that is not accepted.
	errAlgorithm = errors.New("algorithm is not accepted")

	// errEnvelope reports that an envelope cannot be decrypted, without the cause. A
	// response that distinguishes a wrong key from wrong padding would be an oracle for
	// decrypting captured messages (Bleichenbacher 1998, Vaudenay 2002).
	errEnvelope = errors.New("envelope cannot be decrypted")
)

// maxRecipients exceeds the number of certificates that GetCACert returns.
const maxRecipients = 4

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"explicit,tag:0"`
}

// envelopedData is RFC 5652 section 6.1 with key transport recipients only.
type envelopedData struct {
	Version    int
	Recipients []recipientInfo `asn1:"set"`
	Encrypted  encryptedContent
}

type recipientInfo struct {
	Version      int
	Recipient    issuerAndSerial
	KeyAlgorithm pkix.AlgorithmIdentifier
	EncryptedKey []byte
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

type encryptedContent struct {
	Type      asn1.ObjectIdentifier
	Algorithm pkix.AlgorithmIdentifier
	Content   asn1.RawValue `asn1:"optional,tag:0"`
}

// aesSizes maps the accepted ciphers, AES in CBC mode (RFC 3565), to their key size in
// bytes.
func aesSizes() map[string]int {
	return map[string]int{
		pkcs7.OIDEncryptionAlgorithmAES128CBC.String(): 16,
		"2.16.840.1.101.3.4.1.22":                      24,
		pkcs7.OIDEncryptionAlgorithmAES256CBC.String(): 32,
	}
}

// envelope is an EnvelopedData with accepted algorithms.
type envelope struct {
	data      envelopedData
	cipher    asn1.ObjectIdentifier
	keySize   int
	iv        []byte
	encrypted []byte
}

// parseEnvelope parses an envelope in BER. Its error is errAlgorithm or errEnvelope.
func parseEnvelope(raw []byte) (envelope, error) {
	normal, err := toDER(raw)
	if err != nil {
		return envelope{}, fmt.Errorf("%w: %w", errEnvelope, err)
	}
	var info contentInfo
	if rest, err := asn1.Unmarshal(normal, &info); err != nil || len(rest) > 0 || !info.Type.Equal(pkcs7.OIDEnvelopedData) {
		return envelope{}, errEnvelope
	}
	var e envelope
	// A RawValue accepts any tag; the content is checked here.
	if rest, err := asn1.Unmarshal(info.Content.Bytes, &e.data); err != nil || len(rest) > 0 {
		return envelope{}, errEnvelope
	}
	if n := len(e.data.Recipients); n == 0 || n > maxRecipients {
		return envelope{}, errEnvelope
	}
	algorithm := e.data.Encrypted.Algorithm
	e.cipher, e.iv = algorithm.Algorithm, algorithm.Parameters.Bytes
	e.keySize = aesSizes()[e.cipher.String()]
	if e.keySize == 0 {
		return envelope{}, fmt.Errorf("%w: content encryption %s", errAlgorithm, e.cipher)
	}
	e.encrypted, err = e.data.Encrypted.octets()
	if err != nil || len(e.iv) != aes.BlockSize || len(e.encrypted) == 0 || len(e.encrypted)%aes.BlockSize != 0 {
		return envelope{}, errEnvelope
	}
	return e, nil
}

// octets returns the ciphertext, which may be in pieces.
func (c encryptedContent) octets() ([]byte, error) {
	if c.Content.IsCompound {
		return joined(c.Content.Bytes)
	}
	return c.Content.Bytes, nil
}

// recipient returns the encrypted content key for a certificate.
func (e envelope) recipient(cert *x509.Certificate) (recipientInfo, bool) {
	for _, r := range e.data.Recipients {
		if r.Recipient.Serial != nil && r.Recipient.Serial.Cmp(cert.SerialNumber) == 0 &&
			string(r.Recipient.Issuer.FullBytes) == string(cert.RawIssuer) {
			return r, true
		}
	}
	return recipientInfo{}, false
}

// open decrypts the content. Its error is errAlgorithm or errEnvelope. A content key that
// cannot be decrypted is replaced by a random one, so that the failure is always one of
// the padding (RFC 5246 section 7.4.7.1).
func (e envelope) open(r recipientInfo, key crypto.Decrypter) ([]byte, error) {
	if !r.KeyAlgorithm.Algorithm.Equal(pkcs7.OIDEncryptionAlgorithmRSA) {
		return nil, fmt.Errorf("%w: key encryption %s", errAlgorithm, r.KeyAlgorithm.Algorithm)
	}
	//lint:ignore SA1019 Devices support no other key transport; SessionKeyLen prevents an oracle.
	contentKey, err := key.Decrypt(rand.Reader, r.EncryptedKey, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: e.keySize})
	if err != nil {
		return nil, errEnvelope
	}
	defer clear(contentKey)
	block, err := aes.NewCipher(contentKey)
	if err != nil {
		return nil, errEnvelope
	}
	plain := make([]byte, len(e.encrypted))
	cipher.NewCBCDecrypter(block, e.iv).CryptBlocks(plain, e.encrypted)
	return unpad(plain)
}

// unpad removes the padding of RFC 5652 section 6.3 in constant time.
func unpad(plain []byte) ([]byte, error) {
	last := plain[len(plain)-aes.BlockSize:]
	n := int(last[aes.BlockSize-1])
	good := subtle.ConstantTimeLessOrEq(1, n) & subtle.ConstantTimeLessOrEq(n, aes.BlockSize)
	for i, b := range last {
		inside := subtle.ConstantTimeLessOrEq(aes.BlockSize-n, i)
		good &= subtle.ConstantTimeByteEq(b, byte(n)) | (1 - inside)
	}
	if good != 1 {
		return nil, errEnvelope
	}
	return plain[:len(plain)-n], nil
}

// encryptFor encrypts a response to a device's certificate, with the cipher that the
// device used and therefore supports.
func encryptFor(cert *x509.Certificate, algorithm asn1.ObjectIdentifier, content []byte) ([]byte, error) {
	pub, ok := cert.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: responses are encrypted to RSA keys only", errAlgorithm)
	}
	random := make([]byte, aesSizes()[algorithm.String()]+aes.BlockSize)
	if _, err := rand.Read(random); err != nil {
		return nil, fmt.Errorf("making content key: %w", err)
	}
	iv, contentKey := random[:aes.BlockSize], random[aes.BlockSize:]
	defer clear(contentKey)
	block, err := aes.NewCipher(contentKey)
	if err != nil {
		return nil, fmt.Errorf("setting up content cipher: %w", err)
	}
	//lint:ignore SA1019 Devices support no other key transport.
	encryptedKey, err := rsa.EncryptPKCS1v15(rand.Reader, pub, contentKey)
	if err != nil {
		return nil, fmt.Errorf("encrypting content key: %w", err)
	}
	encrypted := padded(content)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(encrypted, encrypted)
	inner, err := asn1.Marshal(envelopedData{
		Recipients: []recipientInfo{{
			Recipient:    issuerAndSerial{asn1.RawValue{FullBytes: cert.RawIssuer}, cert.SerialNumber},
			KeyAlgorithm: pkix.AlgorithmIdentifier{Algorithm: pkcs7.OIDEncryptionAlgorithmRSA, Parameters: asn1.NullRawValue},
			EncryptedKey: encryptedKey,
		}},
		Encrypted: encryptedContent{
			Type:      pkcs7.OIDData,
			Algorithm: pkix.AlgorithmIdentifier{Algorithm: algorithm, Parameters: asn1.RawValue{Tag: asn1.TagOctetString, Bytes: iv}},
			Content:   asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, Bytes: encrypted},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding envelope: %w", err)
	}
	return asn1.Marshal(contentInfo{
		Type:    pkcs7.OIDEnvelopedData,
		Content: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: inner},
	})
}

func padded(content []byte) []byte {
	n := aes.BlockSize - len(content)%aes.BlockSize
	out := make([]byte, len(content), len(content)+n)
	copy(out, content)
	for range n {
		out = append(out, byte(n))
	}
	return out
}
