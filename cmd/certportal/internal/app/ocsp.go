package app

import (
	"context"
	"crypto"
	"crypto/x509"

	"certportal/ca"
	"certportal/ca/ocsp"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/enroll"
)

// responderProfile is the profile of the OCSP signer in the records, and its name.
const responderProfile = "Certificate status"

// openOCSP makes what answers whether a certificate is revoked. The key of its signer
// is in this process alone: each replica and each start has one of its own.
func (p *App) openOCSP(ctx context.Context, _ *config.Terminal) (err error) {
	p.ocsp, err = ocsp.New(ocsp.Config{
		Records: p.DB, Issuing: p.CA.Folder.Issuing(), Certify: p.certifyResponder,
		Life: p.Settings.Revocation.OCSPLife, Now: p.Now, Log: p.log,
	})
	if err != nil {
		return err
	}
	// Without its key the CA certifies no signer: who asks is told to try later.
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

// ocspHealth tells how certificates are answered for online; nil before they are.
func (p *App) ocspHealth() *ocsp.Health {
	if p.ocsp == nil {
		return nil
	}
	h := p.ocsp.Health()
	return &h
}

// onlineURLs are where a certificate says that it is answered for.
func (p *App) onlineURLs() []string { return []string{localca.OCSPURL(p.Public.HTTP)} }
