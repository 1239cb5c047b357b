package ocsp

import (
	"crypto/x509"
	"log/slog"
	"sync"
	"time"
)

// Health is the state of the responder.
type Health struct {
	Signer   *x509.Certificate // nil when there is none
	Renews   time.Time         // when the next signer is due
	Kept     int               // certificates whose answers are in memory
	Followed time.Time         // when the audit log was last read to its end
	Trouble  string            // last error in words, empty when all is well
	Since    time.Time         // of the trouble
	Life     time.Duration     // from thisUpdate to nextUpdate of an answer
}

// Health gives the state of the responder. It reads memory only and never waits.
func (r *Responder) Health() Health {
	h := Health{Life: r.c.Life, Kept: r.cache.size(), Followed: r.cache.followed()}
	if held := r.signers.current.Load(); held != nil {
		h.Signer, h.Renews = held.cert, held.renews()
	}
	// The signer's error first: without a signer no request is answered.
	for _, t := range []*trouble{r.signers.trouble, r.following, r.records, r.answered} {
		if text, since := t.tell(); text != "" && h.Trouble == "" {
			h.Trouble, h.Since = text, since
		}
	}
	return h
}

// hour is how often an error that lasts is logged.
const hour = time.Hour

// trouble is the last error of one part of the responder, and when it began.
type trouble struct {
	log *slog.Logger
	now func() time.Time

	mu    sync.Mutex
	text  string
	since time.Time
	said  time.Time
}

// note records the outcome of an operation and logs an error once an hour.
func (t *trouble) note(doing string, err error) {
	if err == nil {
		t.over()
		return
	}
	t.mu.Lock()
	if t.text == "" {
		t.since = t.now()
	}
	t.text = doing + ": " + err.Error()
	t.mu.Unlock()
	if t.unsaid(hour) {
		t.log.Error(doing, "err", err)
	}
}

func (t *trouble) over() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text, t.since, t.said = "", time.Time{}, time.Time{}
}

func (t *trouble) tell() (string, time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text, t.since
}

// unsaid reports whether nothing was logged within the given time, and marks the trouble
// as logged if so.
func (t *trouble) unsaid(within time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if !t.said.IsZero() && now.Sub(t.said) < within && !now.Before(t.said) {
		return false
	}
	t.said = now
	return true
}
