package ocsp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"certportal/ca"
)

const (
	// pollInterval is how often the responder polls the audit log: the maximum delay
	// until it sees a revocation of another replica.
	pollInterval = 250 * time.Millisecond

	// batch is the number of audit entries read at a time.
	batch = 1000

	// followWithin is the timeout of follow.
	followWithin = 3 * time.Second
)

// follow reads the audit log to its end and drops the cached status of every certificate
// that it mentions. Only one goroutine follows at a time.
func (r *Responder) follow(ctx context.Context) error {
	r.followMu.Lock()
	defer r.followMu.Unlock()
	bounded, cancel := context.WithTimeout(ctx, followWithin)
	defer cancel()
	err := r.catchUp(bounded)
	r.note(ctx, r.following, "following the audit log for OCSP", err)
	return err
}

// note records the outcome of an operation, unless it ended by a shutdown or because the
// client disconnected.
func (r *Responder) note(ctx context.Context, t *trouble, doing string, err error) {
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	t.note(doing, err)
}

func (r *Responder) catchUp(ctx context.Context) error {
	if !r.begun {
		return r.begin(ctx)
	}
	for {
		before := r.c.Now()
		serials, through, err := r.c.Store.Changes(ctx, r.position, batch)
		if errors.Is(err, ErrRewound) {
			r.c.Log.Warn("the records were put back to an earlier state: all OCSP answers are made anew", "entry", r.position)
			return r.begin(ctx)
		}
		if err != nil {
			return fmt.Errorf("reading changes after %d: %w", r.position, err)
		}
		if through == r.position {
			r.cache.markSeen(before)
			return nil
		}
		r.cache.drop(serials)
		if held := r.signers.current.Load(); held != nil && slices.Contains(serials, held.serial) {
			if err := r.checkSigner(ctx, held.serial); err != nil {
				return err
			}
		}
		full := through-r.position >= batch
		r.position = through
		if !full {
			r.cache.markSeen(before)
			return nil
		}
	}
}

// begin empties the cache and starts following at the end of the audit log: statuses read
// from now on include all entries before it.
func (r *Responder) begin(ctx context.Context) error {
	r.begun = false
	r.cache.dropAll()
	before := r.c.Now()
	head, err := r.c.Store.Head(ctx)
	if err != nil {
		return fmt.Errorf("finding the end of the audit log: %w", err)
	}
	r.position, r.begun = head.Seq, true
	r.cache.markSeen(before)
	return nil
}

// checkSigner replaces the signer if it was revoked, for example because its key may be
// stolen. Clients do not check the signer's revocation (id-pkix-ocsp-nocheck), so the
// answers that it signed are dropped.
func (r *Responder) checkSigner(ctx context.Context, serial ca.Serial) error {
	status, err := r.c.Store.Status(ctx, serial)
	if err != nil {
		return fmt.Errorf("reading status of the OCSP signer: %w", err)
	}
	if status.State != Revoked {
		return nil
	}
	r.c.Log.Warn("the OCSP signer was revoked: a new one is made", "serial", serial)
	r.signers.current.Store(nil)
	r.cache.dropAll()
	_ = r.signers.refresh(ctx) // logs its error, and is retried
	return nil
}
