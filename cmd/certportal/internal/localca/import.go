package localca

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"certportal/ca"
	"certportal/ca/fetch"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/store"
)

// Import is a certificate from the company's CA that was checked.
type Import struct {
	ca.Proposal
	Problems []ca.Problem

	folder *ca.Folder // nil before there is a CA
	dir    string
}

// CheckImport reads the files with the certificate of an issuing CA and its chain, and
// finds all that is wrong with them. It writes nothing.
func CheckImport(ctx context.Context, s *config.Settings, db *store.DB, certFile, chainFile string, now time.Time) (*Import, error) {
	i := &Import{dir: s.Path("ca")}
	cfg := ca.ImportConfig{Needs: importNeeds(s), Now: now}
	var err error
	if cfg.Given, err = ca.ReadBundleFile(certFile); err != nil {
		return nil, err
	}
	if chainFile != "" {
		if cfg.Chain, err = ca.ReadBundleFile(chainFile); err != nil {
			return nil, err
		}
	}
	i.folder, err = ca.OpenFolder(i.dir)
	switch {
	case errors.Is(err, ca.ErrRequested):
		i.folder, err = nil, refuseListedCA(ctx, s, db)
	case NotCreated(err):
		err = fmt.Errorf("there is no request in %s: make one with certportal ca csr", i.dir)
	}
	if err != nil {
		return nil, err
	}
	if cfg.Folder = i.folder; i.folder != nil {
		cfg.Requests, err = i.folder.Requests()
	} else {
		cfg.Requests, err = ca.PendingRequests(i.dir)
	}
	if err != nil {
		return nil, err
	}
	i.Proposal, i.Problems = ca.CheckAuthority(cfg)
	if i.Certificate != nil && len(i.Chain) > 0 {
		i.Problems = append(i.Problems, fetchProblems(ctx, i.Proposal, now)...)
	}
	return i, nil
}

// importNeeds is what certificates of the settings hold.
func importNeeds(s *config.Settings) ca.AuthorityNeeds {
	n := ca.AuthorityNeeds{Validity: s.Validity(), ExtKeyUsages: s.Certificates.Usages, Subject: s.Certificates.Subject}
	if s.Directory.Domain != "" {
		n.Domains = []string{s.Directory.Domain}
	}
	if s.TLS.Certificate == "" {
		n.Hosts = s.TLS.Names
		if public, err := s.ConfiguredAddresses(); err == nil && s.PublicURL != "" {
			n.Hosts = append([]string{public.HTTPS.Hostname()}, n.Hosts...)
		}
	}
	return n
}

// fetchProblems asks the addresses in the chain, as servers will. What is not reachable
// from here can be reachable from there, so that it is no error.
func fetchProblems(ctx context.Context, p ca.Proposal, now time.Time) []ca.Problem {
	var list []ca.Problem
	var client fetch.Client
	cert := p.Certificate
	for _, issuer := range p.Chain {
		if len(cert.CRLDistributionPoints) > 0 {
			list = append(list, listProblems(client.Lists(ctx, cert, issuer, now))...)
		}
		if found := client.Issuers(ctx, cert, issuer); len(found.Addresses) > 0 && found.State != fetch.Good && found.State != fetch.NotChecked {
			list = append(list, ca.Problem{
				Text: fmt.Sprintf("The certificate of the issuer of %q is not where its AIA says: %s.", cert.Subject.CommonName, found.Text),
				Ask:  "Ask for the issuer's certificate to be published there: servers that lack it build no chain.",
			})
		}
		if cert = issuer; cert.Equal(p.Chain[len(p.Chain)-1]) {
			break
		}
	}
	return list
}

// listProblems says what is wrong with the revocation lists about a certificate.
func listProblems(l fetch.Lists) []ca.Problem {
	name := l.Certificate.Subject.CommonName
	p := ca.Problem{
		Text: fmt.Sprintf("The revocation list for %q: %s.", name, l.Text),
		Ask:  "Exchange refuses every phone while it cannot get this list. On AD CS: certutil -crl, and look at the CDP extension of the CA.",
	}
	switch {
	case l.Revoked != nil:
		p.Level, p.Ask = ca.ImportError, "Ask why it was revoked, and for a new certificate of a new request."
		p.Text = fmt.Sprintf("%q is revoked, since %s: every certificate below it is refused.", name, l.Revoked.At.UTC().Format(time.DateOnly))
	case l.State == fetch.Failed && l.Problem != fetch.Unreachable:
		p.Level = ca.ImportWarning
	case l.State == fetch.Good || l.State == fetch.NotChecked:
		return nil
	}
	return []ca.Problem{p}
}

// Level is the worst of the problems.
func (i *Import) Level() ca.ImportLevel {
	level := ca.ImportNote
	for _, p := range i.Problems {
		level = max(level, p.Level)
	}
	return level
}

// First reports whether there was no CA before.
func (i *Import) First() bool { return i.folder == nil }

// Finish opens the key, records the import, and writes the files. It gives the name of
// the issuing CA.
func (i *Import) Finish(ctx context.Context, s *config.Settings, db *store.DB, term *config.Terminal, now time.Time) (string, error) {
	if i.Certificate == nil || i.Level() == ca.ImportError {
		return "", errors.New("the certificate cannot be used")
	}
	secret, err := passphrase(s, term)
	if err != nil {
		return "", err
	}
	tokens := Tokens(s)
	defer tokens.Close()
	key, err := ca.RequestKey(i.dir, i.Request, keyring{s, secret, tokens})
	if err == nil {
		err = Found(key)
	}
	if err != nil {
		return "", err
	}
	debug.FreeOSMemory()
	record := db.Note
	if i.First() {
		record = db.RecordFirstCA
	}
	err = record(ctx, audit.Entry{
		At: now, Action: audit.CAImported, Actor: "operator", Role: "operator", Object: i.Request.Name,
		Detail: map[string]string{
			"issuing": ca.Fingerprint(i.Certificate), "root": ca.Fingerprint(i.Chain[len(i.Chain)-1]),
			"subject": i.Certificate.Subject.String(), "issuer": i.Certificate.Issuer.String(),
			"serial": fmt.Sprintf("%x", i.Certificate.SerialNumber), "key": keyHash(i.Request.Request),
		},
	})
	if errors.Is(err, portal.ErrConflict) {
		return "", otherCA(s)
	}
	if err != nil {
		return "", fmt.Errorf("recording the import: %w", err)
	}
	return ca.AddAuthority(i.dir, i.Proposal)
}
