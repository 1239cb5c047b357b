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
	if err := ownIssuer(s); err != nil {
		return nil, err
	}
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
	states := map[string]succession.State{}
	for _, r := range records {
		states[r.Name] = r.State
	}
	i := exchange.Installation{Organization: s.Organization, Portal: public.HTTPS.String()}
	for _, a := range folder.Authorities() {
		i.Authorities = append(i.Authorities, inScript(public.HTTP, a, states[a.Name])...)
	}
	return exchange.Script(i)
}

// ownIssuer refuses what is about the portal's own CA while another one issues: Exchange
// would trust the wrong one for sign-in.
func ownIssuer(s *config.Settings) error {
	if s.Certificates.Issuer == "" {
		return nil
	}
	return fmt.Errorf("certificates of people come from %s (certificates.issuer), and the script is for the portal's own CA alone: "+
		"set Exchange up by hand with the root, issuing CA and lists of %[1]s, see docs/exchange.md", s.Certificates.Issuer)
}

// exchangeScript makes the script for the pages.
func (p *App) exchangeScript() ([]byte, error) {
	if err := ownIssuer(p.Settings); err != nil {
		return nil, err
	}
	i := exchange.Installation{Organization: p.Settings.Organization, Portal: p.Public.HTTPS.String()}
	for _, of := range p.CA.Line.All() {
		i.Authorities = append(i.Authorities, inScript(p.Public.HTTP, of.Authority, of.Record.State)...)
	}
	return exchange.Script(i)
}

// inScript is an issuing CA as the script takes it, with the addresses where its list and
// those of all above it are published; none when no certificate of it is in use any more.
func inScript(base *url.URL, a ca.Authority, state succession.State) []exchange.Authority {
	if state == succession.Retired || state == succession.Revoked {
		return nil
	}
	lists := append([]string{localca.CRLURL(base, a.Name)}, a.Certificate.CRLDistributionPoints...)
	for _, above := range a.Chain {
		lists = append(lists, above.CRLDistributionPoints...)
	}
	return []exchange.Authority{{Certificate: a.Certificate, Chain: a.Chain, Lists: lists}}
}

// scriptForPages is nil while the script would be about another CA than the one that issues.
func (p *App) scriptForPages() func() ([]byte, error) {
	if ownIssuer(p.Settings) != nil {
		return nil
	}
	return p.exchangeScript
}
