package app

import (
	"context"
	"crypto"
	"crypto/sha1"
	"net/http"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/scep"
	"certportal/web"
)

// openSCEP makes the SCEP server. The key of its RA is stored encrypted under the
// passphrase of the CA, so that replicas share it.
func (p *App) openSCEP(ctx context.Context, _ *config.Terminal) (err error) {
	if !p.Settings.SCEP.Enabled {
		return nil
	}
	c := scep.Config{
		Registrar: p.Registrar, Actor: web.AnonymousActor, Store: p.DB, Issuer: p.openOwnIssuer(),
		Encrypt: func(key crypto.Signer) ([]byte, error) { return ca.EncryptKey(key, p.CA.Passphrase) },
		Decrypt: func(file []byte) (crypto.Signer, error) { return ca.DecryptKey(file, p.CA.Passphrase) },
		Now:     p.Now, Log: p.log,
	}
	if p.scep, err = scep.New(c); err != nil {
		return err
	}
	if err := p.scep.Refresh(ctx); err != nil && p.CA.Ready() == nil {
		return err
	}
	return nil
}

// services are the handlers for machines, by path.
func (p *App) services() map[string]http.Handler {
	if p.scep == nil {
		return nil
	}
	return map[string]http.Handler{scep.Path: p.scep}
}

// phoneKeys returns the SCEP settings for profiles, or nil when SCEP is off. Phones use
// https if the TLS certificate is configured, because they trust it. Otherwise they use
// plain http, and the profile pins the CA by the hash that Apple compares.
func (p *App) phoneKeys() *web.SCEP {
	if p.scep == nil {
		return nil
	}
	base := p.Public.HTTP
	if p.Settings.TLS.Certificate != "" {
		base = p.Public.HTTPS
	}
	return &web.SCEP{URL: base.JoinPath(scep.Path).String(), CAFingerprint: func() []byte {
		active, ok := p.CA.Line.Active()
		if !ok {
			return nil
		}
		sum := sha1.Sum(active.Certificate.Raw)
		return sum[:]
	}}
}
