package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// finisher turns a recorded reservation into an issued certificate: it signs,
// records the certificate, and revokes the reservation when either fails. Every
// certificate of the issuing CA is signed here.
type finisher struct {
	store   OwnStore
	sign    func(*ca.Prepared) (*x509.Certificate, error)
	revoked func()
	now     func() time.Time
	log     *slog.Logger
	left    *leftovers // optional
}

// leftovers are the reservations that failed and are not ended yet.
type leftovers struct {
	mu      sync.Mutex
	serials map[ca.Serial]bool
}

func (l *leftovers) set(serial ca.Serial, left bool) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !left {
		delete(l.serials, serial)
		return
	}
	if l.serials == nil {
		l.serials = make(map[ca.Serial]bool)
	}
	l.serials[serial] = true
}

func (l *leftovers) has(serial ca.Serial) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.serials[serial]
}

// Failed reports that a request came to nothing after it was recorded: its reservation is
// ended, or will be as soon as the store answers.
func (r *Registrar) Failed(c portal.Certificate) bool {
	return c.Status == portal.Revoked && c.Cause == portal.Abandoned || c.Status == portal.Pending && r.finisher.left.has(c.Serial)
}

// finish signs a prepared certificate whose reservation is recorded, and records what
// completion makes of it. The error is an *Outage, or wraps ErrConflict when the
// reservation was ended in the meantime.
func (f finisher) finish(ctx context.Context, p *ca.Prepared, completion func(*x509.Certificate) (Completion, error)) (*x509.Certificate, error) {
	cert, err := f.signAndComplete(ctx, p, completion)
	if err != nil {
		f.abandon(ctx, p.Serial(), err)
		return nil, err
	}
	return cert, nil
}

func (f finisher) signAndComplete(ctx context.Context, p *ca.Prepared, completion func(*x509.Certificate) (Completion, error)) (*x509.Certificate, error) {
	cert, err := f.sign(p)
	if err != nil {
		return nil, portal.AsOutage(portal.PartIssuer, "signing certificate", err)
	}
	done, err := completion(cert)
	if err != nil {
		return nil, portal.AsOutage(portal.PartIssuer, "completing certificate", err)
	}
	err = portal.AsOutage(portal.PartStore, "completing certificate", f.store.Complete(ctx, done))
	if err != nil && !f.isRecorded(ctx, done, err) {
		return nil, err
	}
	return cert, nil
}

// isRecorded reports whether a completion that failed is recorded all the same: the answer to a
// COMMIT can be lost (fault F6). That it can be read proves nothing, because a standby may lack it
// (fault F5). A store that does not answer now leaves it to abandon.
func (f finisher) isRecorded(ctx context.Context, done Completion, cause error) bool {
	var outage *portal.Outage
	if !errors.As(cause, &outage) {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonPatience)
	defer cancel()
	if f.store.Confirm(ctx, done.Serial, done.Certificate.Raw) != nil {
		return false
	}
	f.log.Warn("certificate is recorded although the store reported an error", "serial", done.Serial.String(), "err", cause)
	return true
}

const (
	// abandonPatience is how long a person waits for the end of their reservation to be
	// recorded by a store that just failed.
	abandonPatience = time.Second

	// abandonPause is between two tries to record it.
	abandonPause = time.Second
)

// abandon revokes a reservation that cannot be completed. If that fails too it is tried again
// until the next sweep would revoke it.
func (f finisher) abandon(ctx context.Context, serial ca.Serial, cause error) {
	f.left.set(serial, true)
	patience := issueTimeout
	var outage *portal.Outage
	if errors.As(cause, &outage) && outage.Part == portal.PartStore {
		patience = abandonPatience
	}
	// The issuance may have failed because its time ran out: revoking gets its own.
	ctx = context.WithoutCancel(ctx)
	err := f.revokeAbandoned(ctx, serial, patience)
	if err == nil {
		return
	}
	f.log.Error("ending an abandoned certificate is tried again", "serial", serial.String(), "err", err)
	go func() {
		until := time.NewTimer(ReservationLife)
		defer until.Stop()
		for {
			select {
			case <-until.C: // the sweep ends it
				f.left.set(serial, false)
				return
			case <-time.After(abandonPause):
			}
			if f.revokeAbandoned(ctx, serial, issueTimeout) == nil {
				return
			}
		}
	}()
}

func (f finisher) revokeAbandoned(ctx context.Context, serial ca.Serial, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	now := f.now()
	ended, err := f.store.Revoke(ctx, Revocation{
		Serials: []ca.Serial{serial}, Cause: portal.Abandoned, At: now,
		Entry: portal.Actor{}.Entry(now, audit.CertificateRevoked),
	})
	if err == nil {
		f.left.set(serial, false)
	}
	if len(ended) > 0 {
		f.revoked()
	}
	return err
}
