package web

import (
	"context"
	"net/http"
	"strings"

	"github.com/gorilla/sessions"
)

// contentSecurityPolicy allows what the pages need and nothing else: one style
// sheet, one script and small pictures, all of our own. Lighthouse reads
// robots.txt from inside the page, hence connect-src.
const contentSecurityPolicy = "default-src 'none'; style-src 'self'; img-src 'self' data:; " +
	"script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// permissionsPolicy switches off what a page of a certificate portal never
// asks for, should a foreign script ever run in it.
const permissionsPolicy = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), " +
	"magnetometer=(), microphone=(), midi=(), payment=(), usb=()"

// hsts tells browsers to come by https only, for a year. It must not be sent
// over plain http (RFC 6797 section 7.2).
const hsts = "max-age=31536000"

// begin gives the request its reference, and every answer its security headers,
// errors and files included. It stands outermost so that nothing escapes it.
func begin(secure bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v := requestInfo{id: newRequestID(), secure: secure}
			r = r.WithContext(context.WithValue(r.Context(), requestInfoKey{}, v))
			// The registry remembers the session of this request: made here, all
			// middleware below shares it and the database is asked once.
			sessions.GetRegistry(r)
			setSecurityHeaders(w.Header(), v)
			next.ServeHTTP(w, r)
		})
	}
}

func setSecurityHeaders(h http.Header, info requestInfo) {
	if info.secure {
		h.Set("Strict-Transport-Security", hsts)
	}
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	// Not no-referrer: with it a form of our own is sent with "Origin: null",
	// and browsers without Sec-Fetch-Site would be refused as cross-site.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", permissionsPolicy)
	h.Set("X-Robots-Tag", "noindex")
	h.Set("X-Request-Id", info.id)
	// What says nothing else about itself is kept by nobody; public files and
	// lists set their own.
	h.Set("Cache-Control", "no-store")
}

// isPrefetch reports whether nobody asked for the answer yet: a browser or a
// link preview fetches ahead. Such a fetch must not use anything up.
func isPrefetch(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		value := strings.ToLower(r.Header.Get(name))
		if strings.Contains(value, "prefetch") || strings.Contains(value, "preview") || strings.Contains(value, "prerender") {
			return true
		}
	}
	return false
}
