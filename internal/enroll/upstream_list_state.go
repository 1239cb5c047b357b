package enroll

import (
	"fmt"
	"slices"
	"time"

	"certportal/ca/fetch"
)

// lists gives the state of each address.
func (l *listLook) lists() []UpstreamList {
	known := make(map[string]UpstreamList)
	for _, list := range l.watched.Lists {
		known[list.Address] = list
	}
	seen := make(map[string]bool)
	var all []UpstreamList
	for _, g := range l.groups {
		for _, p := range g.found.Points {
			for _, a := range slices.Concat(p.Addresses, p.Deltas) {
				if !g.looked || seen[a.URL] || a.URL == "" {
					continue
				}
				seen[a.URL] = true
				list := known[a.URL]
				list.Authority, list.Address = l.u.Name, a.URL
				before := list
				list.note(a, l.now)
				if n := l.held[a.URL]; n > 0 {
					list.hold(before, n)
				}
				list.Needed = g.found.State == fetch.Failed && !slices.ContainsFunc(p.Deltas, func(d fetch.Address) bool { return d.URL == a.URL })
				all = append(all, list)
			}
		}
	}
	return all
}

// note adds what an address gave.
func (list *UpstreamList) note(a fetch.Address, now time.Time) {
	list.Checked, list.Detail, list.Problem = now, a.Text, ""
	if l := a.List; l != nil && (a.State == fetch.Good || a.State == fetch.Warning) {
		list.Number, list.Delta, list.ThisUpdate, list.NextUpdate, list.Size = l.Number, l.Delta, l.ThisUpdate, l.NextUpdate, l.Size
	}
	switch {
	case a.State == fetch.NotChecked:
		list.Problem = UpstreamListUnfollowed
	case a.State != fetch.Failed:
	case a.Problem == fetch.Unreachable:
		list.Problem = UpstreamListUnreachable
	case a.Problem == fetch.Expired:
		list.Problem = UpstreamListExpired
	case a.Problem == fetch.Outdated && now.Before(a.List.NextUpdate):
		list.Problem = UpstreamListOutdated
	default:
		list.Problem = UpstreamListInvalid
	}
	switch {
	case list.Problem == "" || list.Problem == UpstreamListUnfollowed:
		list.Failing = time.Time{}
	case list.Failing.IsZero():
		list.Failing = now
	}
}

// hold notes that a list puts so many certificates on hold that none was ended.
func (list *UpstreamList) hold(before UpstreamList, n int) {
	list.Problem, list.Failing = UpstreamListHolds, list.Checked
	if before.Problem == UpstreamListHolds {
		list.Failing = before.Failing
	}
	list.Detail = fmt.Sprintf("it puts %d certificates on hold that are valid here: the portal ends none of them, and waits until the authority releases or revokes them", n)
}
