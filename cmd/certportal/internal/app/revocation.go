package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/directory"
	"certportal/internal/succession"
)

// Authorities returns the CAs whose CRLs are published: the own root, if there is one, and
// all issuing CAs. Delta CRLs are below the plain-http address.
func Authorities(a *localca.CA, s *config.Settings, base *url.URL) []crl.Authority {
	var list []crl.Authority
	if a.Folder.OwnRoot() {
		list = append(list, crl.Authority{Name: localca.RootName, Life: crl.RootLife, Renew: crl.RootRenew, Issuer: a.RootIssuer, Certificate: a.Folder.Root()})
	}
	for _, of := range a.Line.All() {
		list = append(list, authority(a, of, s, base))
	}
	return list
}

// authority says how the CRLs of an issuing CA are made. A pending one has a list too, so
// that its address is known to answer before a certificate names it.
func authority(a *localca.CA, of succession.Authority, s *config.Settings, base *url.URL) crl.Authority {
	made := crl.Authority{
		Name: of.Name, Life: s.Revocation.ListLife, Renew: s.Revocation.ListEvery,
		Issuer: func() (*ca.Issuer, error) { return a.IssuerOf(of.Name) },
	}
	if s.Revocation.DeltaEvery > 0 {
		made.DeltaRenew = s.Revocation.DeltaEvery
		made.Freshest = []string{localca.CRLURL(base, of.Name+crl.DeltaSuffix)}
	}
	made.Certificate, made.Until = of.Certificate, of.Certificate.NotAfter
	return made
}

// listFolders are the folders that lists are copied to.
func listFolders(s *config.Settings, signers func() map[string]*x509.Certificate) []*crl.Folder {
	var list []*crl.Folder
	for _, path := range s.Revocation.Folders {
		list = append(list, &crl.Folder{Path: path, Signers: signers})
	}
	return list
}

// ListTargets are all places that lists are copied to.
func ListTargets(s *config.Settings, signers func() map[string]*x509.Certificate) ([]crl.Target, error) {
	var targets []crl.Target
	for _, f := range listFolders(s, signers) {
		targets = append(targets, f)
	}
	entries, err := listEntries(s, signers())
	if err != nil || entries == nil {
		return targets, err
	}
	return append(targets, entries), nil
}

// crlLDAPPassword is the systemd credential with the password of the account that
// writes lists into a directory.
const crlLDAPPassword = "crl-ldap-password"

// listEntries are the entries of a directory that lists are copied to; nil when none
// are named. The password is read anew for each connection.
func listEntries(s *config.Settings, signers map[string]*x509.Certificate) (*directory.CRLPublisher, error) {
	l := s.Revocation.LDAP
	if l.URL == "" {
		return nil, nil
	}
	roots, err := config.ReadRoots(l.CAFile)
	if err != nil {
		return nil, fmt.Errorf("revocation.ldap.ca_file: %w", err)
	}
	entries := map[string]string{localca.IssuingName: l.DN}
	if l.RootDN != "" && signers[localca.RootName] != nil {
		entries[localca.RootName] = l.RootDN
	}
	return directory.NewCRLPublisher(directory.CRLPublisherConfig{
		URL: l.URL, Roots: roots, User: l.BindDN, Entries: entries, Signers: signers,
		Password: func() (string, error) {
			secret, err := config.Credential(l.PasswordFile, crlLDAPPassword, "revocation.ldap.password_file")
			return string(secret), err
		},
	})
}

// openLists records again what a restored database lacks, then loads the CRLs. Nothing
// is served before.
func (p *App) openLists(ctx context.Context) error {
	targets, err := ListTargets(p.Settings, p.CA.Signers)
	if err != nil {
		return err
	}
	p.lists, err = crl.New(crl.Config{
		Store: p.DB, Authorities: Authorities(p.CA, p.Settings, p.Public.HTTP), Targets: targets, Now: p.Now, Log: p.log,
	})
	if err != nil {
		return err
	}
	p.journal, err = crl.OpenJournal(crl.JournalConfig{
		Path: p.Settings.JournalFile(), Store: p.DB, Lists: p.listsInForce, Restored: p.restored, Now: p.Now, Log: p.log,
	})
	if err != nil {
		return err
	}
	brought, err := p.recall(ctx)
	if err != nil {
		return err
	}
	if brought > 0 {
		// What was revoked since may be an issuing CA.
		if err := p.CA.Line.Refresh(ctx); err != nil {
			return err
		}
		p.log.Warn("the records were an older copy: what was revoked or issued since is revoked again", "certificates", brought)
		err = p.lists.Refresh(ctx)
	} else {
		err = p.lists.Load(ctx)
	}
	// A sealed CA serves the last lists and cannot make new ones. One that does not issue
	// must not stop the others.
	active, _ := p.CA.Line.Active()
	_, listed := p.lists.CRL(active.Name)
	if err != nil && (p.CA.Ready() != nil || listed) {
		p.log.Error("loading revocation lists", "err", err)
		return nil
	}
	return err
}

// listsInForce are the complete lists, whose numbers the journal keeps.
func (p *App) listsInForce() []crl.List {
	var list []crl.List
	for name := range p.CA.Signers() {
		for _, kind := range []string{name, name + crl.DeltaSuffix} {
			if l, ok := p.lists.CRL(kind); ok {
				list = append(list, l)
			}
		}
	}
	return list
}

// folderPatience is how long a start waits for a file share that does not answer.
const folderPatience = 15 * time.Second

// recall records revocations that are in the journal or in published CRLs and not in
// the database, which may be known to a published list only, as the journal is lost too.
// A folder that cannot be read is logged and skipped.
func (p *App) recall(ctx context.Context) (int, error) {
	brought, err := p.journal.Recover(ctx)
	if err != nil {
		return brought, err
	}
	restored := p.restored
	if brought > 0 {
		restored = nil // the journal called it
	}
	for _, folder := range listFolders(p.Settings, p.CA.Signers) {
		n, err := p.recallFolder(ctx, folder, restored)
		brought += n
		if errors.Is(err, errNotEnded) {
			return brought, err
		}
		if err != nil {
			p.log.Error("reading published lists as records", "folder", folder.Path, "err", err)
		}
	}
	return brought, nil
}

// errNotEnded means that what an older copy brings back is still there. Nothing may be
// served then.
var errNotEnded = errors.New("ending what an older copy of the database brings back")

// restored ends what an older copy of the database brings back, and stops issuing.
func (p *App) restored(ctx context.Context) error {
	if err := p.DB.EndRestored(ctx, p.Now()); err != nil {
		return fmt.Errorf("%w: %w", errNotEnded, err)
	}
	p.log.Error("the database is an older copy: sessions, codes and waiting files are ended and issuing is stopped; " +
		"check the built-in accounts, then resume issuing at /admin/halt")
	return nil
}

// errNoAnswer means that a file share hangs.
var errNoAnswer = errors.New("it does not answer")

func (p *App) recallFolder(ctx context.Context, folder *crl.Folder, restored func(context.Context) error) (int, error) {
	type result struct {
		brought int
		err     error
	}
	done := make(chan result, 1)
	go func() {
		n, err := folder.Recover(ctx, p.DB, restored, p.Now())
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return r.brought, r.err
	case <-time.After(folderPatience):
		return 0, errNoAnswer
	}
}

// revoked wakes the CRL publisher, the OCSP responders and the journal after a
// revocation. It never blocks.
func (p *App) revoked() {
	p.lists.Nudge()
	p.ocsp.Nudge()
	p.journal.Nudge()
}
