package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/term"
)

// promptWord as ca.passphrase_file asks at every start.
const promptWord = "prompt"

// maxSecret bounds a file with a secret, in bytes.
const maxSecret = 4096

// passphrase finds the passphrase of the CA's keys: the file of the settings, a
// prompt, the systemd credential ca-passphrase, or the file in the data folder.
func (s *Settings) passphrase(term *terminal) ([]byte, error) {
	switch {
	case s.CA.PassphraseFile == promptWord:
		return term.password("Passphrase of the CA's keys: ")
	case s.CA.PassphraseFile != "":
		return readSecret(s.CA.PassphraseFile)
	}
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		secret, err := readSecret(filepath.Join(dir, "ca-passphrase"))
		if !errors.Is(err, fs.ErrNotExist) {
			return secret, err
		}
	}
	return readSecret(s.defaultPassphraseFile())
}

func (s *Settings) defaultPassphraseFile() string { return s.path("ca-passphrase") }

// newPassphrase gives the passphrase for a CA about to be created. Where the
// settings name none, one is made and kept in the data folder; made says so.
func (s *Settings) newPassphrase(term *terminal) (secret []byte, made bool, err error) {
	secret, err = s.passphrase(term)
	if s.CA.PassphraseFile == promptWord && err == nil {
		err = term.confirm(secret)
	}
	if s.CA.PassphraseFile == "" && errors.Is(err, fs.ErrNotExist) {
		secret = []byte(rand.Text())
		return secret, true, writeSecret(s.defaultPassphraseFile(), secret)
	}
	if err == nil && len(secret) < 10 {
		return nil, false, errors.New("passphrase of the CA's keys: use 10 characters or more")
	}
	return secret, false, err
}

// readSecret reads a file with one secret; a newline at its end is not part of
// it. Others must not be able to read the file.
func readSecret(file string) ([]byte, error) {
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
	secret = bytes.TrimRight(secret, "\r\n")
	if len(secret) == 0 || len(secret) > maxSecret {
		return nil, fmt.Errorf("secret %s has %d bytes: 1 to %d can be used", file, len(secret), maxSecret)
	}
	return secret, nil
}

// writeSecret makes a new file that only its owner can read.
func writeSecret(file string, secret []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing secret: %w", err)
	}
	_, err = f.Write(append(bytes.Clone(secret), '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing secret %s: %w", file, err)
	}
	return nil
}

// terminal is where people type what must not be seen.
type terminal struct {
	in  io.Reader
	out io.Writer
}

// confirm asks for the same secret again: a slip would lock the CA for good.
// Without a terminal nothing was typed, and nothing is asked.
func (t *terminal) confirm(secret []byte) error {
	if f, ok := t.in.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	again, err := t.password("The same passphrase again: ")
	if err == nil && !bytes.Equal(secret, again) {
		err = errors.New("the two passphrases differ")
	}
	return err
}

// password asks for a secret. Without a terminal it takes the first line of the
// input, for scripts.
func (t *terminal) password(prompt string) ([]byte, error) {
	if f, ok := t.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(t.out, prompt)
		secret, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(t.out)
		if err != nil {
			return nil, fmt.Errorf("reading from the terminal: %w", err)
		}
		return secret, nil
	}
	line, err := io.ReadAll(io.LimitReader(t.in, maxSecret))
	if err != nil {
		return nil, fmt.Errorf("reading a secret from the input: %w", err)
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	line = bytes.TrimRight(line, "\r")
	if len(line) == 0 {
		return nil, errors.New("no secret came from the terminal or the input")
	}
	return line, nil
}
