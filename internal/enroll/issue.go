package enroll

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// issueTimeout bounds one issuance, waiting for a key included. A reservation
// older than this belongs to no running request.
const issueTimeout = 20 * time.Second

// Request asks for a certificate. Its names and validity are not for a
// request to say.
type Request struct {
	By portal.Actor

	// Device is empty for a new device. For a known one, it gets a new
	// certificate and file, and what it had before is revoked.
	Device portal.DeviceID

	// Renew lets what the known device holds work on for a while beside the new
	// certificate, and is refused where Device.Renewable says so.
	Renew    bool
	Name     string // of a new device, as typed
	Platform portal.Platform

	// Idempotent is the random token of the form: the same token twice is the
	// same request twice.
	Idempotent string

	// Invitation is used up by the certificate. Empty without.
	Invitation signin.InvitationID

	// PickupKey is the secret of the person's session: only it leads to the file.
	PickupKey PickupKey
}

// renews reports whether the request is for the next certificate of a device.
func (r Request) renews() bool { return r.Renew && r.Device != "" }

// Enroll issues a certificate and seals it for pickup. It returns a *Refusal for
// what the person can mend, ErrNotFound for a device that is not theirs, and an
// *Outage when the directory, the issuer or the store did not do their part:
// then nothing was handed out, and what was recorded is revoked.
//
// What was recorded is finished even when the caller goes away: a phone that
// loses its connection finds the certificate on the next page it loads.
func (r *Registrar) Enroll(ctx context.Context, req Request) (Enrolment, error) {
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
	done, err := r.issue(ctx, req)
	var refusal *portal.Refusal
	if errors.As(err, &refusal) {
		r.noteRefusal(ctx, req, refusal)
	}
	return done, err
}

// issue is the order that must hold: who, what, prepare, record, sign, seal,
// record.
func (r *Registrar) issue(ctx context.Context, req Request) (done Enrolment, err error) {
	if err := r.invited(req); err != nil {
		return Enrolment{}, err
	}
	person, err := r.mayEnroll(ctx, req.By.Person)
	if err != nil {
		return Enrolment{}, err
	}
	device, err := r.deviceFor(ctx, req)
	if err != nil {
		return Enrolment{}, err
	}
	if err := r.countIssue(ctx, person.ID); err != nil {
		return Enrolment{}, err
	}
	defer func() { r.uncountIssue(ctx, person.ID, err) }()
	key, err := r.c.Keys.Take(ctx)
	if err != nil {
		return Enrolment{}, &portal.Outage{Part: portal.PartIssuer, Err: err}
	}
	prepared, err := r.prepare(person, key.Public())
	if err != nil {
		return Enrolment{}, err
	}
	// From here on, the reservation included, a client that goes away leaves no half-made
	// certificate.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), issueTimeout)
	defer cancel()
	serial := prepared.Serial()
	err = r.reserve(ctx, r.reservation(req, person, device, prepared))
	if errors.Is(err, portal.ErrConflict) {
		// The second tap overtook the first on the way to the store.
		done, err := r.c.Store.Attempted(ctx, req.By.Person, req.Idempotent)
		if errors.Is(err, portal.ErrNotFound) {
			err = portal.ErrConflict // it ended again, or something else was in the way
		}
		return done, portal.AsOutage(portal.PartStore, "finding the first attempt", err)
	}
	if err != nil {
		return Enrolment{}, portal.AsOutage(portal.PartStore, "reserving certificate", err)
	}
	if err := r.complete(ctx, req, prepared, key); err != nil {
		return Enrolment{}, err
	}
	return Enrolment{Device: device.ID, Serial: serial}, nil
}

// deviceFor names a new device, or finds the known one.
func (r *Registrar) deviceFor(ctx context.Context, req Request) (portal.Device, error) {
	if req.Device != "" {
		device, err := r.Device(ctx, req.By.Person, req.Device)
		if err == nil {
			err = r.mayHaveNext(device, req)
		}
		return device, err
	}
	name, err := portal.CleanDeviceName(req.Name)
	if err != nil {
		return portal.Device{}, err
	}
	if err := r.mayAdd(ctx, req.By.Person); err != nil {
		return portal.Device{}, err
	}
	platform, err := portal.ParsePlatform(string(req.Platform))
	if err != nil {
		return portal.Device{}, err
	}
	return portal.Device{
		ID: portal.DeviceID(strings.ToLower(rand.Text())), Person: req.By.Person,
		Name: name, Platform: platform, Created: r.c.Now(),
	}, nil
}

