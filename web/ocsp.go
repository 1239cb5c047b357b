package web

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"certportal/ca/ocsp"
)

// ocspPath is where certificates say that they are answered for.
const ocspPath = "/ocsp"

// ocspMaxAge is the longest a cache on the way may keep an answer. Whoever checks a
// certificate keeps it until its nextUpdate anyway; a proxy must not add to the time
// until a revocation is seen.
const ocspMaxAge = time.Minute

// interceptOCSP takes requests for the status of a certificate out of the stream, before
// sessions, limits and log. A mail server asks thousands of times from one address,
// and nobody reads a line about each; what an answer costs is bounded where it is
// made. The headers are those of every answer, and on the https side no browser is
// made to ask by another site.
func (s publicFiles) interceptOCSP(secure bool) (lean http.Handler, before func(http.Handler) http.Handler) {
	var serve http.Handler = http.HandlerFunc(s.serveOCSP)
	if secure {
		serve = http.NewCrossOriginProtection().Handler(serve)
	}
	lean = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setSecurityHeaders(w.Header(), requestInfo{id: newRequestID(), secure: secure})
		counted := statusCounter{ResponseWriter: w}
		serve.ServeHTTP(&counted, r)
		s.served(secure, counted.status)
	})
	return lean, func(next http.Handler) http.Handler {
		if s.ocsp == nil {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if rest, ok := strings.CutPrefix(r.URL.Path, ocspPath); ok && (rest == "" || rest[0] == '/') {
				lean.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// statusCounter remembers the status of an answer.
type statusCounter struct {
	http.ResponseWriter
	status int
}

// WriteHeader passes the status on.
func (c *statusCounter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

// Unwrap lets the server be asked to end the connection.
func (c *statusCounter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// serveOCSP is POST /ocsp and GET /ocsp/{request in base64} (RFC 6960 appendix A).
// Every answer of the protocol has status 200, refusals too.
func (s publicFiles) serveOCSP(w http.ResponseWriter, r *http.Request) {
	var request []byte
	var err error
	switch r.Method {
	case http.MethodPost:
		request, err = io.ReadAll(http.MaxBytesReader(w, r.Body, ocsp.MaxRequest))
	case http.MethodGet, http.MethodHead:
		// What cannot be decoded is no request: the responder says so.
		request, _ = ocsp.DecodeGET(strings.TrimPrefix(r.URL.EscapedPath(), ocspPath))
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
	default:
		s.sendStatus(w, r, s.ocsp.Respond(r.Context(), request))
	}
}

// sendStatus sends an answer with what a cache needs (RFC 5019 sections 5 and 6). One
// that was asked for by POST, has a nonce, or refuses is kept by nobody.
func (s publicFiles) sendStatus(w http.ResponseWriter, r *http.Request, a ocsp.Answer) {
	h := w.Header()
	h.Set("Content-Type", "application/ocsp-response")
	if r.Method != http.MethodPost && !a.NextUpdate.IsZero() {
		life := max(0, min(ocspMaxAge, a.NextUpdate.Sub(s.now())))
		tag := `"` + contentTag(a.DER) + `"`
		h.Set("Cache-Control", "public, no-transform, must-revalidate, max-age="+strconv.Itoa(int(life.Seconds())))
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		h.Set("ETag", tag)
		h.Set("Last-Modified", a.ThisUpdate.UTC().Format(http.TimeFormat))
		h.Set("Expires", a.NextUpdate.UTC().Format(http.TimeFormat))
		// The tag alone counts: within one second good may have become revoked.
		if known := r.Header.Get("If-None-Match"); known == "*" || strings.Contains(known, tag) {
			h.Del("Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(a.DER)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.DER) // whoever asked left; there is nobody to tell
	}
}
