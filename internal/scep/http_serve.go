package scep

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"slices"

	"github.com/smallstep/pkcs7"

	"certportal/ca"
	"certportal/internal/portal"
)

// capabilities is the response to GetCACaps (RFC 8894 section 3.5.2). SCEPStandard
// includes AES, SHA-256 and POST; older clients need them listed.
const capabilities = "AES\nPOSTPKIOperation\nRenewal\nSCEPStandard\nSHA-256\nSHA-512\n"

const (
	typeCertificates = "application/x-x509-ca-ra-cert"
	typeMessage      = "application/x-pki-message"
	typeText         = "text/plain; charset=utf-8"
)

// ServeHTTP serves GET ?operation=GetCACaps and GetCACert, and POST
// ?operation=PKIOperation. It recovers from panics with status 500 and a log record, so
// that a bug in a parser ends only one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		fault := recover()
		switch {
		case fault == nil:
		case fault == http.ErrAbortHandler:
			panic(fault)
		default:
			s.c.Log.Error("panic in SCEP", "request", s.c.Actor(r).Request, "err", fault, "stack", string(debug.Stack()))
			s.refuse(w, http.StatusInternalServerError)
		}
	}()
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	operation := r.URL.Query()["operation"]
	if len(operation) != 1 {
		s.refuse(w, http.StatusBadRequest)
		return
	}
	methods := []string{http.MethodGet, http.MethodHead}
	serve := s.serveCertificates
	switch operation[0] {
	case "GetCACaps":
		serve = s.serveCapabilities
	case "GetCACert":
	case "PKIOperation":
		methods, serve = []string{http.MethodPost}, s.serveMessage
	default:
		s.refuse(w, http.StatusBadRequest)
		return
	}
	if !slices.Contains(methods, r.Method) {
		w.Header().Set("Allow", methods[0])
		s.refuse(w, http.StatusMethodNotAllowed)
		return
	}
	serve(w, r)
}

// refuse sends a status, with no text from the request.
func (s *Server) refuse(w http.ResponseWriter, status int) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "30")
	}
	http.Error(w, http.StatusText(status), status)
}

func (s *Server) serveCapabilities(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", typeText)
	io.WriteString(w, capabilities)
}

// serveCertificates sends the certificates of the RA and the issuing CA, the RA first (RFC
// 8894 section 4.2.1.2). The device verifies the RA with one, and the certificate that it
// gets with the other. After a change of the issuing CA these are two CAs, until there is an
// RA under the new one.
func (s *Server) serveCertificates(w http.ResponseWriter, _ *http.Request) {
	ra, err := s.announced()
	if err != nil {
		s.c.Log.Error("SCEP: serving GetCACert", "err", err)
		s.refuse(w, http.StatusServiceUnavailable)
		return
	}
	own, active := s.c.Registrar.Chain(ra.cert), s.c.Registrar.Chain(nil)
	certs := slices.Clone(ra.cert.Raw)
	for i, c := range slices.Concat(own, active) {
		if i < len(own) || !slices.ContainsFunc(own, c.Equal) {
			certs = append(certs, c.Raw...)
		}
	}
	bundle, err := pkcs7.DegenerateCertificate(certs)
	if err != nil {
		s.c.Log.Error("SCEP: encoding GetCACert", "err", err)
		s.refuse(w, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", typeCertificates)
	w.Write(bundle)
}

// serveMessage is POST ?operation=PKIOperation.
func (s *Server) serveMessage(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		s.refuse(w, http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		// Without a status the response would be 200.
		s.refuse(w, http.StatusBadRequest)
		return
	}
	// The body is read before taking a slot, so that slow clients do not occupy one.
	select {
	case s.busy <- struct{}{}:
		defer func() { <-s.busy }()
	case <-r.Context().Done():
		return
	}
	answer, err := s.handle(r.Context(), s.c.Actor(r), raw)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", typeMessage)
	w.Write(answer)
}

// fail sends a status when no SCEP response is possible.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errMalformed) {
		s.c.Log.Info("malformed SCEP message", "request", s.c.Actor(r).Request, "address", s.c.Actor(r).Address, "err", err)
		s.refuse(w, http.StatusBadRequest)
		return
	}
	s.c.Log.Error("SCEP: handling message", "request", s.c.Actor(r).Request, "err", err)
	status := http.StatusInternalServerError
	var outage *portal.Outage
	if errors.As(err, &outage) || errors.Is(err, errNoRA) || errors.Is(err, errNoKey) || errors.Is(err, context.DeadlineExceeded) {
		status = http.StatusServiceUnavailable
	}
	s.refuse(w, status)
}

// Fingerprint returns the SHA-256 of the issuing CA's certificate in the format of
// ca.Fingerprint, for comparison with the certificate fetched over plain http.
func (s *Server) Fingerprint() string { return ca.Fingerprint(s.c.Registrar.Chain(nil)[0]) }
