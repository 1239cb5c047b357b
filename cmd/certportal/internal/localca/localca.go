// Package localca is the embedded CA of an installation: its folder, its passphrase,
// and whether its key is open. A CA whose key cannot be opened is sealed: CRLs and pages
// are served, and no certificate is issued.
package localca

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"runtime/debug"
	"sync/atomic"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/hsm"
	"certportal/internal/portal"
	"certportal/internal/succession"
)

// CA is the embedded CA of an installation. It is safe for concurrent use once it is open.
type CA struct {
	Folder     *ca.Folder // as it was at the start; see Present and Line for what came since
	Sealed     error      // why no key opens; a token that is away is the answer of Ready
	Passphrase []byte

	// Secret is that of the installation, derived from secret.key or, where there is none,
	// from the first issuing key. While sealed
	// it is a random one of this process: sessions and codes from before do not count, and
	// those made now end with it.
	Secret portal.Secret

	// Hold says why nothing may be signed on this machine, though the keys open: its clock is
	// wrong. Optional; set it before Follow.
	Hold func() error

	// Line is the line of issuing CAs, after Follow.
	Line *succession.Line

	dir  string
	base *url.URL // below which lists and certificates are published; nil for commands
	ring keyring
	keys issuers

	present atomic.Pointer[ca.Folder]
}

// use takes the secret, and the first issuing key if it was opened.
func (a *CA) use(secret portal.Secret, key crypto.Signer) error {
	a.Secret = secret
	if key == nil {
		return nil
	}
	_, err := a.open(a.Folder.Authorities()[0], func() (crypto.Signer, error) { return key, nil })
	return err
}

// seal leaves the CA without its key.
func (a *CA) seal(cause error) *CA {
	a.Sealed = cause
	rand.Read(a.Secret[:]) // never returns an error, see crypto/rand
	return a
}

// Open opens the CA in the data folder, which publishes below base; without base it
// issues nothing and signs lists only. A key that does not open leaves it sealed: lists
// and pages are served, nothing is issued. The error wraps fs.ErrNotExist when there is
// no CA.
func Open(s *config.Settings, base *url.URL, term *config.Terminal) (*CA, error) {
	folder, err := ca.OpenFolder(s.Path("ca"))
	if err != nil {
		return nil, err
	}
	if first := folder.Authorities()[0].Name; first != IssuingName {
		return nil, fmt.Errorf("the CA's folder %s has %s and not %s: copy the files of %s too, also when it is retired: "+
			"sessions, codes and the proofs of rows depend on its key", s.Path("ca"), first, IssuingName, IssuingName)
	}
	a := &CA{Folder: folder, dir: s.Path("ca"), base: base, ring: keyring{settings: s, tokens: Tokens(s)}}
	if a.Passphrase, err = passphrase(s, term); err != nil {
		return a.seal(fmt.Errorf("%w: %w", ErrNoPassphrase, err)), nil
	}
	a.ring.passphrase = a.Passphrase
	secret, key, err := a.ring.secret(a.dir, folder)
	if err != nil {
		return a.seal(err), nil
	}
	err = a.use(secret, key)
	// Argon2id took 64 MiB; the memory is given back at once.
	debug.FreeOSMemory()
	return a, err
}

// Close closes the tokens of the CA's keys.
func (a *CA) Close() error { return a.ring.tokens.Close() }

// Tokens gives the tokens of the settings.
func (a *CA) Tokens() *hsm.Tokens { return a.ring.tokens }

// RunTokens looks after the tokens of the issuing keys until the context ends.
func (a *CA) RunTokens(ctx context.Context, log *slog.Logger) { a.ring.tokens.Run(ctx, log) }

// RootIssuer opens the root's key for one signature; it is not kept.
func (a *CA) RootIssuer() (*ca.Issuer, error) {
	if len(a.Passphrase) == 0 {
		return nil, fmt.Errorf("the CA is sealed: %w", a.Sealed)
	}
	if err := a.held(); err != nil {
		return nil, err
	}
	key, err := a.Folder.RootKey(a.ring)
	if err != nil {
		return nil, err
	}
	defer debug.FreeOSMemory()
	return ca.NewIssuer(ca.IssuerConfig{Name: RootName, Certificate: a.Folder.Root(), Signer: key})
}

// NotCreated reports whether err means that there is no CA yet.
func NotCreated(err error) bool { return errors.Is(err, fs.ErrNotExist) }
