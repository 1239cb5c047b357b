package enroll

import (
	"context"
	"crypto/x509"
	"log/slog"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// finisher turns a recorded reservation into an issued certificate: it signs,
// records the certificate, and revokes the reservation when either fails. Every
// certificate of the issuing CA is signed here.
type finisher struct {
	store   OwnStore
	sign    func(*ca.Prepared) (*x509.Certificate, error)
	revoked func()
	now     func() time.Time
	log     *slog.Logger
}

// finish signs a prepared certificate whose reservation is recorded, and records what
// completion makes of it. The error is an *Outage, or wraps ErrConflict when the
// reservation was ended in the meantime.
func (f finisher) finish(ctx context.Context, p *ca.Prepared, completion func(*x509.Certificate) (Completion, error)) (*x509.Certificate, error) {
	cert, err := f.signAndComplete(ctx, p, completion)
	if err != nil {
		f.abandon(ctx, p.Serial())
		return nil, err
	}
	return cert, nil
}

func (f finisher) signAndComplete(ctx context.Context, p *ca.Prepared, completion func(*x509.Certificate) (Completion, error)) (*x509.Certificate, error) {
	cert, err := f.sign(p)
	if err != nil {
		return nil, portal.AsOutage(portal.PartIssuer, "signing certificate", err)
	}
	done, err := completion(cert)
	if err != nil {
		return nil, portal.AsOutage(portal.PartIssuer, "completing certificate", err)
	}
	if err := f.store.Complete(ctx, done); err != nil {
		return nil, portal.AsOutage(portal.PartStore, "completing certificate", err)
	}
	return cert, nil
}

// abandon revokes a reservation that cannot be completed. If that fails too, the next
// sweep revokes it.
func (f finisher) abandon(ctx context.Context, serial ca.Serial) {
	// The issuance may have failed because its time ran out: revoking gets its own.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), issueTimeout)
	defer cancel()
	now := f.now()
	ended, err := f.store.Revoke(ctx, Revocation{
		Serials: []ca.Serial{serial}, Cause: portal.Abandoned, At: now,
		Entry: portal.Actor{}.Entry(now, audit.CertificateRevoked),
	})
	if err != nil {
		f.log.Error("abandoned certificate is left to the sweep", "serial", serial.String(), "err", err)
	}
	if len(ended) > 0 {
		f.revoked()
	}
}
