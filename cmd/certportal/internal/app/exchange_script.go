package app

import (
	"context"
	"fmt"
	"net/url"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/exchange"
	"certportal/internal/succession"
	"certportal/store"
)

// ExchangeScript makes the script that sets up Exchange for the issuing CAs whose
// certificates are in use or will be, from the CA's folder and the settings.
func ExchangeScript(ctx context.Context, s *config.Settings, db *store.DB) ([]byte, error) {
	folder, err := ca.OpenFolder(s.Path("ca"))
	if err != nil {
		return nil, err
	}
	records, err := db.Authorities(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading states of issuing CAs: %w", err)
	}
	public, err := s.ConfiguredAddresses()
	if err != nil {
		return nil, err
	}
	over := map[string]bool{}
	for _, r := range records {
		over[r.Name] = r.State == succession.Retired || r.State == succession.Revoked
	}
	var all []ca.Authority
	for _, a := range folder.Authorities() {
		if !over[a.Name] {
			all = append(all, a)
		}
	}
	return exchangeScript(s, public, all)
}

// exchangeScript makes the script for the pages, where the states are known.
func exchangeScript(s *config.Settings, public config.Addresses, all []ca.Authority) ([]byte, error) {
	i := exchange.Installation{Organization: s.Organization, Portal: public.HTTPS.String()}
	for _, a := range all {
		i.Authorities = append(i.Authorities, exchange.Authority{Certificate: a.Certificate, Chain: a.Chain, Lists: listAddresses(public.HTTP, a)})
	}
	return exchange.Script(i)
}

// listAddresses are where the lists of an issuing CA and of all above it are published.
func listAddresses(base *url.URL, a ca.Authority) []string {
	all := append([]string{localca.CRLURL(base, a.Name)}, a.Certificate.CRLDistributionPoints...)
	for _, above := range a.Chain {
		all = append(all, above.CRLDistributionPoints...)
	}
	return all
}
