package enroll

import (
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

// Issuer signs certificates: the embedded CA, or one elsewhere.
type Issuer interface {
	// Prepare fixes everything that will be signed, and refuses what the lints
	// refuse. Nothing is signed with the issuer's key.
	Prepare(*ca.Profile, ca.Subject, crypto.PublicKey, time.Time) (*ca.Prepared, error)

	// Sign signs what was prepared, once.
	Sign(*ca.Prepared) (*x509.Certificate, error)
}

// Reservation is the intent to sign a certificate: recorded before any signature
// exists, so that everything that was signed can be revoked.
type Reservation struct {
	Serial     ca.Serial
	Issuer     string // name of the authority that will sign; empty: ca.FirstAuthority
	Kind       portal.Kind
	Profile    string
	Subject    ca.Subject
	PublicKey  [sha256.Size]byte // SHA-256 of the SubjectPublicKeyInfo; unique over all certificates
	NotBefore  time.Time
	NotAfter   time.Time
	Requested  time.Time
	Person     portal.PersonID // empty for KindServer, but for a test certificate with the names of a person
	Name       string          // of the person, as the directory calls them now; staff finds them by it
	Device     portal.Device   // a new device, or the known one that gets a new certificate; zero for KindServer
	NewDevice  bool
	Idempotent string // token of the form; unique for the person while the attempt counts
	Quota      int    // devices of this person that may work at the same time
	Entry      audit.Entry

	// Challenge is the hash of the one that is used up by this reservation, in
	// the same transaction. Zero without.
	Challenge [sha256.Size]byte

	// Invitation is used up by this reservation, in the same transaction: it must be
	// open and the person's. Empty without.
	Invitation signin.InvitationID

	// Renews is the certificate whose holder asks for the next one. It must be in
	// force in the same transaction, and the newest of its device: what it superseded
	// ends, for it is in use. Zero without.
	Renews ca.Serial

	// RenewFrom is the window of a renewal: Device.Renewable must allow it in the same
	// transaction; with Renews, without regard to a certificate from before. Zero without.
	RenewFrom time.Duration

	// Ends is the certificate of the device that its person agreed to end, see
	// Device.NewFileEnds: the transaction ends no other one that may be in use. Empty
	// without; Renews needs none.
	Ends ca.Serial

	// Former are people who no longer own the UPN. Their certificates with it, pending
	// ones included, are revoked in the same transaction, with cause Reused.
	Former []portal.PersonID

	// Upstream is the request to the CA that will issue, where the portal does not run it.
	// Serial is then its number.
	Upstream *UpstreamRequest
}

// Completion turns a reservation into an issued certificate.
type Completion struct {
	// Number is that of the request to a CA elsewhere: Serial takes its place in the
	// records. Zero for the portal's own CA, which chose the serial.
	Number ca.Serial

	Serial      ca.Serial
	Certificate *x509.Certificate
	Pickup      *EncryptedPickup // nil for KindServer, and for a key that the device made
	At          time.Time

	// Delivered says that the device gets the certificate in the answer: nothing
	// waits to be fetched.
	Delivered bool

	// Supersede revokes everything else the device holds, with cause Replaced.
	Supersede bool

	// Overlap lets what the device holds work on for so long, as superseded, in the
	// place of revoking it. One certificate at most does: where a renewal is tried
	// again, it is the one from before the first try, with the end it had.
	Overlap time.Duration

	// Ends is that of the reservation. A certificate that was fetched since then is not
	// ended either.
	Ends  ca.Serial
	Entry audit.Entry
}

// Revocation ends certificates. Exactly the certificates named are meant, and of
// these only those that are pending, issued or superseded; each gets its own audit log
// entry, made from Entry with the serial as Object. With cause Undelivered only
// those are meant that were not fetched. What a certificate superseded that ends as
// Undelivered or Abandoned is issued again, in the same transaction.
type Revocation struct {
	Serials []ca.Serial
	Cause   portal.Cause
	At      time.Time
	Entry   audit.Entry

	// RemoveDevice marks the device as removed in the same transaction, and ends
	// everything else it holds.
	RemoveDevice portal.DeviceID

	// BlockDevice marks the device as blocked in the same transaction, and ends
	// everything else it holds, its challenges, and the person's open hand-off. With
	// cause Lost it also ends the sessions of the person but KeepSession, the hash of
	// the id of the one that asks.
	BlockDevice portal.DeviceID

	// EndPerson ends what could lead the person to more: their pickup codes,
	// challenges, hand-offs and sessions.
	EndPerson   portal.PersonID
	KeepSession [32]byte

	// CloseOnly closes the device or the person and wipes the files that wait for them,
	// but leaves certificates in force: these take a second administrator.
	CloseOnly bool

	// Alone bounds what one administrator revokes without a second one.
	Alone Alone
}

// Alone is how many certificates of others one of the staff may end since a moment, in
// all ways together; what a second administrator approved does not count. The zero value
// is no bound.
type Alone struct {
	Person portal.PersonID
	Since  time.Time
	Most   int
}

// ErrSecondPerson means that a revocation would exceed [Alone]: nothing was revoked.
var ErrSecondPerson = errors.New("more certificates than one administrator ends alone")

// Enrolment is what became of a request: the device and its certificate.
type Enrolment struct {
	Device portal.DeviceID
	Serial ca.Serial

	// Again says that the same form was sent before: this is its first outcome.
	Again bool
}

// EncryptedPickup is a pickup as the store keeps it: nothing in it opens without
// the token, and of the token only the hash is kept.
type EncryptedPickup struct {
	TokenHash      [sha256.Size]byte
	Serial         ca.Serial
	Key            []byte    // sealed PKCS#8; nil once wiped
	Password       []byte    // sealed install password; nil once wiped
	Expires        time.Time // end of reading the file
	PasswordUntil  time.Time // end of showing the password
	Reads          int       // complete reads so far
	LastRead       time.Time
	Number         int           // of the certificate, among those ever made for the person; not stored, but read with it
	Device         portal.Device // with Certificate; not stored with the pickup, but read with it
	CertificateDER []byte        // read with it
}
