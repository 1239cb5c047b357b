package localca

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/hsm"
	"certportal/internal/enroll"
	"certportal/internal/succession"
)

// errNoActive means that no issuing CA of this machine issues.
var errNoActive = errors.New("no issuing CA is active on this machine: see certportal ca show")

// issuers are the issuing CAs whose keys were opened.
type issuers struct {
	mu     sync.Mutex
	opened map[string]opened
}

// opened is an issuing CA with its key.
type opened struct {
	*ca.Issuer
	key   *hsm.Key // nil for one that is not in a token
	watch func()   // asks its token the first time, and waits for the answer
}

// ready gives the reason why the key cannot sign now.
func (o opened) ready() error {
	if o.key == nil {
		return nil
	}
	return o.key.Ready()
}

// Follow reads the states of the issuing CAs, and opens the key of the one that issues.
// changed is called after they changed; it must not block and may be nil.
func (a *CA) Follow(ctx context.Context, store succession.Store, now func() time.Time, log *slog.Logger, changed func()) error {
	folder := &watchedFolder{dir: a.dir, ca: a}
	c := succession.Config{Store: store, Folder: folder.authorities, Opens: a.opens, Changed: changed, Now: now, Log: log}
	if a.Hold != nil {
		c.Due = a.held // a portal, which compares its clock with the database's
	}
	line, err := succession.New(c)
	if err != nil {
		return err
	}
	a.Line = line
	return line.Refresh(ctx)
}

// watchedFolder reads the CA's folder again when it changed.
type watchedFolder struct {
	dir   string
	ca    *CA
	at    time.Time // modification of the folder when it was read
	found []ca.Authority
}

// settled is how old a change of the folder is before a later one is sure to have another
// time.
const settled = 2 * time.Second

// authorities gives the issuing CAs in the folder. A folder that cannot be read leaves
// what was there before.
func (f *watchedFolder) authorities() ([]ca.Authority, error) {
	state, err := os.Stat(f.dir)
	if err != nil {
		return f.found, err
	}
	// Every file is made with a new name in the folder, which changes its time.
	if state.ModTime().Equal(f.at) {
		return f.found, nil
	}
	f.at = time.Time{} // a fault is looked at again: mending the mode of a key changes no time here
	folder, err := ca.OpenFolder(f.dir)
	if err != nil {
		return f.found, err
	}
	if time.Since(state.ModTime()) > settled {
		f.at = state.ModTime()
	}
	f.ca.present.Store(folder)
	f.found = folder.Authorities()
	return f.found, nil
}

// Present gives the CA's folder as it was last read: with issuing CAs that were added
// since the start.
func (a *CA) Present() *ca.Folder {
	if folder := a.present.Load(); folder != nil {
		return folder
	}
	return a.Folder
}

// open gives the issuer of an authority, and reads its key the first time. A key in a token
// that is away is opened all the same: it signs when the token is back.
func (a *CA) open(of ca.Authority, read func() (crypto.Signer, error)) (opened, error) {
	made, err := a.openOnce(of, read)
	if err == nil && made.key != nil {
		made.watch() // without the lock: a token can be slow
	}
	return made, err
}

func (a *CA) openOnce(of ca.Authority, read func() (crypto.Signer, error)) (made opened, err error) {
	a.keys.mu.Lock()
	defer a.keys.mu.Unlock()
	if known, ok := a.keys.opened[of.Name]; ok {
		return known, nil
	}
	key, err := read()
	if err != nil {
		return opened{}, err
	}
	if held, ok := key.(*hsm.Key); ok {
		made.key, made.watch = held, sync.OnceFunc(held.Watch)
	}
	made.Issuer, err = ca.NewIssuer(ca.IssuerConfig{
		Name: of.Name, Certificate: of.Certificate, Signer: key, Publication: published(a.base, of.Name),
	})
	if err != nil {
		return opened{}, err
	}
	if a.keys.opened == nil {
		a.keys.opened = make(map[string]opened)
	}
	a.keys.opened[of.Name] = made
	return made, nil
}

// held says why nothing may be signed now.
func (a *CA) held() error {
	if a.Hold == nil {
		return nil
	}
	return a.Hold()
}

// IssuerOf gives the issuing CA of a name with its key, or the reason why it is sealed.
func (a *CA) IssuerOf(name string) (*ca.Issuer, error) {
	if a.Sealed != nil {
		return nil, fmt.Errorf("the CA is sealed: %w", a.Sealed)
	}
	if err := a.held(); err != nil {
		return nil, err
	}
	of, known := a.Line.Named(name)
	if !known {
		return nil, fmt.Errorf("issuing CA %s is not in the folder of this machine", name)
	}
	issuer, err := a.open(of.Authority, func() (crypto.Signer, error) { return a.readKey(name) })
	if err == nil {
		err = issuer.ready()
	}
	if err != nil {
		return nil, fmt.Errorf("the CA is sealed: %w", err)
	}
	return issuer.Issuer, nil
}

