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
	"errors"
	"time"

	"certportal/ca"
)

// List is a published certificate revocation list.
type List struct {
	Issuer string // "root" or "issuing", as in the address of the list
	Number int64  // CRL number, increasing (RFC 5280 section 5.2.3)

	// Base is the number of the complete list that a delta list adds to (RFC 5280
	// section 5.2.4); 0 in a complete list. Both kinds share one row of numbers.
	Base int64

	// Through is the number of the audit entry up to which every revocation is in
	// the list: what was revoked later is not.
	Through int64

	ThisUpdate time.Time
	NextUpdate time.Time
	Published  time.Time // when it could first be fetched
	Entries    int
	DER        []byte
}

// Lease is the right to build the next list of an issuer. One builder of all replicas
// holds it at a time.
type Lease struct {
	Issuer  string
	Builder string // who has it, different for each process
	Number  int64  // for the list to be built; used for no other, even if this one fails
	Through int64  // head of the audit log when the turn began
}

// ErrBusy says that another builder has the turn.
var ErrBusy = errors.New("another builder has the turn")

// ErrOvertaken says that the turn had run out and a later number is published or
// being built: the list must not be published.
var ErrOvertaken = errors.New("a later list was begun")

// Lists is where lists and revocations are kept.
type Store interface {
	// Latest gives the newest complete or delta list of an issuer; false when there
	// is none. DER is left out of a list whose number is have, or below.
	Latest(ctx context.Context, issuer string, delta bool, have int64) (List, bool, error)

	// Oldest gives the oldest complete list of an issuer that is in force at a time,
	// without DER; false when there is none. Delta lists add to it, so that whoever
	// holds any list in force can use them.
	Oldest(ctx context.Context, issuer string, now time.Time) (List, bool, error)

	// AcquireLease gives the builder the turn for as long as the lease. Its number is above
	// every number this issuer ever drew and at least the Unix time of now in
	// milliseconds, so that a restored database cannot fall behind what was
	// published. ErrBusy while another's lease runs.
	AcquireLease(ctx context.Context, issuer, builder string, now time.Time, lease time.Duration) (Lease, error)

	// Revoked gives the revocations of an issuer that audit entries above after and
	// up to through tell of, sorted by serial, of certificates that end after the time.
	// after is 0 for all there are. What was revoked before entries and revocations had
	// one number has a negative one, and so may Through of a list from then.
	Revoked(ctx context.Context, issuer string, after, through int64, ending time.Time) ([]ca.Revocation, error)

	// Publish stores the lists of a turn, a complete one, a delta or both, and ends
	// the turn. ErrOvertaken when another turn began meanwhile, or when a list does
	// not follow what is published: number, thisUpdate and Through never go back.
	Publish(ctx context.Context, turn Lease, lists ...List) error

	// ReleaseLease gives the turn back after a list could not be built.
	ReleaseLease(ctx context.Context, turn Lease) error

	// Unlisted reports whether a revocation of the issuer stands in no list yet; of
	// complete lists only, or with delta in either kind.
	Unlisted(ctx context.Context, issuer string, delta bool) (bool, error)

	// Records gives what the audit log tells after an entry, in its order: serials
	// reserved or issued, revocations, and through, the last entry it looked at. At
	// most limit entries are looked at.
	Records(ctx context.Context, after int64, limit int) (records []Record, through int64, err error)

	// HasEntry reports whether the audit log has this entry with this hash.
	HasEntry(ctx context.Context, seq int64, hash string) (bool, error)

	// Replay records again what is missing: revokes certificates that stand, lists
	// serials that are not known, raises the numbers of lists. Each has its audit log
	// entry. It returns how many were brought back, and may be repeated.
	Replay(ctx context.Context, records []Record, now time.Time) (int, error)
}

// Record is one line of the journal: what must not be forgotten even when the
// records are restored from an older copy.
type Record struct {
	Seq  int64  // number of the audit log entry that tells of it
	Hash string // of that entry, in hexadecimal: another history shows by it

	Issuer   string
	Serial   ca.Serial // zero in the record of a list
	NotAfter time.Time
	Revoked  time.Time // zero in the record of an issued certificate
	Reason   int       // as in ca.Revocation

	Number int64 // of a published list; 0 in other records
}
