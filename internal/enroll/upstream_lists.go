package enroll

import (
	"context"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
)

// UpstreamList is the revocation list at one address that certificates of another CA name.
type UpstreamList struct {
	Authority string
	Address   string

	// Of the newest good list that was there; zero before the first.
	Number                 string // decimal; empty when the list has none
	Delta                  bool
	ThisUpdate, NextUpdate time.Time
	Size                   int // bytes

	Checked time.Time
	Failing time.Time // since when it cannot be used; zero while it can
	Problem string    // UpstreamListUnreachable and so on; empty while it can
	Needed  bool      // without it servers cannot find out whether certificates are revoked
	Detail  string    // in English, for administrators
}

// Problems of lists.
const (
	UpstreamListUnreachable = "unreachable" // there was no whole answer
	UpstreamListExpired     = "expired"
	UpstreamListInvalid     = "invalid"   // no list, or another CA's
	UpstreamListOutdated    = "outdated"  // an older one than before, that has not ended
	UpstreamListHolds       = "holds"     // so many certificates on hold that none was ended
	UpstreamListUnfollowed  = "unchecked" // an address that the portal does not follow, as ldap
)

// UpstreamListing is what the lists of another CA say about a certificate that it must revoke.
type UpstreamListing struct {
	Serial    ca.Serial
	Authority string
	DER       []byte // only of those that no list is known to name
	Points    string // which lists the certificate names; empty while that is not known

	Done   time.Time // when the CA, or a person for it, confirmed the revocation; zero before
	DoneBy string    // who did: ByCA, ByOperator or ByRevoker
	Listed Listing
	Absent time.Time // of the newest list that does not name it; zero when that does
	Until  time.Time // when the last list without it ends; zero when there was none

	// Settle says that a list settles a revocation that the CA did not confirm. Entry is
	// about that.
	Settle bool

	// Reopen says that a list shows that the revocation was confirmed wrongly. Entry is about
	// that.
	Reopen bool
	Entry  audit.Entry
}

// UpstreamListGrace is by how much a list must begin later than a confirmation before it has
// to name the certificate.
const UpstreamListGrace = 10 * time.Minute

// Listing is the first list that named a certificate, or the OCSP answer that did.
type Listing struct {
	At     time.Time // when the portal saw it; zero while there is none
	In     string    // its address
	Number string
	Update time.Time // thisUpdate
	Online bool      // an OCSP answer
}

// UpstreamWatched is what is looked for in the lists of another CA.
type UpstreamWatched struct {
	Samples [][]byte           // certificates that say where the lists are
	InForce map[ca.Serial]bool // what the portal believes to be valid
	Rows    []UpstreamListing  // what the CA must revoke, and did
	Lists   []UpstreamList     // as they were the last time
}

// UpstreamListStore records what the lists of other CAs say. Each method is one transaction.
type UpstreamListStore interface {
	// TakeUpstreamWatch reports whether the lists of a CA are due to be looked at. No other
	// replica looks until the time given.
	TakeUpstreamWatch(ctx context.Context, authority string, now, until time.Time) (bool, error)

	// UpstreamWatched reads what to look for.
	UpstreamWatched(ctx context.Context, authority string, now time.Time) (UpstreamWatched, error)

	// CertificateOf gives the certificate with a serial of a CA; ErrNotFound without.
	CertificateOf(ctx context.Context, authority string, serial ca.Serial) ([]byte, error)

	// RecordUpstreamLists records the lists of a CA and that they were looked at. Those
	// that no certificate names any more are dropped after a while.
	RecordUpstreamLists(ctx context.Context, authority string, now time.Time, lists []UpstreamList) error

	// NoteUpstreamListings records what lists say about certificates, and settles.
	NoteUpstreamListings(ctx context.Context, listings []UpstreamListing) error
}
