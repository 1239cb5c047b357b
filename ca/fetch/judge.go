package fetch

import (
	"fmt"
	"strings"
	"time"

	"certportal/ca"
)

// judge decides whether clients can use a list for the certificate.
func (a *Address) judge(l *Lists, dp *ca.DistributionPoint, crl *ca.PublishedCRL, delta bool) {
	var err error
	if l.search != nil {
		a.List.named, err = crl.Select(l.search.Wanted)
	} else {
		a.List.Revoked, err = crl.Find(l.Certificate.SerialNumber)
	}
	if err != nil {
		a.State, a.Problem, a.Text = Failed, Invalid, "an entry of the list cannot be read: "+err.Error()
		return
	}
	a.State, a.Problem = Failed, Invalid
	switch s := crl.Scope; {
	case crl.Delta && !delta:
		a.Text = "it is a delta list, where the complete one should be"
	case delta && !crl.Delta:
		a.Text = "it is a complete list, where the delta should be"
	case s != nil && s.Indirect:
		a.Text = "it is an indirect list, which Windows does not read"
	case !s.Names(dp):
		a.Text = "it is a partition that the certificate does not name: the list says that it is published at another address"
	case s != nil && (s.OnlyAttributes || s.OnlyUsers && l.Certificate.IsCA || s.OnlyCAs && !l.Certificate.IsCA):
		a.State, a.Problem, a.Text = OutOfScope, 0, "the list covers only "+a.List.Scope
	case crl.ThisUpdate.After(l.At.Add(ca.ClockSkew)):
		a.Text = "the list is valid from " + moment(crl.ThisUpdate) + ", which is in the future: compare the clocks"
	case l.search.outdated(a.List):
		a.Problem, a.Text = Outdated, "a newer list than number "+a.List.Number+" was here before: something on the way keeps copies for too long"
	case !l.At.Before(crl.NextUpdate):
		a.Problem, a.Text = Expired, "the list ended on "+moment(crl.NextUpdate)+": the authority must publish a new one"
	default:
		a.State, a.Problem, a.Text = Good, 0, a.List.describe()
	}
}

// scopeOf says in words what a list covers.
func scopeOf(crl *ca.PublishedCRL) string {
	s := crl.Scope
	if s == nil {
		return "all certificates"
	}
	words := "all certificates"
	switch {
	case s.OnlyUsers:
		words = "certificates of users and computers"
	case s.OnlyCAs:
		words = "certificates of authorities"
	case s.OnlyAttributes:
		words = "attribute certificates"
	}
	if s.Partition() {
		words += " of one partition"
	}
	if s.Reasons != ca.AllReasons {
		words += " for some reasons"
	}
	return words
}

// describe gives number and end of a list.
func (l *List) describe() string {
	words := "without a number"
	if l.Number != "" {
		words = "number " + l.Number
	}
	words += ", valid until " + moment(l.NextUpdate)
	if l.Scope != "all certificates" {
		words += ", of " + l.Scope
	}
	return words
}

func moment(at time.Time) string { return at.Local().Format(time.DateTime + " MST") }

// conclude decides about all distribution points together.
func (l *Lists) conclude() {
	var covered ca.Reasons
	count := map[State]int{}
	partition := false
	for _, p := range l.Points {
		count[p.State]++
		covered |= p.reasons
		if p.list != nil {
			partition = partition || p.list.partition
			if l.List == nil || p.list.NextUpdate.Before(l.List.NextUpdate) {
				l.List = p.list
			}
		}
	}
	l.findRevoked()
	switch {
	case l.Revoked != nil:
		l.State, l.Text = Failed, fmt.Sprintf("the authority above revoked it on %s (reason %d)", moment(l.Revoked.At), l.Revoked.Reason)
	case covered == ca.AllReasons && (count[Failed] == 0 || !partition):
		l.State, l.Text = Good, l.List.describe()
		if count[Failed]+count[Warning] > 0 || l.deltaFails() {
			l.State, l.Text = Warning, l.Text+"; not every address works: "+l.failures()
		}
	case count[Failed] > 0:
		l.State, l.Problem, l.Text = Failed, l.problem(), l.failures()
	case count[NotChecked] > 0:
		l.State, l.Text = NotChecked, "the portal asks http addresses only, and the certificate names no such list that covers it"
	default:
		l.State, l.Problem, l.Text = Failed, Invalid, "the lists together do not cover the certificate for every reason"
	}
}

// findRevoked looks for the certificate in every list that the CA signed: an old list
// that names it is proof enough. A hold that a delta list removed is none.
func (l *Lists) findRevoked() {
	const hold, removed = 6, 8
	for _, p := range l.Points {
		released := false
		var entry *ca.Revocation
		for _, a := range append(p.Deltas[:len(p.Deltas):len(p.Deltas)], p.Addresses...) {
			if a.List == nil || a.List.Revoked == nil {
				continue
			}
			switch r := a.List.Revoked; {
			case r.Reason == removed:
				released = true
			case !(released && r.Reason == hold):
				entry = r
			}
		}
		if entry != nil {
			l.Revoked = entry
			return
		}
	}
}

func (l *Lists) deltaFails() bool {
	for _, p := range l.Points {
		if s := stateOf(p.Deltas); s == Failed || s == Warning {
			return true
		}
	}
	return false
}

// problem is that of the first failed address.
func (l *Lists) problem() Problem {
	for _, p := range l.Points {
		if p.State != Failed {
			continue
		}
		for _, a := range p.Addresses {
			if a.State == Failed {
				return a.Problem
			}
		}
	}
	return Invalid
}

// failures names the addresses that do not do their duty, with the reason.
func (l *Lists) failures() string {
	var words []string
	for _, p := range l.Points {
		for _, a := range append(p.Addresses[:len(p.Addresses):len(p.Addresses)], p.Deltas...) {
			if a.State == Failed || a.State == Warning {
				words = append(words, a.URL+": "+a.Text)
			}
		}
	}
	return strings.Join(words, "; ")
}
