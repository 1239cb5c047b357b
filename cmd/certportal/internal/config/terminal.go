package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// Terminal is where people type what must not be seen.
type Terminal struct {
	In  io.Reader
	Out io.Writer
}

// Confirm asks for the same secret again: a slip would lock the CA for good.
// Without a terminal nothing was typed, and nothing is asked.
func (t *Terminal) Confirm(secret []byte) error {
	if f, ok := t.In.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	again, err := t.Password("The same passphrase again: ")
	if err == nil && !bytes.Equal(secret, again) {
		err = errors.New("the two passphrases differ")
	}
	return err
}

// Password asks for a secret. Without a terminal it takes the first line of the
// input, for scripts.
func (t *Terminal) Password(prompt string) ([]byte, error) {
	if f, ok := t.In.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(t.Out, prompt)
		secret, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(t.Out)
		if err != nil {
			return nil, fmt.Errorf("reading from the terminal: %w", err)
		}
		return secret, nil
	}
	line, err := io.ReadAll(io.LimitReader(t.In, maxSecret))
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
