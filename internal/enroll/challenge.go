package enroll

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// ChallengeLife is how long a device may present a challenge. An iPhone drops a
// profile that was not installed after eight minutes.
const ChallengeLife = 10 * time.Minute

const (
	// challengeLabel keeps a challenge apart from what else its token opens.
	challengeLabel = "certportal scep challenge"

	// maxChallenge is several times the length of a challenge.
	maxChallenge = 256
)

// ChallengeID names a challenge; it is in no address and is not secret.
type ChallengeID string

// Challenge is the right of one device to have a certificate for a key of its
// own, once, within ChallengeLife. It goes into the profile that the device
// installs.
type Challenge struct {
	ID      ChallengeID
	Token   Token  // in the address of the profile; opens the challenge again
	Secret  string // what the device presents: 256 bits as base64url
	Device  portal.Device
	Number  int // of the certificate, among those ever made for the person, if it is the next
	Expires time.Time
	Renew   bool // what the device holds works on beside the new certificate
}

// StoredChallenge is a challenge as the store keeps it. Secret and token are
// hashes: a copy of the database opens nothing.
type StoredChallenge struct {
	ID         ChallengeID
	SecretHash [sha256.Size]byte
	TokenHash  [sha256.Size]byte
	Device     portal.Device     // person and purpose; without Certificate
	Number     int               // see Challenge; not stored, but read with it
	Names      [sha256.Size]byte // of UPN, mail and SID when it was made
	Made       time.Time
	Expires    time.Time
	Used       time.Time           // zero until a certificate was reserved with it
	Serial     ca.Serial           // of that certificate; zero before
	Invitation signin.InvitationID // used up with it; empty without
	Renew      bool                // what the device holds works on beside the new certificate
	Ends       ca.Serial           // that its person agreed to end; zero without
}

var errNoChallenges = errors.New("keys made on devices are not set up")

