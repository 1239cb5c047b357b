package enroll

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"maps"

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
	ctx, cancel := context.WithTimeout(ctx, issueTimeout)
	defer cancel()
	by = portal.Actor{Address: by.Address, Request: by.Request}
	stored, err := r.findChallenge(ctx, challenge)
	by.Person = stored.Device.Person
	var cert *x509.Certificate
	if err == nil {
		cert, err = r.redeem(ctx, by, stored, key)
	}
	r.noteDenial(ctx, by, stored.Device, "challenge", err)
	return cert, err
}

// findChallenge looks a challenge up by its hash: the time of that says
// nothing about the ones there are.
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
	case !stored.Used.IsZero():
		return stored, &portal.Denial{Why: portal.ChallengeUsed}
	case !r.c.Now().Before(stored.Expires):
		return stored, &portal.Denial{Why: portal.ChallengeExpired}
	}
	return stored, nil
}

func (r *Registrar) redeem(ctx context.Context, by portal.Actor, stored StoredChallenge, key crypto.PublicKey) (*x509.Certificate, error) {
	leave, err := r.persons.lock(ctx, by.Person)
	if err != nil {
		return nil, &portal.Outage{Part: portal.PartIssuer, Err: err}
	}
	defer leave()
	person, err := r.mayEnroll(ctx, by.Person)
	if err != nil {
		return nil, err
	}
	if namesOf(person) != stored.Names {
		return nil, &portal.Denial{Why: portal.ChallengeNames}
	}
	device, err := r.Device(ctx, by.Person, stored.Device.ID)
	if err != nil {
		return nil, err
	}
	return r.issueFor(ctx, keyIssuance{
		by: by, person: person, device: device, key: key, challenge: stored.SecretHash, supersede: true,
		invited: stored.Invitation, renewal: stored.Renew,
	})
}

// Renew issues the next certificate of a device to a client that proved to hold the
// key of a certificate, which must be the stored one byte for byte, in force,
// and not renewed before. The old one works on for Config.Overlap: the answer with
// the new one may be lost on its way. That the new one asks for the next shows that
// it arrived, and ends the old one: a client with the key of a device gets no more
// than two that work. Errors are those of Redeem.
func (r *Registrar) Renew(ctx context.Context, by portal.Actor, holder *x509.Certificate, key crypto.PublicKey) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, issueTimeout)
	defer cancel()
	by = portal.Actor{Address: by.Address, Request: by.Request}
	device, err := r.findHolder(ctx, holder)
	by.Person = device.Person
	var cert *x509.Certificate
	if err == nil {
		cert, err = r.renew(ctx, by, holder, device, key)
	}
	r.noteDenial(ctx, by, device, "certificate", err)
	return cert, err
}

// findHolder compares the stored bytes and not the serial alone: any CA can sign a
// certificate with the serial of another (attack A15). The device it
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
	switch {
	case len(c.DER) == 0 || !bytes.Equal(c.DER, holder.Raw) || c.Kind != portal.KindUser:
		return portal.Device{}, &portal.Denial{Why: portal.HolderUnknown}
	case !device.Working(now) || now.Before(c.NotBefore):
		return device, &portal.Denial{Why: portal.HolderEnded}
	}
	return device, nil
}

func (r *Registrar) renew(ctx context.Context, by portal.Actor, holder *x509.Certificate, device portal.Device, key crypto.PublicKey) (*x509.Certificate, error) {
	leave, err := r.persons.lock(ctx, by.Person)
	if err != nil {
		return nil, &portal.Outage{Part: portal.PartIssuer, Err: err}
	}
	defer leave()
	// The store decides for good: this word may stand once.
	once := "renewal of " + device.Certificate.Serial.String()
	switch _, err := r.c.Store.Attempted(ctx, by.Person, once); {
	case err == nil:
		return nil, &portal.Denial{Why: portal.HolderRenewed}
	case !errors.Is(err, portal.ErrNotFound):
		return nil, portal.AsOutage(portal.PartStore, "looking for an earlier renewal", err)
	}
	person, err := r.mayEnroll(ctx, by.Person)
	if err != nil {
		return nil, err
	}
	// The rows that lead from the certificate to its person can be changed in the
	// database, what the certificate says cannot.
	if !ca.IssuedTo(holder, person.Subject()) {
		return nil, &portal.Denial{Why: portal.HolderUnknown}
	}
	// Each renewal leaves a certificate in the revocation list.
	if err := r.countIssue(ctx, person.ID); err != nil {
		return nil, err
	}
	cert, err := r.issueFor(ctx, keyIssuance{
		by: by, person: person, device: device, key: key, once: once, renews: device.Certificate.Serial,
	})
	r.uncountIssue(ctx, person.ID, err)
	return cert, err
}

// EnrollRequest is [Registrar.EnrollKey] for a certificate request as a person
// pasted it. Names, usages and everything else it asks for do not count. The errors
// are those of EnrollKey, and a *Denial for a text that [ParsePastedRequest]
// refuses or a platform that such a certificate is no use to; each is recorded.
func (r *Registrar) EnrollRequest(ctx context.Context, req Request, pasted string) (Enrolment, error) {
	wish, err := ParsePastedRequest(pasted)
	if err == nil && req.Platform == portal.IOS {
		err = &portal.Denial{Why: RequestPlatform}
	}
	if err != nil {
		r.c.Log.Info("pasted request not taken", "person", req.By.Person, "request", req.By.Request, "err", err)
		r.noteKeyRefusal(ctx, req, err)
		return Enrolment{}, err
	}
	if !r.c.DeviceKeys {
		return Enrolment{}, &portal.Outage{Part: portal.PartIssuer, Err: errNoChallenges}
	}
	return r.EnrollKey(ctx, req, wish.Key)
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
	var denial *portal.Denial
	var refusal *portal.Refusal
	detail := map[string]string{"by": way}
	switch {
	case errors.As(err, &denial):
		detail["reason"] = denial.Why
	case errors.As(err, &refusal):
		detail["reason"] = string(refusal.Reason)
		if refusal.Value != "" {
			detail["value"] = refusal.Value
		}
	default:
		return
	}
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
