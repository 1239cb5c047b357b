package web

import (
	"strings"
	"time"

	"certportal/internal/enroll"
	"certportal/web/page"
)

// upstreamCards shows the lists of CAs elsewhere, which come sorted by CA.
func upstreamCards(lists []enroll.UpstreamList, now time.Time) []page.AdminUpstream {
	var all []page.AdminUpstream
	for _, l := range lists {
		name := strings.TrimPrefix(l.Authority, enroll.UpstreamPrefix)
		if len(all) == 0 || all[len(all)-1].Name != name {
			all = append(all, page.AdminUpstream{Name: name})
		}
		of := &all[len(all)-1]
		of.Lists = append(of.Lists, page.AdminUpstreamList{
			Address: l.Address, Level: upstreamLevel(l, now), Number: l.Number, ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate,
			Checked: l.Checked, Size: l.Size, Bad: !l.Failing.IsZero(), Since: l.Failing, Detail: l.Detail,
		})
	}
	return all
}

// upstreamLevel is the catalogue key for the state of a list.
func upstreamLevel(l enroll.UpstreamList, now time.Time) string {
	switch {
	case l.Problem == enroll.UpstreamListExpired, l.Problem == "" && !now.Before(l.NextUpdate):
		return "ended"
	case l.Problem == enroll.UpstreamListOutdated:
		return enroll.UpstreamListInvalid
	case l.Problem != "":
		return l.Problem
	}
	return "fresh"
}
