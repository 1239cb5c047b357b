// Package ocsp answers whether a certificate of the issuing CA is revoked, as the
// Online Certificate Status Protocol asks (RFC 6960, in the profile of RFC 5019 and
// with the nonces of RFC 9654).
//
// The package parses requests and encodes answers itself, because golang.org/x/crypto/ocsp
// reads only the first certificate of a request, and no nonce. Answers without a nonce
// are cached in memory and signed again before they expire; a change of a certificate
// drops its answers at once.
package ocsp

import (
	"context"
	"errors"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
)

// State is the revocation state of a certificate (RFC 6960 section 2.2).
type State uint8

// The states. Unknown is also the state of a serial that is reserved and not yet signed:
// good would vouch for a certificate that may never exist.
const (
	Unknown State = iota
	Good
	Revoked
)

// Status is the revocation status of one serial.
type Status struct {
	Issuer string // name of the authority that issued it; empty for an unknown serial
	State  State
	At     time.Time // of the revocation
	Reason int       // as in ca.Revocation
}

// ErrRewound means that the audit log is shorter than it was, as after a restore: every
// cached answer may be wrong.
var ErrRewound = errors.New("the audit log is shorter than it was")

// Store holds the revocation status of certificates.
type Store interface {
	// Status gives the state of a serial of any issuing CA. Unknown is no error.
	Status(ctx context.Context, serial ca.Serial) (Status, error)

	// Changes reads at most limit audit entries after the given one. It gives the serials
	// that they concern, in order, and the last entry read. The error is ErrRewound when
	// the audit log ends before after (a store restored under a running portal).
	Changes(ctx context.Context, after int64, limit int) (serials []ca.Serial, through int64, err error)

	// Head gives the last entry of the audit log, from which the responder follows it.
	Head(ctx context.Context) (audit.Head, error)

	// NoteAsked records the last question about certificates of people, for each at most
	// once in AskedEvery. Serials that it does not know are no error.
	NoteAsked(ctx context.Context, asked []Asked) error
}
