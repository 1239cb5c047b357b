package enroll

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
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

	// Device is empty for a new device. A known one gets a new certificate and file;
	// what it has works on beside it for Config.Overlap.
	Device portal.DeviceID

	// Ends is the certificate of the device that Device.NewFileEnds speaks of, as the
	// person confirmed it. Empty where there is none.
	Ends ca.Serial

	// Renew is refused where Device.Renewable says so.
	Renew    bool
	Name     string // of a new device, as typed
	Platform portal.Platform

	// Repeats are devices that the phone or computer was enrolled as before, as far as it
	// is known: its profile takes the place of theirs. Optional, and not to be trusted.
	Repeats []portal.DeviceID

	// Idempotent is the random token of the form: the same token twice is the
	// same request twice.
	Idempotent string

	// Invitation is used up by the certificate. Empty without.
	Invitation signin.InvitationID

	// PickupKey is the secret of the person's session: only it leads to the file.
	PickupKey PickupKey

	// WaitKey is a secret of the person's browser that outlives their session: only it
	// leads to the file of a certificate that a CA elsewhere issues later. Optional: else
	// PickupKey is used.
	WaitKey PickupKey
}

// ErrFileInUse means that a new file would end a certificate that may be in use, and that
// the person was not asked about it.
var ErrFileInUse = fmt.Errorf("a new file ends a certificate that may be in use: %w", portal.ErrConflict)

// renews reports whether the request is for the next certificate of a device.
func (r Request) renews() bool { return r.Renew && r.Device != "" }

// Enroll issues a certificate and seals it for pickup. It returns a *Refusal for
// what the person can mend, ErrNotFound for a device that is not theirs,
// ErrFileInUse for a device whose newest certificate would end unasked, and an
// *Outage when the directory, the issuer or the store did not do their part:
// then nothing was handed out, and what was recorded is revoked. It returns
// portal.ErrBusy, at once, while as many as KeyPool.Limit says are in progress.
//
// What was recorded is finished even when the caller goes away: a phone that
// loses its connection finds the certificate on the next page it loads.
func (r *Registrar) Enroll(ctx context.Context, req Request) (Enrolment, error) {
	return r.enroll(ctx, req, func() (crypto.PublicKey, error) { return nil, nil })
}

// EnrollKey issues a certificate for a key that the person made themselves, out
// of a request that [ParseKeyRequest] read. There is nothing to pick up: the
// certificate is the device's. The errors are those of Enroll, and a *Denial for
// a key that is weak or has a certificate already.
func (r *Registrar) EnrollKey(ctx context.Context, req Request, key crypto.PublicKey) (Enrolment, error) {
	return r.enroll(ctx, req, func() (crypto.PublicKey, error) { return key, nil })
}

// enroll issues to a person who is signed in, for the key that own gives; nil is for
// one of the pool.
func (r *Registrar) enroll(ctx context.Context, req Request, own func() (crypto.PublicKey, error)) (done Enrolment, err error) {
	err = r.inTurn(ctx, req.By.Person, func(ctx context.Context) error {
		key, err := own()
		if err == nil {
			done, err = r.enrollOnce(ctx, req, key)
		}
		r.noteNo(ctx, req, err)
		return err
	})
	return done, err
}

// enrollOnce gives the outcome of the form when it was sent before.
func (r *Registrar) enrollOnce(ctx context.Context, req Request, key crypto.PublicKey) (Enrolment, error) {
	if done, err := r.c.Store.Attempted(ctx, req.By.Person, req.Idempotent); !errors.Is(err, portal.ErrNotFound) {
		return done, portal.AsOutage(portal.PartStore, "looking for an earlier attempt", err)
	}
	if err := r.invited(req); err != nil {
		return Enrolment{}, err
	}
	device, err := r.deviceFor(ctx, req)
	if err != nil {
		return Enrolment{}, err
	}
	cert, err := r.issue(ctx, issuance{
		by: req.By, signedIn: true, device: device, fresh: req.Device == "", key: key, pickup: req.PickupKey, wait: req.WaitKey,
		once: req.Idempotent, invited: req.Invitation, next: req.Device != "", renewal: req.renews(), ends: req.Ends,
	})
	switch {
	case errors.Is(err, errTaken):
		// The second tap overtook the first on the way to the store, on another replica.
		done, again := r.c.Store.Attempted(ctx, req.By.Person, req.Idempotent)
		switch {
		case !errors.Is(again, portal.ErrNotFound):
			return done, portal.AsOutage(portal.PartStore, "finding the first attempt", again)
		case key != nil:
			return Enrolment{}, &portal.Denial{Why: portal.KeyReused}
		}
		return Enrolment{}, err // it ended again, or something else was in the way
	case errors.Is(err, ErrWaiting):
		return Enrolment{Device: device.ID}, nil
	case err != nil:
		return Enrolment{}, err
	}
	serial, err := ca.SerialOf(cert.SerialNumber)
	return Enrolment{Device: device.ID, Serial: serial}, err
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
	platform, err := portal.ParsePlatform(string(req.Platform))
	if err != nil {
		return portal.Device{}, err
	}
	device := portal.Device{
		ID: portal.DeviceID(strings.ToLower(rand.Text())), Person: req.By.Person,
		Name: name, Platform: platform, Created: r.c.Now(),
	}
	return device, r.nameProfile(ctx, &device, req.Repeats)
}

// mayHaveNext refuses a known device that gets nothing more, before a key is spent
// on it. The store decides for good.
func (r *Registrar) mayHaveNext(d portal.Device, req Request) error {
	if req.renews() {
		if err := d.Renewable(r.c.Now(), r.c.RenewFrom); err != nil {
			return err
		}
	}
	switch {
	case !d.Removed.IsZero():
		return portal.ErrNotFound
	case !d.Blocked.IsZero():
		return &portal.Refusal{Reason: portal.DeviceBlocked, Value: d.Name}
	case d.NewFileEnds(r.c.Now()) && req.Ends != d.Certificate.Serial:
		return ErrFileInUse
	}
	return nil
}

// NoteRejected records a request that no page of the portal sends: a person
// signed in is trying what forms do not offer.
func (r *Registrar) NoteRejected(ctx context.Context, by portal.Actor, route, why string) error {
	e := by.Entry(r.c.Now(), audit.RequestRejected)
	e.Object, e.Detail = route, map[string]string{"reason": why}
	return portal.AsOutage(portal.PartStore, "recording a rejected request", r.c.Store.Note(ctx, e))
}

// noteNo records a refusal or denial; of other errors nothing. It holds even when it
// cannot be recorded: nothing was done.
func (r *Registrar) noteNo(ctx context.Context, req Request, err error) {
	detail := reasonOf(err)
	if detail == nil {
		return
	}
	e := req.By.Entry(r.c.Now(), audit.EnrolmentRefused)
	e.Object, e.Detail = string(req.Device), detail
	if err := r.c.Store.Note(ctx, e); err != nil {
		r.c.Log.Error("recording a refusal", "reason", detail["reason"], "request", req.By.Request, "err", err)
	}
}

// reasonOf gives the details of the audit entry of a refusal or denial; nil for other
// errors.
func reasonOf(err error) map[string]string {
	var denial *portal.Denial
	var refusal *portal.Refusal
	switch {
	case errors.As(err, &denial):
		return map[string]string{"reason": denial.Why}
	case errors.As(err, &refusal) && refusal.Value != "":
		return map[string]string{"reason": string(refusal.Reason), "value": refusal.Value}
	case errors.As(err, &refusal):
		return map[string]string{"reason": string(refusal.Reason)}
	}
	return nil
}
