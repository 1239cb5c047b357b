// Package hsm keeps keys of the CA in hardware: in tokens of a PKCS#11 module (PKCS#11
// 2.40, OASIS). A key file of the CA's folder then is a [Reference] to the key, and [Key]
// signs with it as any crypto.Signer.
//
// A token that goes away seals what needs its keys, and nothing else. [Tokens.Run] opens
// it again when it is back. A PIN that a token refused is not tried again until its file
// changes: tokens lock after a few wrong ones.
//
// The module is a shared library, so that the program needs cgo and the build tag pkcs11.
// A program without says so ([ErrWithout]) wherever it meets such a key.
package hsm

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"certportal/ca"
)

var (
	// ErrWithout means that the program was built without PKCS#11.
	ErrWithout = errors.New("this certportal was built without PKCS#11, so that it cannot use keys in hardware: " +
		"use the image certportal:pkcs11, or build it with CGO_ENABLED=1 go build -tags pkcs11 ./cmd/certportal")

	// ErrPIN means that a token refused the PIN.
	ErrPIN = errors.New("the token refuses the PIN")

	// ErrNoKey means that a token does not hold a key.
	ErrNoKey = errors.New("there is no such key in the token")

	// errSession means that a session ended and the token may be there all the same.
	errSession = errors.New("the session with the token ended")

	// errSilent means that a token did not answer in time.
	errSilent = errors.New("the token does not answer")

	// errBusy means that a signature had no turn in time. The token may be well.
	errBusy = errors.New("too many signatures wait for the token: try again")

	// errUnopened means that a token was not opened yet.
	errUnopened = errors.New("the token is not open yet")
)

// Config configures the tokens of one module.
type Config struct {
	Module string // path of the shared library
	Tokens []TokenConfig

	Patience time.Duration // for one answer of a token. Optional: default 10 seconds
	Every    time.Duration // between looks at a token. Optional: default 2 seconds
}

// TokenConfig describes one token.
type TokenConfig struct {
	Label   string
	PINFile string                 // named in errors
	PIN     func() ([]byte, error) // reads it
}

// Tokens are the tokens of a module. It is safe for concurrent use.
type Tokens struct {
	c      Config
	tokens map[string]*token
	turn   chan struct{} // held while a token is opened or closed
}

// New describes the tokens. It opens none.
func New(c Config) *Tokens {
	if c.Patience == 0 {
		c.Patience = 10 * time.Second
	}
	if c.Every == 0 {
		c.Every = 2 * time.Second
	}
	t := &Tokens{c: c, tokens: make(map[string]*token), turn: make(chan struct{}, 1)}
	for _, one := range c.Tokens {
		t.tokens[one.Label] = &token{of: t, c: one, turns: make(chan struct{}, atOnce)}
	}
	return t
}

// Open gives the key that the content of a key file refers to. It does not ask the token.
func (t *Tokens) Open(file []byte) (*Key, error) {
	ref, err := ParseReference(file)
	if err != nil {
		return nil, err
	}
	return t.Key(ref)
}

// Key gives the key that a reference describes, such as one that another program put into a
// token: then label or id may be empty. It does not ask the token.
func (t *Tokens) Key(ref Reference) (*Key, error) {
	if !Built {
		return nil, fmt.Errorf("the key %q is in the token %q: %w", ref.Label, ref.Token, ErrWithout)
	}
	holder := t.tokens[ref.Token]
	if holder == nil {
		return nil, fmt.Errorf("the key %q is in the token %q, which the settings do not name: see ca.pkcs11", ref.Label, ref.Token)
	}
	return &Key{ref: ref, token: holder}, nil
}

// Create makes a key in a token: for signatures, and never to leave it. Its label begins
// with what is given and ends with random digits, so that no key is ever replaced.
func (t *Tokens) Create(label, name string, kind ca.KeyKind) (*Key, error) {
	holder := t.tokens[label]
	if holder == nil {
		return nil, fmt.Errorf("making key: the settings name no token %q", label)
	}
	id := make([]byte, idSize)
	if _, err := rand.Read(id); err != nil {
		return nil, fmt.Errorf("making key: %w", err)
	}
	ref := Reference{Token: label, Label: fmt.Sprintf("%s %x", name, id), ID: id}
	if err := checkLabel(ref.Label); err != nil {
		return nil, fmt.Errorf("making key: %w", err)
	}
	var err error
	if ref.Public, err = holder.create(ref, kind); err != nil {
		return nil, fmt.Errorf("making key in the token %q: %w", label, err)
	}
	return &Key{ref: ref, token: holder}, nil
}

// Check opens a token with its PIN, and looks whether it can make keys of a kind.
func (t *Tokens) Check(label string, kind ca.KeyKind) error {
	holder := t.tokens[label]
	if holder == nil {
		return fmt.Errorf("the settings name no token %q", label)
	}
	if err := t.within(func() error { return inspect(t.c.Module, label, kind) }); err != nil {
		return err
	}
	return holder.connect(false)
}

// within calls f when no other call runs, and waits for it a limited time. A module can
// hang: then f runs on, and no other begins.
func (t *Tokens) within(f func() error) error {
	timer := time.NewTimer(t.c.Patience)
	defer timer.Stop()
	select {
	case t.turn <- struct{}{}:
	case <-timer.C:
		return errSilent
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-t.turn }()
		done <- f()
	}()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errSilent
	}
}
