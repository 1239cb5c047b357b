package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"time"

	"certportal/ca"
	"certportal/ca/ocsp"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// responderProfile is the profile of the OCSP signer in the records, and its name.
const responderProfile = "Certificate status"

// openOCSP makes what answers whether a certificate is revoked. The key of its signer
// is in this process alone: each replica and each start has one of its own.
func (p *App) openOCSP(ctx context.Context, _ *terminal) (err error) {
	p.ocsp, err = ocsp.New(ocsp.Config{
		Records: p.db, Issuing: p.authority.folder.Issuing(), Certify: p.certifyResponder,
		Life: p.settings.Revocation.OCSPLife, Now: p.now, Log: p.log,
	})
	if err != nil {
		return err
	}
	// Without its key the CA certifies no signer: who asks is told to try later.
	if err := p.ocsp.Refresh(ctx); err != nil && p.authority.sealed == nil {
		return err
	}
	return nil
}

// certifyResponder records the certificate of an OCSP signer before it is signed,
// like every other.
func (p *App) certifyResponder(ctx context.Context, key crypto.PublicKey) (*x509.Certificate, error) {
	issuer, err := p.authority.issuingIssuer()
	if err != nil {
		return nil, err
	}
	now := p.now()
	prepared, err := issuer.PrepareResponder(ca.ResponderConfig{Name: responderProfile}, key, now)
	if err != nil {
		return nil, err
	}
	entry := responderEntry(prepared, now)
	err = p.db.Reserve(ctx, enroll.Reservation{
		Serial: prepared.Serial(), Kind: portal.KindServer, Profile: responderProfile, PublicKey: prepared.PublicKeyHash(),
		NotBefore: prepared.NotBefore(), NotAfter: prepared.NotAfter(), Requested: now,
		Entry: entry(audit.CertificateReserved),
	})
	if err != nil {
		return nil, err
	}
	cert, err := issuer.Sign(prepared)
	if err != nil {
		return nil, err
	}
	return cert, p.db.Complete(ctx, enroll.Completion{
		Serial: prepared.Serial(), Certificate: cert, At: now, Entry: entry(audit.CertificateIssued),
	})
}

func responderEntry(prepared *ca.Prepared, now time.Time) func(audit.Action) audit.Entry {
	return func(action audit.Action) audit.Entry {
		return audit.Entry{
			At: now, Action: action, Actor: "system", Role: "system", Object: prepared.Serial().String(),
			Detail: map[string]string{"profile": responderProfile},
		}
	}
}

// onlineHealth tells how certificates are answered for online; nil before they are.
func (p *App) onlineHealth() *ocsp.Health {
	if p.ocsp == nil {
		return nil
	}
	h := p.ocsp.Health()
	return &h
}

// onlineURLs are where a certificate says that it is answered for.
func (p *App) onlineURLs() []string { return []string{ocspURL(p.public.http)} }
