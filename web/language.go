package web

import (
	"net/http"
	"slices"

	"certportal/internal/portal"
	"certportal/web/page"
)

// noteLanguage saves the language of this page for the person's mail. It logs errors:
// they must not fail the request.
func (s *Server) noteLanguage(r *http.Request, person portal.PersonID) {
	if err := s.store.SetLanguage(r.Context(), person, languageOf(r)); err != nil {
		s.log.Warn("noting the language of a person", "err", err, "request", requestInfoOf(r).id)
	}
}

// rememberLanguage saves the language of ?lang= in a cookie; and, for a signed-in
// person who followed a link of these pages, for their mail. A link on another site
// must not choose for them, so a browser without Sec-Fetch-Site changes the cookie
// alone.
func (s *Server) rememberLanguage(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if setLanguage(w, r) {
			if r.Header.Get("Sec-Fetch-Site") == "same-origin" {
				s.noteChoice(r)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// setLanguage saves the language of ?lang= in a cookie, if there is one.
func setLanguage(w http.ResponseWriter, r *http.Request) bool {
	lang := r.URL.Query().Get("lang")
	if r.Method != http.MethodGet && r.Method != http.MethodHead || !slices.Contains(page.Languages(), lang) {
		return false
	}
	http.SetCookie(w, &http.Cookie{
		Name: languageCookie, Value: lang, MaxAge: languageYear,
		Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return true
}

// noteChoice saves the language if a person is signed in.
func (s *Server) noteChoice(r *http.Request) {
	if who, ok, err := s.signedIn(r); err == nil && ok {
		s.noteLanguage(r, who.person)
	}
}
