package doctor

import (
	"context"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/fetch"
	"certportal/internal/admin"
	"certportal/internal/portal"
)

// Percentages of the life of a list at which its alerts begin, as for the portal's own.
const (
	halfLife   = 50
	lateLife   = 75
	endingLife = 95
)

// silentFor is how long the list of a company's CA may be unreachable, while the last one
// is valid, before the alert is critical.
const silentFor = time.Hour

// companyAlerts returns the alerts about the lists of the company's CAs, which can refuse
// every certificate below them. Before the first round nothing is known.
func (d *Doctor) companyAlerts() []admin.Alert {
	if d.c.Company == nil {
		return nil
	}
	var list []admin.Alert
	for _, w := range d.c.Company.State() {
		if a, raised := d.companyAlert(w); raised {
			list = append(list, a)
		}
	}
	return list
}

func (d *Doctor) companyAlert(w fetch.Watched) (admin.Alert, bool) {
	now := d.c.Now()
	a := admin.Alert{Value: w.Issuer.Subject.CommonName, Path: caPage}
	valid := w.Newest != nil && now.Before(w.Newest.NextUpdate)
	switch over := companyLifeOver(w.Newest, now); {
	case !w.Checked():
		return a, false
	case w.Last.Revoked != nil:
		a.Key, a.Critical, a.At, a.Value = "company-revoked", true, w.Last.Revoked.At, w.Certificate.Subject.CommonName
	case !valid && w.Newest != nil:
		a.Key, a.Critical, a.At = "company-list-none", true, w.Newest.NextUpdate
	case w.Last.State == fetch.Failed && !valid:
		a.Key, a.Critical, a.At = "company-list-none", true, w.Failing
	case w.Last.State == fetch.Failed:
		a.Key, a.At = "company-list-silent", w.Failing
		a.Critical = now.Sub(w.Failing) >= silentFor || over >= lateLife
	case w.Newest == nil:
		return a, false // an address that is not checked
	case over >= lateLife && due(w.Newest, now, over):
		a.Key, a.Critical, a.At, a.Number = "company-list-late", true, w.Newest.NextUpdate, over
	case over >= halfLife && due(w.Newest, now, over):
		a.Key, a.At, a.Number = "company-list-half", w.Newest.NextUpdate, over
	default:
		return a, false
	}
	return a, true
}

// due reports whether a newer list could be there. AD CS writes into a list when it
// publishes the next one, late in its life: until then an alert would come each week.
func due(l *fetch.List, now time.Time, over int) bool {
	return over >= endingLife || !now.Before(l.NextPublish)
}

func companyLifeOver(l *fetch.List, now time.Time) int {
	if l == nil {
		return 0
	}
	return lifeOver(crl.List{ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate}, now)
}

// companyChecks fetch the lists of the company's CAs. With a root of the portal's own
// there are none.
func (d *Doctor) companyChecks() []check {
	if d.c.Company == nil || len(d.c.Company.State()) == 0 {
		return nil
	}
	return []check{{name: "company-lists", group: admin.AddressGroup, run: func(ctx context.Context) []portal.Finding {
		d.c.Company.Round(ctx)
		var list []portal.Finding
		for _, w := range d.c.Company.State() {
			list = append(list, d.companyFindings(w)...)
		}
		return list
	}}}
}

func (d *Doctor) companyFindings(w fetch.Watched) []portal.Finding {
	if !w.Checked() {
		return []portal.Finding{portal.NewFinding(companyList(w.Link), portal.FindingWarning, portal.Say("company-list-unchecked", "not checked yet"))}
	}
	list := CompanyFindings(w.Last)
	if a, raised := d.companyAlert(w); raised && list[0].State == portal.FindingOK {
		list[0].State = portal.FindingWarning
		if a.Critical {
			list[0].State = portal.FindingFailed
		}
		list[0].Add(portal.Say("company-list-due", "(it should have been renewed by now: ask the authority's administrator)"))
	}
	return list
}

func companyList(l fetch.Link) string {
	return "revocation list of " + l.Issuer.Subject.CommonName + " about " + l.Certificate.Subject.CommonName
}

// CompanyFindings says what the addresses of a certificate in the company's chain gave:
// first the whole, then each address that was asked.
func CompanyFindings(l fetch.Lists) []portal.Finding {
	list := []portal.Finding{portal.NewFinding(companyList(fetch.Link{Certificate: l.Certificate, Issuer: l.Issuer}), findingOf(l.State), listSaid(l.Text, l.List, l.Revoked))}
	skipped := 0
	for _, p := range l.Points {
		for _, a := range append(p.Addresses[:len(p.Addresses):len(p.Addresses)], p.Deltas...) {
			f := portal.NewFinding(a.URL, findingOf(a.State), listSaid(a.Text, a.List, nil))
			if a.State == fetch.NotChecked && l.State != fetch.NotChecked {
				skipped++ // not fine, and nothing to do about
				continue
			}
			if f.State == portal.FindingFailed && list[0].State != portal.FindingFailed {
				f.State = portal.FindingWarning // the alternatives do
			}
			list = append(list, f)
		}
	}
	if skipped > 0 {
		list[0].Add(portal.Say("company-list-skipped", "(addresses that are no http and were not checked: %d)", skipped))
	}
	return list
}

// listSaid finds a text of [fetch] among the sentences of the catalogues. What the system
// says, and a text about several addresses, is in English only.
func listSaid(text string, l *fetch.List, revoked *ca.Revocation) portal.Sentence {
	known := []portal.Sentence{
		portal.Say("company-list-nowhere", "it names no address of a revocation list: clients that check revocation refuse what is below it"),
		portal.Say("company-list-no-http", "the portal asks http addresses only, and the certificate names no such list that covers it"),
		portal.Say("company-list-reasons", "the lists together do not cover the certificate for every reason"),
	}
	if l != nil {
		known = append(known,
			portal.Say("company-list", "number %s, valid until %s", l.Number, moment(l.NextUpdate)),
			portal.Say("company-list-ended", "the list ended on %s: the authority must publish a new one", moment(l.NextUpdate)))
	}
	if revoked != nil {
		known = append(known, portal.Say("company-list-revoked", "the authority above revoked it on %s (reason %d)", moment(revoked.At), revoked.Reason))
	}
	for _, s := range known {
		if s.Text == text {
			return s
		}
	}
	return portal.Sentence{Text: text}
}

func moment(at time.Time) string { return at.Local().Format(time.DateTime + " MST") }

func findingOf(s fetch.State) portal.FindingState {
	switch s {
	case fetch.Good, fetch.OutOfScope:
		return portal.FindingOK
	case fetch.Failed:
		return portal.FindingFailed
	}
	return portal.FindingWarning
}
