package auditmonitor

import (
	"context"
	"time"

	"certportal/internal/audit"
)

const (
	// batchSize is how many entries are sent and held in memory at once.
	batchSize = 1000

	// pollEvery is how often new entries are looked for.
	pollEvery = 2 * time.Second

	// firstRetry doubles up to lastRetry while a target fails.
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// Target receives all entries in order.
type Target interface {
	// Name identifies the target's cursor in the store: a new name starts at the first
	// entry.
	Name() string

	// Send delivers entries. It returns nil when the receiver has them all; otherwise
	// all are sent again.
	Send(ctx context.Context, entries []audit.Entry) error
}

// forward sends entries to a target until the context ends. One replica does at a time.
func (m *Monitor) forward(ctx context.Context, t Target) {
	f := forwarder{m: m, target: t}
	for wait := firstRetry; waited(ctx, wait); {
		more, err := f.step(ctx)
		wait = f.delay(ctx, more, err)
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := m.c.Store.ReleaseCursor(end, t.Name(), m.holder); err != nil {
		m.c.Log.Warn("releasing the forwarding cursor", "target", t.Name(), "err", err)
	}
}

// forwarder sends to one target.
type forwarder struct {
	m      *Monitor
	target Target
	retry  time.Duration // last delay after a failure; 0 while sending works
	done   int64         // last entry when there was nothing to send
}

// step sends one batch and reports whether there may be more.
func (f *forwarder) step(ctx context.Context) (more bool, err error) {
	r, now := f.m.c.Store, f.m.c.Now()
	// Reading the head costs nothing; taking the cursor is a write.
	if head, err := r.Head(ctx); err != nil || head.Seq == f.done {
		return false, err
	}
	// Held for longer than sending may take.
	seq, held, err := r.HoldCursor(ctx, f.target.Name(), f.m.holder, now, now.Add(leaseFor))
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
	if err := r.AdvanceCursor(ctx, f.target.Name(), f.m.holder, last); err != nil {
		return false, err
	}
	f.done = last
	return len(entries) == batchSize, nil
}

// delay returns the time until the next step. It logs when a target begins to fail and
// when it works again.
func (f *forwarder) delay(ctx context.Context, more bool, err error) time.Duration {
	log := f.m.c.Log
	switch {
	case err == nil:
		if f.retry > 0 {
			log.Info("forwarding the audit log works again", "target", f.target.Name())
		}
		f.retry = 0
		if more {
			return 0
		}
		return pollEvery
	case ctx.Err() != nil:
		return 0
	case f.retry == 0:
		if err := f.m.c.Store.FailCursor(ctx, f.target.Name(), f.m.holder, err.Error(), f.m.c.Now()); err != nil {
			log.Warn("recording that forwarding stopped", "target", f.target.Name(), "err", err)
		}
		log.Error("FORWARDING THE AUDIT LOG STOPPED: entries wait and are sent later", "target", f.target.Name(), "err", err)
	}
	f.retry = min(max(2*f.retry, firstRetry), lastRetry)
	return f.retry
}
