package localca

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
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/store"
)

// authority is the embedded CA of an installation.
type CA struct {
	Folder     *ca.Folder
	Issuing    *ca.Issuer // nil while sealed
	Sealed     error      // why the issuing key could not be opened
	Passphrase []byte
}

// The names of the two CAs, in the store and in the addresses of their lists.
const (
	RootName    = "root"
	IssuingName = "issuing"
)

// Addresses of what certificates point to, below the plain-http address.
func CRLURL(base *url.URL, issuer string) string { return base.JoinPath("crl", issuer+".crl").String() }

func CertificateURL(base *url.URL, issuer string) string {
	return base.JoinPath("ca", issuer+".cer").String()
}

func OCSPURL(base *url.URL) string { return base.JoinPath("ocsp").String() }

// refuseSecondCA stops the creation of a CA where the records already know one:
// its folder was lost, not restored, or not copied to this replica, and a new CA
// would make every certificate so far worthless.
func refuseSecondCA(ctx context.Context, s *config.Settings, db *store.DB) error {
	_, known, err := db.Latest(ctx, IssuingName, false, 0)
	if err != nil || !known {
		return err
	}
	return fmt.Errorf("the records belong to a CA whose files are not in %s: restore them from a backup, "+
		"or copy them from another replica; nothing was created", s.Path("ca"))
}

// BelongsTo refuses records that know nothing of this CA: with them every revoked
// certificate would open doors again, and what was issued could not be found.
func (a *CA) BelongsTo(ctx context.Context, db *store.DB) error {
	known, err := db.Knows(ctx, ca.Fingerprint(a.Folder.Issuing()))
	if err != nil || known {
		return err
	}
	return errors.New("the records know nothing of this CA: the database setting names another one, or the database " +
		"was lost; restore it from a backup; nothing was published and nothing was issued")
}

// createAuthority makes root and issuing CA, their files and the ledger entry.
// madePassphrase says that the passphrase was made, too.
func Create(ctx context.Context, s *config.Settings, db *store.DB, base *url.URL, term *config.Terminal, now time.Time) (a *CA, madePassphrase bool, err error) {
	if err := refuseSecondCA(ctx, s, db); err != nil {
		return nil, false, err
	}
	passphrase, madePassphrase, err := newPassphrase(s, term)
	if err != nil {
		return nil, madePassphrase, err
	}
	a, err = create(ctx, s, db, base, passphrase, now)
	return a, madePassphrase, err
}

// newAuthority is recorded before its files exist, like every certificate.
func create(ctx context.Context, s *config.Settings, db *store.DB, base *url.URL, passphrase []byte, now time.Time) (*CA, error) {
	h, err := ca.CreateHierarchy(ca.HierarchyConfig{
		Organization: s.Organization,
		RootKind:     s.CA.RootKey, IssuingKind: s.CA.IssuingKey,
		CRLURL: CRLURL(base, RootName), IssuerURL: CertificateURL(base, RootName),
	}, now)
	if err != nil {
		return nil, fmt.Errorf("creating CA: %w", err)
	}
	err = db.Note(ctx, audit.Entry{
		At: now, Action: audit.CACreated, Actor: "system", Role: "system", Object: IssuingName,
		Detail: map[string]string{
			"root": ca.Fingerprint(h.Root), "issuing": ca.Fingerprint(h.Issuing),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("recording the new CA: %w", err)
	}
	folder, err := ca.CreateFolder(s.Path("ca"), h, passphrase)
	if err != nil {
		return nil, err
	}
	issuing, err := ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: h.IssuingKey})
	return &CA{Folder: folder, Issuing: issuing, Passphrase: passphrase}, err
}

// openAuthority opens the CA in the data folder. A key that does not open leaves
// it sealed: lists and pages are served, nothing is issued. The error wraps
// fs.ErrNotExist when there is no CA.
func Open(s *config.Settings, term *config.Terminal) (*CA, error) {
	folder, err := ca.OpenFolder(s.Path("ca"))
	if err != nil {
		return nil, err
	}
	a := &CA{Folder: folder}
	if a.Passphrase, err = passphrase(s, term); err != nil {
		a.Sealed = err
		return a, nil
	}
	key, err := folder.IssuingKey(a.Passphrase)
	if err != nil {
		a.Sealed = err
		return a, nil
	}
	a.Issuing, err = ca.NewIssuer(ca.IssuerConfig{Certificate: folder.Issuing(), Signer: key})
	// Opening a key took 64 MiB for a moment; the portal lives in less.
	debug.FreeOSMemory()
	return a, err
}

// Issuer is what the registrar signs with, sealed or not.
func (a *CA) Issuer() enroll.Issuer {
	if a.Issuing == nil {
		return sealedIssuer{a.Sealed}
	}
	return a.Issuing
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

func (a *CA) IssuingIssuer() (*ca.Issuer, error) {
	if a.Issuing == nil {
		return nil, fmt.Errorf("the CA is sealed: %w", a.Sealed)
	}
	return a.Issuing, nil
}

// RootIssuer opens the root's key for one signature; it is not kept.
func (a *CA) RootIssuer() (*ca.Issuer, error) {
	if len(a.Passphrase) == 0 {
		return nil, fmt.Errorf("the CA is sealed: %w", a.Sealed)
	}
	key, err := a.Folder.RootKey(a.Passphrase)
	if err != nil {
		return nil, err
	}
	defer debug.FreeOSMemory()
	return ca.NewIssuer(ca.IssuerConfig{Certificate: a.Folder.Root(), Signer: key})
}

// Chain is what stands between a person's certificate and the root.
func (a *CA) Chain() []*x509.Certificate { return []*x509.Certificate{a.Folder.Issuing()} }

// noAuthority reports whether the error says that no CA was created yet.
func NotCreated(err error) bool { return errors.Is(err, fs.ErrNotExist) }
