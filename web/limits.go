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

// limitRequests is the ceiling of an address: one count, taken at two places.
// What changes something or has a body is counted before it can be refused, so
// that no refusal is free; reading, behind the files that anyone may have any
// number of times.
func (s *Server) limitRequests() (acts, reads func(http.Handler) http.Handler) {
	count := s.limitPerAddress(s.limits.Requests)
	return only(isAct, count), only(isRead, count)
}

// only applies a limit to the requests that match.
func only(match func(*http.Request) bool, limit func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		limited := limit(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if match(r) {
				limited.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// isRead reports whether a request asks for something and brings nothing.
func isRead(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.ContentLength == 0
}

// isAct reports whether a request may change something, or brings a body.
func isAct(r *http.Request) bool { return !isRead(r) }

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
