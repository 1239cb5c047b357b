package config

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"certportal/ca"
	"certportal/internal/durable"
)

// Prompt, as the value of ca.passphrase_file, asks for the passphrase at every start.
const Prompt = "prompt"

// maxSecret bounds a file with a secret, in bytes.
const maxSecret = 4096

// DefaultPassphraseFile is where a generated passphrase is kept: in the data folder.
func (s *Settings) DefaultPassphraseFile() string { return s.Path("ca-passphrase") }

// ReadSecret reads a file with one secret; a newline at its end is not part of
// it. Others must not be able to read the file.
func ReadSecret(file string) ([]byte, error) {
	secret, err := readPrivate(file)
	if err != nil {
		return nil, err
	}
	secret = bytes.TrimRight(secret, "\r\n")
	if len(secret) == 0 {
		return nil, fmt.Errorf("secret %s is empty", file)
	}
	return secret, nil
}

// readPrivate reads a file as it is. Others must not be able to read it.
func readPrivate(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading secret: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading secret: %w", err)
	}
	// systemd shows the access list of a credential as group rights.
	ownFolder := os.Getenv("CREDENTIALS_DIRECTORY") == filepath.Dir(file)
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 && !(ownFolder && info.Mode().Perm()&0o007 == 0) {
		return nil, fmt.Errorf("secret %s can be read by other users: chmod 600 %s", file, file)
	}
	secret, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, fmt.Errorf("reading secret: %w", err)
	}
	if len(secret) == 0 || len(secret) > maxSecret {
		return nil, fmt.Errorf("secret %s has %d bytes: 1 to %d can be used", file, len(secret), maxSecret)
	}
	return secret, nil
}

// WriteSecret makes a new file that only its owner can read.
func WriteSecret(file string, secret []byte) error {
	if err := durable.Create(file, append(bytes.Clone(secret), '\n'), 0o600); err != nil {
		return fmt.Errorf("writing secret %s: %w", file, err)
	}
	return nil
}

// The systemd credentials that stand in for files of the settings.
const (
	DirectoryPassword = "directory-password"
	OpenIDSecret      = "openid-secret"
	IssuingPIN        = "ca-issuing-pin"
	RootPIN           = "ca-root-pin"
)

// CredentialFile is where systemd puts a credential; without systemd, nowhere.
func CredentialFile(name string) string {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, name)
}

// Credential reads a secret from its file, or from the systemd credential.
func Credential(file, name, setting string) ([]byte, error) {
	if file != "" {
		return ReadSecret(file)
	}
	if CredentialFile(name) == "" {
		return nil, fmt.Errorf("%s: name the file with the secret", setting)
	}
	secret, err := ReadSecret(CredentialFile(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is neither a file nor the credential %s", setting, name)
	}
	return secret, err
}

// ReadRoots reads CA certificates; without a file, those of the system count.
func ReadRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	certs, err := ca.ParseAnchors(text)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool, nil
}
