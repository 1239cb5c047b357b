// Package crl builds, numbers and publishes the certificate revocation lists (RFC 5280
// section 5) of the root and the issuing CA. It makes a new list on a schedule and after
// every revocation, and serves the lists from memory.
//
// Numbers and lists are kept in the store, so that replicas agree and a restart loses
// nothing. Lists are copied to targets, such as the folder of a web server. A [Journal]
// and the published lists themselves record what a store that was restored from an older
// backup has lost: which certificates exist, and which are revoked.
package crl

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"

	"certportal/ca"
)

// List is a published certificate revocation list.
type List struct {
	Issuer string // "root", "issuing", "issuing-2", as in the address of the list
	Number int64  // CRL number, increasing (RFC 5280 section 5.2.3)

	// Base is the number of the complete list that a delta list adds to (RFC 5280
	// section 5.2.4); 0 in a complete list. Both kinds share one sequence of numbers.
	Base int64

	// Through is the number of the audit entry up to which every revocation is in
	// the list. Later revocations are not.
	Through int64

	ThisUpdate time.Time
	NextUpdate time.Time
	Published  time.Time // when clients could first fetch it
	Entries    int
	DER        []byte
}

// errRowDiffers means that a list is whole, and its row says something else of it.
var errRowDiffers = errors.New("its row differs from what was signed")

// Verify checks a list of the store: its CA signed it, with the number, the base and the times
// that the row says. A CRL has whole seconds.
func (l *List) Verify(signer *x509.Certificate) error {
	signed, err := ca.ReadCRL(l.DER, signer)
	if err != nil {
		return err
	}
	switch {
	case signed.Number.Big().Cmp(big.NewInt(l.Number)) != 0:
		return fmt.Errorf("%w: number %d is %s", errRowDiffers, l.Number, signed.Number.Big())
	case signed.Base.Big().Cmp(big.NewInt(l.Base)) != 0:
		return fmt.Errorf("%w: base %d is %s", errRowDiffers, l.Base, signed.Base.Big())
	case !signed.ThisUpdate.Equal(l.ThisUpdate.Truncate(time.Second)):
		return fmt.Errorf("%w: thisUpdate %s is %s", errRowDiffers, l.ThisUpdate.UTC().Format(time.RFC3339), signed.ThisUpdate.UTC().Format(time.RFC3339))
	case !signed.NextUpdate.Equal(l.NextUpdate.Truncate(time.Second)):
		return fmt.Errorf("%w: nextUpdate %s is %s", errRowDiffers, l.NextUpdate.UTC().Format(time.RFC3339), signed.NextUpdate.UTC().Format(time.RFC3339))
	}
	return nil
}

// Lease is the right to build the next list of an issuer. One builder of all replicas
// holds it at a time.
type Lease struct {
	Issuer  string
	Builder string // who holds it, different for each process
	Number  int64  // of the list to be built; never used again, even if this build fails
	Through int64  // head of the audit log when the lease began
}

// ErrBusy means that another builder holds the lease.
var ErrBusy = errors.New("another builder holds the lease")

// ErrOvertaken means that the lease expired and a later number is published or being
// built: the list must not be published.
var ErrOvertaken = errors.New("a later list was begun")

// Store keeps lists, leases and revocations.
type Store interface {
	// Latest gives the newest complete or delta list of an issuer; false when there
	// is none. DER is left out of a list whose number is have, or below.
	Latest(ctx context.Context, issuer string, delta bool, have int64) (List, bool, error)

	// Oldest gives the oldest complete list of an issuer that is in force at a time,
	// without DER; false when there is none. Delta lists use it as their base, so that a
	// client with any complete list in force can apply them.
	Oldest(ctx context.Context, issuer string, now time.Time) (List, bool, error)

	// AcquireLease gives the builder a lease of the given duration. Its number is above
	// every earlier number of this issuer and at least the Unix time of now in
	// milliseconds, so that a restored database does not reuse published numbers. The
	// error is ErrBusy while another builder's lease runs.
	AcquireLease(ctx context.Context, issuer, builder string, now time.Time, lease time.Duration) (Lease, error)

	// Revoked gives the revocations of an issuer, sorted by serial, whose audit entries
	// are above after and up to through, of certificates that expire after ending. after
	// is 0 for all revocations. Revocations of releases that did not number them with
	// the audit entries have negative numbers, and so may Through of their lists.
	Revoked(ctx context.Context, issuer string, after, through int64, ending time.Time) ([]ca.Revocation, error)

	// Publish stores the lists of a lease, a complete one, a delta or both, and ends
	// the lease. The error is ErrOvertaken when another lease began since, or when
	// number, thisUpdate or Through of a list is below that of a published list.
	Publish(ctx context.Context, lease Lease, lists ...List) error

	// ReleaseLease ends the lease after a list could not be built.
	ReleaseLease(ctx context.Context, lease Lease) error

	// Unlisted reports whether a revocation of the issuer is in no complete list yet, or
	// with delta in no list of either kind.
	Unlisted(ctx context.Context, issuer string, delta bool) (bool, error)

	// Records reads at most limit audit entries after the given one. It gives, in their
	// order, the serials reserved or issued and the revocations, and through, the last
	// entry it read.
	Records(ctx context.Context, after int64, limit int) (records []Record, through int64, err error)

	// HasEntry reports whether the audit log has this entry with this hash.
	HasEntry(ctx context.Context, seq int64, hash string) (bool, error)

	// Replay applies the records that the store lacks: it revokes certificates that are
	// valid in the store, revokes serials that the store does not know, and raises the
	// CRL number. Each change gets an audit entry. It returns the number of recovered
	// certificates, and is idempotent.
	Replay(ctx context.Context, records []Record, now time.Time) (int, error)
}

// Record is one line of the journal: a fact that must survive a restore of the store from
// an older backup.
type Record struct {
	Seq  int64  // number of its audit entry
	Hash string // of that entry, in hexadecimal; it differs in another history of the log

	Issuer   string
	Serial   ca.Serial // zero in the record of a list
	NotAfter time.Time
	Revoked  time.Time // zero in the record of an issued certificate
	Reason   int       // as in ca.Revocation

	Number int64 // of a published list; 0 in other records
}
