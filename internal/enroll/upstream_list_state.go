package enroll

import (
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
				list.note(a, l.now)
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
	if l := a.List; l != nil && a.State != fetch.Failed {
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
