package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/go-chi/httprate"
)

var (
	// errTooMany says that one address asked more often than allowed.
	errTooMany = errors.New("too many requests from one address")

	// errTooLarge says that a body is announced over the limit.
	errTooLarge = errors.New("request body over the limit")
)

// limitWindow is what the limits per address count over.
const limitWindow = time.Minute

// limitPerAddress allows count requests a minute from one address, a /64 of
// IPv6 counting as one. It is the cheap outer limit, in the memory of this
// process; tries of an account are counted by the registrar.
func (s *Server) limitPerAddress(count int) func(http.Handler) http.Handler {
	return httprate.LimitBy(count, limitWindow,
		func(r *http.Request) (string, error) { return httprate.CanonicalizeIP(clientAddress(r)), nil },
		httprate.WithResponseHeaders(httprate.ResponseHeaders{RetryAfter: "Retry-After"}),
		httprate.WithLimitHandler(s.handle(func(http.ResponseWriter, *http.Request) error { return errTooMany })),
	)
}

// limitBody bounds what is read of a body, before anything is parsed (attack
// A17): at once when the length is announced, else while it comes in.
func (s *Server) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > s.limits.Body {
			s.fail(w, r, errTooLarge)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, s.limits.Body)
		next.ServeHTTP(w, r)
	})
}
