package web

import (
	"net/http"
	"slices"

	"certportal/internal/portal"
	"certportal/web/page"
)

// noteLanguage remembers the language of this page for the person. A letter in
// another language is no reason to let nobody in.
func (s *Server) noteLanguage(r *http.Request, person portal.PersonID) {
	if err := s.store.SetLanguage(r.Context(), person, languageOf(r)); err != nil {
		s.log.Warn("noting the language of a person", "err", err, "request", requestInfoOf(r).id)
	}
}

// rememberLanguage keeps what ?lang= chose: in a cookie, and for somebody who is
// signed in and followed a link of these pages also for their letters. A link on
// somebody else's page must not choose for them, so a browser that does not say
// where the link was (Sec-Fetch-Site) changes the cookie alone.
func (s *Server) rememberLanguage(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lang := r.URL.Query().Get("lang")
		if (r.Method == http.MethodGet || r.Method == http.MethodHead) && slices.Contains(page.Languages(), lang) {
			http.SetCookie(w, &http.Cookie{
				Name: languageCookie, Value: lang, MaxAge: languageYear,
				Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
			})
			if r.Header.Get("Sec-Fetch-Site") == "same-origin" {
				s.noteChoice(r)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// noteChoice notes the language for whoever is signed in, if anybody is.
func (s *Server) noteChoice(r *http.Request) {
	if who, ok, err := s.signedIn(r); err == nil && ok {
		s.noteLanguage(r, who.person)
	}
}