// mayHaveNext refuses a known device that gets nothing more, before a key is spent
// on it. The store decides for good.
func (r *Registrar) mayHaveNext(d portal.Device, req Request) error {
	switch {
	case req.renews():
		return d.Renewable(r.c.Now(), r.c.RenewFrom)
	case !d.Removed.IsZero():
		return portal.ErrNotFound
	case !d.Blocked.IsZero():
		return &portal.Refusal{Reason: portal.DeviceBlocked, Value: d.Name}
	}
	return nil
}

// mayAdd refuses a device over the quota before a key is spent on it. The store
// decides for good, inside its transaction.
func (r *Registrar) mayAdd(ctx context.Context, person portal.PersonID) error {
	devices, err := r.Devices(ctx, person)
	if err != nil {
		return err
	}
	working := 0
	for _, d := range devices {
		if d.Working(r.c.Now()) {
			working++
		}
	}
	if working >= r.c.Quota {
		return &portal.Refusal{Reason: portal.QuotaReached, Limit: r.c.Quota}
	}
	return nil
}

// prepare has the issuer fix and lint what will be signed.
func (r *Registrar) prepare(p portal.Person, key crypto.PublicKey) (*ca.Prepared, error) {
	prepared, err := r.c.Issuer.Prepare(r.c.Profile, p.Subject(), key, r.c.Now())
	var bad *ca.SubjectError
	if errors.As(err, &bad) {
		r.c.Log.Warn("identity does not fit a certificate", "person", p.ID, "err", err)
		return nil, &portal.Refusal{Reason: portal.BadIdentity, Value: bad.Field}
	}
	return prepared, portal.AsOutage(portal.PartIssuer, "preparing certificate", err)
}

func (r *Registrar) reservation(req Request, p portal.Person, d portal.Device, prepared *ca.Prepared) Reservation {
	now := r.c.Now()
	var window time.Duration
	if req.Renew {
		window = r.c.RenewFrom
	}
	entry := req.By.Entry(now, audit.CertificateReserved)
	entry.Object = prepared.Serial().String()
	entry.Detail = map[string]string{
		"device": string(d.ID), "name": d.Name, "platform": string(d.Platform),
		"profile": r.c.Profile.Name(), "upn": p.UPN, "sid": p.SID,
	}
	return Reservation{
		Serial: prepared.Serial(), Kind: portal.KindUser, Profile: r.c.Profile.Name(),
		Subject:   p.Subject(),
		PublicKey: prepared.PublicKeyHash(),
		NotBefore: prepared.NotBefore(), NotAfter: prepared.NotAfter(), Requested: now,
		Person: p.ID, Name: p.Name, Device: d, NewDevice: req.Device == "",
		Idempotent: req.Idempotent, Quota: r.c.Quota, Invitation: req.Invitation, RenewFrom: window, Entry: entry,
	}
}

// complete signs the certificate and records it with its pickup.
func (r *Registrar) complete(ctx context.Context, req Request, prepared *ca.Prepared, key crypto.Signer) error {
	_, err := r.finisher.finish(ctx, prepared, func(cert *x509.Certificate) (Completion, error) {
		now := r.c.Now()
		sealed, err := encryptPickup(req.PickupKey.Token(prepared.Serial()), prepared.Serial(), key, now)
		if err != nil {
			return Completion{}, err
		}
		entry := req.By.Entry(now, audit.CertificateIssued)
		entry.Object = prepared.Serial().String()
		entry.Detail = map[string]string{"not-after": prepared.NotAfter().UTC().Format(time.RFC3339)}
		done := Completion{
			Serial: prepared.Serial(), Certificate: cert, Pickup: &sealed, At: now,
			Supersede: req.Device != "", Entry: entry,
		}
		if req.renews() {
			done.Overlap = r.c.Overlap
		}
		return done, nil
	})
	if err == nil && req.Device != "" {
		r.c.Revoked()
	}
	return err
}

// NoteRejected records a request that no page of the portal sends: a person
// signed in is trying what forms do not offer.
func (r *Registrar) NoteRejected(ctx context.Context, by portal.Actor, route, why string) error {
	e := by.Entry(r.c.Now(), audit.RequestRejected)
	e.Object, e.Detail = route, map[string]string{"reason": why}
	return portal.AsOutage(portal.PartStore, "recording a rejected request", r.c.Store.Note(ctx, e))
}

// noteRefusal records a refusal. It holds even when it cannot be recorded:
// nothing was done.
func (r *Registrar) noteRefusal(ctx context.Context, req Request, refusal *portal.Refusal) {
	e := req.By.Entry(r.c.Now(), audit.EnrolmentRefused)
	e.Object = string(req.Device)
	e.Detail = map[string]string{"reason": string(refusal.Reason)}
	if refusal.Value != "" {
		e.Detail["value"] = refusal.Value
	}
	if err := r.c.Store.Note(ctx, e); err != nil {
		r.c.Log.Error("recording a refusal", "reason", refusal.Reason, "request", req.By.Request, "err", err)
	}
}
