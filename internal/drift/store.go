package drift

import (
	"context"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// Mark is a difference between a certificate and the directory.
type Mismatch struct {
	Change portal.Change
	Since  time.Time // when it was first seen
}

// Certificate is what of a working certificate is compared.
type Certificate struct {
	Serial     ca.Serial
	UPN        string
	SID        string
	Mismatches []Mismatch // as they stand, in any order
}

// Holder is somebody with working certificates: of kind user, issued or
// superseded, and not past their end.
type CertificateHolder struct {
	Person       portal.PersonID
	Certificates []Certificate // at least one
}

// State is what all watches over one database share.
type State struct {
	Stopped time.Time  // since when nothing is marked or revoked; zero while the watch works
	Reason  StopReason // why; empty while the watch works
	Allowed time.Time  // when an administrator last let more than the share change; zero for never
	Passed  time.Time  // when the last pass that went through began; zero before the first
	Source  string     // which directory that one asked; empty before the first
}

// Marking brings the marks of one person's certificates to what was read.
type MismatchUpdate struct {
	Person       portal.PersonID
	Certificates []Certificate // Marks are those that are to stand; their Since does not count
	At           time.Time

	// Entry is what the ledger entries are made from; Action, Person, Object and
	// the details change, upn and sid are filled in.
	Entry audit.Entry
}

// Departure ends what somebody holds whose account ended.
type Leaver struct {
	Person portal.PersonID
	At     time.Time
	Due    time.Time   // marks first seen at this moment or before have had their grace
	Entry  audit.Entry // as of Marking
}

// Records is the watch's memory. Every method that changes something is one
// transaction, its ledger entries included, and records only what it changed:
// what another watch did before is not done again.
type Store interface {
	// Watching gives the state.
	DriftState(context.Context) (State, error)

	// HolderCount counts people with a working certificate.
	CountHolders(ctx context.Context, now time.Time) (int, error)

	// Holders lists people with a working certificate whose id comes after the
	// given one, in order, at most limit.
	Holders(ctx context.Context, now time.Time, after portal.PersonID, limit int) ([]CertificateHolder, error)

	// Departed counts people whose certificates the watch ended after it had seen
	// the change for the first time after the moment, and who hold none now.
	CountLeavers(ctx context.Context, after, now time.Time) (int, error)

	// Mark sets and removes marks, each with its entry, and returns how many. An
	// account's mark that replaces another account's mark keeps its moment; a mark
	// from the future begins at At, because clocks are set back. The first mark of
	// an account that ended also ends the person's open sessions.
	UpdateMismatches(context.Context, MismatchUpdate) (set, removed int, err error)

	// Depart ends all certificates of somebody, the ones under way included, with
	// cause enroll.Left, and returns their serials; none when no mark of theirs
	// has had its grace.
	RevokeLeaver(context.Context, Leaver) ([]ca.Serial, error)

	// Stop records that the watch stopped, and reports whether it was not stopped
	// for this reason already. Without that there is no entry.
	StopDrift(ctx context.Context, reason StopReason, at time.Time, entry audit.Entry) (bool, error)

	// Allow records that an administrator let more than the share change, and ends
	// the stop. The entry is always written.
	AllowDrift(ctx context.Context, at time.Time, entry audit.Entry) error

	// Resume ends the stop, and reports whether there was one. Without that there
	// is no entry.
	ResumeDrift(ctx context.Context, entry audit.Entry) (bool, error)

	// Pass notes that a pass over a directory went through, and forgets the marks
	// of certificates that are past their end.
	RecordDriftPass(ctx context.Context, at time.Time, source string) error
}
