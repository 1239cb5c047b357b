package enroll

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"log/slog"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// testBackdate and testValidity leave a test certificate ten minutes from the moment of
// issuing, so that one whose revocation was not recorded, because the process was killed,
// ends soon.
const (
	testBackdate = 50 * time.Minute
	testValidity = time.Hour
)

// testProfile is the profile of a test certificate in the store and the audit log.
const testProfile = "Test"

// TestStore records test certificates. Each method is one transaction.
type TestStore interface {
	OwnStore

	// Note records an entry without another change, such as a refusal.
	Note(context.Context, audit.Entry) error
}

// TestConfig configures a [TestIssuer]. Fields are required unless they have a default.
type TestConfig struct {
	Directory portal.Directory
	Issuer    Issuer
	Store     TestStore
	Rules     Rules
	Subject   ca.SubjectForm // default [ca.SubjectUPN]

	// Revoked is called after a revocation and must not block. Optional.
	Revoked func()

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// TestIssuer issues certificates with the names of a person that the portal itself uses
// to test a server, and revokes them. A person who may not have a certificate gets no test
// certificate. It belongs to no device: it cannot be renewed, downloaded or shown, and
// counts for no quota. Its key is the caller's.
type TestIssuer struct {
	c        TestConfig
	profile  *ca.Profile
	finisher finisher
}

// NewTestIssuer checks the configuration.
func NewTestIssuer(c TestConfig) (*TestIssuer, error) {
	if c.Directory == nil || c.Issuer == nil || c.Store == nil {
		return nil, errors.New("issuer of test certificates: a required part is missing")
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
	profile, err := ca.NewProfile(ca.ProfileConfig{
		Name: testProfile, Validity: testValidity, Backdate: testBackdate, ExtKeyUsages: []string{"clientAuth"},
		Subject: c.Subject, RequireSID: c.Rules.RequireSID,
	})
	if err != nil {
		return nil, err
	}
	return &TestIssuer{c: c, profile: profile, finisher: finisher{
		store: c.Store, sign: c.Issuer.Sign, revoked: c.Revoked, now: c.Now, log: c.Log,
	}}, nil
}

// TestRequest asks for a test certificate.
type TestRequest struct {
	By      portal.Actor
	Person  portal.PersonID
	Key     crypto.PublicKey
	Comment string // what it is for, in the audit log
}

// Issue reads the person afresh, records the intent, signs and records the certificate.
// The errors are those of [Registrar.Enroll]; a refusal is recorded. From the reservation
// on the caller's cancellation is ignored.
func (t *TestIssuer) Issue(ctx context.Context, req TestRequest) (*x509.Certificate, error) {
	cert, err := t.issue(ctx, req)
	if detail := reasonOf(err); detail != nil {
		detail["profile"], detail["comment"] = testProfile, req.Comment
		noted := t.c.Store.Note(context.WithoutCancel(ctx), t.entry(req, audit.EnrolmentRefused, "", detail))
		if noted != nil {
			t.c.Log.Error("recording a refusal", "reason", detail["reason"], "err", noted)
		}
	}
	return cert, err
}

func (t *TestIssuer) issue(ctx context.Context, req TestRequest) (*x509.Certificate, error) {
	person, err := t.c.Rules.judged(ctx, t.c.Directory, req.Person)
	if err != nil {
		return nil, err
	}
	prepared, err := t.c.Issuer.Prepare(t.profile, person.Subject(), req.Key, t.c.Now())
	var bad *ca.SubjectError
	switch {
	case errors.As(err, &bad):
		return nil, &portal.Refusal{Reason: portal.BadIdentity, Value: bad.Field}
	case err != nil:
		return nil, portal.AsOutage(portal.PartIssuer, "preparing test certificate", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), issueTimeout)
	defer cancel()
	serial := prepared.Serial()
	detail := map[string]string{"profile": testProfile, "upn": person.UPN, "sid": person.SID, "comment": req.Comment}
	err = t.c.Store.Reserve(ctx, Reservation{
		Serial: serial, Issuer: prepared.Issuer(), Kind: portal.KindServer, Profile: testProfile, Subject: person.Subject(),
		PublicKey: prepared.PublicKeyHash(), NotBefore: prepared.NotBefore(), NotAfter: prepared.NotAfter(), Requested: t.c.Now(),
		Person: person.ID, Entry: t.entry(req, audit.CertificateReserved, serial.String(), detail),
	})
	var held *UPNHeld
	switch {
	case errors.As(err, &held):
		return nil, &portal.Refusal{Reason: portal.Conflicting, Value: string(portal.UPNTaken)}
	case err != nil:
		return nil, portal.AsOutage(portal.PartStore, "reserving test certificate", err)
	}
	return t.finisher.finish(ctx, prepared, func(cert *x509.Certificate) (Completion, error) {
		return Completion{
			Serial: serial, Certificate: cert, At: t.c.Now(), Entry: t.entry(req, audit.CertificateIssued, serial.String(), detail),
		}, nil
	})
}

// Revoke ends a test certificate. The caller's cancellation is ignored.
func (t *TestIssuer) Revoke(ctx context.Context, req TestRequest, cert *x509.Certificate, within time.Duration) error {
	serial, err := ca.SerialOf(cert.SerialNumber)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	entry := t.entry(req, audit.CertificateRevoked, serial.String(), map[string]string{"comment": req.Comment})
	_, err = t.c.Store.Revoke(ctx, Revocation{Serials: []ca.Serial{serial}, Cause: portal.Withdrawn, At: t.c.Now(), Entry: entry})
	if err == nil {
		t.c.Revoked()
	}
	return portal.AsOutage(portal.PartStore, "revoking test certificate", err)
}

func (t *TestIssuer) entry(req TestRequest, action audit.Action, object string, detail map[string]string) audit.Entry {
	e := req.By.Entry(t.c.Now(), action)
	e.Person, e.Object, e.Detail = string(req.Person), object, detail
	return e
}
