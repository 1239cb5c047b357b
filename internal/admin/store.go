package admin

import (
	"context"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// Store holds what administrators search and change. Every method that changes
// something is one transaction that includes its audit entries.
type Store interface {
	// Certificates returns at most limit certificates that match the filter, from the
	// cursor on.
	Certificates(ctx context.Context, f Filter, from Cursor, limit int, now time.Time) (Found[Certificate], error)

	// SearchDevices does the same for devices.
	SearchDevices(ctx context.Context, f Filter, from Cursor, limit int, now time.Time) (Found[Device], error)

	// CertificateDetail returns everything that is recorded of one certificate. It
	// returns portal.ErrNotFound when there is none.
	CertificateDetail(ctx context.Context, serial ca.Serial, now time.Time) (CertificateDetail, error)

	// Find returns audit entries before a sequence number that match the query, newest
	// first, at most limit.
	Find(ctx context.Context, q audit.Query, before int64, limit int) (audit.Found, error)

	// Entries returns audit entries in order, after a sequence number, at most limit.
	Entries(ctx context.Context, after int64, limit int) ([]audit.Entry, error)

	// EntriesAbout returns the newest audit entries of the named actions about a person,
	// newest first, at most limit.
	EntriesAbout(ctx context.Context, person portal.PersonID, limit int, named ...audit.Action) ([]audit.Entry, error)

	// Note records an audit entry that belongs to no other change.
	Note(context.Context, audit.Entry) error

	// CountCertificates counts the certificates of a filter, up to MaxCounted.
	CountCertificates(ctx context.Context, f Filter, now time.Time) (Hits, error)

	// CountDevices counts the devices of a filter, up to MaxCounted.
	CountDevices(ctx context.Context, f Filter, now time.Time) (Hits, error)

	// Known reports whether there is anyone or anything under the one name or serial that
	// the filter holds.
	Known(ctx context.Context, f Filter) (bool, error)

	// AdminStats counts what the overview shows. It may take seconds.
	AdminStats(ctx context.Context, now time.Time, since StatsSince) (Stats, error)

	// AuthorityHolders counts the people and devices with a certificate in use of each issuing CA.
	// It may take seconds.
	AuthorityHolders(ctx context.Context, now time.Time) (map[string]Holders, error)

	// UpstreamLists returns the revocation lists of CAs that the portal does not run, by CA.
	UpstreamLists(ctx context.Context) ([]enroll.UpstreamList, error)

	// Campaigns returns the campaigns that run, and those that ended since a time, the newest
	// first. It may take seconds.
	Campaigns(ctx context.Context, now, since time.Time) ([]Campaign, error)

	// RefusalReasons counts the reasons of the newest refused enrolments since a moment,
	// the most frequent first, at most limit of them.
	RefusalReasons(ctx context.Context, since time.Time, limit int) ([]ReasonCount, error)

	// UpstreamTrials returns the newest test of each kind of each CA that the portal does
	// not run.
	UpstreamTrials(ctx context.Context) ([]enroll.Trial, error)

	// Revoke revokes certificates and returns the serials that it revoked; those that
	// were revoked before are left out.
	Revoke(context.Context, enroll.Revocation) ([]ca.Serial, error)

	// Halted returns whether issuing is stopped, and why.
	Halted(context.Context) (Halt, error)

	// SetHalt stops issuing, or resumes it when the reason is empty, and reports
	// whether that changed anything. Without a change it records no entry.
	SetHalt(ctx context.Context, h Halt, entry audit.Entry) (bool, error)

	// AddBulk records a new bulk revocation.
	AddBulk(ctx context.Context, b BulkRevocation, entry audit.Entry) error

	// Bulk returns one bulk revocation. It returns portal.ErrNotFound when there is
	// none.
	Bulk(ctx context.Context, id string) (BulkRevocation, error)

	// Bulks lists bulk revocations behind so many others, running ones first, then newest
	// first, at most limit; only unfinished ones when open is set.
	Bulks(ctx context.Context, open bool, behind, limit int) ([]BulkRevocation, error)

	// BulkItems lists the certificates of a bulk revocation after a position, at most
	// limit.
	BulkItems(ctx context.Context, id string, after, limit int, now time.Time) ([]BulkItem, error)

	// AddBulkItems adds certificates, each with the superseded ones of the same device,
	// and moves the cursor from one place to the next; with a zero next cursor the bulk
	// revocation becomes a draft. It returns portal.ErrConflict when another replica moved
	// the cursor first.
	AddBulkItems(ctx context.Context, id string, from Cursor, serials []ca.Serial, next Cursor) error

	// EndedAlone counts the certificates that one administrator ended since a moment, and
	// those that a running bulk revocation of theirs is about to end.
	EndedAlone(context.Context, enroll.Alone) (int, error)

	// TransitionBulk changes the state. It returns portal.ErrConflict when the bulk
	// revocation is not in the state From, and ErrUnproven when it is unproven and To
	// does not close it.
	TransitionBulk(ctx context.Context, t BulkTransition) error

	// RevokeBulkItems revokes the next certificates of a running bulk revocation, at
	// most limit, and finishes it after the last. Because this is one transaction, a
	// crash repeats and loses nothing. It returns how many it revoked and whether there
	// are more, or ErrUnproven without revoking any.
	RevokeBulkItems(ctx context.Context, id string, limit int, at time.Time) (revoked int, more bool, err error)
}
