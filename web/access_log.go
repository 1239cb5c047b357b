package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

// logRequests logs one record per request, a sample of those for public files, and turns a
// panic into an error page. The record names the route, not the URL: download URLs and query strings can hold
// secrets.
func (s *Server) logRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now() // duration needs the monotonic clock, not the portal's
		recorder := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() { // last, so that an aborted response is logged too
			s.served(requestInfoOf(r).secure, recorder.Status())
			s.accessLog(r, recorder.Status()).LogAttrs(r.Context(), slog.LevelInfo, "request",
				slog.String("method", loggedMethod(r.Method)),
				slog.String("route", routeOf(r)),
				slog.Int("status", recorder.Status()),
				slog.Duration("duration", time.Since(start)),
				slog.Int("bytes", recorder.BytesWritten()),
				slog.String("address", clientAddress(r)),
				slog.String("request", requestInfoOf(r).id))
		}()
		defer func() { s.recovered(recorder, r, recover()) }()
		next.ServeHTTP(recorder, r)
	})
}

// accessLog is the log for a request. Plain http, public files, addresses without a route
// and requests over a limit are sampled, so that they cannot fill the disk.
func (s *Server) accessLog(r *http.Request, status int) *slog.Logger {
	route := routeOf(r)
	public := slices.ContainsFunc([]string{"/static/", "/crl/", "/ca/", "/favicon.ico", "/robots.txt"}, func(prefix string) bool {
		return strings.HasPrefix(route, prefix)
	})
	if !requestInfoOf(r).secure || public || route == "-" || status == http.StatusTooManyRequests {
		return s.sampled
	}
	return s.log
}

// recovered answers a panic with an error page. It panics again for
// http.ErrAbortHandler, and once the response has begun: a truncated page must not
// look complete.
func (s *Server) recovered(w middleware.WrapResponseWriter, r *http.Request, value any) {
	if value == nil {
		return
	}
	if value == http.ErrAbortHandler {
		panic(value)
	}
	s.log.LogAttrs(r.Context(), slog.LevelError, "panic in handler",
		slog.String("route", routeOf(r)), slog.String("request", requestInfoOf(r).id),
		slog.String("err", fmt.Sprint(value)), slog.String("stack", string(debug.Stack())))
	if w.Status() != 0 {
		panic(http.ErrAbortHandler)
	}
	s.fail(w, r, errPanic)
}

// routeOf is the pattern that matched, or "-".
func routeOf(r *http.Request) string {
	if c := chi.RouteContext(r.Context()); c != nil && c.RoutePattern() != "" {
		return c.RoutePattern()
	}
	return "-"
}

// loggedMethod keeps unknown methods, which may be of any length, out of the log.
func loggedMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "other"
}
