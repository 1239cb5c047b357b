package app

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/autotls"
)

// openACME makes what orders the TLS certificate by ACME; nil when it is off. It asks no
// server: the portal starts without.
func (p *App) openACME() (*autotls.Manager, error) {
	a := p.Settings.TLS.ACME
	if a.Directory == "" {
		return nil, nil
	}
	roots, err := p.Settings.ACMERoots()
	if err != nil {
		return nil, fmt.Errorf("tls.acme.ca_file: %w", err)
	}
	key, err := p.Settings.ACMEAccountKey()
	if err != nil {
		return nil, fmt.Errorf("tls.acme.account_key_file: %w", err)
	}
	return autotls.New(autotls.Config{
		Directory: a.Directory, Contacts: a.Contact, Names: p.Settings.ACMENames(p.Public), AccountID: a.AccountID, AccountKey: key, Roots: roots,
		Folder: acmeFolder(p.Settings), Store: p.DB, Secret: p.CA.Secret, Holder: p.DB.Node() + " " + rand.Text(),
		Agent: "certportal/" + p.program.Version, Hold: p.holdACME, Now: p.Now, Log: p.log,
	}), nil
}

func acmeFolder(s *config.Settings) string { return s.Path("tls") }

// holdACME gives the reason why this replica must not order: certificates would seem to be
// ended, or the other replicas could not open the key.
func (p *App) holdACME() error {
	if p.CA.Sealed != nil {
		return errors.New("the CA's key does not open")
	}
	return p.clock.Fault()
}

// answerChallenge answers an ACME server; nil when no certificate is ordered, so that the
// plain-http side has no such address then.
func (p *App) answerChallenge() func(ctx context.Context, token string, now time.Time) (string, error) {
	if p.tls.acme == nil {
		return nil
	}
	return p.DB.HTTPChallenge
}

// acmeServed is the copy of the certificate by ACME, for a command beside the portal.
func acmeServed(s *config.Settings, now time.Time) *x509.Certificate {
	public, err := addressesNow(s)
	if err != nil || s.TLS.ACME.Directory == "" {
		return nil
	}
	return autotls.Served(acmeFolder(s), s.ACMENames(public), now)
}
