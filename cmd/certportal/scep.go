package main

import (
	"context"
	"crypto"
	"net/http"
	"net/url"

	"certportal/ca"
	"certportal/scep"
	"certportal/web"
)

// openSCEP makes the responder for phones that make their own key. Its agent's key
// lies in the records under the passphrase of the CA, so that replicas share it.
func (p *portal) openSCEP(ctx context.Context, _ *terminal) (err error) {
	if !p.settings.SCEP.Enabled {
		return nil
	}
	c := scep.Config{
		Registrar: p.registrar, By: web.StrangerOf, Records: p.db, Agents: p.db,
		Agent: ca.AgentConfig{
			CRLURLs:    []string{crlURL(p.public.http, issuingName)},
			IssuerURLs: []string{certificateURL(p.public.http, issuingName)},
		},
		Seal: func(key crypto.Signer) ([]byte, error) { return ca.SealKey(key, p.authority.passphrase) },
		Open: func(file []byte) (crypto.Signer, error) { return ca.OpenKey(file, p.authority.passphrase) },
		Now:  p.now, Log: p.log,
	}
	// A nil *ca.Issuer in the interface would not be nil.
	if p.authority.issuing != nil {
		c.Issuer = p.authority.issuing
	}
	if p.scep, err = scep.New(c); err != nil {
		return err
	}
	if err := p.scep.Refresh(ctx); err != nil && p.authority.sealed == nil {
		return err
	}
	return nil
}

// services are what the portal answers to machines beside its pages.
func (p *portal) services() map[string]http.Handler {
	if p.scep == nil {
		return nil
	}
	return map[string]http.Handler{scep.Path: p.scep}
}

// scepURL is where phones ask: over plain http, because the messages protect
// themselves and a phone need not trust the portal's TLS certificate yet.
func (p *portal) scepURL() *url.URL { return p.public.http.JoinPath(scep.Path) }
