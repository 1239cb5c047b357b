package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"runtime/debug"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/store"
)

// authority is the embedded CA of an installation.
type authority struct {
	folder     *ca.Folder
	issuing    *ca.Issuer // nil while sealed
	sealed     error      // why the issuing key could not be opened
	passphrase []byte
}

// The names of the two CAs, in the store and in the addresses of their lists.
const (
	rootName    = "root"
	issuingName = "issuing"
)

// Addresses of what certificates point to, below the plain-http address.
func crlURL(base *url.URL, issuer string) string { return base.JoinPath("crl", issuer+".crl").String() }

func certificateURL(base *url.URL, issuer string) string {
	return base.JoinPath("ca", issuer+".cer").String()
}

func ocspURL(base *url.URL) string { return base.JoinPath("ocsp").String() }

// refuseSecondCA stops the creation of a CA where the records already know one:
// its folder was lost, not restored, or not copied to this replica, and a new CA
// would make every certificate so far worthless.
func refuseSecondCA(ctx context.Context, s *Settings, db *store.DB) error {
	_, known, err := db.Latest(ctx, issuingName, false, 0)
	if err != nil || !known {
		return err
	}
	return fmt.Errorf("the records belong to a CA whose files are not in %s: restore them from a backup, "+
		"or copy them from another replica; nothing was created", s.path("ca"))
}

// belongsTo refuses records that know nothing of this CA: with them every revoked
// certificate would open doors again, and what was issued could not be found.
func (a *authority) belongsTo(ctx context.Context, db *store.DB) error {
	known, err := db.Knows(ctx, ca.Fingerprint(a.folder.Issuing()))
	if err != nil || known {
		return err
	}
	return errors.New("the records know nothing of this CA: the database setting names another one, or the database " +
		"was lost; restore it from a backup; nothing was published and nothing was issued")
}

// createAuthority makes root and issuing CA, their files and the ledger entry.
// madePassphrase says that the passphrase was made, too.
func createAuthority(ctx context.Context, s *Settings, db *store.DB, base *url.URL, term *terminal, now time.Time) (a *authority, madePassphrase bool, err error) {
	if err := refuseSecondCA(ctx, s, db); err != nil {
		return nil, false, err
	}
	passphrase, madePassphrase, err := s.newPassphrase(term)
	if err != nil {
		return nil, madePassphrase, err
	}
	a, err = newAuthority(ctx, s, db, base, passphrase, now)
	return a, madePassphrase, err
}

// newAuthority is recorded before its files exist, like every certificate.
func newAuthority(ctx context.Context, s *Settings, db *store.DB, base *url.URL, passphrase []byte, now time.Time) (*authority, error) {
	h, err := ca.CreateHierarchy(ca.HierarchyConfig{
		Organization: s.Organization,
		RootKind:     s.CA.RootKey, IssuingKind: s.CA.IssuingKey,
		CRLURL: crlURL(base, rootName), IssuerURL: certificateURL(base, rootName),
	}, now)
	if err != nil {
		return nil, fmt.Errorf("creating CA: %w", err)
	}
	err = db.Note(ctx, audit.Entry{
		At: now, Action: audit.CACreated, Actor: "system", Role: "system", Object: issuingName,
		Detail: map[string]string{
			"root": ca.Fingerprint(h.Root), "issuing": ca.Fingerprint(h.Issuing),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("recording the new CA: %w", err)
	}
	folder, err := ca.CreateFolder(s.path("ca"), h, passphrase)
	if err != nil {
		return nil, err
	}
	issuing, err := ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: h.IssuingKey})
	return &authority{folder: folder, issuing: issuing, passphrase: passphrase}, err
}

// openAuthority opens the CA in the data folder. A key that does not open leaves
// it sealed: lists and pages are served, nothing is issued. The error wraps
// fs.ErrNotExist when there is no CA.
func openAuthority(s *Settings, term *terminal) (*authority, error) {
	folder, err := ca.OpenFolder(s.path("ca"))
	if err != nil {
		return nil, err
	}
	a := &authority{folder: folder}
	if a.passphrase, err = s.passphrase(term); err != nil {
		a.sealed = err
		return a, nil
	}
	key, err := folder.IssuingKey(a.passphrase)
	if err != nil {
		a.sealed = err
		return a, nil
	}
	a.issuing, err = ca.NewIssuer(ca.IssuerConfig{Certificate: folder.Issuing(), Signer: key})
	// Opening a key took 64 MiB for a moment; the portal lives in less.
	debug.FreeOSMemory()
	return a, err
}

// issuer is what the registrar signs with, sealed or not.
func (a *authority) issuer() enroll.Issuer {
	if a.issuing == nil {
		return sealedIssuer{a.sealed}
	}
	return a.issuing
}

// sealedIssuer signs nothing and says why.
type sealedIssuer struct{ cause error }

// Prepare fulfils enroll.Issuer with a no.
func (s sealedIssuer) Prepare(*ca.Profile, ca.Subject, crypto.PublicKey, time.Time) (*ca.Prepared, error) {
	return nil, fmt.Errorf("the CA is sealed: %w", s.cause)
}

// Sign fulfils enroll.Issuer with a no.
func (s sealedIssuer) Sign(*ca.Prepared) (*x509.Certificate, error) {
	return nil, fmt.Errorf("the CA is sealed: %w", s.cause)
}

func (a *authority) issuingIssuer() (*ca.Issuer, error) {
	if a.issuing == nil {
		return nil, fmt.Errorf("the CA is sealed: %w", a.sealed)
	}
	return a.issuing, nil
}

// rootIssuer opens the root's key for one signature; it is not kept.
func (a *authority) rootIssuer() (*ca.Issuer, error) {
	if len(a.passphrase) == 0 {
		return nil, fmt.Errorf("the CA is sealed: %w", a.sealed)
	}
	key, err := a.folder.RootKey(a.passphrase)
	if err != nil {
		return nil, err
	}
	defer debug.FreeOSMemory()
	return ca.NewIssuer(ca.IssuerConfig{Certificate: a.folder.Root(), Signer: key})
}

// chain is what stands between a person's certificate and the root.
func (a *authority) chain() []*x509.Certificate { return []*x509.Certificate{a.folder.Issuing()} }

// noAuthority reports whether the error says that no CA was created yet.
func noAuthority(err error) bool { return errors.Is(err, fs.ErrNotExist) }
