package hsm

import (
	"crypto"
	"errors"
	"fmt"
	"io"
)

// Key is a key in a token. Its methods are safe for concurrent use.
type Key struct {
	ref   Reference
	token *token
}

// Public gives the public key, as the reference has it.
func (k *Key) Public() crypto.PublicKey { return k.ref.Public }

// Sign lets the token sign. A token that was lost is opened again once, where only its
// session ended.
func (k *Key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := k.token.sign(k.ref, digest, opts)
	if err != nil {
		return nil, fmt.Errorf("signing in the token %q: %w", k.ref.Token, err)
	}
	return signature, nil
}

// Reference gives the content of the key file.
func (k *Key) Reference() []byte {
	file, err := k.ref.Encode()
	if err != nil {
		return nil // its public key was parsed or made by this package
	}
	return file
}

// Watch opens the token now and has [Tokens.Run] look after the key. What is wrong is the
// answer of Ready.
func (k *Key) Watch() { k.token.watch(k.ref) }

// Ready gives the reason why the key cannot sign at this moment. It asks no token, so that
// it never blocks.
func (k *Key) Ready() error {
	if err := k.token.ready(k.ref); err != nil {
		return fmt.Errorf("the key %q in the token %q: %w", k.ref.Label, k.ref.Token, err)
	}
	return nil
}

// Find looks for the key in the token.
func (k *Key) Find() error {
	if _, _, err := k.token.key(k.ref); err != nil {
		return fmt.Errorf("the key %q in the token %q: %w", k.ref.Label, k.ref.Token, err)
	}
	return nil
}

// Destroy removes a key that nothing uses yet from the token.
func (k *Key) Destroy() error {
	key, _, err := k.token.key(k.ref)
	if errors.Is(err, ErrNoKey) {
		return nil
	}
	if err == nil {
		err = k.token.of.within(key.Delete)
	}
	if err != nil {
		return fmt.Errorf("removing the key %q from the token %q: %w", k.ref.Label, k.ref.Token, err)
	}
	return nil
}
