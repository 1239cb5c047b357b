package main

import (
	"context"
	"crypto"
	"crypto/sha1"
	"net/http"

	"certportal/ca"
	"certportal/internal/scep"
	"certportal/web"
)

// openSCEP makes the responder for phones that make their own key. Its agent's key
// lies in the records under the passphrase of the CA, so that replicas share it.
func (p *App) openSCEP(ctx context.Context, _ *terminal) (err error) {
	if !p.settings.SCEP.Enabled {
		return nil
	}
	c := scep.Config{
		Registrar: p.registrar, By: web.StrangerOf, Agents: p.db, Issuer: p.openOwnIssuer(),
		Agent: ca.RAConfig{
			CRLURLs:    []string{crlURL(p.public.http, issuingName)},
			IssuerURLs: []string{certificateURL(p.public.http, issuingName)},
			OCSPURLs:   []string{ocspURL(p.public.http)},
		},
		Seal: func(key crypto.Signer) ([]byte, error) { return ca.SealKey(key, p.authority.passphrase) },
		Open: func(file []byte) (crypto.Signer, error) { return ca.OpenKey(file, p.authority.passphrase) },
		Now:  p.now, Log: p.log,
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
func (p *App) services() map[string]http.Handler {
	if p.scep == nil {
		return nil
	}
	return map[string]http.Handler{scep.Path: p.scep}
}

// phoneKeys is what profiles say of it, or nil when it is off. Phones ask over https
// where the TLS certificate is one of the settings, which phones trust. Else they
// ask over plain http, and the profile names the CA they must meet, by the hash
// that Apple compares.
func (p *App) phoneKeys() *web.SCEP {
	if p.scep == nil {
		return nil
	}
	base := p.public.http
	if p.settings.TLS.Certificate != "" {
		base = p.public.https
	}
	sum := sha1.Sum(p.authority.folder.Issuing().Raw)
	return &web.SCEP{URL: base.JoinPath(scep.Path).String(), CAFingerprint: sum[:]}
}
