package revoker

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/httprate"

	"certportal/internal/enroll"
)

// perMinute is how many requests a revoker may send within a minute: two full rounds.
const perMinute = 2*Most + 100

// errStranger means that a certificate is that of no revoker.
var errStranger = errors.New("the certificate is of no revoker of this CA, or it is not valid now")

// Server answers revokers.
type Server struct{ c Config }

// New returns a Server.
func New(c Config) *Server { return &Server{c} }

// TLS makes a configuration that takes connections with the certificate of a revoker only.
// Which one belongs to which CA is looked at for every request.
func (s *Server) TLS(base *tls.Config) *tls.Config {
	c := base.Clone()
	// The certificates are compared themselves, so no CA is asked and none can make another.
	c.ClientAuth, c.NextProtos, c.SessionTicketsDisabled = tls.RequireAnyClientCert, []string{"http/1.1"}, true
	c.VerifyConnection = func(state tls.ConnectionState) error {
		for _, name := range s.c.CAs {
			if s.isRevoker(name, &state) {
				return nil
			}
		}
		return errStranger
	}
	return c
}

// isRevoker reports whether the client showed a certificate of the revoker of a CA, which is
// valid now.
func (s *Server) isRevoker(ca string, state *tls.ConnectionState) bool {
	if state == nil || len(state.PeerCertificates) == 0 || !slices.Contains(s.c.CAs, ca) {
		return false
	}
	pinned, err := s.c.Certificates(ca)
	if err != nil {
		s.c.Log.Error("reading the certificate of a revoker", "ca", ca, "err", err)
		return false
	}
	leaf, now := state.PeerCertificates[0], s.c.Now()
	return slices.ContainsFunc(pinned, leaf.Equal) && !now.Before(leaf.NotBefore) && !now.After(leaf.NotAfter)
}

// Handler answers the requests of revokers.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+Path+"{ca}", s.answer(s.list))
	mux.Handle("POST "+Path+"{ca}", s.answer(s.report))
	return httprate.LimitBy(perMinute, time.Minute,
		func(r *http.Request) (string, error) { return fingerprint(r), nil },
		httprate.WithResponseHeaders(httprate.ResponseHeaders{RetryAfter: "Retry-After"}),
	)(mux)
}

// fingerprint is the SHA-256 of the client's certificate, in hexadecimal; empty without one.
func fingerprint(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return ""
	}
	hash := sha256.Sum256(r.TLS.PeerCertificates[0].Raw)
	return hex.EncodeToString(hash[:])
}

// answer calls do with the name of a CA whose revoker asks. do returns the status, and a
// body of JSON or nil.
func (s *Server) answer(do func(r *http.Request, ca string) (status int, body []byte)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("ca")
		status, body := http.StatusForbidden, []byte(nil)
		if s.isRevoker(name, r.TLS) {
			r.Body = http.MaxBytesReader(w, r.Body, maxReport)
			status, body = do(r, name)
		}
		if status >= http.StatusBadRequest {
			s.c.Log.Warn("revoker refused", "ca", name, "method", r.Method, "status", status, "certificate", fingerprint(r), "address", address(r))
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(body)
	})
}

// address is that of the client, without port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// authority is the name of a CA in records.
func authority(ca string) string { return enroll.UpstreamPrefix + ca }
