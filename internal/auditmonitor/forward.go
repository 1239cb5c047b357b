package auditmonitor

import (
	"context"
	"time"

	"certportal/internal/audit"
)

const (
	// batchSize is how many entries go out at once, and how many are held in memory.
	batchSize = 1000

	// lookEvery is how soon a new entry goes out.
	pollEvery = 2 * time.Second

	// firstRetry doubles up to lastRetry while a target does not take entries.
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// Target is where entries are sent, in their order.
type Target interface {
	// Name tells targets apart in the store: a new name begins at the first entry.
	Name() string

	// Send delivers entries. When it returns nil the receiver has them all; else
	// they are sent again, all of them.
	Send(ctx context.Context, entries []audit.Entry) error
}

// forward sends entries to a target until the context ends. At any time one
// replica does.
func (k *Monitor) forward(ctx context.Context, t Target) {
	f := forwarder{k: k, target: t}
	for wait := firstRetry; waited(ctx, wait); {
		more, err := f.step(ctx)
		wait = f.delay(ctx, more, err)
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := k.c.Store.ReleaseCursor(end, t.Name(), k.holder); err != nil {
		k.c.Log.Warn("handing over the forwarding of the ledger", "target", t.Name(), "err", err)
	}
}

// forwarder is the sending to one target.
type forwarder struct {
	k      *Monitor
	target Target
	retry  time.Duration // the last pause after a failure; 0 while all is well
	done   int64         // the entry behind which there was nothing to send
}

// step sends one batch, and reports whether there may be more.
func (f *forwarder) step(ctx context.Context) (more bool, err error) {
	r, now := f.k.c.Store, f.k.c.Now()
	// Looking is free; taking the place is a write.
	if head, err := r.Head(ctx); err != nil || head.Seq == f.done {
		return false, err
	}
	// Held for as long as sending may take, and another round.
	seq, held, err := r.HoldCursor(ctx, f.target.Name(), f.k.holder, now, now.Add(leaseFor))
	if err != nil || !held {
		return false, err
	}
	entries, err := r.Entries(ctx, seq, batchSize)
	if len(entries) == 0 {
		f.done = seq
		return false, err
	}
	sending, cancel := context.WithTimeout(ctx, leaseFor/2)
	defer cancel()
	if err := f.target.Send(sending, entries); err != nil {
		return false, err
	}
	last := entries[len(entries)-1].Seq
	if err := r.AdvanceCursor(ctx, f.target.Name(), f.k.holder, last); err != nil {
		return false, err
	}
	f.done = last
	return len(entries) == batchSize, nil
}

// pause is the time until the next step. It tells once that a target fails, and
// that it takes entries again.
func (f *forwarder) delay(ctx context.Context, more bool, err error) time.Duration {
	log := f.k.c.Log
	switch {
	case err == nil:
		if f.retry > 0 {
			log.Info("forwarding the ledger goes on", "target", f.target.Name())
		}
		f.retry = 0
		if more {
			return 0
		}
		return pollEvery
	case ctx.Err() != nil:
		return 0
	case f.retry == 0:
		if err := f.k.c.Store.FailCursor(ctx, f.target.Name(), f.k.holder, err.Error(), f.k.c.Now()); err != nil {
			log.Warn("noting that forwarding stops", "target", f.target.Name(), "err", err)
		}
		log.Error("FORWARDING THE LEDGER STOPPED: entries wait and are sent later", "target", f.target.Name(), "err", err)
	}
	f.retry = min(max(2*f.retry, firstRetry), lastRetry)
	return f.retry
}
