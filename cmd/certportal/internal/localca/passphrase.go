package localca

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"certportal/cmd/certportal/internal/config"
)

// ErrNoPassphrase is why a CA is sealed whose passphrase cannot be read: its keys were not tried.
var ErrNoPassphrase = errors.New("there is no passphrase for its keys")

// passphrase finds the passphrase of the CA's keys: the file of the settings, a
// prompt, the systemd credential ca-passphrase, or the file in the data folder.
func passphrase(s *config.Settings, term *config.Terminal) ([]byte, error) {
	switch {
	case s.CA.PassphraseFile == config.Prompt:
		return term.Password("Passphrase of the CA's keys: ")
	case s.CA.PassphraseFile != "":
		return config.ReadSecret(s.CA.PassphraseFile)
	}
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		secret, err := config.ReadSecret(filepath.Join(dir, "ca-passphrase"))
		if !errors.Is(err, fs.ErrNotExist) {
			return secret, err
		}
	}
	return config.ReadSecret(s.DefaultPassphraseFile())
}

// newPassphrase gives the passphrase for a CA about to be created. Where the
// settings name none, one is made and kept in the data folder; made says so.
func newPassphrase(s *config.Settings, term *config.Terminal) (secret []byte, made bool, err error) {
	secret, err = passphrase(s, term)
	if s.CA.PassphraseFile == config.Prompt && err == nil {
		err = term.Confirm(secret)
	}
	if s.CA.PassphraseFile == "" && errors.Is(err, fs.ErrNotExist) {
		secret = []byte(rand.Text())
		return secret, true, config.WriteSecret(s.DefaultPassphraseFile(), secret)
	}
	if err == nil && len(secret) < 10 {
		return nil, false, errors.New("passphrase of the CA's keys: use 10 characters or more")
	}
	return secret, false, err
}
