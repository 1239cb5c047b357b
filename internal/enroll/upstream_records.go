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
)

// UpstreamState is what is known of a request to a CA that the portal does not run.
type UpstreamState string

// The states. The first three are open, the others closed for good.
const (
	UpstreamSent    UpstreamState = "sent"    // it is being sent, or who sent it stopped
	UpstreamPending UpstreamState = "pending" // the CA has it, and it waits for approval
	UpstreamUnknown UpstreamState = "unknown" // it was sent, and the answer did not arrive
	UpstreamIssued  UpstreamState = "issued"
	UpstreamDenied  UpstreamState = "denied"  // by the CA
	UpstreamRefused UpstreamState = "refused" // a certificate came that is not what was asked for
	UpstreamTooLate UpstreamState = "late"    // a certificate came after the request was ended
	UpstreamLost    UpstreamState = "lost"    // unknown for good; its key is destroyed
	UpstreamUnsent  UpstreamState = "unsent"  // the CA was not reached
)

// UpstreamRequest is a request to a CA that the portal does not run. It is recorded before
// the first byte is sent.
type UpstreamRequest struct {
	Number    ca.Serial // of the reservation, until the CA gives a serial
	Serial    ca.Serial // of the certificate; zero before
	Authority string
	CSR       []byte
	State     UpstreamState
	ID        string // how the CA calls the request; empty while that is not known

	// SealedKey is the private key under a token that follows from a secret of the
	// person's browser; nil once wiped. TokenHash is of the token.
	TokenHash [sha256.Size]byte
	SealedKey []byte

	// Overlap and Ends are those of the completion.
	Overlap bool
	Ends    ca.Serial

	Sent   time.Time
	Next   time.Time // when it is looked at again; zero when there is nothing left to do
	Tries  int       // of that
	Detail string    // what the CA or the check said, for administrators

	// Read with it where it is due: whose it is, and the names that were asked for.
	Person  portal.PersonID
	Subject ca.Subject
	Ended   bool // the portal ended the reservation: nothing is to come of it

	// Trial says that the request tests the CA; empty for those of people.
	Trial TrialKind
}

// UpstreamRevocation is a certificate that another CA must revoke.
type UpstreamRevocation struct {
	Serial    ca.Serial
	Authority string
	DER       []byte
	Reason    int
	Why       string // UpstreamEnded, UpstreamWrong or UpstreamLate
	Asked     time.Time
	Next      time.Time // zero when the CA cannot be asked
	Tries     int
	Done      time.Time // zero while the CA did not confirm it
	DoneBy    string    // who confirmed it: ByCA, ByOperator or ByRevoker; empty before
	Detail    string
}

// UpstreamTrouble counts what administrators must look at. Times are zero for none.
type UpstreamTrouble struct {
	Unknown        int // requests whose answer did not arrive
	UnknownSince   time.Time
	Refused        int // certificates of the last day that were not what was asked for
	RefusedAt      time.Time
	Lost           int // requests of the last day of which nothing could be found out
	LostAt         time.Time
	Unrevoked      int // revocations that a CA did not confirm in time
	UnrevokedSince time.Time
	Unlisted       int // revocations that a CA confirmed, and that its newest lists do not name
	UnlistedSince  time.Time
	ByAuthority    int // certificates that a CA revoked by itself in the last day
	ByAuthorityAt  time.Time
}

// Why a CA must revoke.
const (
	UpstreamEnded = "ended"   // the portal ended the certificate
	UpstreamWrong = "refused" // it is not what was asked for, and was never handed out
	UpstreamLate  = "late"    // its request was ended before it came
)

// UpstreamStore records requests to other CAs. Each method is one transaction.
type UpstreamStore interface {
	UpstreamListStore

	// NoteUpstream records State, ID, Next, Tries and Detail of a request that is open.
	// It returns ErrConflict for one that is closed.
	NoteUpstream(context.Context, UpstreamRequest, audit.Entry) error

	// EndUpstream closes a request without a certificate and ends its reservation with
	// cause Abandoned. A certificate that came all the same is recorded, to be revoked.
	EndUpstream(context.Context, UpstreamRequest, UpstreamEnd) error

	// DueUpstream takes requests to a CA that are due at the moment, until another one: no
	// other replica gets them. Open ones come with the names that were asked for. There are
	// none while issuing is halted.
	DueUpstream(ctx context.Context, authority string, now, until time.Time, limit int) ([]UpstreamRequest, error)

	// WaitingKey finds the request that led to a certificate, with its key. It returns
	// ErrNotFound when none did or the key is wiped.
	WaitingKey(ctx context.Context, serial ca.Serial) (UpstreamRequest, error)

	// GivePickup puts a pickup in the place of a key that waits. It returns ErrConflict
	// when the key is wiped or the certificate or its device ended, and a *Refusal with
	// Halted.
	GivePickup(ctx context.Context, number ca.Serial, pickup EncryptedPickup, entry audit.Entry) error

	// DueUpstreamRevocations takes revocations as DueUpstream does requests.
	DueUpstreamRevocations(ctx context.Context, authority string, now, until time.Time, limit int) ([]UpstreamRevocation, error)

	// NoteUpstreamRevocation records Next, Tries, Done, DoneBy and Detail.
	NoteUpstreamRevocation(context.Context, UpstreamRevocation, audit.Entry) error
}

