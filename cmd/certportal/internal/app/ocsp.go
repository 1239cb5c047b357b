package app

import (
	"context"
	"crypto"
	"crypto/x509"

	"certportal/ca"
	"certportal/ca/ocsp"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/enroll"
	"certportal/internal/succession"
)

// responderProfile is the profile of the OCSP signer in the records, and its name.
const responderProfile = "Certificate status"

// openOCSP makes the OCSP responders, one for each issuing CA.
func (p *App) openOCSP(ctx context.Context, _ *config.Terminal) error {
	active, _ := p.CA.Line.Active()
	for _, of := range p.CA.Line.All() {
		err := p.answerFor(ctx, of)
		switch {
		case err == nil, p.CA.Ready() != nil: // then nothing is signed: the responder answers tryLater
		case of.Name == active.Name:
			return err
		default:
			p.log.Error("making the OCSP signer of an issuing CA that does not issue", "name", of.Name, "err", err)
		}
	}
	return nil
}

// answerFor adds the responder of an issuing CA; none is needed when its certificates have
// all ended. The key of its signer exists in this process only: each replica and each
// start has its own.
func (p *App) answerFor(ctx context.Context, of succession.Authority) error {
	if !p.Now().Before(of.Certificate.NotAfter) {
		p.ocsp.Remove(of.Name)
		return nil
	}
	if p.ocsp.Has(of.Name) {
		return nil
	}
	own, err := enroll.NewOwnIssuer(enroll.OwnConfig{
		Store: p.DB, Issuer: func() (*ca.Issuer, error) { return p.CA.IssuerOf(of.Name) }, Revoked: p.revoked, Now: p.Now, Log: p.log,
	})
	if err != nil {
		return err
	}
	certify := func(ctx context.Context, key crypto.PublicKey) (*x509.Certificate, error) {
		return own.IssueOwn(ctx, enroll.OwnRequest{
			Profile: responderProfile, Certificate: ca.ResponderConfig{Name: responderProfile}, Key: key,
		})
	}
	r, err := ocsp.New(ocsp.Config{
		Store: p.DB, Name: of.Name, Issuing: of.Certificate, Certify: certify, Hold: p.clock.Fault,
		Life: p.Settings.Revocation.OCSPLife, Now: p.Now, Log: p.log,
	})
	if err != nil {
		return err
	}
	err = r.Refresh(ctx)
	p.ocsp.Add(r)
	return err
}

// ocspHealth returns the state of the OCSP responder that is worst off; nil where there is
// none.
func (p *App) ocspHealth() *ocsp.Health {
	h, ok := p.ocsp.Worst()
	if !ok {
		return nil
	}
	return &h
}