// challengeToken derives the token of a challenge, as Token does for a pickup.
func (k PickupKey) challengeToken(id ChallengeID) Token {
	mac := hmac.New(sha256.New, k[:])
	mac.Write([]byte("certportal challenge " + string(id)))
	return Token(base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}

// NewChallenge lets a device ask for a certificate with a key that it makes
// itself. The rules are those of Enroll, and so are the errors; they are asked
// again when the device comes. A device that did not exist is recorded now and
// stays out of every list until it has a certificate.
//
// The same form sent twice leads to the same device, with one challenge that
// works: the later.
func (r *Registrar) NewChallenge(ctx context.Context, req Request) (Challenge, error) {
	if !r.c.DeviceKeys {
		return Challenge{}, &portal.Outage{Part: portal.PartIssuer, Err: errNoChallenges}
	}
	var c Challenge
	err := r.inTurn(ctx, req.By.Person, func(ctx context.Context) (err error) {
		c, err = r.newChallenge(ctx, req)
		r.noteNo(ctx, req, err)
		return err
	})
	return c, err
}

// newChallenge keeps the order of issue as far as there is no key yet.
func (r *Registrar) newChallenge(ctx context.Context, req Request) (c Challenge, err error) {
	if err := r.invited(req); err != nil {
		return Challenge{}, err
	}
	device, err := r.deviceFor(ctx, req)
	if err != nil {
		return Challenge{}, err
	}
	if req.Device == "" && req.Idempotent != "" {
		device.ID = req.PickupKey.deviceOf(req.Idempotent)
	}
	if err := r.admit(ctx, issuance{by: req.By, device: device, invited: req.Invitation}); err != nil {
		return Challenge{}, err
	}
	if err := r.countIssue(ctx, req.By.Person); err != nil {
		return Challenge{}, err
	}
	defer func() { r.uncountIssue(ctx, req.By.Person, err) }()
	person, err := r.mayEnroll(ctx, req.By.Person)
	if err != nil {
		return Challenge{}, err
	}
	// A person who may not have a certificate is refused now, and not by a phone that only knows
	// that something went wrong.
	if err := r.fits(person); err != nil {
		return Challenge{}, err
	}
	return r.addChallenge(ctx, req, person, device)
}

func (r *Registrar) addChallenge(ctx context.Context, req Request, person portal.Person, device portal.Device) (Challenge, error) {
	id := ChallengeID(strings.ToLower(rand.Text()))
	c, err := r.openChallenge(req.PickupKey.challengeToken(id), StoredChallenge{
		ID: id, Device: device, Expires: r.c.Now().Add(ChallengeLife),
	})
	if err != nil {
		return Challenge{}, err
	}
	entry := req.By.Entry(r.c.Now(), audit.ChallengeMade)
	entry.Object = string(device.ID)
	entry.Detail = map[string]string{
		"name": device.Name, "platform": string(device.Platform), "upn": person.UPN, "sid": person.SID,
	}
	token, _ := c.Token.hash()
	err = r.c.Store.AddChallenge(ctx, StoredChallenge{
		ID: id, SecretHash: sha256.Sum256([]byte(c.Secret)), TokenHash: token, Device: device,
		Names: namesOf(person), Made: r.c.Now(), Expires: c.Expires, Invitation: req.Invitation, Renew: req.renews(), Ends: req.Ends,
	}, r.c.Quota, entry)
	return c, portal.AsOutage(portal.PartStore, "recording a challenge", err)
}

// deviceOf gives the device of a form one name, however often it is sent.
func (k PickupKey) deviceOf(form string) portal.DeviceID {
	mac := hmac.New(sha256.New, k[:])
	mac.Write([]byte("certportal device " + form))
	return portal.DeviceID(fmt.Sprintf("%x", mac.Sum(nil)[:16]))
}

// fits says with a *Refusal whether the person's names can stand in a
// certificate.
func (r *Registrar) fits(p portal.Person) error {
	var bad *ca.SubjectError
	if err := p.Subject().Validate(); errors.As(err, &bad) {
		return &portal.Refusal{Reason: portal.BadIdentity, Value: bad.Field}
	}
	return nil
}

// namesOf binds a challenge to what a certificate would say. Every field is
// preceded by its length.
func namesOf(p portal.Person) [sha256.Size]byte {
	s := p.Subject()
	return sha256.Sum256(fmt.Appendf(nil, "%d %s%d %s%d %s", len(s.UPN), s.UPN, len(s.Mail), s.Mail, len(s.SID), s.SID))
}

// openChallenge puts together again what the store does not keep.
func (r *Registrar) openChallenge(t Token, s StoredChallenge) (Challenge, error) {
	token, ok := t.bytes()
	if !ok {
		return Challenge{}, portal.ErrNotFound
	}
	secret, err := hkdf.Key(sha256.New, token, []byte(s.ID), challengeLabel, 32)
	if err != nil {
		return Challenge{}, fmt.Errorf("deriving challenge: %w", err)
	}
	return Challenge{
		ID: s.ID, Token: t, Secret: base64.RawURLEncoding.EncodeToString(secret),
		Device: s.Device, Number: s.Number, Expires: s.Expires, Renew: s.Renew,
	}, nil
}

// WaitingChallenge finds the challenge that a device of the person may still
// use, for the page that offers the profile. It returns ErrNotFound when there
// is none, or when it was made in another session.
func (r *Registrar) WaitingChallenge(ctx context.Context, person portal.PersonID, device portal.DeviceID, key PickupKey) (Challenge, error) {
	if !r.c.DeviceKeys {
		return Challenge{}, portal.ErrNotFound
	}
	stored, err := r.c.Store.OpenChallenge(ctx, person, device, r.c.Now())
	if err != nil {
		return Challenge{}, portal.AsOutage(portal.PartStore, "finding challenge of device", err)
	}
	token := key.challengeToken(stored.ID)
	if hash, _ := token.hash(); hash != stored.TokenHash {
		return Challenge{}, portal.ErrNotFound
	}
	return r.openChallenge(token, stored)
}

// OpenChallenge opens the challenge of an address, for making the profile. It
// returns ErrNotFound for a token that never was and *Gone once the device has
// used it or its time is over, and while the directory says no.
func (r *Registrar) OpenChallenge(ctx context.Context, t Token) (Challenge, error) {
	hash, ok := t.hash()
	if !ok || !r.c.DeviceKeys {
		return Challenge{}, portal.ErrNotFound
	}
	stored, err := r.c.Store.ChallengeByToken(ctx, hash)
	if err != nil {
		return Challenge{}, portal.AsOutage(portal.PartStore, "finding challenge", err)
	}
	d := stored.Device
	g := &portal.Gone{At: stored.Expires, Platform: d.Platform, Device: d.ID, Removed: !d.Removed.IsZero()}
	switch {
	case !stored.Used.IsZero():
		g.Used, g.At = true, stored.Used
		return Challenge{}, g
	case g.Removed, !r.c.Now().Before(stored.Expires):
		return Challenge{}, g
	}
	if err := r.closedTo(ctx, d); err != nil {
		return Challenge{}, err
	}
	return r.openChallenge(t, stored)
}

// NoteChallengeRead records, before it goes out, that a profile with a challenge
// is fetched. The address alone opened it: the reader need not be signed in.
func (r *Registrar) NoteChallengeRead(ctx context.Context, by portal.Actor, c Challenge) error {
	e := by.Entry(r.c.Now(), audit.ChallengeRead)
	e.Actor, e.Role = "pickup", ""
	e.Person, e.Object = string(c.Device.Person), string(c.Device.ID)
	return portal.AsOutage(portal.PartStore, "recording the read of a challenge", r.c.Store.Note(ctx, e))
}
