package enroll

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// keyIssuance is an issuance for a key that was made elsewhere.
type keyIssuance struct {
	by        portal.Actor // with the device's person
	signedIn  bool
	person    portal.Person
	device    portal.Device
	fresh     bool // the device is recorded with the certificate
	key       crypto.PublicKey
	challenge [sha256.Size]byte   // zero without
	once      string              // what may lead to one certificate only
	renews    ca.Serial           // zero without
	invited   signin.InvitationID // empty without
	supersede bool                // of what the device holds; at once, unless it is renewed
	renewal   bool                // a person renews
}

// overlaps reports whether the old certificate works beside the new one.
func (o keyIssuance) overlaps() bool { return o.renewal || o.renews != (ca.Serial{}) }

// entry sets the actor of an audit entry about the issuance.
func (o keyIssuance) entry(e audit.Entry) audit.Entry {
	if !o.signedIn {
		e.Actor, e.Role = deviceActor, ""
	}
	return e
}

// EnrollKey issues a certificate for a key that the person made themselves, out
// of a request that [ParseKeyRequest] read. There is nothing to pick up: the
// certificate is the device's. The errors are those of Enroll, and a *Denial for
// a key that is weak or has a certificate already.
func (r *Registrar) EnrollKey(ctx context.Context, req Request, key crypto.PublicKey) (Enrolment, error) {
	ctx, cancel := context.WithTimeout(ctx, issueTimeout)
	defer cancel()
	leave, err := r.persons.lock(ctx, req.By.Person)
	if err != nil {
		return Enrolment{}, &portal.Outage{Part: portal.PartIssuer, Err: err}
	}
	defer leave()
	if done, err := r.c.Store.Attempted(ctx, req.By.Person, req.Idempotent); !errors.Is(err, portal.ErrNotFound) {
		return done, portal.AsOutage(portal.PartStore, "looking for an earlier attempt", err)
	}
	o := keyIssuance{
		by: req.By, signedIn: true, key: key, once: req.Idempotent,
		fresh: req.Device == "", supersede: req.Device != "", renewal: req.renews(),
	}
	cert, err := r.issueToPerson(ctx, req, &o)
	if err != nil {
		// The second tap overtook the first, on another replica.
		if done, again := r.c.Store.Attempted(ctx, req.By.Person, req.Idempotent); again == nil {
			return done, nil
		}
		r.noteKeyRefusal(ctx, req, err)
		return Enrolment{}, err
	}
	serial, err := ca.SerialOf(cert.SerialNumber)
	return Enrolment{Device: o.device.ID, Serial: serial}, err
}

func (r *Registrar) noteKeyRefusal(ctx context.Context, req Request, err error) {
	var denial *portal.Denial
	var refusal *portal.Refusal
	switch {
	case errors.As(err, &denial):
		r.noteRefusal(ctx, req, &portal.Refusal{Reason: portal.Reason(denial.Why)})
	case errors.As(err, &refusal):
		r.noteRefusal(ctx, req, refusal)
	}
}

func (r *Registrar) issueToPerson(ctx context.Context, req Request, o *keyIssuance) (cert *x509.Certificate, err error) {
	if err := r.invited(req); err != nil {
		return nil, err
	}
	o.invited = req.Invitation
	if o.person, err = r.mayEnroll(ctx, req.By.Person); err != nil {
		return nil, err
	}
	if o.device, err = r.deviceFor(ctx, req); err != nil {
		return nil, err
	}
	if err := r.countIssue(ctx, o.person.ID); err != nil {
		return nil, err
	}
	cert, err = r.issueFor(ctx, *o)
	r.uncountIssue(ctx, o.person.ID, err)
	return cert, err
}

// issueFor keeps the order of issue: prepare, record, sign, record. There is no
// key to seal, so there is no pickup.
func (r *Registrar) issueFor(ctx context.Context, o keyIssuance) (*x509.Certificate, error) {
	if !o.device.Removed.IsZero() {
		return nil, &portal.Denial{Why: portal.DeviceGone}
	}
	prepared, err := r.prepareFor(o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), issueTimeout)
	defer cancel()
	order := Request{By: o.by, Idempotent: o.once, Invitation: o.invited, Renew: o.renewal}
	reservation := r.reservation(order, o.person, o.device, prepared)
	reservation.NewDevice, reservation.Challenge, reservation.Renews = o.fresh, o.challenge, o.renews
	reservation.Entry = o.entry(reservation.Entry)
	err = r.reserve(ctx, reservation)
	if errors.Is(err, portal.ErrConflict) {
		return nil, r.conflictOf(ctx, o)
	}
	if err != nil {
		return nil, portal.AsOutage(portal.PartStore, "reserving certificate", err)
	}
	return r.signAndDeliver(ctx, o, prepared)
}

// prepareFor refuses a bad key as what it is: the fault is the device's, not the
// issuer's.
func (r *Registrar) prepareFor(o keyIssuance) (*ca.Prepared, error) {
	var weak *ca.KeyError
	var linted *ca.LintError
	prepared, err := r.prepare(o.person, o.key)
	if errors.As(err, &weak) || errors.As(err, &linted) {
		r.c.Log.Warn("certificate for a device's key not prepared", "person", o.person.ID, "err", err)
		return nil, &portal.Denial{Why: portal.KeyRefused}
	}
	return prepared, err
}

// conflictOf says what stood in the way of a reservation.
func (r *Registrar) conflictOf(ctx context.Context, o keyIssuance) error {
	if o.challenge == [sha256.Size]byte{} {
		if _, err := r.c.Store.Attempted(ctx, o.by.Person, o.once); err == nil {
			return &portal.Denial{Why: portal.HolderRenewed}
		}
		return &portal.Denial{Why: portal.KeyReused}
	}
	stored, err := r.c.Store.ChallengeBySecret(ctx, o.challenge)
	switch {
	case errors.Is(err, portal.ErrNotFound), err == nil && !stored.Used.IsZero():
		return &portal.Denial{Why: portal.ChallengeUsed}
	case err == nil && !stored.Device.Removed.IsZero():
		return &portal.Denial{Why: portal.DeviceGone}
	}
	return &portal.Denial{Why: portal.KeyReused}
}

// signAndDeliver signs the certificate and records it as delivered: the device waits for it in
// the answer.
func (r *Registrar) signAndDeliver(ctx context.Context, o keyIssuance, prepared *ca.Prepared) (*x509.Certificate, error) {
	cert, err := r.finisher.finish(ctx, prepared, func(cert *x509.Certificate) (Completion, error) {
		now := r.c.Now()
		entry := o.entry(o.by.Entry(now, audit.CertificateIssued))
		entry.Object = prepared.Serial().String()
		entry.Detail = map[string]string{"not-after": prepared.NotAfter().UTC().Format(time.RFC3339), "key": "device"}
		done := Completion{
			Serial: prepared.Serial(), Certificate: cert, At: now, Delivered: true, Supersede: o.supersede, Entry: entry,
		}
		if o.overlaps() {
			done.Overlap = r.c.Overlap
		}
		return done, nil
	})
	if err != nil {
		return nil, err
	}
	// A device that had nothing lost nothing: no list need be made for it.
	if (o.supersede || o.overlaps()) && o.device.Certificate.Status != "" {
		r.c.Revoked()
	}
	return cert, nil
}
