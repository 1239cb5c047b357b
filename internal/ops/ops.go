// Package ops serves health checks and Prometheus metrics on a port of its own: /healthz
// (the process is alive), /readyz (the server can handle requests), /readyz/plain (it can
// serve lists and online answers) and /metrics.
//
// The handler is read-only, and no label and no text contains data about people. Access is
// controlled by the listening address, which is the loopback address by default.
//
// Metric names follow the Prometheus conventions: base units, and _total for counters.
package ops

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"certportal/ca/crl"
	"certportal/ca/fetch"
	"certportal/ca/ocsp"
)

// Config configures the handler. Fields are required unless they say otherwise.
type Config struct {
	Version string

	// Checks decide whether this server is ready. Conditions that affect all replicas
	// alike belong into Lists and Certificates, for alerts.
	Checks []Check

	// Plain decide whether this server is ready for plain http: lists and online answers are
	// served from memory while pages are out of order. Optional.
	Plain []Check

	// Stopping reports that this server is about to stop: it is not ready any more and
	// still serves. Optional.
	Stopping func() bool

	Lists        func() []crl.Health                  // optional
	Company      func() []fetch.Watched               // lists of the company's CAs; optional
	Online       func() *ocsp.Health                  // optional; returns nil without OCSP
	Answers      *Answers                             // optional
	Certificates func() []Certificate                 // certificates whose expiry is a metric; optional
	Ledger       func(context.Context) (int64, error) // sequence number of the last audit entry; optional
	Journal      func() (string, time.Time)           // error of the recovery journal, "" for none; optional
	Requests     *Requests                            // optional
	Enrolments   func() Enrolments                    // optional

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// Enrolments is how many enrolments are in progress, of at most Limit, and how many were
// refused because of it.
type Enrolments struct {
	InProgress, Limit int
	Refused           uint64
}

// Certificate is a certificate of the portal whose expiry is a metric.
type Certificate struct {
	Name     string // label, such as "issuing", "root", "tls"
	NotAfter time.Time
}

// New returns the handler of /healthz, /readyz and /metrics.
func New(c Config) (http.Handler, error) {
	if len(c.Checks) == 0 {
		return nil, errors.New("ops: nothing says when the server is ready")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Stopping == nil {
		c.Stopping = func() bool { return false }
	}
	state := &readiness{checks: c.Checks, stopping: c.Stopping, now: c.Now}
	metrics, err := newMetrics(c, state)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", showAlive)
	mux.HandleFunc("GET /readyz", state.show)
	if len(c.Plain) > 0 {
		plain := &readiness{checks: c.Plain, stopping: c.Stopping, now: c.Now}
		mux.HandleFunc("GET /readyz/plain", plain.show)
	}
	mux.Handle("GET /metrics", metrics)
	return mux, nil
}

// showAlive serves GET /healthz. It checks nothing: a process must not be restarted because
// its database is down.
func showAlive(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, "text/plain; charset=utf-8", []byte("alive\n"))
}

// answer sends a response that must not be cached.
func answer(w http.ResponseWriter, status int, kind string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client has disconnected
}
