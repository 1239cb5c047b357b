package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"certportal/internal/admin"
	"certportal/internal/authz"
	"certportal/web/page"
)

// searchOf reads the query of a list. The text of the search box becomes the parameter of
// what it is: a name, a device or a serial.
func (s adminPages) searchOf(r *http.Request) (url.Values, error) {
	q := r.URL.Query()
	text := strings.TrimSpace(q.Get("q"))
	q.Del("q")
	if text == "" {
		return q, nil
	}
	kind, err := s.admin.Recognize(r.Context(), actorOf(r), text)
	if err != nil {
		return nil, err
	}
	q.Set(kind, text)
	return q, nil
}

// listOf fills what list pages have in common. The address of the page holds its whole
// state, and nothing else from the query.
func (s adminPages) listOf(r *http.Request, frame *page.Layout, path string, q url.Values) (page.AdminList, admin.Filter, error) {
	f, mistakes := s.filterOf(q)
	list := page.AdminList{Target: path, Filter: shownFilter(q), Errors: mistakes}
	list.Query, list.Kind = boxOf(q)
	if len(mistakes) > 0 {
		return list, f, nil
	}
	var err error
	if list.Chips, err = s.namedChips(r, f, s.chipsOf(f, path)); err != nil {
		return list, f, err
	}
	list.Kinds, list.States = s.kindLinks(f, path, list.Query, list.Kind), s.stateLinks(f, path)
	if may(r, authz.Export) {
		// A list without a filter has a form too: its export is everything.
		list.Export = append([]page.Hidden{}, s.hiddenFilter(f)...)
	}
	here := f.Query(s.zone)
	if after := q.Get("after"); after != "" {
		list.First = withQuery(path, here)
		here.Set("after", after)
	}
	frame.Path = withQuery(path, here)
	return list, f, nil
}

// boxOf is what the search box holds, and what it is.
func boxOf(q url.Values) (text, kind string) {
	for _, kind := range admin.Kinds() {
		if text := strings.TrimSpace(q.Get(kind)); text != "" {
			return text, kind
		}
	}
	return "", ""
}

// kindLinks lists what the text of the search box may be, each with the address of the
// list in which it is that.
func (s adminPages) kindLinks(f admin.Filter, path, text, kind string) []page.AdminChoice {
	if kind == "" {
		return nil
	}
	var links []page.AdminChoice
	for _, other := range admin.Kinds() {
		q := f.Query(s.zone)
		q.Del(kind)
		q.Del("sort")
		q.Set(other, text)
		links = append(links, page.AdminChoice{Key: other, Path: withQuery(path, q), Here: other == kind})
	}
	return links
}

// stateLinks lists the states, each with the address of the list of that state.
func (s adminPages) stateLinks(f admin.Filter, path string) []page.AdminChoice {
	links := []page.AdminChoice{}
	for _, state := range append([]admin.State{""}, admin.States()...) {
		q := f.Query(s.zone)
		q.Del("days")
		if q.Del("status"); state != "" {
			q.Set("status", string(state))
		}
		links = append(links, page.AdminChoice{Key: string(state), Path: withQuery(path, q), Here: state == f.State})
	}
	return links
}

// sortColumn is a column of a list, its order, and the reversed order; empty without one.
type sortColumn struct {
	key      string
	up, down admin.Sort
}

// columnsOf makes the heads of columns. Those whose order the filter may have are links;
// a second click reverses.
func (s adminPages) columnsOf(f admin.Filter, path string, offered []admin.Sort, columns ...sortColumn) []page.AdminColumn {
	var heads []page.AdminColumn
	for _, c := range columns {
		head := page.AdminColumn{Key: c.key}
		next := c.up
		switch {
		case f.Sort == "":
		case f.Sort == c.up:
			head.Sorted, next = "ascending", c.down
		case f.Sort == c.down:
			head.Sorted = "descending"
		}
		if next != "" && slices.Contains(offered, next) {
			g := f
			g.Sort = next
			head.Path = withQuery(path, g.Query(s.zone))
		}
		if f.Sort != "" && !slices.Contains(offered, f.Sort) {
			head.Sorted = "" // the list is in the order of its index
		}
		heads = append(heads, head)
	}
	return heads
}
