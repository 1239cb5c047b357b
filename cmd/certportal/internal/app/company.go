package app

import (
	"context"
	"crypto/x509"
	"log/slog"
	"time"

	"certportal/ca"
	"certportal/ca/fetch"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/doctor"
	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/succession"
)

// newCompanyWatch returns the watch of the lists that the company publishes about the
// CAs above the portal's own.
func newCompanyWatch(folder func() *ca.Folder, now func() time.Time, log *slog.Logger) *fetch.Watch {
	return fetch.NewWatch(fetch.WatchConfig{
		Client: companyClient(folder()), Links: func() []fetch.Link { return companyLinks(folder()) }, Now: now, Log: log,
	})
}

// companyClient trusts the company's roots besides those of this machine, as its servers
// do: some companies publish over https.
func companyClient(folder *ca.Folder) *fetch.Client {
	var roots []*x509.Certificate
	for _, a := range folder.Authorities() {
		roots = append(roots, a.Root())
	}
	return fetchClient(roots)
}

// fetchClient trusts roots besides those of this machine.
func fetchClient(further []*x509.Certificate) *fetch.Client {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	for _, root := range further {
		roots.AddCert(root)
	}
	return &fetch.Client{Roots: roots}
}

// companyLinks are the certificates in the chains of all issuing CAs, also those that are
// not active yet, whose lists the portal does not make.
func companyLinks(folder *ca.Folder) []fetch.Link {
	var own *x509.Certificate
	if folder.OwnRoot() {
		own = folder.Root()
	}
	var chains [][]*x509.Certificate
	for _, a := range folder.Authorities() {
		chains = append(chains, append([]*x509.Certificate{a.Certificate}, a.Chain...))
	}
	return fetch.Links(own, chains...)
}

// companyTime bounds how long "config check" asks for the company's lists.
const companyTime = time.Minute

// companyFindings fetches the company's lists once. There are none without a CA, or with
// a root of the portal's own.
func companyFindings(ctx context.Context, s *config.Settings) []portal.Finding {
	folder, err := ca.OpenFolder(s.Path("ca"))
	if err != nil {
		return nil // reported with the CA
	}
	ctx, cancel := context.WithTimeout(ctx, companyTime)
	defer cancel()
	client := companyClient(folder)
	var findings []portal.Finding
	for _, link := range companyLinks(folder) {
		findings = append(findings, doctor.CompanyFindings(client.Lists(ctx, link.Certificate, link.Issuer, time.Now()))...)
	}
	return findings
}

// publishedFindings looks whether Active Directory has the CA. There are none without a CA.
func publishedFindings(ctx context.Context, s *config.Settings, d *directory.LDAP) []portal.Finding {
	folder, err := ca.OpenFolder(s.Path("ca"))
	if err != nil {
		return nil // reported with the CA
	}
	public, err := s.ConfiguredAddresses()
	if err != nil {
		return nil // reported with the names
	}
	return doctor.CheckPublished(ctx, d, folder, revokedIn(ctx, s), public.HTTP)
}

// revokedIn tells which issuing CAs the records have as revoked; none without records.
func revokedIn(ctx context.Context, s *config.Settings) func(name string) bool {
	names := map[string]bool{}
	if db, err := OpenAsIs(ctx, s, slog.New(slog.DiscardHandler)); err == nil {
		records, _ := db.Authorities(ctx) // without them the check says too much
		for _, r := range records {
			names[r.Name] = r.State == succession.Revoked
		}
		_ = db.Close()
	}
	return func(name string) bool { return names[name] }
}
