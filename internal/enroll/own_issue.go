package enroll

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// OwnStore records the portal's own certificates. Each method is one transaction, its
// audit entry included.
type OwnStore interface {
	// Reserve records the intent to sign. It returns ErrConflict when there is a
	// certificate with the key already.
	Reserve(context.Context, Reservation) error

	// Complete records the signed certificate. It returns ErrConflict when the
	// reservation was ended in the meantime.
	Complete(context.Context, Completion) error

	// Confirm proves that a completion which can be read is durable, by a write after it. It
	// returns ErrConflict when the certificate is not recorded with these bytes, or has ended.
	Confirm(ctx context.Context, serial ca.Serial, der []byte) error

	// Revoke ends certificates and returns those that it ended.
	Revoke(context.Context, Revocation) ([]ca.Serial, error)
}

// OwnConfig configures an [OwnIssuer]. Store and Issuer are required.
type OwnConfig struct {
	Store OwnStore

	// Issuer gives the issuing CA, or the reason why its key is not open.
	Issuer func() (*ca.Issuer, error)

	// Revoked is called after a revocation and must not block. Optional.
	Revoked func()

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// OwnIssuer issues the portal's own certificates: TLS, OCSP signer, SCEP registration
// authority, audit signer and test issuance. It is safe for concurrent use.
type OwnIssuer struct{ c OwnConfig }

// NewOwnIssuer checks the configuration.
func NewOwnIssuer(c OwnConfig) (*OwnIssuer, error) {
	if c.Store == nil || c.Issuer == nil {
		return nil, errors.New("issuer of the portal's own certificates: store or issuer is missing")
	}
	if c.Revoked == nil {
		c.Revoked = func() {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &OwnIssuer{c: c}, nil
}

// OwnRequest asks for one of the portal's own certificates.
type OwnRequest struct {
	Profile     string // name of the profile in the store and the audit log
	Certificate ca.OwnConfig
	Key         crypto.PublicKey

	// Entry says who asks, in the audit log. The zero value is the portal itself.
	Entry audit.Entry

	// Detail is added to the audit entries, beside the profile. Optional.
	Detail map[string]string
}

// IssueOwn records a reservation, signs the certificate and records it. What cannot be
// completed is revoked: no certificate exists that the store does not know.
//
// From the reservation on the caller's cancellation is ignored, so that it cannot leave
// a certificate half issued. The errors are those of [ca.Issuer.PrepareOwn], the one of
// OwnConfig.Issuer, and an *Outage.
func (o *OwnIssuer) IssueOwn(ctx context.Context, req OwnRequest) (*x509.Certificate, error) {
	issuer, err := o.c.Issuer()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	prepared, err := issuer.PrepareOwn(req.Certificate, req.Key, o.c.Now())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), issueTimeout)
	defer cancel()
	if err := o.c.Store.Reserve(ctx, o.reservation(req, prepared)); err != nil {
		return nil, portal.AsOutage(portal.PartStore, fmt.Sprintf("reserving certificate %s", req.Profile), err)
	}
	f := finisher{store: o.c.Store, sign: issuer.Sign, revoked: o.c.Revoked, now: o.c.Now, log: o.c.Log}
	return f.finish(ctx, prepared, func(cert *x509.Certificate) (Completion, error) {
		return Completion{
			Serial: prepared.Serial(), Certificate: cert, At: o.c.Now(),
			Entry: o.entry(req, audit.CertificateIssued, prepared),
		}, nil
	})
}

func (o *OwnIssuer) reservation(req OwnRequest, p *ca.Prepared) Reservation {
	return Reservation{
		Serial: p.Serial(), Issuer: p.Issuer(), Kind: portal.KindServer, Profile: req.Profile, PublicKey: p.PublicKeyHash(),
		NotBefore: p.NotBefore(), NotAfter: p.NotAfter(), Requested: o.c.Now(),
		Entry: o.entry(req, audit.CertificateReserved, p),
	}
}

func (o *OwnIssuer) entry(req OwnRequest, action audit.Action, p *ca.Prepared) audit.Entry {
	detail := map[string]string{"profile": req.Profile}
	maps.Copy(detail, req.Detail)
	e := req.Entry
	if e.Actor == "" {
		e = portal.Actor{}.Entry(time.Time{}, action)
	}
	e.At, e.Action, e.Object, e.Detail = o.c.Now(), action, p.Serial().String(), detail
	return e
}
