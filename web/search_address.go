package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"certportal/internal/admin"
)

// maxSearchValue bounds one value of a search in an address, in bytes.
const maxSearchValue = 256

// searchFields lists the parameters of the search that a page shows.
func searchFields(path string) []string {
	switch path {
	case "/admin/certificates", "/admin/devices":
		return slices.Concat(admin.Fields(), []string{"q", "after"})
	case ordersPath + "/new":
		return slices.Concat(admin.Fields(), []string{"back"})
	case auditPath:
		return slices.Concat(auditFields(), []string{"before"})
	case helpdeskPath:
		return []string{"q"}
	}
	if strings.HasPrefix(path, helpdeskPath+"/people/") {
		return []string{"events"}
	}
	if path == ordersPath || strings.HasPrefix(path, ordersPath+"/") {
		return []string{"after"}
	}
	return nil
}

// askedAddress is the requested page with its search, for the way back after a sign-in:
// the known parameters, each once and encoded again. Unlike pagePath it holds what the
// client chose, so it belongs on the sign-in pages only.
func askedAddress(r *http.Request) string {
	here := pagePath(r)
	path, known, _ := strings.Cut(here, "?")
	query, err := url.ParseQuery(known)
	if err != nil {
		return here
	}
	addSearch(query, r.URL.Path, r.URL.Query())
	if address, ok := localPath(withQuery(path, query)); ok {
		return address
	}
	return here
}

// addSearch adds the known parameters of the search that a page shows.
func addSearch(query url.Values, path string, asked url.Values) {
	for _, field := range searchFields(path) {
		value := asked.Get(field)
		if field == "pick" { // check boxes of one name
			if f, bad := admin.ParseFilter(url.Values{field: asked[field]}, time.UTC); len(bad) == 0 && f.Picked != "" {
				query.Set(field, f.Picked)
			}
			continue
		}
		if value != "" && len(value) <= maxSearchValue && utf8.ValidString(value) && !strings.ContainsFunc(value, unicode.IsControl) {
			query.Set(field, value)
		}
	}
}

// listBack is the list of certificates with the search that a form names as the way back;
// without a search when it names none.
func listBack(address string) string {
	const list = "/admin/certificates"
	query := url.Values{}
	if u, err := url.Parse(address); err == nil && u.Scheme == "" && u.Host == "" && u.Path == list {
		addSearch(query, list, u.Query())
	}
	return withQuery(list, query)
}

// returnPath is the page after signing in: the requested page with its search, or that
// of the form that was sent.
func (s *Server) returnPath(r *http.Request) string {
	if r.Method != http.MethodPost {
		return askedAddress(r)
	}
	address := pagePath(r)
	if from, err := url.Parse(r.Referer()); err == nil && from.Host == s.public.Host {
		if page, ok := localPath(from.RequestURI()); ok {
			address = page
		}
	}
	return shownPage(r, address)
}

// shownPage is the address, or the nearest above it that is a page: a form that was
// shown again with a mistake has the address it was sent to, which may be no page.
func shownPage(r *http.Request, address string) string {
	c := chi.RouteContext(r.Context())
	path, _, _ := strings.Cut(address, "?")
	if c == nil || c.Routes == nil || c.Routes.Match(chi.NewRouteContext(), http.MethodGet, path) {
		return address
	}
	for path != "" {
		path = path[:strings.LastIndexByte(path, '/')]
		if path != "" && c.Routes.Match(chi.NewRouteContext(), http.MethodGet, path) {
			return path
		}
	}
	return "/"
}
