package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/go-chi/httprate"
)

var (
	// errTooMany means that one address exceeds its limit.
	errTooMany = errors.New("too many requests from one address")

	// errTooLarge means that Content-Length exceeds the limit.
	errTooLarge = errors.New("request body over the limit")
)

// limitWindow is the window of the limits per address.
const limitWindow = time.Minute

// limitPerAddress allows count requests a minute from one address, a /64 of IPv6
// counting as one. The known browsers of a person count on their own, so that a flood from
// their address does not stop them. It is the cheap outer limit, in the memory of this process; package
// signin counts failed sign-ins per account.
func (s *Server) limitPerAddress(count int) func(http.Handler) http.Handler {
	return httprate.LimitBy(count, limitWindow, s.clientKey,
		httprate.WithResponseHeaders(httprate.ResponseHeaders{RetryAfter: "Retry-After"}),
		httprate.WithLimitHandler(s.handle(func(http.ResponseWriter, *http.Request) error { return errTooMany })),
	)
}

// filesPerPage is how many public files and requests over plain http an address may ask
// for, per page: all phones and servers of a site may share an address, and without a
// CRL they refuse every certificate.
const filesPerPage = 10

// limitFiles limits public files and plain http.
func (s *Server) limitFiles() func(http.Handler) http.Handler {
	return s.limitPerAddress(filesPerPage * s.limits.Requests)
}

// limitRequests limits all requests of an address with one counter, applied at two
// places: writes before any middleware can refuse them, so that no refusal is free;
// reads after the public files, which have a counter of their own.
func (s *Server) limitRequests() (writes, reads func(http.Handler) http.Handler) {
	count := s.limitPerAddress(s.limits.Requests)
	return only(isWrite, count), only(isRead, count)
}

// only applies a limit to matching requests.
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

// isRead reports whether a request is a GET or HEAD without a body.
func isRead(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.ContentLength == 0
}

// isWrite reports whether a request may change something, or has a body.
func isWrite(r *http.Request) bool { return !isRead(r) }

// limitBody limits the size of a body before it is parsed (attack A17): at once by
// Content-Length, otherwise while it is read.
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
