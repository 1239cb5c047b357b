package app

import (
	"context"
	"crypto"
	"crypto/x509"

	"certportal/ca"
	"certportal/ca/ocsp"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/enroll"
)

// responderProfile is the profile of the OCSP signer in the records, and its name.
const responderProfile = "Certificate status"

// openOCSP makes the OCSP responder. The key of its signer exists in this process
// only: each replica and each start has its own.
func (p *App) openOCSP(ctx context.Context, _ *config.Terminal) (err error) {
	p.ocsp, err = ocsp.New(ocsp.Config{
		Store: p.DB, Issuing: p.CA.Folder.Issuing(), Certify: p.certifyResponder,
		Life: p.Settings.Revocation.OCSPLife, Now: p.Now, Log: p.log,
	})
	if err != nil {
		return err
	}
	// A sealed CA certifies no signer: the responder answers tryLater.
	if err := p.ocsp.Refresh(ctx); err != nil && p.CA.Sealed == nil {
		return err
	}
	return nil
}

// certifyResponder issues the certificate of an OCSP signer.
func (p *App) certifyResponder(ctx context.Context, key crypto.PublicKey) (*x509.Certificate, error) {
	return p.own.IssueOwn(ctx, enroll.OwnRequest{
		Profile: responderProfile, Certificate: ca.ResponderConfig{Name: responderProfile}, Key: key,
	})
}

// ocspHealth returns the state of the OCSP responder; nil before it is open.
func (p *App) ocspHealth() *ocsp.Health {
	if p.ocsp == nil {
		return nil
	}
	h := p.ocsp.Health()
	return &h
}
