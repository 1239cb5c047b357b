package enroll

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"maps"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// deviceActor is the actor in the audit log for a device that asks for itself: no one is
// signed in.
const deviceActor = "device"

// Redeem issues a certificate for a device's own key against its challenge. Of
// by, address and request count; who it is, the challenge says.
//
// It returns a *Denial or a *Refusal for a no, which is recorded, and an *Outage
// when a part did not do its work: the challenge is then good for another try,
// unless the certificate was already recorded.
func (r *Registrar) Redeem(ctx context.Context, by portal.Actor, challenge string, key crypto.PublicKey) (*x509.Certificate, error) {
	by = portal.Actor{Address: by.Address, Request: by.Request}
	stored, err := r.findChallenge(ctx, challenge)
	by.Person = stored.Device.Person
	var cert *x509.Certificate
	if err == nil {
		err = r.spent(ctx, stored, key)
	}
	if err == nil {
		err = r.inTurn(ctx, by.Person, func(ctx context.Context) (err error) {
			cert, err = r.redeem(ctx, by, stored, key)
			return err
		})
	}
	r.noteDenial(ctx, by, stored.Device, "challenge", err)
	return cert, err
}

// findChallenge looks a challenge up by its hash: the time of that says
// nothing about the ones there are. It may be used or run out.
func (r *Registrar) findChallenge(ctx context.Context, secret string) (StoredChallenge, error) {
	switch {
	case !r.c.DeviceKeys:
		return StoredChallenge{}, &portal.Outage{Part: portal.PartIssuer, Err: errNoChallenges}
	case secret == "":
		return StoredChallenge{}, &portal.Denial{Why: portal.ChallengeMissing}
	case len(secret) > maxChallenge:
		return StoredChallenge{}, &portal.Denial{Why: portal.ChallengeUnknown}
	}
	stored, err := r.c.Store.ChallengeBySecret(ctx, sha256.Sum256([]byte(secret)))
	switch {
	case errors.Is(err, portal.ErrNotFound):
		return stored, &portal.Denial{Why: portal.ChallengeUnknown}
	case err != nil:
		return stored, portal.AsOutage(portal.PartStore, "finding challenge", err)
	}
	return stored, nil
}

// spent refuses a challenge that ran out, or that another key has used. It comes before
// the turn of the person, whose own request does not wait behind any number of these.
func (r *Registrar) spent(ctx context.Context, stored StoredChallenge, key crypto.PublicKey) error {
	if stored.Used.IsZero() {
		if !r.c.Now().Before(stored.Expires) {
			return &portal.Denial{Why: portal.ChallengeExpired}
		}
		return nil
	}
	device, err := r.c.Store.Held(ctx, stored.Serial)
	switch {
	case errors.Is(err, portal.ErrNotFound):
		return &portal.Denial{Why: portal.ChallengeUsed}
	case err != nil:
		return portal.AsOutage(portal.PartStore, "finding the first answer", err)
	case device.Certificate.Status == portal.Pending: // its key is known when it is made
		return nil
	}
	_, err = r.repeated(ctx, device.Certificate, key, portal.ChallengeUsed)
	return err
}

func (r *Registrar) redeem(ctx context.Context, by portal.Actor, stored StoredChallenge, key crypto.PublicKey) (*x509.Certificate, error) {
	switch {
	case !stored.Used.IsZero():
		return r.repeatOf(ctx, by, stored.Serial, key, portal.ChallengeUsed)
	case !r.c.Now().Before(stored.Expires):
		return nil, &portal.Denial{Why: portal.ChallengeExpired}
	}
	device, err := r.Device(ctx, by.Person, stored.Device.ID)
	if err != nil {
		return nil, err
	}
	// The word makes the second of two requests see the first before all else.
	cert, err := r.issue(ctx, issuance{
		by: by, device: device, key: key, challenge: stored.SecretHash, names: stored.Names,
		once: "challenge " + string(stored.ID), next: true, invited: stored.Invitation, renewal: stored.Renew, counted: true,
		ends: stored.Ends,
	})
	if errors.Is(err, ErrFileInUse) {
		return nil, &portal.Denial{Why: portal.HolderEarly}
	}
	if errors.Is(err, errTaken) {
		return r.overtaken(ctx, by, stored.SecretHash, key)
	}
	return cert, err
}

