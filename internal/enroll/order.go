package enroll

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/succession"
)

// issuance is one certificate on its way. Every way to a certificate fills one and
// takes the same steps.
type issuance struct {
	by        portal.Actor // with the device's person
	signedIn  bool
	device    portal.Device
	fresh     bool                // the device is recorded with the certificate
	key       crypto.PublicKey    // made elsewhere; nil for one of the pool
	pickup    PickupKey           // under which a key of the pool waits
	wait      PickupKey           // under which it waits for another CA; zero: as pickup
	challenge [sha256.Size]byte   // zero without
	names     [sha256.Size]byte   // that the challenge is bound to; zero without
	once      string              // what may lead to one certificate only
	renews    ca.Serial           // zero without
	holder    *x509.Certificate   // that is renewed by its device; nil without
	invited   signin.InvitationID // empty without
	next      bool                // for a device that may hold one
	renewal   bool                // a person renews
	counted   bool                // among those of the hour, when the challenge was made
	ends      ca.Serial           // that the person agreed to end; zero without
	leave     func()              // gives back the place in the pool; nil with a key of the device
}

// overlaps reports whether the old certificate works beside the new one.
func (o issuance) overlaps() bool { return o.next || o.renews != (ca.Serial{}) }

// timed reports whether it must be time for a renewal.
func (o issuance) timed() bool { return o.renewal || o.renews != (ca.Serial{}) }

// entry sets the actor of an audit entry about the issuance.
func (o issuance) entry(e audit.Entry) audit.Entry {
	if !o.signedIn {
		e.Actor, e.Role = deviceActor, ""
	}
	return e
}

// errTaken says that form, key or challenge led to another certificate already, or that
// the device was removed.
var errTaken = fmt.Errorf("reservation is taken: %w", portal.ErrConflict)

// issue is the order that must hold. What can be refused without a key and without the
// directory comes first, and too many requests at the same time. Then a key is taken,
// however long that lasts, and only then the person is read and decided about: an account
// that was switched off while the request waited gets nothing (attack A11). Prepare,
// record, sign, record come last.
func (r *Registrar) issue(ctx context.Context, o issuance) (cert *x509.Certificate, err error) {
	if err := r.admit(ctx, o); err != nil {
		return nil, err
	}
	if o.key == nil {
		if o.leave, err = r.c.Keys.enter(); err != nil {
			return nil, err
		}
		defer o.leave()
	}
	if !o.counted {
		if err := r.countIssue(ctx, o.by.Person); err != nil {
			return nil, err
		}
		defer func() { r.uncountIssue(ctx, o.by.Person, err) }()
	}
	key, err := r.takeKey(ctx, o)
	if err != nil {
		return nil, err
	}
	person, err := r.decide(ctx, o)
	if err != nil {
		r.c.Keys.GiveBack(key)
		return nil, err
	}
	// From here on, the reservation included, a client that goes away leaves no half-made
	// certificate.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), issueTimeout)
	defer cancel()
	if r.c.Upstream != nil {
		return elsewhere{r}.issue(ctx, o, person, key)
	}
	prepared, err := r.recordIntent(ctx, o, person, key)
	if err != nil {
		// A key is used again only after a plain no: else its hash may have been recorded.
		if refused(err) {
			r.c.Keys.GiveBack(key)
		}
		return nil, err
	}
	return r.complete(ctx, o, prepared, key)
}

// admit refuses what needs neither a key nor the directory. The store decides it again,
// for good, when the certificate is reserved.
func (r *Registrar) admit(ctx context.Context, o issuance) error {
	if !o.device.Removed.IsZero() {
		return &portal.Denial{Why: portal.DeviceGone}
	}
	if err := r.c.Clock.Fault(); err != nil {
		return &portal.Outage{Part: portal.PartIssuer, Err: err}
	}
	err := r.c.Store.Admit(ctx, Reservation{
		Person: o.by.Person, Device: o.device, Quota: r.c.Quota, Invitation: o.invited, Requested: r.c.Now(),
	})
	return portal.AsOutage(portal.PartStore, "looking for what is in the way", err)
}

// takeKey takes a key from the pool; nil where the device made its own. When a key
// would have to be made for the request, the person is asked about beforehand too: a
// refusal must not cost one.
func (r *Registrar) takeKey(ctx context.Context, o issuance) (crypto.Signer, error) {
	if o.key != nil {
		return nil, nil
	}
	if key, ok := r.c.Keys.TakeReady(); ok {
		return key, nil
	}
	if _, err := r.mayEnroll(ctx, o.by.Person); err != nil {
		return nil, err
	}
	key, err := r.c.Keys.Take(ctx)
	if err != nil {
		return nil, &portal.Outage{Part: portal.PartIssuer, Err: err}
	}
	return key, nil
}

// decide reads the person and says whether they may have the certificate.
func (r *Registrar) decide(ctx context.Context, o issuance) (portal.Person, error) {
	person, err := r.mayEnroll(ctx, o.by.Person)
	if err != nil {
		return person, err
	}
	if o.names != ([sha256.Size]byte{}) && namesOf(person) != o.names {
		return person, &portal.Denial{Why: portal.ChallengeNames}
	}
	// The rows that lead from the certificate to its person can be changed in the
	// database, what the certificate says cannot.
	if o.holder != nil && !ca.IssuedTo(o.holder, person.Subject()) {
		return person, &portal.Denial{Why: portal.HolderUnknown}
	}
	return person, nil
}

