package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/internal/directory"
)

// lists are the two authorities whose revocation lists are published, as the settings
// ask; their delta lists stand below the plain-http address.
func (a *authority) lists(s *Settings, base *url.URL) []crl.Authority {
	issuing := crl.Authority{
		Name: issuingName, Life: s.Revocation.ListLife, Renew: s.Revocation.ListEvery, Issuer: a.issuingIssuer,
	}
	if s.Revocation.DeltaEvery > 0 {
		issuing.DeltaRenew = s.Revocation.DeltaEvery
		issuing.Freshest = []string{crlURL(base, issuingName+crl.DeltaSuffix)}
	}
	return []crl.Authority{
		{Name: rootName, Life: crl.RootLife, Renew: crl.RootRenew, Issuer: a.rootIssuer},
		issuing,
	}
}

// listSigners are the CA certificates under the names of their lists.
func listSigners(folder *ca.Folder) map[string]*x509.Certificate {
	return map[string]*x509.Certificate{rootName: folder.Root(), issuingName: folder.Issuing()}
}

// listFolders are the folders that lists are copied to.
func (s *Settings) listFolders(folder *ca.Folder) []*crl.Folder {
	var list []*crl.Folder
	for _, path := range s.Revocation.Folders {
		list = append(list, &crl.Folder{Path: path, Signers: listSigners(folder)})
	}
	return list
}

// listTargets are all places that lists are copied to.
func (s *Settings) listTargets(folder *ca.Folder) ([]crl.Target, error) {
	var targets []crl.Target
	for _, f := range s.listFolders(folder) {
		targets = append(targets, f)
	}
	entries, err := s.listEntries(folder)
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
func (s *Settings) listEntries(folder *ca.Folder) (*directory.Lists, error) {
	l := s.Revocation.LDAP
	if l.URL == "" {
		return nil, nil
	}
	roots, err := readRoots(l.CAFile)
	if err != nil {
		return nil, fmt.Errorf("revocation.ldap.ca_file: %w", err)
	}
	entries := map[string]string{issuingName: l.DN}
	if l.RootDN != "" {
		entries[rootName] = l.RootDN
	}
	return directory.NewLists(directory.ListsConfig{
		URL: l.URL, Roots: roots, User: l.BindDN, Entries: entries, Signers: listSigners(folder),
		Password: func() (string, error) {
			secret, err := credential(l.PasswordFile, crlLDAPPassword, "revocation.ldap.password_file")
			return string(secret), err
		},
	})
}

// openLists brings back what a restored database forgot, and loads the lists. Nothing is
// served before.
func (p *App) openLists(ctx context.Context) error {
	targets, err := p.settings.listTargets(p.authority.folder)
	if err != nil {
		return err
	}
	p.lists, err = crl.New(crl.Config{
		Lists: p.db, Authorities: p.authority.lists(p.settings, p.public.http), Targets: targets, Now: p.now, Log: p.log,
	})
	if err != nil {
		return err
	}
	p.journal, err = crl.OpenJournal(crl.JournalConfig{
		Path: p.settings.journalFile(), Records: p.db, Lists: p.listsInForce, Now: p.now, Log: p.log,
	})
	if err != nil {
		return err
	}
	brought, err := p.recall(ctx)
	if err != nil {
		return err
	}
	if brought > 0 {
		p.log.Warn("the records were an older copy: what was revoked or issued since is revoked again", "certificates", brought)
		err = p.lists.Refresh(ctx)
	} else {
		err = p.lists.Load(ctx)
	}
	// A sealed CA serves the last lists and cannot make new ones.
	if err != nil && p.authority.sealed != nil {
		p.log.Error("loading revocation lists", "err", err)
		return nil
	}
	return err
}

// listsInForce are the complete lists, whose numbers the journal keeps.
func (p *App) listsInForce() []crl.List {
	var list []crl.List
	for _, name := range []string{rootName, issuingName} {
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

// recall replays what the journal and the published lists tell and the records do not.
// A folder that cannot be read is told, and stops nothing.
func (p *App) recall(ctx context.Context) (int, error) {
	brought, err := p.journal.Recall(ctx)
	if err != nil {
		return brought, err
	}
	for _, folder := range p.settings.listFolders(p.authority.folder) {
		n, err := p.recallFolder(ctx, folder)
		brought += n
		if err != nil {
			p.log.Error("reading published lists as records", "folder", folder.Path, "err", err)
		}
	}
	return brought, nil
}

// errNoAnswer says that a file share hangs.
var errNoAnswer = errors.New("it does not answer")

func (p *App) recallFolder(ctx context.Context, folder *crl.Folder) (int, error) {
	type result struct {
		brought int
		err     error
	}
	done := make(chan result, 1)
	go func() {
		n, err := folder.Recall(ctx, p.db, p.db, p.now())
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return r.brought, r.err
	case <-time.After(folderPatience):
		return 0, errNoAnswer
	}
}

// revoked tells everybody who follows the records that something was revoked here.
// It never blocks.
func (p *App) revoked() {
	p.lists.Nudge()
	if p.ocsp != nil { // it is opened after the TLS certificate is issued
		p.ocsp.Nudge()
	}
	p.journal.Nudge()
}
