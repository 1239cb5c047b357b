package enroll

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// How long a pickup lives. The password outlives the file, because a phone asks
// for it when the file is opened, not when it is fetched.
const (
	PickupLife   = 15 * time.Minute
	PasswordLife = 30 * time.Minute

	// MaxReads is how often the file may be read whole: phones fetch twice.
	MaxReads = 5
)

// PickupKey is the secret from which a session derives the tokens of its
// pickups. Only the session's cookie holds it.
type PickupKey [32]byte

// Token opens one pickup: 32 bytes as base64url. It is in the address of the
// file; the store keeps its hash.
type Token string

// Token derives the token of the pickup of a certificate.
func (k PickupKey) Token(serial ca.Serial) Token {
	mac := hmac.New(sha256.New, k[:])
	mac.Write([]byte("certportal pickup " + serial.String()))
	return Token(base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}

// bytes decodes a token; false when it cannot be one.
func (t Token) bytes() ([]byte, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(string(t))
	return b, err == nil && len(b) == sha256.Size
}

// hash is what the store knows of a token.
func (t Token) hash() ([sha256.Size]byte, bool) {
	b, ok := t.bytes()
	return sha256.Sum256(b), ok
}

// Pickup is what the page that offers the file may know: everything but the key.
type Pickup struct {
	Serial    ca.Serial
	Device    portal.Device
	Number    int       // of the file, among all that were ever made for the person
	Expires   time.Time // end of reading the file
	ReadsLeft int       // 0 when the file cannot be read any more
	Password  string    // install password
}

// File is what the file is made from, at the moment it is read.
type File struct {
	Pickup
	Key   crypto.Signer
	Leaf  *x509.Certificate
	Chain []*x509.Certificate

	// Seed makes equal files from equal pickups: a range, a retry and a second
	// fetch agree to the byte.
	Seed [32]byte
}

// Pickup opens what a page shows. It returns ErrNotFound for a token that never
// was and *Gone once the password is wiped too.
func (r *Registrar) Pickup(ctx context.Context, t Token) (Pickup, error) {
	p, _, err := r.pickup(ctx, t)
	return p, err
}

// OpenFile opens the pickup for reading the file. It returns ErrNotFound for a
// token that never was and *Gone when the file was read MaxReads times or its
// time is over. The directory is asked once more: while it says no the file is closed,
// with *Gone; a directory that does not answer closes nothing (attack A11).
func (r *Registrar) OpenFile(ctx context.Context, t Token) (File, error) {
	p, sealed, err := r.pickup(ctx, t)
	if err != nil {
		return File{}, err
	}
	if p.ReadsLeft == 0 {
		return File{}, gone(sealed)
	}
	if err := r.closedTo(ctx, p.Device); err != nil {
		return File{}, err
	}
	f := File{Pickup: p}
	token, _ := t.bytes()
	if f.Key, err = decryptKey(token, p.Serial, sealed.Key); err != nil {
		return File{}, err
	}
	if f.Leaf, err = r.signers.recorded(ctx, p.Serial, sealed.CertificateDER); err != nil {
		return File{}, err
	}
	f.Chain = r.Chain(f.Leaf)
	f.Seed, err = fileSeed(token, p.Serial)
	return f, err
}

// pickup finds and opens all of a pickup but the key.
func (r *Registrar) pickup(ctx context.Context, t Token) (Pickup, EncryptedPickup, error) {
	hash, ok := t.hash()
	if !ok {
		return Pickup{}, EncryptedPickup{}, portal.ErrNotFound
	}
	sealed, err := r.c.Store.Pickup(ctx, hash)
	if err != nil {
		return Pickup{}, sealed, portal.AsOutage(portal.PartStore, "finding pickup", err)
	}
	now := r.c.Now()
	if sealed.Password == nil || !now.Before(sealed.PasswordUntil) {
		return Pickup{}, sealed, gone(sealed)
	}
	p := Pickup{Serial: sealed.Serial, Device: sealed.Device, Number: sealed.Number, Expires: sealed.Expires}
	if sealed.Key != nil && now.Before(sealed.Expires) {
		p.ReadsLeft = max(0, MaxReads-sealed.Reads)
	}
	token, _ := t.bytes()
	p.Password, err = decryptPassword(token, sealed.Serial, sealed.Password)
	return p, sealed, err
}

// closedTo returns *Gone when the directory says that the person of the device may have
// no certificate now.
func (r *Registrar) closedTo(ctx context.Context, d portal.Device) error {
	err := r.stillAllowed(ctx, d.Person)
	if err == nil {
		return nil
	}
	r.c.Log.Info("file is closed to its person", "person", d.Person, "device", d.ID, "err", err)
	return &portal.Gone{Barred: true, At: r.c.Now(), Platform: d.Platform, Device: d.ID}
}

func gone(s EncryptedPickup) *portal.Gone {
	g := &portal.Gone{At: s.Expires, Platform: s.Device.Platform, Device: s.Device.ID, Removed: !s.Device.Removed.IsZero()}
	cause := s.Device.Certificate.Cause
	switch {
	case cause.Blocks():
		g.Blocked, g.At = true, s.Device.Certificate.RevokedAt
	case cause == portal.Replaced, cause == portal.Removed:
		g.Ended, g.At = true, s.Device.Certificate.RevokedAt
	case s.Device.Certificate.Status == portal.Superseded:
		g.Ended = true
	case s.Reads >= MaxReads:
		g.Used, g.At = true, s.LastRead
	}
	return g
}

// ClaimRead counts and records a read before the first byte goes out, so that
// readers at the same time stay within MaxReads and no key leaves unrecorded. It
// returns *Gone when none is left.
func (r *Registrar) ClaimRead(ctx context.Context, by portal.Actor, f File, t Token) error {
	hash, _ := t.hash()
	err := r.c.Store.ClaimRead(ctx, hash, MaxReads, r.readEntry(by, f, "whole"))
	if errors.Is(err, portal.ErrConflict) {
		return &portal.Gone{Used: true, At: r.c.Now(), Platform: f.Device.Platform, Device: f.Device.ID}
	}
	return portal.AsOutage(portal.PartStore, "claiming a read", err)
}

// ReturnRead gives back a claim whose read broke off.
func (r *Registrar) ReturnRead(ctx context.Context, t Token) error {
	hash, _ := t.hash()
	return portal.AsOutage(portal.PartStore, "returning a read", r.c.Store.ReturnRead(context.WithoutCancel(ctx), hash))
}

// ConfirmRead notes that the whole file went out. The last read wipes the key.
func (r *Registrar) ConfirmRead(ctx context.Context, t Token) error {
	hash, _ := t.hash()
	err := r.c.Store.ConfirmRead(context.WithoutCancel(ctx), hash, MaxReads, r.c.Now())
	return portal.AsOutage(portal.PartStore, "confirming a read", err)
}

// NotePart records, before it goes out, that a piece of the file is fetched: a
// download manager may have the whole by then. It counts against no limit, and
// the certificate is taken as delivered.
func (r *Registrar) NotePart(ctx context.Context, by portal.Actor, f File, t Token) error {
	hash, _ := t.hash()
	err := r.c.Store.NotePart(ctx, hash, r.c.Now(), r.readEntry(by, f, "part"))
	return portal.AsOutage(portal.PartStore, "recording a partial read", err)
}

// readEntry is the audit log's line of a read. The address alone opened the file:
// the reader need not be signed in.
func (r *Registrar) readEntry(by portal.Actor, f File, what string) audit.Entry {
	e := by.Entry(r.c.Now(), audit.PickupRead)
	e.Actor, e.Role = "pickup", ""
	e.Person, e.Object = string(f.Device.Person), f.Serial.String()
	e.Detail = map[string]string{"read": what}
	return e
}
