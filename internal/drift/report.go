package drift

import (
	"cmp"
	"slices"
	"time"

	"certportal/ca"
	"certportal/internal/portal"
)

// Stop is why the watch does nothing. The ledger keeps it: add, do not rename.
type StopReason string

// The reasons to stop.
const (
	NoAnswer    StopReason = "no-answer"    // the directory could not be asked
	WrongAnswer StopReason = "wrong-answer" // it spoke of people nobody asked for
	NobodyKnown StopReason = "nobody-known" // it knows none of several holders: it is another directory
	TooMany     StopReason = "too-many"     // more than the share changed at once

	// OtherDirectory: the settings name another directory than the one that was
	// compared before. Nobody's id is known there, however few they are.
	OtherDirectory StopReason = "other-directory"
)

// Finding is one change of one person.
type PersonMismatch struct {
	Person  portal.PersonID
	Change  portal.Change
	Login   string // as the directory says; empty when the account is gone
	UPN     string // as it stands in the certificate, the newest where they differ
	Now     string // the UPN or SID of the directory, where that is what changed
	Serials []ca.Serial
	Since   time.Time // when it was first seen: this pass, or an earlier one
	Due     time.Time // when the certificates end; zero for changes that end none
}

// Report is what a pass saw and did.
type Report struct {
	Began      time.Time
	Holders    int              // people with a working certificate
	Mismatches []PersonMismatch // gravest first

	// Changed is how many people changed within 24 hours, those whose certificates
	// ended included; Limit is how many may. Where Partial is set there are more:
	// the pass broke off.
	Changed int
	Limit   int
	Partial bool

	Stopped StopReason // empty when the pass went through
	Err     error      // what the directory said or did; nil unless NoAnswer or WrongAnswer

	Added   int // marks set, by this watch
	Removed int
	Revoked int // certificates
}

// sort puts the gravest change first.
func (r *Report) sort() {
	gravity := []portal.Change{
		portal.AccountGone, portal.AccountDisabled, portal.AccountExpired, portal.SIDChanged, portal.UPNChanged,
	}
	slices.SortFunc(r.Mismatches, func(a, b PersonMismatch) int {
		return cmp.Or(
			cmp.Compare(slices.Index(gravity, a.Change), slices.Index(gravity, b.Change)),
			cmp.Compare(a.Person, b.Person))
	})
}

// next is when the first certificates are due that were not when the pass began;
// the zero time when there are none.
func (r *Report) next() time.Time {
	var first time.Time
	for _, f := range r.Mismatches {
		if f.Due.After(r.Began) && (first.IsZero() || f.Due.Before(first)) {
			first = f.Due
		}
	}
	return first
}
