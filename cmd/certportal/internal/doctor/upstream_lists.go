package doctor

import (
	"context"
	"slices"
	"time"

	"certportal/internal/admin"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// upstreamLists looks at the revocation lists of CAs elsewhere.
type upstreamLists struct{ *Doctor }

// alerts report lists that cannot be used, one alert for each kind of problem. It is critical
// when servers cannot do without one of the lists.
func (d upstreamLists) alerts(ctx context.Context) []admin.Alert {
	lists, err := d.c.DB.UpstreamLists(ctx)
	if err != nil {
		d.c.Log.Error("looking at the lists of other CAs", "err", err)
		return nil
	}
	var alerts []admin.Alert
	for _, problem := range []string{enroll.UpstreamListExpired, enroll.UpstreamListUnreachable, enroll.UpstreamListInvalid, enroll.UpstreamListHolds} {
		a := admin.Alert{Key: "upstream-list-" + problem, Path: caPage}
		for _, l := range lists {
			if kindOf(l) != problem {
				continue
			}
			if a.Number++; a.Number == 1 || l.Failing.Before(a.At) {
				a.Value, a.At = l.Address, l.Failing
			}
			a.Critical = a.Critical || d.critical(l)
		}
		if a.Number > 0 {
			alerts = append(alerts, a)
		}
	}
	return alerts
}

// kindOf is the kind of problem that a list is reported as.
func kindOf(l enroll.UpstreamList) string {
	if l.Problem == enroll.UpstreamListOutdated {
		return enroll.UpstreamListInvalid
	}
	return l.Problem
}

// outdatedFor is how long an older list than before may be there: a balancer in front of
// several servers gives old and new ones for a while.
const outdatedFor = 30 * time.Minute

// critical reports whether servers refuse certificates of the CA because of a list, or soon do.
func (d upstreamLists) critical(l enroll.UpstreamList) bool {
	now := d.c.Now()
	switch l.Problem {
	case enroll.UpstreamListHolds:
		return true
	case enroll.UpstreamListUnreachable:
		return l.Needed && !now.Before(l.NextUpdate)
	case enroll.UpstreamListOutdated:
		return l.Needed && now.Sub(l.Failing) >= outdatedFor
	}
	return l.Needed
}

// check gives what the portal that runs saw of the lists.
func (d upstreamLists) check(ctx context.Context) []portal.Finding {
	lists, err := d.c.DB.UpstreamLists(ctx)
	if err != nil {
		return []portal.Finding{{What: "upstream-lists", State: portal.FindingFailed, Text: err.Error()}}
	}
	var findings []portal.Finding
	for _, l := range lists {
		findings = append(findings, upstreamListFinding(l, lists))
	}
	if len(findings) == 0 {
		return []portal.Finding{portal.NewFinding("upstreams", portal.FindingOK, portal.Say("upstream-list-none", "no certificate names a list so far"))}
	}
	return findings
}

func upstreamListFinding(l enroll.UpstreamList, all []enroll.UpstreamList) portal.Finding {
	followed := slices.ContainsFunc(all, func(other enroll.UpstreamList) bool {
		return other.Authority == l.Authority && other.Problem != enroll.UpstreamListUnfollowed
	})
	switch {
	case l.Problem == enroll.UpstreamListUnfollowed && followed:
		return portal.NewFinding(l.Address, portal.FindingOK, portal.Say("upstream-list-skipped", "not followed: it is no http address"))
	case l.Problem == enroll.UpstreamListUnfollowed:
		return portal.NewFinding(l.Address, portal.FindingWarning,
			portal.Say("upstream-list-unfollowed", "not followed: it is no http address, so the portal cannot say what the authority lists"))
	case l.Problem != "" && l.Needed:
		return portal.NewFinding(l.Address, portal.FindingFailed, portal.Sentence{Text: l.Detail})
	case l.Problem != "":
		return portal.NewFinding(l.Address, portal.FindingWarning, portal.Sentence{Text: l.Detail})
	case l.Number == "":
		return portal.NewFinding(l.Address, portal.FindingOK, portal.Say("upstream-list-valid", "valid until %s", moment(l.NextUpdate)))
	}
	return portal.NewFinding(l.Address, portal.FindingOK, portal.Say("company-list", "number %s, valid until %s", l.Number, moment(l.NextUpdate)))
}
