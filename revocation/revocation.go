// Package revocation publishes what was revoked: certificate revocation lists
// (RFC 5280 section 5) of the root and the issuing CA, made anew by a clock and
// after every revocation, and kept in memory for those who fetch them.
//
// It holds no state of its own that matters: numbers and lists live in the
// store, so that replicas agree and a restart forgets nothing.
package revocation

import (
	"context"
	"time"

	"certportal/ca"
)

// List is a published certificate revocation list.
type List struct {
	Issuer     string // "root" or "issuing", as in the address of the list
	Number     int64  // CRL number, increasing (RFC 5280 section 5.2.3)
	ThisUpdate time.Time
	NextUpdate time.Time
	DER        []byte
}

// Lists is where lists and revocations are kept.
type Lists interface {
	// Latest gives the newest list of an issuer; false when there is none.
	Latest(ctx context.Context, issuer string) (List, bool, error)

	// Publish builds and stores the next list in one transaction. The number it
	// hands to build is above every number this issuer ever used and at least the
	// Unix time of now in milliseconds, so that a restored database cannot fall
	// behind what was published. Two publishers never get the same number.
	Publish(ctx context.Context, issuer string, now time.Time,
		build func(number int64, revoked []ca.Revocation) (List, error)) (List, error)

	// Unlisted reports whether a certificate of the issuer is revoked and stands
	// in no list yet.
	Unlisted(ctx context.Context, issuer string) (bool, error)
}
