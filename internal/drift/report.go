package drift

import (
	"cmp"
	"slices"
	"time"

	"certportal/ca"
	"certportal/internal/portal"
)

// StopReason is why the watch stopped. The audit log contains the values: add, do not
// rename.
type StopReason string

// The reasons to stop.
const (
	NoAnswer    StopReason = "no-answer"    // the directory could not be asked
	WrongAnswer StopReason = "wrong-answer" // it returned people it was not asked for
	NobodyKnown StopReason = "nobody-known" // it knows none of several holders, so it is another directory
	TooMany     StopReason = "too-many"     // more than the share changed at once

	// OtherDirectory: the settings name another directory than that of the last pass,
	// in which no id is known.
	OtherDirectory StopReason = "other-directory"
)

// PersonMismatch is one change of one person.
type PersonMismatch struct {
	Person  portal.PersonID
	Change  portal.Change
	Login   string // in the directory; empty when the account is gone
	UPN     string // in the certificate, the newest one if they differ
	Now     string // UPN or SID in the directory, if that changed; who has a reused UPN; why the account cannot be read
	Serials []ca.Serial
	Since   time.Time // when it was first seen, in this pass or an earlier one

	// Due is when the certificates are revoked; zero for changes that revoke none. It
	// holds once the change is recorded.
	Due time.Time

	Recorded bool // in an earlier pass
}

// Report is the result of a pass.
type Report struct {
	Began      time.Time
	Holders    int              // people with a valid certificate
	Mismatches []PersonMismatch // account changes first

	// Changed is how many people changed within 24 hours, leavers included; Limit is
	// how many may. With Partial there are more: the pass ended early.
	Changed int
	Limit   int
	Partial bool

	Unread int // holders whose account cannot be read; their mismatches stay as they are

	Stopped StopReason // empty when the pass completed
	Err     error      // error of the directory, with NoAnswer and WrongAnswer

	// Incomplete is why some people who became protected, or whose UPN is another's now,
	// may be missing.
	Incomplete error

	Added   int // mismatches recorded by this pass
	Removed int
	Revoked int // certificates
}

// sort sorts account changes first.
func (r *Report) sort() {
	order := []portal.Change{
		portal.UPNReused, portal.AccountGone, portal.AccountDisabled, portal.AccountExpired, portal.BecameProtected,
		portal.SIDChanged, portal.UPNChanged, portal.AccountUnread,
	}
	slices.SortFunc(r.Mismatches, func(a, b PersonMismatch) int {
		return cmp.Or(
			cmp.Compare(slices.Index(order, a.Change), slices.Index(order, b.Change)),
			cmp.Compare(a.Person, b.Person))
	})
}

// next returns when the next grace period ends after the start of the pass; the zero
// time if there is none.
func (r *Report) next() time.Time {
	var first time.Time
	for _, f := range r.Mismatches {
		if f.Due.After(r.Began) && (first.IsZero() || f.Due.Before(first)) {
			first = f.Due
		}
	}
	return first
}
