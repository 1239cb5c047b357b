package config

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// Settings that name keys.
const (
	ClientKey = "key"
	AgentKey  = "agent_key"
)

// KeyPair names a certificate with its key: in files, or the key in hardware.
type KeyPair struct {
	Setting        string // ClientKey or AgentKey
	Certificate    string // PEM, with the certificates above it
	Key            string // PEM file, or the address of a key in a token ([ParseTokenKey])
	PassphraseFile string // of an encrypted key, or with the PIN of the token
}

// TokenOpener gives a key in a token. public is that of its certificate.
type TokenOpener func(key TokenKey, public crypto.PublicKey) (crypto.Signer, error)

// KeyPairs gives the certificates of a CA's settings that have a key.
func (u UpstreamSettings) KeyPairs() []KeyPair {
	var list []KeyPair
	for _, p := range []KeyPair{
		{ClientKey, u.Certificate, u.Key, u.KeyPassphraseFile},
		{AgentKey, u.AgentCertificate, u.AgentKey, u.AgentKeyPassphraseFile},
	} {
		if p.Certificate != "" && p.Key != "" {
			list = append(list, p)
		}
	}
	return list
}

// InToken reports whether the key is in hardware.
func (p KeyPair) InToken() bool { return strings.HasPrefix(p.Key, tokenScheme) }

// Reader gives the pair as the files are each time, so that it can be renewed. The last one,
// or what is wrong with it, is kept as long as they are the same, because a passphrase is slow
// on purpose. Others must not be able to read the key.
func (p KeyPair) Reader(token TokenOpener) func() (*tls.Certificate, error) {
	var mu sync.Mutex
	var last *tls.Certificate
	var wrong error
	var from [sha256.Size]byte
	return func() (*tls.Certificate, error) {
		certificate, key, passphrase, err := p.read()
		if err != nil {
			return nil, err
		}
		defer clear(passphrase)
		mu.Lock()
		defer mu.Unlock()
		sum := sumOf(certificate, key, passphrase)
		if kept := last != nil || wrong != nil && !p.InToken(); !kept || sum != from {
			last, wrong = p.open(certificate, key, passphrase, token)
			from = sum
		}
		return last, wrong
	}
}

func sumOf(parts ...[]byte) (sum [sha256.Size]byte) {
	for _, part := range parts {
		one := sha256.Sum256(part)
		sum = sha256.Sum256(append(sum[:], one[:]...))
	}
	return sum
}

// read reads the files; key is empty for one in a token, whose PIN is read elsewhere.
func (p KeyPair) read() (certificate, key, passphrase []byte, err error) {
	if certificate, err = os.ReadFile(p.Certificate); err != nil || p.InToken() {
		return certificate, nil, nil, err
	}
	if err := checkNamed(p.Key, access{}); err != nil {
		return nil, nil, nil, err
	}
	if key, err = os.ReadFile(p.Key); err != nil {
		return nil, nil, nil, err
	}
	if p.PassphraseFile != "" {
		passphrase, err = ReadSecret(p.PassphraseFile)
	}
	return certificate, key, passphrase, err
}

func (p KeyPair) open(certificate, key, passphrase []byte, token TokenOpener) (*tls.Certificate, error) {
	if p.InToken() {
		return p.openToken(certificate, token)
	}
	plain, err := p.decrypt(key, passphrase)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", p.Key, err)
	}
	defer clear(plain)
	if chain, err := p.chain(certificate); err != nil {
		return nil, err
	} else if public, err := publicOf(plain); err == nil && !public.Equal(chain[0].PublicKey) {
		return nil, fmt.Errorf("the key %s is not that of the certificate %s", p.Key, p.Certificate)
	}
	pair, err := tls.X509KeyPair(certificate, plain)
	if err != nil {
		return nil, fmt.Errorf("reading %s and %s: %w", p.Certificate, p.Key, err)
	}
	return &pair, nil
}

// decrypt gives the key in PEM without encryption.
func (p KeyPair) decrypt(file, passphrase []byte) ([]byte, error) {
	for rest := file; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("there is no private key in PEM in it")
		}
		switch {
		case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
			continue // such as EC PARAMETERS
		case strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, fmt.Errorf("it is encrypted in an old, weak way: %s", convertKey)
		case block.Type != "ENCRYPTED PRIVATE KEY" && p.PassphraseFile != "":
			return nil, fmt.Errorf("it is not encrypted, but %s names a passphrase: %s", p.passphraseSetting(), convertKey)
		case block.Type != "ENCRYPTED PRIVATE KEY":
			return bytes.Clone(file), nil // the caller clears it
		case p.PassphraseFile == "":
			return nil, fmt.Errorf("it is encrypted: name the file with its passphrase in %s", p.passphraseSetting())
		}
		plain, err := decryptKey(block.Bytes, passphrase)
		if err != nil {
			return nil, fmt.Errorf("opening it with the passphrase in %s: %w", p.PassphraseFile, err)
		}
		defer clear(plain)
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: plain}), nil
	}
}

func (p KeyPair) passphraseSetting() string { return p.Setting + "_passphrase_file" }

// openToken makes the pair whose key stays in its token.
func (p KeyPair) openToken(certificate []byte, token TokenOpener) (*tls.Certificate, error) {
	where, err := ParseTokenKey(p.Key)
	if err != nil {
		return nil, err
	}
	chain, err := p.chain(certificate)
	if err != nil {
		return nil, err
	}
	key, err := token(where, chain[0].PublicKey)
	if err != nil {
		return nil, fmt.Errorf("key of the certificate %s: %w", p.Certificate, err)
	}
	pair := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, cert := range chain {
		pair.Certificate = append(pair.Certificate, cert.Raw)
	}
	return pair, nil
}

func (p KeyPair) chain(text []byte) (list []*x509.Certificate, err error) {
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", p.Certificate, err)
		}
		list = append(list, cert)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: there is no certificate in PEM in it", p.Certificate)
	}
	return list, nil
}

// publicOf gives the public key of a key in PKCS#8.
func publicOf(plain []byte) (interface{ Equal(crypto.PublicKey) bool }, error) {
	block, _ := pem.Decode(plain)
	if block == nil {
		return nil, errors.New("there is no PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key of the kind %T cannot sign", key)
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return nil, fmt.Errorf("public key of the kind %T cannot be compared", signer.Public())
	}
	return public, nil
}