// UpstreamEnd is how a request is closed.
type UpstreamEnd struct {
	At    time.Time
	Entry audit.Entry
	Stray *x509.Certificate // that came and is not recorded; nil without
	Why   string            // it is revoked

	DeniedAs DeniedAs // where the CA denied it
}

// waitingKeyLabel keeps a key that waits apart from that of a pickup.
const waitingKeyLabel = "certportal waiting key"

// sealWaiting encrypts a key under the token of its request.
func sealWaiting(t Token, number ca.Serial, key crypto.Signer) (hash [sha256.Size]byte, sealed []byte, err error) {
	token, ok := t.bytes()
	if !ok {
		return hash, nil, errors.New("sealing key: token has the wrong form")
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return hash, nil, fmt.Errorf("encoding key of %s: %w", number, err)
	}
	defer clear(der)
	sealed, err = encrypt(token, waitingKeyLabel, number, der)
	return sha256.Sum256(token), sealed, err
}

// Collectable reports whether the key of a certificate that was issued after its request had
// been answered waits for this browser. It changes nothing.
func (r *Registrar) Collectable(ctx context.Context, d portal.Device, wait, pickup PickupKey) (bool, error) {
	_, _, ok, err := r.waitingKey(ctx, d, wait, pickup)
	return ok, err
}

// waitingKey finds and opens the key that waits for this browser.
func (r *Registrar) waitingKey(ctx context.Context, d portal.Device, wait, pickup PickupKey) (UpstreamRequest, crypto.Signer, bool, error) {
	if len(r.upstreams) == 0 || d.Certificate.Status != portal.Issued || !d.Blocked.IsZero() || !d.Removed.IsZero() {
		return UpstreamRequest{}, nil, false, nil
	}
	q, err := r.c.Store.WaitingKey(ctx, d.Certificate.Serial)
	if errors.Is(err, portal.ErrNotFound) {
		return q, nil, false, nil
	}
	if err != nil {
		return q, nil, false, portal.AsOutage(portal.PartStore, "finding the key that waits", err)
	}
	key, ok, err := q.open(wait, pickup)
	return q, key, ok, err
}

// Collect makes the pickup of a certificate that was issued after its request had been
// answered, from the key that waits for this browser. It reports whether there is one now.
// The person is read again: days may have passed (attack A11).
func (r *Registrar) Collect(ctx context.Context, by portal.Actor, d portal.Device, wait, pickup PickupKey) (bool, error) {
	q, key, ok, err := r.waitingKey(ctx, d, wait, pickup)
	if err != nil || !ok {
		return false, err
	}
	if _, err := r.mayEnroll(ctx, d.Person); err != nil {
		return false, err
	}
	serial, now := d.Certificate.Serial, r.c.Now()
	sealed, err := encryptPickup(pickup.Token(serial), serial, key, now)
	if err != nil {
		return false, err
	}
	entry := by.Entry(now, audit.UpstreamCollected)
	entry.Person, entry.Object = string(d.Person), serial.String()
	entry.Detail = map[string]string{"request": q.Number.String(), "device": string(d.ID)}
	err = r.c.Store.GivePickup(ctx, q.Number, sealed, entry)
	if errors.Is(err, portal.ErrConflict) {
		return false, nil // another tab was faster, or it ended
	}
	return err == nil, portal.AsOutage(portal.PartStore, "recording pickup", err)
}

// open decrypts the key that waits with the secret of a browser, one of those given; false
// when it waits for another one.
func (q UpstreamRequest) open(secrets ...PickupKey) (crypto.Signer, bool, error) {
	for _, secret := range secrets {
		token, _ := secret.Token(q.Number).bytes()
		if secret == (PickupKey{}) || sha256.Sum256(token) != q.TokenHash {
			continue
		}
		key, err := decryptPrivateKey(token, waitingKeyLabel, q.Number, q.SealedKey)
		return key, err == nil, err
	}
	return nil, false, nil
}
