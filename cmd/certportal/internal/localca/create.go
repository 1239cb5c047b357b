package localca

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/store"
)

// refuseSecondCA returns an error if the database already knows a CA: its folder was
// lost or not copied to this replica, and a new CA would invalidate all certificates.
func refuseSecondCA(ctx context.Context, s *config.Settings, db *store.DB) error {
	recorded, err := db.RecordedCAs(ctx)
	if err != nil {
		return err
	}
	if len(recorded) > 0 {
		return otherCA(s)
	}
	return refuseListedCA(ctx, s, db)
}

// refuseListedCA is refuseSecondCA for an import, which may be recorded already: it returns
// an error if the CA of the database published a list.
func refuseListedCA(ctx context.Context, s *config.Settings, db *store.DB) error {
	_, known, err := db.Latest(ctx, IssuingName, false, 0)
	if err != nil || !known {
		return err
	}
	return otherCA(s)
}

// otherCA says that the files of the CA are elsewhere.
func otherCA(s *config.Settings) error {
	return fmt.Errorf("the records belong to a CA whose files are not in %s: bring it from another replica (certportal ca copy-to there, copy-from here), "+
		"or restore it from a backup; nothing was created", s.Path("ca"))
}

// ErrOtherRecords means that the database is not that of the CA.
var ErrOtherRecords = errors.New("the records know nothing of this CA: the database setting names another one, or the database " +
	"was lost; restore it from a backup; nothing was published and nothing was issued")

// BelongsTo returns an error if the database does not know this CA, or knows another one.
// With such a database, revoked certificates would become valid again; and replicas with
// a CA each would publish their lists over each other's.
func (a *CA) BelongsTo(ctx context.Context, db *store.DB) error {
	recorded, err := db.RecordedCAs(ctx)
	if err != nil {
		return err
	}
	first := a.Folder.Authorities()[0]
	known := slices.Contains(recorded, ca.Fingerprint(first.Certificate))
	if !known && len(recorded) == 0 {
		return ErrOtherRecords
	}
	others, err := db.Authorities(ctx)
	if err != nil {
		return err
	}
	for _, r := range others {
		known = known && (r.Name != first.Name || sha256.Sum256(first.Certificate.Raw) == r.Fingerprint)
	}
	if !known {
		return fmt.Errorf("the CA in %s is not that of the records: copy the folder from another replica, or restore it from a backup; "+
			"or the database setting names another database; nothing was published and nothing was issued", a.dir)
	}
	return nil
}

// Create makes root and issuing CA, their files and the audit entry. madePassphrase
// reports whether a passphrase file was made. Of replicas that do so at the same time on
// one database, all but one are refused.
func Create(ctx context.Context, s *config.Settings, db *store.DB, base *url.URL, term *config.Terminal, now time.Time) (a *CA, madePassphrase bool, err error) {
	if err := Finish(ctx, s, db); err != nil {
		return nil, false, err
	}
	if a, err = Open(s, base, term); !NotCreated(err) {
		return a, false, err
	}
	if err := refuseSecondCA(ctx, s, db); err != nil {
		return nil, false, err
	}
	passphrase, madePassphrase, err := newPassphrase(s, term)
	if err != nil {
		return nil, madePassphrase, err
	}
	a, err = create(ctx, s, db, base, passphrase, now)
	if errors.Is(err, errTaken) {
		err = otherCA(s)
		if madePassphrase { // of no key: in the way of the one that is copied here
			err = errors.Join(err, os.Remove(s.DefaultPassphraseFile()))
		}
	}
	return a, madePassphrase, err
}

func create(ctx context.Context, s *config.Settings, db *store.DB, base *url.URL, passphrase []byte, now time.Time) (*CA, error) {
	a := &CA{Passphrase: passphrase, dir: s.Path("ca"), base: base, ring: keyring{s, passphrase, Tokens(s)}}
	if err := a.create(ctx, s, db, now); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// errTaken means that another process recorded its CA first.
var errTaken = errors.New("another CA was recorded first")

// create writes the new CA into a folder of its own, records it, and then moves the files to
// their place, so that a crash leaves a CA that was never recorded, or one that Finish ends.
func (a *CA) create(ctx context.Context, s *config.Settings, db *store.DB, now time.Time) error {
	if err := a.ring.checkSecret(a.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	h, err := a.createHierarchy(s, now)
	if err != nil {
		return fmt.Errorf("creating CA: %w", err)
	}
	if _, err := ca.CreateFolder(unrecorded(s), h, a.Passphrase); err != nil {
		return discard(err, h.RootKey, h.IssuingKey)
	}
	err = db.RecordFirstCA(ctx, audit.Entry{
		At: now, Action: audit.CACreated, Actor: "system", Role: "system", Object: IssuingName,
		Detail: map[string]string{
			"root": ca.Fingerprint(h.Root), "issuing": ca.Fingerprint(h.Issuing),
		},
	})
	if errors.Is(err, portal.ErrConflict) {
		return discard(errors.Join(errTaken, os.RemoveAll(unrecorded(s))), h.RootKey, h.IssuingKey)
	}
	if err != nil { // perhaps it is recorded all the same: Finish will know
		return fmt.Errorf("recording the new CA: %w", err)
	}
	if err := moveFolder(unrecorded(s), a.dir); err != nil {
		return err
	}
	if a.Folder, err = ca.OpenFolder(a.dir); err != nil {
		return err
	}
	secret, _, err := a.ring.secret(a.dir, a.Folder)
	if err != nil {
		return err
	}
	return a.use(secret, h.IssuingKey)
}

// createHierarchy makes root and issuing CA, their keys where the settings say.
func (a *CA) createHierarchy(s *config.Settings, now time.Time) (*ca.Hierarchy, error) {
	cfg := ca.HierarchyConfig{
		Organization: s.Organization,
		RootKind:     s.CA.RootKey, IssuingKind: s.CA.IssuingKey,
		CRLURL: CRLURL(a.base, RootName), IssuerURL: CertificateURL(a.base, RootName),
	}
	if s.CA.PKCS11.IssuingToken != "" {
		if err := a.ring.ensureSecret(a.dir); err != nil {
			return nil, err
		}
	}
	var err error
	if cfg.RootKey, err = a.ring.inToken(RootName, s.CA.RootKey); err != nil {
		return nil, err
	}
	if cfg.IssuingKey, err = a.ring.inToken(IssuingName, s.CA.IssuingKey); err != nil {
		return nil, discard(err, cfg.RootKey)
	}
	h, err := ca.CreateHierarchy(cfg, now)
	if err != nil {
		return nil, discard(err, cfg.RootKey, cfg.IssuingKey)
	}
	return h, nil
}
