package web

import (
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-chi/chi/v5"

	"certportal/internal/portal"
	"certportal/web/page"
)

// languageCookie keeps the chosen language. It is a preference, not a secret.
const languageCookie = "__Host-lang"

// languageYear is how long the choice lasts, in seconds.
const languageYear = 365 * 24 * 60 * 60

// render renders a page in memory and sends it. If rendering fails, it sends the
// fallback page with 500 and logs the cause. It returns nil, for the end of a handler.
func (s *Server) render(w http.ResponseWriter, r *http.Request, status int, p page.Page) error {
	body, err := s.renderer.Render(p)
	if err != nil {
		status, body = http.StatusInternalServerError, s.renderer.Fallback()
		s.log.Error("rendering page", "request", requestInfoOf(r).id, "err", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	// The file for a phone depends on its version and the steps on its maker, which Chrome
	// sends only on request: its User-Agent says "Android 10; K" on every Android.
	h.Set("Accept-CH", "Sec-CH-UA-Platform-Version, Sec-CH-UA-Model")
	if acceptsGzip(r) {
		if small, err := s.gzip.compress(body); err == nil {
			h.Set("Content-Encoding", "gzip")
			body = small
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client has disconnected
	}
	return nil
}

// redirect answers 303 after a successful POST, or leads to another page.
func redirect(w http.ResponseWriter, to string) error {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// layout fills what every page carries.
func (s *Server) layout(r *http.Request) page.Layout {
	here := pagePath(r)
	f := page.Layout{
		Lang: languageOf(r), Path: here, RequestID: requestInfoOf(r).id,
		InApp: clientOf(r).InApp, PageURL: s.origin() + here, Now: s.now(),
	}
	if !requestInfoOf(r).secure {
		return f
	}
	// Without the store, public pages are shown as without a session.
	if who, ok, err := s.signedIn(r); err == nil && ok {
		f.SignedIn, f.StaffHome = who.name, who.desk
	}
	return f
}

// origin is the portal's address without a slash at the end.
func (s *Server) origin() string { return s.public.Scheme + "://" + s.public.Host }

// pagePath is the address for links back to a page: its path, and the known parts of
// its query. What a client may choose freely must not be repeated beside a password or a
// code on a compressed page (BREACH): where next leads is on the sign-in pages only.
func pagePath(r *http.Request) string {
	if r.URL.Path == "/logout" {
		return "/"
	}
	here, ok := localPath(r.URL.EscapedPath())
	if !ok {
		return "/"
	}
	query := url.Values{}
	if p, ok := platformParam(r); ok {
		query.Set("p", string(p))
	}
	if here == "/login" || here == ssoPath {
		if next, ok := localPath(r.URL.Query().Get("next")); ok {
			query.Set("next", next)
		}
	}
	if len(query) == 0 {
		return here
	}
	return here + "?" + query.Encode()
}

// maxLocalPath bounds a local address, in bytes. A search fits in, and the address still
// fits into the cookie of a sign-in at the provider.
const maxLocalPath = 2 << 10

// localPath accepts an address of this portal, path and query only. It refuses every
// form that browsers treat as another site: two slashes, a backslash, a scheme.
func localPath(s string) (string, bool) {
	if len(s) > maxLocalPath || strings.ContainsFunc(s, unicode.IsControl) {
		return "", false
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(s, "/") {
		return "", false
	}
	if strings.Contains(u.Path, `\`) || path.Clean(u.Path) != u.Path {
		return "", false
	}
	u.Fragment, u.RawFragment = "", ""
	return u.String(), true
}

// signInAddress is the sign-in page that leads on to next.
func signInAddress(next string) string {
	if next == "" || next == "/" {
		return "/login"
	}
	return "/login?next=" + url.QueryEscape(next)
}

// platformParam reads ?p=, the chosen platform.
func platformParam(r *http.Request) (portal.Platform, bool) {
	p, err := portal.ParsePlatform(r.URL.Query().Get("p"))
	return p, err == nil
}

// languageOf chooses the language of the response.
func languageOf(r *http.Request) string {
	chosen := ""
	if cookie, err := r.Cookie(languageCookie); err == nil {
		chosen = cookie.Value
	}
	return page.Match(r.Header.Get("Accept-Language"), r.URL.Query().Get("lang"), chosen)
}

// allowedMethods lists the methods of the request's route, for Allow (RFC 9110 section
// 15.5.6).
func allowedMethods(r *http.Request) string {
	c := chi.RouteContext(r.Context())
	if c == nil || c.Routes == nil {
		return ""
	}
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if c.Routes.Match(chi.NewRouteContext(), method, r.URL.Path) {
			allowed = append(allowed, method)
		}
		if method == http.MethodGet && len(allowed) == 1 {
			allowed = append(allowed, http.MethodHead)
		}
	}
	return strings.Join(allowed, ", ")
}
