package enroll

import (
	"context"
	"crypto/sha256"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// Store records what the registrar decides. Every method is one transaction, its audit
// entry included.
type Store interface {
	UpstreamStore

	// Admit returns the *Refusal that Reserve would return while nothing changes:
	// Halted, QuotaReached, NameTaken or CodeOver. Of the reservation count person,
	// device, quota, invitation and the moment.
	Admit(context.Context, Reservation) error

	// Reserve records an intent. It returns a *Refusal with QuotaReached, NameTaken
	// or CodeOver or a *Denial with HolderEnded or HolderEarly, decided inside the
	// transaction, and ErrConflict when form, key or challenge was used before or
	// the device was removed. It returns *UPNHeld when people other than
	// Reservation.Former have certificates with the UPN, pending or in force, unless
	// their SID is the same, and ErrFileInUse when one other than Reservation.Ends would
	// end that may be in use.
	Reserve(context.Context, Reservation) error

	// Complete stores the signed certificate and its pickup. It returns
	// ErrConflict when the reservation does not stand any more, and ErrFileInUse when one
	// other than Completion.Ends would end that may be in use.
	Complete(context.Context, Completion) error

	// Confirm proves that a completion which can be read is durable, by a write after it. It
	// returns ErrConflict when the certificate is not recorded with these bytes, or has ended.
	Confirm(ctx context.Context, serial ca.Serial, der []byte) error

	// Revoke ends certificates and returns those it ended.
	Revoke(context.Context, Revocation) ([]ca.Serial, error)

	// EndSuperseded ends certificates that a renewal superseded, with cause Replaced,
	// and returns them. It returns ErrConflict when a device is named whose newest
	// certificate was not fetched.
	EndSuperseded(context.Context, Ending) ([]ca.Serial, error)

	// Rename gives a device another name. It returns a *Refusal with NameTaken, and
	// ErrNotFound for a device that is not the person's or was removed.
	Rename(context.Context, Renaming) error

	// Certificate finds a certificate of any kind and person. The error wraps
	// portal.ErrNotFound when there is none.
	Certificate(ctx context.Context, serial ca.Serial) (portal.Certificate, error)

	// Attempted finds what an idempotency token led to. It returns ErrNotFound
	// when the token is new, or its attempt came to nothing.
	Attempted(ctx context.Context, person portal.PersonID, token string) (Enrolment, error)

	// Unfinished lists reservations from before the moment that are still
	// pending, of every kind, at most limit.
	Unfinished(ctx context.Context, before time.Time, limit int) ([]ca.Serial, error)

	// Undelivered lists issued certificates whose pickup is closed, or ran out
	// before the moment, and was never read whole; at most limit.
	Undelivered(ctx context.Context, before time.Time, limit int) ([]ca.Serial, error)

	// Overdue lists superseded certificates whose time is over at the moment and that
	// would work on without their end, at most limit.
	Overdue(ctx context.Context, now time.Time, limit int) ([]ca.Serial, error)

	// Note records an entry without another change, such as a refusal.
	Note(context.Context, audit.Entry) error

	// Devices lists a person's devices, newest first, with the certificate that
	// Device.Certificate describes. Removed devices and those that never got a certificate are
	// left out.
	Devices(ctx context.Context, person portal.PersonID) ([]portal.Device, error)

	// Device finds a device of the person. It returns ErrNotFound when there is
	// none or it is another person's.
	Device(ctx context.Context, person portal.PersonID, id portal.DeviceID) (portal.Device, error)

	// Pickup finds a pickup by the hash of its token, wiped or not. It returns
	// ErrNotFound for a token that never was.
	Pickup(ctx context.Context, tokenHash [sha256.Size]byte) (EncryptedPickup, error)

	// ClaimRead counts and records a read before it happens, so that concurrent
	// readers stay within max. It returns ErrConflict when no read is left.
	ClaimRead(ctx context.Context, tokenHash [sha256.Size]byte, max int, entry audit.Entry) error

	// ReturnRead gives back the claim of a read that broke off.
	ReturnRead(ctx context.Context, tokenHash [sha256.Size]byte) error

	// ConfirmRead notes that the file arrived: first delivery of the certificate,
	// and after read number max the key is wiped.
	ConfirmRead(ctx context.Context, tokenHash [sha256.Size]byte, max int, at time.Time) error

	// NotePart records a read of a piece: first delivery of the certificate,
	// without counting. It returns ErrConflict when the key is wiped.
	NotePart(ctx context.Context, tokenHash [sha256.Size]byte, at time.Time, entry audit.Entry) error

	// WipePickups removes the keys of pickups that have run out, and the
	// passwords past their own time. It returns the number of pickups touched.
	WipePickups(ctx context.Context, now time.Time) (int, error)

	// AddChallenge stores a challenge, and its device when there is none by that
	// id. It takes the place of those that the device has and did not use. It
	// returns a *Refusal with QuotaReached, NameTaken, CodeOver or DeviceBlocked, and
	// ErrConflict for a device that was removed.
	AddChallenge(ctx context.Context, c StoredChallenge, quota int, entry audit.Entry) error

	// ChallengeBySecret and ChallengeByToken find a challenge, used or run out or
	// not. They return ErrNotFound when there is none.
	ChallengeBySecret(ctx context.Context, hash [sha256.Size]byte) (StoredChallenge, error)
	ChallengeByToken(ctx context.Context, hash [sha256.Size]byte) (StoredChallenge, error)

	// OpenChallenge finds the challenge that a device may still use, or
	// ErrNotFound.
	OpenChallenge(ctx context.Context, person portal.PersonID, device portal.DeviceID, now time.Time) (StoredChallenge, error)

	// Held finds the device that a certificate belongs to, with that very
	// certificate in it. It returns ErrNotFound for a serial that no person has.
	Held(ctx context.Context, serial ca.Serial) (portal.Device, error)

	// Shown finds the device that a certificate was issued for, with that very certificate
	// in it, and when it was last shown. It returns ErrNotFound for a serial that no person has.
	Shown(ctx context.Context, serial ca.Serial) (portal.Device, LastShown, error)

	// Use gives how a certificate of a person is used. It returns ErrNotFound for a serial
	// that no person has.
	Use(ctx context.Context, serial ca.Serial) (Use, error)

	// NoteShown records that a certificate was shown. One that works is noted as
	// delivered and as seen to work, the latter with the entry.
	NoteShown(ctx context.Context, serial ca.Serial, last LastShown, entry audit.Entry) error

	// Try counts one use of a key before it happens. Within the window of the limit only
	// so many are allowed.
	Try(ctx context.Context, key string, limit signin.Limit, now time.Time) (signin.Tries, error)

	// GiveBack takes back one use of a key.
	GiveBack(ctx context.Context, key string) error
}