// readKey opens the key of an issuing CA.
func (a *CA) readKey(name string) (crypto.Signer, error) {
	folder, err := ca.OpenFolder(a.dir)
	if err != nil {
		return nil, err
	}
	// Argon2id took 64 MiB; the memory is given back at once.
	defer debug.FreeOSMemory()
	return folder.Key(name, a.ring)
}

// opens reports why an issuing CA cannot issue; nil if its key opens.
func (a *CA) opens(of ca.Authority) error {
	if a.Sealed != nil {
		return a.Sealed
	}
	issuer, err := a.open(of, func() (crypto.Signer, error) { return a.readKey(of.Name) })
	if err != nil {
		return err
	}
	return issuer.ready()
}

// Active gives the issuing CA that issues now, or the reason why there is none.
func (a *CA) Active() (*ca.Issuer, error) {
	active, ok := a.Line.Active()
	if !ok {
		return nil, errNoActive
	}
	return a.IssuerOf(active.Name)
}

// Stopped reports whether nothing is issued because the CA that issued was revoked.
func (a *CA) Stopped() bool {
	_, issues := a.Line.Active()
	return !issues && len(a.Line.Missing()) == 0 && slices.ContainsFunc(a.Line.All(), func(of succession.Authority) bool {
		return of.Record.State == succession.Revoked
	})
}

// Ready gives the reason why nothing is issued; nil while certificates can be signed.
func (a *CA) Ready() error {
	_, err := a.Active()
	return err
}

// Issuer issues under the CA that is active at the moment of each certificate.
func (a *CA) Issuer() enroll.Issuer { return activeIssuer{a} }

type activeIssuer struct{ ca *CA }

// Prepare prepares a certificate under the active CA.
func (i activeIssuer) Prepare(p *ca.Profile, s ca.Subject, key crypto.PublicKey, now time.Time) (*ca.Prepared, error) {
	active, err := i.ca.Active()
	if err != nil {
		return nil, err
	}
	return active.Prepare(p, s, key, now)
}

// Sign signs under the CA that prepared the certificate, active or not.
func (i activeIssuer) Sign(p *ca.Prepared) (*x509.Certificate, error) {
	issuer, err := i.ca.IssuerOf(p.Issuer())
	if err != nil {
		return nil, err
	}
	return issuer.Sign(p)
}

// Chain gives the certificates between one and the root; for nil, those of the CA that
// issues now. An unknown one has none.
func (a *CA) Chain(leaf *x509.Certificate) []*x509.Certificate {
	of, ok := a.Line.Active()
	if leaf != nil {
		of, ok = a.Line.Of(leaf)
	}
	if !ok {
		return nil
	}
	return of.Intermediates()
}

// InUse gives the certificates that must be valid for people to be served: those of the
// issuing CAs that issue or will, and all above them, the roots first.
func (a *CA) InUse() []*x509.Certificate {
	var roots, below []*x509.Certificate
	for _, of := range a.Line.All() {
		if of.Record.State == succession.Active || of.Record.State == succession.Pending {
			roots, below = append(roots, of.Root()), append(below, of.Intermediates()...)
		}
	}
	return distinct(append(roots, below...))
}

// distinct leaves out certificates that come again.
func distinct(certs []*x509.Certificate) []*x509.Certificate {
	var kept []*x509.Certificate
	for _, cert := range certs {
		if !slices.ContainsFunc(kept, cert.Equal) {
			kept = append(kept, cert)
		}
	}
	return kept
}

// ListNames are the CAs whose revocation lists the portal signs, the own root first: a
// company signs that of its own root.
func ListNames(folder *ca.Folder) []string {
	var names []string
	if folder.OwnRoot() {
		names = append(names, RootName)
	}
	for _, of := range folder.Authorities() {
		names = append(names, of.Name)
	}
	return names
}

// Issued reports whether an issuing CA of this installation signed a certificate.
func (a *CA) Issued(cert *x509.Certificate) bool {
	of, ok := a.Line.Of(cert)
	return ok && cert.CheckSignatureFrom(of.Certificate) == nil
}

// Signers gives the CA certificates under the names of their lists.
func (a *CA) Signers() map[string]*x509.Certificate {
	all := make(map[string]*x509.Certificate)
	if a.Folder.OwnRoot() {
		all[RootName] = a.Folder.Root()
	}
	for _, of := range a.Line.All() {
		all[of.Name] = of.Certificate
	}
	return all
}
