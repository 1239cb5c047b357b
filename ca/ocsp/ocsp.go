// Package ocsp answers whether a certificate of the issuing CA is revoked, as the
// Online Certificate Status Protocol asks (RFC 6960, in the profile of RFC 5019 and
// with the nonces of RFC 9654).
//
// It reads requests and assembles answers itself: what the trade's library reads
// leaves out all certificates but the first, and the nonce. Answers without a nonce
// are signed ahead and kept in memory; a change in the records drops them at once.
package ocsp

import (
	"context"
	"errors"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
)

// State is what an answer says of a certificate (RFC 6960 section 2.2).
type State uint8

// The states. Unknown is also what is said of a serial that was reserved and not
// yet signed: good would vouch for a certificate that may never exist.
const (
	Unknown State = iota
	Good
	Revoked
)

// Status is the revocation status of one serial.
type Status struct {
	State  State
	At     time.Time // of the revocation
	Reason int       // as in ca.Revocation
}

// ErrRewound says that the audit log is shorter than it was: every answer kept may be
// of another history.
var ErrRewound = errors.New("the ledger is shorter than it was")

// Store holds the revocation status of certificates.
type Store interface {
	// Status gives the state of a serial of the issuing CA. Unknown is no error.
	Status(ctx context.Context, serial ca.Serial) (Status, error)

	// Changes gives the serials that audit entries after a number tell of, in their
	// order, at most limit entries far, and the last entry looked at. A head below
	// after (records restored under a running portal) is errors.Is ErrRewound.
	Changes(ctx context.Context, after int64, limit int) (serials []ca.Serial, through int64, err error)

	// Head gives the last entry of the audit log: where following begins.
	Head(ctx context.Context) (audit.Head, error)
}
