// Package ops is the face of the portal for those who keep it running: whether the
// process is alive, whether it is ready for requests, and its numbers for Prometheus,
// on a port of their own.
//
// It refuses everything but reading, and tells nothing about people: no label and no
// sentence names one. Who may reach the port is decided by where it listens, which is
// the machine itself unless a setting says otherwise.
//
// The numbers follow the text format of Prometheus and its rules for names: base
// units, and _total for what only grows.
package ops

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"certportal/ca/crl"
	"certportal/ca/ocsp"
)

// Config is what the port tells of. Fields are required unless they say otherwise.
type Config struct {
	Version string

	// Checks are what must be in order for this server to get requests. What the other
	// servers could do no better belongs into Lists and Certificates, where it warns.
	Checks []Check

	Lists        func() []crl.Health                  // optional
	Online       func() *ocsp.Health                  // optional; nil where nothing is answered online
	Answers      *Answers                             // optional
	Certificates func() []Certificate                 // whose ends are told; optional
	Ledger       func(context.Context) (int64, error) // number of the last entry; optional
	Journal      func() (string, time.Time)           // what keeps the journal from being written; optional
	Requests     *Requests                            // optional

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// Certificate is one whose end somebody must not miss.
type Certificate struct {
	Name     string // as a label: "issuing", "root", "tls"
	NotAfter time.Time
}

// New makes the handler of /healthz, /readyz and /metrics.
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
	state := &readiness{checks: c.Checks, now: c.Now}
	numbers, err := newNumbers(c, state)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", showAlive)
	mux.HandleFunc("GET /readyz", state.show)
	mux.Handle("GET /metrics", numbers)
	return mux, nil
}

// showAlive is GET /healthz. It asks nothing: a process whose database is away must not
// be restarted for it.
func showAlive(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, "text/plain; charset=utf-8", []byte("alive\n"))
}

// answer sends what is true at this moment only.
func answer(w http.ResponseWriter, status int, kind string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // who asked is gone; there is nobody to tell
}