// recordIntent prepares the certificate and reserves it.
func (r *Registrar) recordIntent(ctx context.Context, o issuance, person portal.Person, key crypto.Signer) (*ca.Prepared, error) {
	public := o.key
	if key != nil {
		public = key.Public()
	}
	for try := 1; ; try++ {
		prepared, err := r.prepare(o, person, public)
		if err != nil {
			return nil, err
		}
		err = r.reserve(ctx, r.reservation(o, person, prepared))
		if errors.Is(err, succession.ErrState) && try < changeTries {
			// Another replica made another CA the one that issues.
			if err := r.c.AuthorityChanged(ctx); err != nil {
				return nil, portal.AsOutage(portal.PartIssuer, "finding the CA that issues", err)
			}
			continue
		}
		if errors.Is(err, portal.ErrConflict) && !errors.Is(err, ErrFileInUse) {
			return nil, fmt.Errorf("%w: %w", errTaken, err)
		}
		err = portal.AsOutage(portal.PartStore, "reserving certificate", err)
		if outage := (*portal.Outage)(nil); errors.As(err, &outage) {
			// It may be recorded all the same: the answer to a COMMIT can be lost (fault F6).
			r.finisher.abandon(ctx, prepared.Serial(), err)
		}
		return prepared, err
	}
}

// changeTries bounds how often a certificate is prepared anew because another CA issues
// meanwhile.
const changeTries = 3

// prepare has the issuer fix and lint what will be signed. It refuses a bad key of a
// device as what it is: the fault is not the issuer's.
func (r *Registrar) prepare(o issuance, p portal.Person, key crypto.PublicKey) (*ca.Prepared, error) {
	if why := p.MailLeftOut(); why != "" {
		r.c.Log.Warn("mail address is left out of the certificate", "person", p.ID, "login", p.Login, "why", why)
	}
	prepared, err := r.c.Issuer.Prepare(r.c.Profile, p.Subject(), key, r.c.Now())
	var bad *ca.SubjectError
	var weak *ca.KeyError
	var linted *ca.LintError
	switch {
	case errors.As(err, &bad):
		r.c.Log.Warn("identity does not fit a certificate", "person", p.ID, "err", err)
		return nil, &portal.Refusal{Reason: portal.BadIdentity, Value: bad.Field}
	case o.key != nil && (errors.As(err, &weak) || errors.As(err, &linted)):
		r.c.Log.Warn("certificate for a device's key not prepared", "person", p.ID, "err", err)
		return nil, &portal.Denial{Why: portal.KeyRefused}
	}
	return prepared, portal.AsOutage(portal.PartIssuer, "preparing certificate", err)
}

// intent is what will be issued, as far as it is known.
type intent interface {
	Serial() ca.Serial
	Issuer() string
	PublicKeyHash() [sha256.Size]byte
	NotBefore() time.Time
	NotAfter() time.Time
}

func (r *Registrar) reservation(o issuance, p portal.Person, prepared intent) Reservation {
	now, d := r.c.Now(), o.device
	var window time.Duration
	if o.timed() {
		window = r.c.RenewFrom
	}
	entry := o.entry(o.by.Entry(now, audit.CertificateReserved))
	entry.Object = prepared.Serial().String()
	entry.Detail = map[string]string{
		"device": string(d.ID), "name": d.Name, "platform": string(d.Platform),
		"profile": r.c.Profile.Name(), "upn": p.UPN, "sid": p.SID,
	}
	return Reservation{
		Serial: prepared.Serial(), Issuer: prepared.Issuer(), Kind: portal.KindUser, Profile: r.c.Profile.Name(),
		Subject:   p.Subject(),
		PublicKey: prepared.PublicKeyHash(),
		NotBefore: prepared.NotBefore(), NotAfter: prepared.NotAfter(), Requested: now,
		Person: p.ID, Name: p.Name, Device: d, NewDevice: o.fresh,
		Idempotent: o.once, Quota: r.c.Quota, Invitation: o.invited, RenewFrom: window, Entry: entry,
		Challenge: o.challenge, Renews: o.renews, Ends: o.ends,
	}
}

// complete signs the certificate and records it: with the pickup of its key, or as
// delivered where a device waits for it in the answer.
func (r *Registrar) complete(ctx context.Context, o issuance, prepared *ca.Prepared, key crypto.Signer) (*x509.Certificate, error) {
	cert, err := r.finisher.finish(ctx, prepared, func(cert *x509.Certificate) (Completion, error) {
		now := r.c.Now()
		entry := o.entry(o.by.Entry(now, audit.CertificateIssued))
		entry.Object = prepared.Serial().String()
		entry.Detail = map[string]string{"not-after": prepared.NotAfter().UTC().Format(time.RFC3339)}
		done := Completion{
			Serial: prepared.Serial(), Certificate: cert, At: now, Delivered: key == nil, Ends: o.ends, Entry: entry,
		}
		if o.overlaps() {
			done.Overlap = r.c.Overlap
		}
		if key == nil {
			entry.Detail["key"] = "device"
			return done, nil
		}
		sealed, err := encryptPickup(o.pickup.Token(prepared.Serial()), prepared.Serial(), key, now)
		done.Pickup = &sealed
		return done, err
	})
	if err != nil {
		return nil, err
	}
	// A device that had nothing lost nothing: no list need be made for it.
	if o.overlaps() && o.device.Certificate.Status != "" {
		r.c.Revoked()
	}
	return cert, nil
}

// refused reports whether an error is a decision, and not the fault of a part.
func refused(err error) bool {
	var denial *portal.Denial
	var refusal *portal.Refusal
	return errors.As(err, &denial) || errors.As(err, &refusal)
}
