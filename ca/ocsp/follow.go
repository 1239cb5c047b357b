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
	// pollInterval is how often the audit log is looked at: a revocation on another replica shows
	// here after this time.
	pollInterval = 250 * time.Millisecond

	// batch is how many audit entries are looked at in one go.
	batch = 1000

	// followWithin bounds one look at the records.
	followWithin = 3 * time.Second
)

// follow drops what the audit log tells of until it comes to the end. Only one
// goroutine follows at a time.
func (r *Responder) follow(ctx context.Context) error {
	r.followMu.Lock()
	defer r.followMu.Unlock()
	bounded, cancel := context.WithTimeout(ctx, followWithin)
	defer cancel()
	err := r.catchUp(bounded)
	r.note(ctx, r.following, "following the ledger for OCSP", err)
	return err
}

// note takes an outcome, unless it is that of a shutdown or of a client who left.
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

// begin takes the end of the audit log for the beginning: what is before it is in the
// records that are read from now on.
func (r *Responder) begin(ctx context.Context) error {
	r.begun = false
	r.cache.dropAll()
	before := r.c.Now()
	head, err := r.c.Store.Head(ctx)
	if err != nil {
		return fmt.Errorf("finding the end of the ledger: %w", err)
	}
	r.position, r.begun = head.Seq, true
	r.cache.markSeen(before)
	return nil
}

// checkSigner replaces a signer that was revoked: an administrator takes its key for
// stolen. Relying parties do not check it, so nothing it signed is handed out again.
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
	_ = r.signers.refresh(ctx) // says itself what is wrong, and is tried again
	return nil
}
