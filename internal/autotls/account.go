package autotls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"certportal/internal/durable"
)

// accountFile is the key of this replica's account.
const accountFile = "acme-account.key"

// accountKey reads the key of the account, and makes it the first time. A file that cannot be
// read is an error: a new account each time would soon be one too many for the server.
func accountKey(folder string) (crypto.Signer, error) {
	file := filepath.Join(folder, accountFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return makeAccountKey(file)
	}
	if err != nil {
		return nil, fmt.Errorf("reading ACME account key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s: there is no PEM in it: remove it, and a new account is made", file)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: remove it, and a new account is made", file, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: key of the kind %T cannot sign", file, key)
	}
	return signer, nil
}

func makeAccountKey(file string) (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making ACME account key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding ACME account key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, fmt.Errorf("writing ACME account key: %w", err)
	}
	if err := durable.Create(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return nil, fmt.Errorf("writing ACME account key: %w", err)
	}
	return key, nil
}
