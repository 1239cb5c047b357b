package drift

import (
	"context"
	"errors"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// Mismatch is a difference between a certificate and the directory.
type Mismatch struct {
	Change portal.Change
	Since  time.Time // when it was first seen
}

// Certificate is a valid certificate, as far as it is compared.
type Certificate struct {
	Serial     ca.Serial
	UPN        string
	SID        string
	Mismatches []Mismatch // as stored, in any order
}

// CertificateHolder is a person with valid user certificates, issued or superseded.
type CertificateHolder struct {
	Person       portal.PersonID
	Certificates []Certificate // at least one
}

// State is what all watches over one store share.
type State struct {
	Stopped time.Time  // since when the watch is stopped; zero while it works
	Reason  StopReason // empty while the watch works
	Allowed time.Time  // when an administrator last allowed more changes than the share; zero for never
	Passed  time.Time  // start of the last completed pass; zero before the first
	Source  string     // directory of that pass; empty before the first
}

// MismatchUpdate sets the mismatches of one person's certificates.
type MismatchUpdate struct {
	Person       portal.PersonID
	Certificates []Certificate // Mismatches are the wanted ones; their Since is ignored
	At           time.Time

	// Entry is the template of the audit entries. Action, Person, Object and the
	// details change, upn and sid are filled in.
	Entry audit.Entry
}

// Leaver revokes everything of a person whose account ended or became protected.
type Leaver struct {
	Person portal.PersonID
	Cause  portal.Cause // Left or Privileged
	At     time.Time
	Due    time.Time   // the grace period of mismatches seen at this time or before is over
	Entry  audit.Entry // as in MismatchUpdate
}

// Reuse revokes the certificates of a person with a UPN that another account has now.
type Reuse struct {
	Person portal.PersonID
	UPN    string
	Owner  portal.PersonID // who has it now; empty if that is no person
	At     time.Time
	Entry  audit.Entry // of the entries
}

// Lease is the right to write: one watch of all replicas has it at a time.
type Lease struct {
	Holder string
	Turn   int64 // higher with each lease
}

// ErrBusy means that another watch has the lease.
var ErrBusy = errors.New("another drift watch is at work")

// ErrLeaseLost means that another watch has the lease since.
var ErrLeaseLost = errors.New("another drift watch took over")

// Store holds the state of the watch.
type Store interface {
	// AcquireDriftLease gives the holder a lease until a time. The error is ErrBusy while
	// the lease of another holder runs; with force it is taken from that one.
	AcquireDriftLease(ctx context.Context, holder string, now, until time.Time, force bool) (Lease, error)

	// RenewDriftLease lets the lease last until a time. The error is ErrLeaseLost when
	// another holder took it.
	RenewDriftLease(ctx context.Context, l Lease, until time.Time) error

	// ReleaseDriftLease ends the lease.
	ReleaseDriftLease(context.Context, Lease) error

	// DriftWriter writes under the lease.
	DriftWriter(Lease) Writer

	// DriftState returns the state.
	DriftState(context.Context) (State, error)

	// CountHolders counts people with a valid certificate.
	CountHolders(ctx context.Context, now time.Time) (int, error)

	// Holders lists people with a valid certificate in the order of their ids, after
	// the given one, at most limit.
	Holders(ctx context.Context, now time.Time, after portal.PersonID, limit int) ([]CertificateHolder, error)

	// CountLeavers counts people whose certificates the watch revoked, who have none
	// now, and whose change was first seen after a time.
	CountLeavers(ctx context.Context, after, now time.Time) (int, error)
}

// Writer changes what the watch records. Each method is one transaction that includes its
// audit entries, and records only what it changed: what another watch did before is not
// repeated. The error is ErrLeaseLost, and nothing is changed, when another watch has the
// lease.
type Writer interface {
	// UpdateMismatches adds and removes mismatches, each with an entry, and returns how
	// many. An account mismatch that replaces another keeps its Since; a Since in the
	// future, from a clock that was wrong, becomes At. The first account mismatch also
	// ends the person's sessions.
	UpdateMismatches(context.Context, MismatchUpdate) (set, removed int, err error)

	// RevokeLeaver revokes all certificates of a person, pending ones included, and
	// returns their serials. It revokes none while no mismatch of the cause is past its
	// grace period.
	RevokeLeaver(context.Context, Leaver) ([]ca.Serial, error)

	// RevokeReused revokes the person's certificates with the UPN, pending ones
	// included, with cause portal.Reused and an entry for the owner, and returns their
	// serials.
	RevokeReused(context.Context, Reuse) ([]ca.Serial, error)

	// StopDrift records that the watch stopped, and reports whether the reason is new.
	// If it is not, there is no entry.
	StopDrift(ctx context.Context, reason StopReason, at time.Time, entry audit.Entry) (bool, error)

	// AllowDrift records that an administrator allowed more changes than the share, and
	// clears the stop. It always records the entry.
	AllowDrift(ctx context.Context, at time.Time, entry audit.Entry) error

	// ResumeDrift clears the stop and reports whether there was one. Without one, there
	// is no entry.
	ResumeDrift(ctx context.Context, entry audit.Entry) (bool, error)

	// RecordDriftPass records a completed pass and deletes mismatches of expired
	// certificates.
	RecordDriftPass(ctx context.Context, at time.Time, source string) error
}