// Renew issues the next certificate of a device to a client that proved to hold the
// key of a certificate, which must be the stored one byte for byte, in force,
// within the time of renewals, and not renewed before. The old one works on for Config.Overlap: the answer with
// the new one may be lost on its way. That the new one asks for the next shows that
// it arrived, and ends the old one: a client with the key of a device gets no more
// than two that work. Errors are those of Redeem.
func (r *Registrar) Renew(ctx context.Context, by portal.Actor, holder *x509.Certificate, key crypto.PublicKey) (*x509.Certificate, error) {
	by = portal.Actor{Address: by.Address, Request: by.Request}
	device, err := r.findHolder(ctx, holder)
	by.Person = device.Person
	var cert *x509.Certificate
	if err == nil {
		err = r.inTurn(ctx, by.Person, func(ctx context.Context) (err error) {
			cert, err = r.renew(ctx, by, holder, device, key)
			return err
		})
	}
	r.noteDenial(ctx, by, device, "certificate", err)
	return cert, err
}

// findHolder compares the stored bytes and not the serial alone: any CA can sign a
// certificate with the serial of another (attack A15). It does not believe the stored bytes
// either, which a writer of the database can plant: an issuing CA must have signed them,
// and must not be revoked, as its key may be a thief's. The device it
// returns with an error is empty unless the bytes are equal.
func (r *Registrar) findHolder(ctx context.Context, holder *x509.Certificate) (portal.Device, error) {
	if !r.c.DeviceKeys {
		return portal.Device{}, &portal.Outage{Part: portal.PartIssuer, Err: errNoChallenges}
	}
	serial, err := ca.SerialOf(holder.SerialNumber)
	if err != nil {
		return portal.Device{}, &portal.Denial{Why: portal.HolderUnknown}
	}
	device, err := r.c.Store.Held(ctx, serial)
	if errors.Is(err, portal.ErrNotFound) {
		return portal.Device{}, &portal.Denial{Why: portal.HolderUnknown}
	}
	if err != nil {
		return portal.Device{}, portal.AsOutage(portal.PartStore, "finding holder of certificate", err)
	}
	c, now := device.Certificate, r.c.Now()
	if len(c.DER) == 0 || !bytes.Equal(c.DER, holder.Raw) || c.Kind != portal.KindUser {
		return portal.Device{}, &portal.Denial{Why: portal.HolderUnknown}
	}
	switch issued, err := r.signers.issued(ctx, holder); {
	case err != nil:
		return portal.Device{}, err
	case !issued:
		return portal.Device{}, &portal.Denial{Why: portal.HolderUnknown}
	case !device.Working(now) || now.Before(c.NotBefore):
		return device, &portal.Denial{Why: portal.HolderEnded}
	}
	return device, nil
}

