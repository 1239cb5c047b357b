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

// ocspPath is the OCSP address in certificates.
const ocspPath = "/ocsp"

// ocspMaxAge bounds how long HTTP caches may keep a response. Clients keep it until
// its nextUpdate anyway; proxies must not delay revocations further.
const ocspMaxAge = time.Minute

// interceptOCSP answers OCSP requests before sessions, limits and log. A mail server
// sends thousands of requests from one address, and a log record for each is useless;
// package ocsp bounds the cost of a response. The responses have the usual headers,
// and the https side refuses cross-site requests.
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

// statusCounter records the status of a response.
type statusCounter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (c *statusCounter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

// Unwrap gives [http.ResponseController] access to the connection.
func (c *statusCounter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// serveOCSP is POST /ocsp and GET /ocsp/{request in base64} (RFC 6960 appendix A).
// OCSP errors have HTTP status 200 too.
func (s publicFiles) serveOCSP(w http.ResponseWriter, r *http.Request) {
	var request []byte
	var err error
	switch r.Method {
	case http.MethodPost:
		request, err = io.ReadAll(http.MaxBytesReader(w, r.Body, ocsp.MaxRequest))
	case http.MethodGet, http.MethodHead:
		// The responder answers malformedRequest to what cannot be decoded.
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

// sendStatus sends a response with the headers for caches (RFC 5019 sections 5 and 6).
// Responses to POST, those with a nonce and errors are not cached.
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
		// Only the ETag counts: within one second "good" may have become "revoked".
		if known := r.Header.Get("If-None-Match"); known == "*" || strings.Contains(known, tag) {
			h.Del("Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(a.DER)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.DER) // the client has disconnected
	}
}
