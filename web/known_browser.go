package web

import (
	"net/http"

	"github.com/go-chi/httprate"

	"certportal/internal/signin"
)

// knownCookie is the name of the cookie by which a browser is known in which a person
// gave the right password. It opens nothing; see [signin.KnownLife].
const knownCookie = "__Host-known"

// newKnownCookie makes the cookie. It outlives the session, and signing out keeps it.
func newKnownCookie(value string) *http.Cookie {
	return &http.Cookie{
		Name: knownCookie, Value: value, MaxAge: int(signin.KnownLife.Seconds()),
		Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// knownCookieOf returns the value of the cookie, "" for none. It may be forged.
func knownCookieOf(r *http.Request) string {
	cookie, err := r.Cookie(knownCookie)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// clientKey is what the limits per address count under.
func (s *Server) clientKey(r *http.Request) (string, error) {
	if whose, ok := s.signIn.KnownBrowser(knownCookieOf(r)); ok {
		return "known browsers " + whose, nil
	}
	return httprate.CanonicalizeIP(clientAddress(r)), nil
}