func (r *Registrar) renew(ctx context.Context, by portal.Actor, holder *x509.Certificate, device portal.Device, key crypto.PublicKey) (*x509.Certificate, error) {
	// The store decides for good: this word may stand once.
	once := "renewal of " + device.Certificate.Serial.String()
	switch done, err := r.c.Store.Attempted(ctx, by.Person, once); {
	case err == nil:
		return r.repeatOf(ctx, by, done.Serial, key, portal.HolderRenewed)
	case !errors.Is(err, portal.ErrNotFound):
		return nil, portal.AsOutage(portal.PartStore, "looking for an earlier renewal", err)
	}
	// The holder has its certificate, so unlike a person it gets no second try while the
	// one before still works.
	held := device
	held.FormerEnds = time.Time{}
	if err := held.Renewable(r.c.Now(), r.c.RenewFrom); err != nil {
		return nil, err
	}
	cert, err := r.issue(ctx, issuance{
		by: by, device: device, key: key, once: once, renews: device.Certificate.Serial, holder: holder,
	})
	if !errors.Is(err, errTaken) {
		return cert, err
	}
	done, again := r.c.Store.Attempted(ctx, by.Person, once)
	switch {
	case again == nil:
		return r.repeatOf(ctx, by, done.Serial, key, portal.HolderRenewed)
	case !errors.Is(again, portal.ErrNotFound):
		return nil, portal.AsOutage(portal.PartStore, "looking for the other renewal", again)
	}
	return nil, &portal.Denial{Why: portal.KeyReused}
}

// EnrollRequest is [Registrar.EnrollKey] for a certificate request as a person
// pasted it. Names, usages and everything else it asks for do not count. The errors
// are those of EnrollKey, and a *Denial for a text that [ParsePastedRequest]
// refuses or a platform that such a certificate is no use to; each is recorded.
func (r *Registrar) EnrollRequest(ctx context.Context, req Request, pasted string) (Enrolment, error) {
	return r.enroll(ctx, req, func() (crypto.PublicKey, error) {
		wish, err := ParsePastedRequest(pasted)
		if err == nil && req.Platform == portal.IOS {
			err = &portal.Denial{Why: RequestPlatform}
		}
		if err == nil && !r.c.DeviceKeys {
			err = &portal.Outage{Part: portal.PartIssuer, Err: errNoChallenges}
		}
		if err != nil {
			r.c.Log.Info("pasted request not taken", "person", req.By.Person, "request", req.By.Request, "err", err)
		}
		return wish.Key, err
	})
}

// HasOwnKey reports whether the person made the key of the device's newest
// certificate and brought a request: the portal never had it, and can make no
// file with it. A key that an iPhone or iPad made is the phone's own, out of a
// profile: they are the only ones that get challenges, and bring no requests.
func (r *Registrar) HasOwnKey(ctx context.Context, d portal.Device) (bool, error) {
	status := d.Certificate.Status
	if !r.c.DeviceKeys || d.Platform == portal.IOS || status == "" || status == portal.Pending {
		return false, nil
	}
	_, err := r.c.Store.Held(ctx, d.Certificate.Serial)
	if errors.Is(err, portal.ErrNotFound) {
		return false, nil
	}
	return err == nil, portal.AsOutage(portal.PartStore, "looking whose key a certificate has", err)
}

// noteDenial records a denial to a device. The denial holds even when it cannot be
// recorded: nothing was done.
func (r *Registrar) noteDenial(ctx context.Context, by portal.Actor, device portal.Device, way string, err error) {
	detail := reasonOf(err)
	if detail == nil {
		return
	}
	detail["by"] = way
	r.noteDevice(ctx, by, device.ID, detail)
}

// NoteDenied records that a device's message was refused before a person could be
// found behind it. way is how it came, why a word of the audit log.
func (r *Registrar) NoteDenied(ctx context.Context, by portal.Actor, way, why string, facts map[string]string) {
	detail := map[string]string{"by": way, "reason": why}
	maps.Copy(detail, facts)
	r.noteDevice(ctx, portal.Actor{Address: by.Address, Request: by.Request}, "", detail)
}

func (r *Registrar) noteDevice(ctx context.Context, by portal.Actor, device portal.DeviceID, detail map[string]string) {
	e := by.Entry(r.c.Now(), audit.EnrolmentRefused)
	e.Actor, e.Role, e.Object = deviceActor, "", string(device)
	e.Detail = detail
	if err := r.c.Store.Note(context.WithoutCancel(ctx), e); err != nil {
		r.c.Log.Error("recording a refusal", "reason", detail["reason"], "request", by.Request, "err", err)
	}
}
