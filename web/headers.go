package web

import (
	"context"
	"net/http"
	"strings"

	"github.com/gorilla/sessions"
)

// contentSecurityPolicy allows what the pages need: one style sheet, one script and
// small images, all from this origin. Lighthouse fetches robots.txt from inside the
// page, hence connect-src.
const contentSecurityPolicy = "default-src 'none'; style-src 'self'; img-src 'self' data:; " +
	"script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// permissionsPolicy disables features that no page uses.
const permissionsPolicy = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), " +
	"magnetometer=(), microphone=(), midi=(), payment=(), usb=()"

// hsts makes browsers use https only, for a year. It must not be sent over plain http
// (RFC 6797 section 7.2).
const hsts = "max-age=31536000"

// begin gives the request its id and every response its security headers, errors and
// files included. It is the outermost middleware.
func begin(secure bool, addresses *addressFinder) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v := requestInfo{id: newRequestID(), address: addresses.find(r), secure: secure}
			r = r.WithContext(context.WithValue(r.Context(), requestInfoKey{}, v))
			// All middleware below shares this registry, which caches the session: the
			// database is asked once.
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
	// Not no-referrer, with which browsers send our own forms with "Origin: null":
	// browsers without Sec-Fetch-Site would be refused as cross-site.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", permissionsPolicy)
	h.Set("X-Robots-Tag", "noindex")
	h.Set("X-Request-Id", info.id)
	// The default; public files and CRLs set their own.
	h.Set("Cache-Control", "no-store")
}

// isPrefetch reports whether a browser or a link preview fetches ahead. Such a fetch
// must not use up anything.
func isPrefetch(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		value := strings.ToLower(r.Header.Get(name))
		if strings.Contains(value, "prefetch") || strings.Contains(value, "preview") || strings.Contains(value, "prerender") {
			return true
		}
	}
	return false
}
