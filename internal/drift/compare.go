package drift

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"certportal/internal/portal"
)

// accountChange returns how an account ended; empty when it is valid.
func accountChange(p portal.Person, known bool) portal.Change {
	switch {
	case !known:
		return portal.AccountGone
	case p.Disabled:
		return portal.AccountDisabled
	case p.Expired:
		return portal.AccountExpired
	}
	return ""
}

// differences lists how one certificate differs from its person. SIDs are compared
// exactly, UPNs without case, as domain controllers do.
func differences(c Certificate, p portal.Person, account portal.Change) []portal.Change {
	var changes []portal.Change
	if account != "" {
		changes = append(changes, account)
	}
	switch account {
	case portal.AccountGone:
		// The names of a deleted account are unknown: keep what was found before.
		for _, m := range c.Mismatches {
			if m.Change.Outdates() || m.Change == portal.BecameProtected {
				changes = append(changes, m.Change)
			}
		}
		return changes
	case portal.AccountUnread:
		// Nothing is known now: keep all that was found before, also the grace period of an
		// account that ended.
		for _, m := range c.Mismatches {
			if m.Change != account {
				changes = append(changes, m.Change)
			}
		}
		return changes
	}
	if p.Protected {
		changes = append(changes, portal.BecameProtected)
	}
	if c.SID != p.SID {
		changes = append(changes, portal.SIDChanged)
	}
	if !sameUPN(c.UPN, p.UPN) {
		changes = append(changes, portal.UPNChanged)
	}
	return changes
}

// sameUPN reports whether two UPNs name one account. Most are equal without folding.
func sameUPN(a, b string) bool { return strings.EqualFold(a, b) || portal.Fold(a) == portal.Fold(b) }

// wantedMismatches returns the holder's certificates with the mismatches they should
// have, and reports whether the stored ones differ.
func wantedMismatches(h CertificateHolder, p portal.Person, account portal.Change, now time.Time) ([]Certificate, bool) {
	wanted, differ := slices.Clone(h.Certificates), false
	for i, c := range wanted {
		changes := differences(c, p, account)
		differ = differ || len(changes) != len(c.Mismatches)
		wanted[i].Mismatches = nil
		for _, change := range changes {
			wanted[i].Mismatches = append(wanted[i].Mismatches, Mismatch{Change: change})
			stored := slices.IndexFunc(c.Mismatches, func(m Mismatch) bool { return m.Change == change })
			differ = differ || stored < 0 || c.Mismatches[stored].Since.After(now)
		}
	}
	return wanted, differ
}

// personMismatches returns a person's mismatches, one for each kind of change. All
// account changes share the first Since, so that disabling an account and deleting it
// later does not start a second grace period.
func personMismatches(h CertificateHolder, wanted []Certificate, of answer, now time.Time, grace time.Duration) []PersonMismatch {
	var found []PersonMismatch
	for _, c := range wanted {
		for _, m := range c.Mismatches {
			i := slices.IndexFunc(found, func(f PersonMismatch) bool { return f.Change == m.Change })
			if i < 0 {
				i = len(found)
				found = append(found, newPersonMismatch(h, c, m.Change, of, now, grace))
			}
			found[i].Serials = append(found[i].Serials, c.Serial)
		}
	}
	return found
}

func newPersonMismatch(h CertificateHolder, c Certificate, change portal.Change, of answer, now time.Time, grace time.Duration) PersonMismatch {
	p := of.person
	f := PersonMismatch{Person: h.Person, Change: change, Login: p.Login, UPN: c.UPN, Since: since(h, change, now)}
	switch change {
	case portal.UPNChanged:
		f.Now = p.UPN
	case portal.SIDChanged:
		f.Now = p.SID
	case portal.AccountUnread:
		f.Now = fmt.Sprintf("%.300s", of.unread.Error())
	}
	if AccountEnded(change) || change == portal.BecameProtected {
		f.Due = f.Since.Add(grace)
	}
	for _, c := range h.Certificates {
		f.Recorded = f.Recorded || slices.ContainsFunc(c.Mismatches, func(m Mismatch) bool { return sameKind(m.Change, change) })
	}
	return f
}

// sameKind reports whether one change may take the place of the other.
func sameKind(a, b portal.Change) bool { return a == b || AccountEnded(a) && AccountEnded(b) }

// since returns when a change of the holder was first seen. A time in the future, from
// a clock that was wrong, counts as now.
func since(h CertificateHolder, change portal.Change, now time.Time) time.Time {
	first := now
	for _, c := range h.Certificates {
		for _, m := range c.Mismatches {
			if sameKind(m.Change, change) && m.Since.Before(first) {
				first = m.Since
			}
		}
	}
	return first
}
